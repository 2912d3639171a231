"""One stage in training: its steps, what it tells, and what it keeps.

Every draw of step n depends on (seed, stage, n) alone: generators, and torch's and python's own, are seeded
again each step. So a resumed run repeats an uninterrupted one exactly, and an evaluation cannot disturb it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from accelerate.utils import broadcast_object_list
from posedata.machine import library_versions
from posedata.sharing import sharing
from torch import Tensor, nn

from posetrain.checkpoint import (
    damaged,
    load_checkpoint,
    load_state,
    pack_optimizer,
    prefixed,
    unpack_optimizer,
    unprefixed,
)
from posetrain.diverged import save_batch
from posetrain.ema import EMA
from posetrain.processes import agree
from posetrain.progress import StageProgress
from posetrain.stage import Stage

if TYPE_CHECKING:
    from posetrain.loop import Trainer


class DivergedError(ValueError):
    """The loss or its gradient stopped being finite."""


class _Objective(nn.Module):
    """Makes the loss a module's forward, which is what Accelerate knows to wrap."""

    def __init__(self, stage: Stage) -> None:
        super().__init__()
        self.modules_of_stage = nn.ModuleDict(dict(stage.modules))
        self.loss = stage.loss

    def forward(self, batch: Any, generator: torch.Generator) -> dict[str, Tensor]:
        return self.loss(batch, generator)


