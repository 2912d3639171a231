"""A task whose every number has a closed form: two weights go to their targets by plain gradient steps.

After n steps of rate r from w0 the weight is t + (w0 - t)(1 - 2r)^n. The first stage's target is the data's;
the second's is what the first has come to.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from posedata.splits import Elsewhere
from posetrain.ablation import Comparison
from posetrain.checkpoint import load_weights
from posetrain.lifecycle import Trained
from posetrain.loop import Trainer
from posetrain.recipe import changed
from posetrain.runs import Run
from posetrain.stage import LoopConfig, Stage
from posetrain.task import About, Metrics, Row, Say, Scored, Table, Task
from torch import Tensor, nn

LOOP = LoopConfig(device="cpu", precision="no", clip=None, log_every=1, checkpoint_every=2, trackers=())


@dataclass(frozen=True)
class DataConfig:
    format: str = "points"
    path: Path | None = None
    split: Path | None = None
    target: float = 8.0
    validation: float = 4.0


@dataclass(frozen=True)
class StageConfig:
    steps: int = 4
    lr: float = 0.25


@dataclass(frozen=True)
class Recipe:
    data: DataConfig = field(default_factory=DataConfig)
    first: StageConfig = field(default_factory=StageConfig)
    second: StageConfig = field(default_factory=StageConfig)
    loop: LoopConfig = field(default_factory=lambda: LOOP)


@dataclass(frozen=True)
class Points:
    config: DataConfig
    held_out: float

    @property
    def fingerprint(self) -> str:
        return f"{self.config.format} {self.config.target} {self.held_out}"

    def on(self, part: str) -> Points:
        return replace(self, held_out=self.config.validation) if part == "validation" else self


class Weights(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = (nn.Linear(1, 1, bias=False) for _ in range(2))
        for part in (self.first, self.second):
            nn.init.zeros_(part.weight)


class Toy(Task[Recipe, Weights, Points]):
    about = About(
        "trainer_task:TOY", "toy", "Toy", Recipe, Path(),
        groups={"first": ("first",), "second": ("second",)}, unmeasured=("first",), variants=("rates",),
        beside=("--peer",),
    )  # fmt: skip
    comparisons = {"rates": Comparison("Rates", {"slow": ("first.lr=0.125",), "fast": ()}, {"first": "w"})}  # noqa: RUF012
    headline = {"first": "w"}  # noqa: RUF012
    made: list[str]

    def __init__(self) -> None:
        self.made = []

    def open(self, recipe: Recipe, device: torch.device, say: Say) -> Points:
        self.made.append("data")
        return Points(recipe.data, recipe.data.target)

    def build(self, recipe: Recipe, data: Points | None, begun: Collection[str]) -> Weights:
        return Weights()

    def steps(self, recipe: Recipe) -> dict[str, int]:
        return {"first": recipe.first.steps, "second": recipe.second.steps}

    def needed(self, recipe: Recipe, begun: Collection[str]) -> dict[str, int]:
        return {name: steps for name, steps in self.steps(recipe).items() if name == "first" or name in begun}

    def stages(
        self, model: Weights, data: Points, recipe: Recipe, trainer: Trainer
    ) -> dict[str, Callable[[], Stage]]:
        def stage(name: str) -> Stage:
            self.made.append(name)
            weight: nn.Linear = getattr(model, name)
            config: StageConfig = getattr(recipe, name)
            target = data.config.target if name == "first" else model.first.weight.item()
            optimizer = torch.optim.SGD(weight.parameters(), lr=config.lr)

            def loss(batch: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
                return {"loss": (weight(batch) - target).square().mean()}

            return Stage(name, {name: weight}, optimizer, config.steps, lambda *_: torch.ones(1, 1), loss)

        return {name: partial(stage, name) for name in self.steps(recipe)}

    def restore(self, model: Weights, run: Run) -> None:
        for name in ("first", "second"):
            if run.checkpoints(name).path():
                load_weights(run.checkpoint(name), {name: getattr(model, name)})

    def shared(self, recipe: Recipe) -> dict[str, Hashable]:
        return {"first": (recipe.data, recipe.first, recipe.loop)}

    def watch(self, model: Weights, held_out: Points, recipe: Recipe) -> Callable[[str], dict[str, float]]:
        return lambda stage: {"error": held_out.held_out - getattr(model, stage).weight.item()}

    def measure(self, trained: Trained[Recipe, Weights, Points], held_out: Points, part: Any) -> Metrics:
        first, second = (part.weight.item() for part in (trained.model.first, trained.model.second))
        return {"first": first, "error": {"first": held_out.held_out - first, "second": first - second}}

    def show(self, metrics: Metrics, rows: Sequence[Row], part: Any) -> Iterator[Table | str]:
        yield Table(f"Weights, {part}", ("run", "first"), [(row["run"], row["first"]) for row in rows])

    def report(self, trained: Trained[Recipe, Weights, Points], metrics: Metrics) -> Path:
        path = trained.run.path / "report.html"
        path.write_text(str(metrics["first"]))
        return path

    def elsewhere(self, trained: Any, place: Elsewhere, part: Any) -> Points:
        return Points(DataConfig("store", place.store), float(place.store.name))

    def score(self, trained: Any, protocol: str) -> Scored:
        return Scored([f"{protocol} on {trained.place.store}"], [{"protocol": protocol}], {"data": "there"})


TOY = Toy()


def toy(*more: str) -> Recipe:
    """Its recipe, changed."""
    return changed(Recipe(), more)


def weight(recipe: Recipe) -> float:
    """What the first weight comes to."""
    return recipe.data.target * (1 - (1 - 2 * recipe.first.lr) ** recipe.first.steps)
