"""The training loop, for any app: a Stage says what to optimise, a Trainer does it on any device."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator, DistributedDataParallelKwargs
from accelerate.utils import ProjectConfiguration
from contrastive.whole import WholeBatch
from posedata.machine import machine, now
from posedata.terminal import print_line
from torch import Tensor

from posetrain import interrupts
from posetrain.events import Events
from posetrain.fitting import DivergedError, Fitting, seed_of
from posetrain.lock import hold, release
from posetrain.precision import choose_precision
from posetrain.processes import agree, join_processes, patient
from posetrain.runs import Existing, Run
from posetrain.stage import LoopConfig, Stage

__all__ = ["DivergedError", "Trainer", "seed_of"]


class Trainer:
    """Runs stages one after the other in a run folder, and picks up what the folder already holds.

    Args:
        run: an open run folder.
        config: the loop's part of the recipe.
        card: what every checkpoint should carry besides ("recipe", ...).
        data: fingerprint of the training data; a run resumes only on the same.
        existing: what `start` will be told to do with a run that the folder holds.

    Attributes:
        precision: of autocast: `no`, `bf16` or `fp16`.
        whole: what a loss needs to be that of the whole batch (`contrastive.whole`).
    """

    def __init__(
        self,
        run: Run,
        config: LoopConfig,
        card: Mapping[str, Any] | None = None,
        data: str = "",
        existing: Existing = "resume",
    ) -> None:
        self.run, self.config, self.data = run, config, data
        self.card = dict(card or {})
        state = join_processes(config)
        began = run.precision() if existing == "resume" else None
        self._events = Events(run.path / "tensorboard" / "polypose")
        self.precision, self._why = choose_precision(config.precision, state.device, began)
        self.accelerator = Accelerator(
            cpu=config.device == "cpu",
            mixed_precision=self.precision,
            gradient_accumulation_steps=config.accumulate,
            log_with=[self._events if n == "tensorboard" else _installed(n) for n in config.trackers] or None,
            project_config=ProjectConfiguration(str(run.path), logging_dir=str(run.path / "tensorboard")),
            kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=True)],
        )
        self.device = self.accelerator.device
        self.whole = WholeBatch(self.accelerator.num_processes, self.accelerator.process_index)
        torch.manual_seed(seed_of(config.seed, "weights"))  # a model is made after its trainer
        self._offset = 0  # steps of the stages before, so that trackers see one growing count
        self._tracking = False

    def start(self, recipe: Any, existing: Existing) -> None:
        """Open the run's folder (`Run.start`) for all processes: once the models stand.

        Raises:
            ValueError: it holds a run that may not be touched, another process trains in it, or the processes
                have other data than each other.
        """
        with patient(self.config):
            agree("the training data's fingerprint", self.data, "give every host the same data.path")
        if self.accelerator.is_main_process:
            hold(self.run.path)
        Run.start(self.run.path, recipe, existing)
        interrupts.begin()
        if self.accelerator.is_main_process:
            if self._why:
                print_line(f"precision {self.precision}: {self._why}")
            began = {"time": now(), "machine": machine(), "precision": self.precision}
            began |= {"processes": self.accelerator.num_processes, "folder": str(Path.cwd())}
            self.run.log_start(began)
        with patient(self.config):
            self.accelerator.wait_for_everyone()

    def share(self, rows: Tensor) -> Tensor:
        """This process's part of a batch that every process drew alike (`WholeBatch.share`)."""
        return self.whole.share(rows)

    def fit(self, stage: Stage) -> dict[str, float]:
        """Train a stage from its last checkpoint, or from the start, to its end.

        Leaves the averaged weights in the modules where EMA is on. A finished stage is only loaded.

        Returns:
            the last evaluation's metrics ({} without an evaluate hook).

        Raises:
            DivergedError: loss or gradient is not finite; the batch is saved in the run folder and named.
            ValueError: the run's checkpoint belongs to other data or another model.
            TimeoutError: another process ended, or took longer than `loop.timeout`.
        """
        with patient(self.config):
            fitting = Fitting(self, stage)
            fitting.restore()
            if fitting.step < stage.steps:
                self._track(fitting.step)
                fitting.train(self._offset)
            if fitting.ema:
                fitting.ema.copy_to_module()
            self._offset += stage.steps
            self.accelerator.wait_for_everyone()
            self.accelerator.free_memory()
        return fitting.metrics

    def close(self) -> None:
        """Close the trackers and give the run folder back; the processes stay joined for another training."""
        interrupts.end()
        release(self.run.path)
        for tracker in self.accelerator.trackers:
            tracker.finish()

    def _track(self, step: int) -> None:
        if self._tracking or not self.config.trackers:
            return
        place = str(self.run.path.resolve())
        identity = hashlib.sha256(place.encode()).hexdigest()[:16]  # --resume goes on in the same curve
        wandb = {
            "id": identity,
            "name": self.run.name,
            "dir": place,
            "resume": "allow",
            "config": self.card,
        }
        self._events.purge = self._offset + step + 1
        self.accelerator.init_trackers("polypose", init_kwargs={"wandb": wandb})
        self._tracking = True


def _installed(tracker: str) -> str:
    if tracker == "wandb":
        try:
            import wandb  # noqa: F401
        except ImportError:
            raise ValueError("trackers: wandb is not installed; pip install wandb, or leave it out") from None
    return tracker
