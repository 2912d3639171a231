"""A lifter of the board as a task: trained like all others on the recipe's views, exact or noisy."""

from collections.abc import Callable, Collection, Hashable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Annotated, Literal

import torch
from polypose.peer import Peer
from polypose.peers import get_peer
from polypose.samples import Sample
from polypose.standings import UNSEEN, breakdown, errors, measured, unseen_views
from posedata.ranges import Fraction, Positive, Range, Rate
from posedata.splits import Part
from posetrain.checkpoint import load_checkpoint, load_weights
from posetrain.lifecycle import Trained
from posetrain.loop import Trainer, seed_of
from posetrain.optimise import adamw, warmed
from posetrain.runs import Run
from posetrain.stage import LoopConfig, Stage
from posetrain.task import About, Metrics, Row, Table
from torch import Tensor

from unihpr.baseline import ViewTask
from unihpr.data import Data, TrainingData
from unihpr.recipe import RECIPES, DataConfig


@dataclass(frozen=True)
class LifterConfig:
    """One row of the board.

    Attributes:
        name: of `polypose.peers.PEERS`.
        keypoints: exact or a detector's, in training and in the test.
        hypotheses, drawn: so many of each of so many test views are drawn of lifters that can.
    """

    name: str = "simple_baseline"
    keypoints: Literal["exact", "detector"] = "exact"
    steps: Positive = 1800
    batch: Positive = 512
    lr: Rate = 1e-3
    warmup: Fraction = 0.03
    weight_decay: Fraction = 0.01
    hypotheses: Annotated[int, Range(at_least=4)] = 200  # an ellipsoid needs more than three
    drawn: Positive = 300


@dataclass(frozen=True)
class BoardRecipe:
    """A row: its data, its lifter, its loop."""

    data: DataConfig = field(default_factory=DataConfig)
    lifter: LifterConfig = field(default_factory=LifterConfig)
    loop: LoopConfig = field(default_factory=LoopConfig)


LIFTERS = About(
    task="unihpr.lifters:LIFTER",
    app="unihpr",
    label="Lifters",
    schema=BoardRecipe,
    recipes=RECIPES / "board",
    suffix="-board",
    reports=False,
)


class LifterTask(ViewTask[BoardRecipe, Peer]):
    """One lifter on one kind of keypoints."""

    about = LIFTERS

    def build(self, recipe: BoardRecipe, data: Data | None, begun: Collection[str]) -> Peer:
        torch.manual_seed(seed_of(recipe.loop.seed, "weights"))
        lifter = get_peer(recipe.lifter.name).make()
        if isinstance(data, TrainingData):
            lifter.fit_scale(data.scale(20_000))
        return lifter

    def steps(self, recipe: BoardRecipe) -> dict[str, int]:
        return {"lifter": recipe.lifter.steps}

    def shared(self, recipe: BoardRecipe) -> dict[str, Hashable]:
        """The training of lifters that differ in how they draw alone."""
        name = get_peer(recipe.lifter.name).trained_as or recipe.lifter.name
        return {"lifter": (recipe.data, replace(recipe.lifter, name=name), recipe.loop)}

    def stages(
        self, model: Peer, data: Data, recipe: BoardRecipe, trainer: Trainer
    ) -> dict[str, Callable[[], Stage]]:
        assert isinstance(data, TrainingData)
        return {"lifter": partial(stage, model, data, recipe, trainer)}

    def restore(self, model: Peer, run: Run) -> None:
        load_weights(run.checkpoint("lifter"), {"lifter": model})

    def watch(self, model: Peer, held_out: Data, recipe: BoardRecipe) -> Callable[[str], dict[str, float]]:
        assert isinstance(held_out, TrainingData)
        sample = held_out.clips(model.frames, recipe.lifter.keypoints == "detector")[0]
        return lambda step: {"mpjpe_mm": float(errors(model, sample)[0].mean())}

    def measure(self, trained: Trained[BoardRecipe, Peer, Data], held_out: Data, part: Part) -> Metrics:
        lifter, config = trained.model.eval(), trained.recipe.lifter
        noisy = config.keypoints == "detector"
        data, recipe = trained.data, trained.recipe.data
        assert isinstance(data, TrainingData)
        kept = data.on("validation").clips(lifter.frames, noisy)[0]
        test, joints = data.clips(lifter.frames, noisy)
        places = unseen_views(joints, recipe.frame, noisy, recipe.seed)
        places = {"test": test} | {name: sample.to(data.device) for name, sample in places.items()}
        return {
            "validation": {"mpjpe_mm": float(errors(lifter, kept)[0].mean())},
            **measured(lifter, places, kept, config.hypotheses, config.drawn, recipe.frame == "aimed"),
            "breakdown": breakdown(lifter, test, data.held_out.views(), data.source.names("action")),
            "training_seconds": load_checkpoint(trained.run.checkpoint("lifter")).card["seconds"],
        }

    def show(self, metrics: Metrics, rows: Sequence[Row], part: Part) -> Iterator[Table]:
        lines = [(name, m["mpjpe_mm"]) for name, m in metrics.items() if name in ("test", *UNSEEN)]
        yield Table(f"MPJPE, mm, {part} subjects", ("cameras", ""), lines)


def stage(lifter: Peer, data: TrainingData, recipe: BoardRecipe, trainer: Trainer) -> Stage:
    """Training, the same for all but the loss: AdamW, a warm-up and a half cosine."""
    config = recipe.lifter
    optimizer = adamw(lifter.parameters(), config.lr, config.weight_decay)
    scheduler = warmed(optimizer, config.steps, round(config.warmup * config.steps))

    def loss(sample: Sample, generator: torch.Generator) -> dict[str, Tensor]:
        return {"loss": lifter.loss(sample, generator)}

    batch, after = partial(views, data, config, trainer.share), lifter.after_step
    own = {"lifter": lifter.train()}
    return Stage(
        "lifter", own, optimizer, config.steps, batch, loss, scheduler, after_step=after, apart=lifter.apart()
    )


def views(
    data: TrainingData,
    config: LifterConfig,
    share: Callable[[Tensor], Tensor],
    step: int,
    generator: torch.Generator,
) -> Sample:
    """A batch to train on, half of it on bodies of the lifter's own, if it has any."""
    entry, noise = get_peer(config.name), float(config.keypoints == "detector")

    def draw(data: TrainingData, count: int) -> Sample:
        return data.draw_views(count, generator, share, noise=noise, augment=True, frames=entry.frames)

    if entry.bodies is None:
        return draw(data, config.batch)
    own = config.batch // 2
    parts = [draw(data, config.batch - own), draw(data.with_bodies(entry.bodies), own)]
    return Sample.cat([part for part in parts if len(part)])


def people(data: Data) -> Tensor:
    """Whose view each of the test's is; one person's where the store does not say."""
    if "subject" not in data.source:
        return torch.zeros(len(data.source.rows), dtype=torch.long)
    return data.source.store.tensors(["subject"], "cpu", data.source.rows)["subject"].long()


LIFTER = LifterTask()