class Fitting:
    """One stage in training: all that changes from step to step."""

    def __init__(self, trainer: Trainer, stage: Stage) -> None:
        self.run, self.config, self.accelerator = trainer.run, trainer.config, trainer.accelerator
        self.precision, self.whole = trainer.precision, trainer.whole
        if self.config.evaluate_every and stage.evaluate is None:
            raise ValueError(
                f"loop.evaluate_every: {stage.name} is not evaluated while it is trained; leave it at 0"
            )
        self.stage = stage
        self.card = {
            **trainer.card,
            "config": dataclasses.asdict(trainer.config),
            "data": trainer.data,
            "precision": trainer.precision,
        }
        self.store = trainer.run.checkpoints(stage.name, trainer.config.keep)
        objective = _Objective(stage)
        self.model = objective.modules_of_stage.to(trainer.device)
        self.parameters = [p for p in self.model.parameters() if p.requires_grad]
        apart = [[p for p in module.parameters() if p.requires_grad] for module in stage.apart]
        away = {id(p) for group in apart for p in group}
        self.clipped = [[p for p in self.parameters if id(p) not in away], *apart]
        self.objective = self.accelerator.prepare(objective)
        self.optimizer = self.accelerator.prepare(stage.optimizer)
        self.ema = EMA(self.model, trainer.config.ema) if trainer.config.ema is not None else None
        self.step, self.seconds, self.lr = 0, 0.0, 0.0
        self.metrics: dict[str, float] = {}
        self.sums: dict[str, Tensor] = {}

    # ---- the loop

    def train(self, offset: int) -> None:
        config, stage = self.config, self.stage
        began = time.monotonic() - self.seconds
        with StageProgress(
            stage.name, stage.steps, self.step, not self.accelerator.is_main_process
        ) as progress:
            while self.step < stage.steps:
                self._optimise()
                self.step += 1
                self.seconds = time.monotonic() - began
                last = self.step == stage.steps
                if last or self.step % config.log_every == 0:
                    progress.update(self.step, self._log(offset))
                if stage.evaluate and (last or _due(self.step, config.evaluate_every)):
                    progress.say("evaluating")
                    self._evaluate(offset)
                if last or self.step % config.checkpoint_every == 0:
                    progress.say("saving")
                    self._save()

    def _optimise(self) -> None:
        """One optimizer step: `accumulate` batches forward and backward, clip, step, average."""
        self.lr = float(self.optimizer.param_groups[0]["lr"])
        for part in range(self.config.accumulate):
            batch, generator = self._draw(part)
            with self.accelerator.accumulate(self.objective):
                with self.whole if self.whole.processes > 1 else contextlib.nullcontext():
                    values = self.objective(batch, generator)
                self._require_finite(values["loss"], "loss", batch)
                self.accelerator.backward(values["loss"])
                if self.accelerator.sync_gradients and self.config.clip is not None:
                    norm = self._clip(self.config.clip)
                    if self.precision != "fp16":  # whose scaler skips steps that overflow
                        self._require_finite(norm, "gradient", batch)
                self.optimizer.step()
                self.optimizer.zero_grad()
            for name, value in values.items():
                self.sums[name] = self.sums.get(name, 0.0) + value.detach().float() / self.config.accumulate
        if self.stage.scheduler:
            self.stage.scheduler.step()
        if self.stage.after_step:
            self.stage.after_step()
        if self.ema:
            self.ema.update()

    def _clip(self, most: float) -> Tensor:
        """Bound the gradient's norm, of what is apart by itself; the largest norm that there was."""
        first, *apart = self.clipped
        norms = [self.accelerator.clip_grad_norm_(first, most)]  # which undoes fp16's scale, of all
        norms += [nn.utils.clip_grad_norm_(group, most) for group in apart]
        return torch.stack(norms).max()

    def _draw(self, part: int) -> tuple[Any, torch.Generator]:
        """The batch of this step, and the generator for the loss; every source of chance seeded.

        All processes draw the same: what is of rows, for the whole batch (`contrastive.whole`).
        """
        at = (self.config.seed, self.stage.name, self.step, part)
        of_batch, of_loss = (torch.Generator(self.accelerator.device) for _ in range(2))
        of_batch.manual_seed(seed_of(*at))
        of_loss.manual_seed(seed_of(*at, "loss", 0))
        torch.manual_seed(seed_of(*at, "torch", 0))
        random.seed(seed_of(*at, "python", 0))
        return self.stage.batch(self.step, of_batch), of_loss

    def _require_finite(self, value: Tensor, what: str, batch: Any) -> None:
        if not torch.isfinite(value).all():
            rank = f"-rank{self.accelerator.process_index}" if self.accelerator.num_processes > 1 else ""
            path = self.run.path / f"diverged-{self.stage.name}-{self.step:08d}{rank}.safetensors"
            save_batch(batch, path)
            raise DivergedError(
                f"{what} is {value.item()} at step {self.step} of {self.stage.name}: its batch is saved in "
                f"{path}; look at it, or lower the learning rate"
            )

    # ---- what it tells

    def _log(self, offset: int) -> str:
        """Record the means since the last record."""
        since = self.step % self.config.log_every or self.config.log_every
        means = {name: value / since for name, value in self.sums.items()}
        self.sums = {}
        if self.accelerator.num_processes > 1:
            means = self.accelerator.reduce(means, "mean")
        numbers = {name: float(value) for name, value in means.items()}
        numbers["lr"] = self.lr
        self._record(numbers, offset)
        return f"loss {numbers['loss']:.4g}"

    def _evaluate(self, offset: int) -> None:
        assert self.stage.evaluate is not None
        averaged = self.ema.applied() if self.ema else contextlib.nullcontext()
        with torch.no_grad(), _eval_mode(self.model), averaged, sharing():
            found = self.stage.evaluate()
        (self.metrics,) = broadcast_object_list([found])
        self._record({f"eval/{name}": value for name, value in self.metrics.items()}, offset)

    def _record(self, numbers: dict[str, float], offset: int) -> None:
        self.accelerator.log(
            {f"{self.stage.name}/{n}": v for n, v in numbers.items()}, step=offset + self.step
        )
        if self.accelerator.is_main_process:
            at = {"stage": self.stage.name, "step": self.step, "seconds": round(self.seconds, 3)}
            self.run.log({**at, **numbers})

    # ---- what it keeps

    def _save(self) -> None:
        if self.accelerator.is_main_process:
            tensors = prefixed(self.model.state_dict(), "model/")
            if self.ema:
                tensors |= prefixed(self.ema.average, "ema/")
            packed, optimizer = pack_optimizer(self.stage.optimizer)
            tensors |= prefixed(packed, "optimizer/")
            tensors |= prefixed(self.sums, "sums/")
            scaler, scheduler = self.accelerator.scaler, self.stage.scheduler
            card = {
                **self.card,
                "metrics": self.metrics,
                "seconds": self.seconds,
                "ema_updates": self.ema.updates if self.ema else None,
                "optimizer": optimizer,
                "scheduler": scheduler.state_dict() if scheduler else None,
                "scaler": scaler.state_dict() if scaler else None,
                "versions": library_versions(),
            }
            self.store.save(self.step, tensors, card)
        self.accelerator.wait_for_everyone()

    def restore(self) -> None:
        """Go back to the stage's last checkpoint, and the log with it.

        Raises:
            ValueError: processes find other checkpoints than each other.
        """
        path = self.store.path()
        if path is not None:
            self._load(path)
        cure = "put the run's folder where every host reads it (--runs)"
        agree(f"{self.run.path}: the last checkpoint of {self.stage.name}", self.step, cure)
        if self.accelerator.is_main_process:
            self.run.truncate(self.stage.name, self.step)
        self.accelerator.wait_for_everyone()

    def _load(self, path: Path) -> None:
        tensors, card = load_checkpoint(path)
        if card.get("data") != self.card["data"]:
            raise ValueError(
                f"{path}/card.json: trained on data {card.get('data')}, resumed on {self.card['data']}; "
                "give it the same data, or start another run"
            )
        try:
            self._take(path, tensors, card)
        except (KeyError, TypeError, AttributeError):  # of a version that had no digests to tell damage by
            raise damaged(path / "card.json") from None

    def _take(self, path: Path, tensors: dict[str, Tensor], card: dict[str, Any]) -> None:
        load_state(self.model, unprefixed(tensors, "model/"), path)
        unpack_optimizer(self.stage.optimizer, unprefixed(tensors, "optimizer/"), card["optimizer"])
        if self.stage.scheduler:
            self.stage.scheduler.load_state_dict(card["scheduler"])
        if self.ema:
            for name, value in unprefixed(tensors, "ema/").items():
                self.ema.average[name].copy_(value)
            self.ema.updates = card["ema_updates"]
        if self.accelerator.scaler and card["scaler"]:
            self.accelerator.scaler.load_state_dict(card["scaler"])
        self.sums = {n: v.to(self.accelerator.device) for n, v in unprefixed(tensors, "sums/").items()}
        self.step, self.seconds, self.metrics = card["step"], card["seconds"], card["metrics"]


def seed_of(*parts: object) -> int:
    """A 63-bit seed that depends on every part."""
    return int.from_bytes(hashlib.sha256(repr(parts).encode()).digest()[:8]) >> 1


@contextlib.contextmanager
def _eval_mode(module: nn.Module) -> Iterator[None]:
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for part, training in modes:
            part.training = training


def _due(step: int, every: int) -> bool:
    return every > 0 and step % every == 0
