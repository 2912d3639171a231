"""What an app tells the loop: the settings of a recipe, and one optimisation problem at a time."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

from posedata.ranges import Count, Positive, Range, Seed

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn


@dataclasses.dataclass(frozen=True)
class LoopConfig:
    """What a recipe says about the loop; one field of an app's recipe.

    Attributes:
        seed: decides every source of chance in training.
        device: `auto` takes a GPU where there is one.
        precision: of autocast. `auto` is bf16 where the device computes in it natively, else float32 (`no`);
            a resumed run keeps what it began with.
        accumulate: batches per step.
        clip: the largest gradient norm.
        ema: decay of the averaged weights, which are then the ones evaluated.
        log_every, checkpoint_every: steps.
        evaluate_every: steps from one evaluation of a stage to the next, beside that at its end. The apps'
            stages are evaluated on the people kept for validation; with 0, not at all.
        keep: how many checkpoints of a stage.
        trackers: `wandb` must be installed.
        timeout: seconds that a process waits for the others, while the first prepares data for instance,
            before it gives up.
    """

    seed: Seed = 0
    device: Literal["auto", "cpu"] = "auto"
    precision: Literal["auto", "no", "bf16", "fp16"] = "auto"
    accumulate: Positive = 1
    clip: Annotated[float | None, Range(above=0)] = 1.0
    ema: Annotated[float | None, Range(at_least=0, below=1)] = None
    log_every: Positive = 10
    evaluate_every: Count = 0
    checkpoint_every: Positive = 500
    keep: Positive = 2
    trackers: tuple[Literal["tensorboard", "wandb"], ...] = ("tensorboard",)
    timeout: Annotated[float, Range(above=0)] = 86400.0


@dataclasses.dataclass
class Stage:
    """One optimisation problem.

    Attributes:
        name: also the name of its checkpoint folder and of its curves.
        modules: all that the loss uses and that has weights; frozen parameters are saved too.
            Training goes on in the mode, train or eval, that the app left each of them in.
        optimizer: over the parameters of `modules`.
        steps: optimizer steps.
        batch: (step, generator) -> batch. The generator draws the same on every process: draw the whole batch
            and keep `trainer.share(rows)`.
        loss: (batch, generator) -> {"loss": scalar, others for the log}. It calls `modules` directly;
            autocast, gradient averaging and `contrastive.whole` are arranged around it. The generator draws
            the same on every process: draw for the whole batch here too (`WholeBatch.draws`). Where the loss
            is not a plain mean over rows, compute it of all rows (`WholeBatch.gather`).
        scheduler: stepped once an optimizer step.
        evaluate: () -> {metric: number}, called on every process with averaged weights, in eval mode and
            without gradient. They share what goes by `posedata.sharing`; what the first finds counts.
        after_step: called after every optimizer step and before the weights are averaged, to put a parameter
            back into its range for instance.
        apart: modules of `modules` that learn nothing together with the others, which are clipped by their
            own norms: a large gradient of theirs does not shorten the others' steps.
    """

    name: str
    modules: Mapping[str, nn.Module]
    optimizer: torch.optim.Optimizer
    steps: int
    batch: Callable[[int, torch.Generator], Any]
    loss: Callable[[Any, torch.Generator], dict[str, Tensor]]
    scheduler: torch.optim.lr_scheduler.LRScheduler | None = None
    evaluate: Callable[[], dict[str, float]] | None = None
    after_step: Callable[[], None] | None = None
    apart: Sequence[nn.Module] = ()
