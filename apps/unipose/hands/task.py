"""Two interacting hands as a task: A2J-Transformer on rendered or cut pictures."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from posedata.hand_source import HandSource, open_hands
from posedata.splits import Elsewhere, Part
from posedata.store import PoseStore
from posedata.store.digests import combined
from posedata.views.hand_pictures import Hands
from poseenc.anchor import A2JTransformer, Estimate
from poseenc.anchor.hands import METHOD, errors, evaluate
from poseenc.anchor.hands_network import hands_network
from posetrain import lifecycle
from posetrain.checkpoint import load_weights
from posetrain.lifecycle import Trained
from posetrain.loop import Trainer
from posetrain.optimise import warm_then
from posetrain.runs import Run
from posetrain.stage import Stage
from posetrain.task import Metrics, Row, Say, Table, Task
from torch import Tensor
from torch.optim.lr_scheduler import LambdaLR

from unipose.hands.recipe import ABOUT, Recipe

STAGE = "hands"
HEADER = {"single_mpjpe_mm": "single", "two_mpjpe_mm": "two", "all_mpjpe_mm": "all", "epe_px": "2D, px"}
HEADER |= {"single_swapped_percent": "single swapped, %", "two_swapped_percent": "two swapped, %"}


@dataclass(frozen=True)
class HandSplit:
    """Pictures to train on, where there are any, and pictures to test on."""

    config: HandSource
    train: Hands | None
    test: Hands

    @property
    def fingerprint(self) -> str:
        parts = (self.train, self.test)
        return combined(*(hands.store.fingerprint for hands in parts if hands is not None))


HandsRun = Trained[Recipe, A2JTransformer, HandSplit]


class HandsTask(Task[Recipe, A2JTransformer, HandSplit]):
    """Both hands' joints in a picture."""

    about = ABOUT

    def open(self, recipe: Recipe, device: torch.device, say: Say) -> HandSplit:
        stores = [open_hands(recipe.data, part, say) for part in ("train", "test")]
        return HandSplit(recipe.data, *(Hands.open(store, device) for store in stores))

    def on(self, data: HandSplit, part: Part, say: Say) -> HandSplit:
        if part == "test":
            return data
        store = open_hands(data.config, part, say)
        return replace(data, test=Hands.open(store, data.test.targets.device))

    def elsewhere(self, trained: HandsRun, place: Elsewhere, part: Part) -> HandSplit:
        """All pictures of a store of hands."""
        if place.split or place.keypoints or place.views or part != "test":
            raise ValueError("a store of hands is measured whole; leave all but --data out")
        return HandSplit(trained.recipe.data, None, Hands.open(PoseStore.open(place.store), trained.device))

    def build(self, recipe: Recipe, data: HandSplit | None, begun: Collection[str]) -> A2JTransformer:
        torch.manual_seed(recipe.loop.seed)
        return hands_network(recipe.model, recipe.data.size, trained=data is None or STAGE in begun)

    def steps(self, recipe: Recipe) -> dict[str, int]:
        return {STAGE: recipe.train.steps}

    def stages(
        self, model: A2JTransformer, data: HandSplit, recipe: Recipe, trainer: Trainer
    ) -> dict[str, Callable[[], Stage]]:
        assert data.train is not None
        return {STAGE: partial(stage, model, data.train, recipe, trainer)}

    def restore(self, model: A2JTransformer, run: Run) -> None:
        load_weights(run.checkpoint(STAGE), {"model": model})

    def watch(
        self, model: A2JTransformer, held_out: HandSplit, recipe: Recipe
    ) -> Callable[[str], dict[str, float]]:
        return lambda name: errors(model, held_out.test)

    def measure(self, trained: HandsRun, held_out: HandSplit, part: Part) -> Metrics:
        rows = evaluate(trained.model, held_out.train, held_out.test)
        return {"rows": rows, "training_seconds": round(trained.run.seconds().get(STAGE, 0.0), 1)}

    def rows(self, trained: HandsRun, metrics: Metrics, part: Part) -> list[Row]:
        return list(metrics["rows"])

    def row(self, trained: HandsRun, metrics: Metrics) -> Row:
        return {**metrics["rows"][0], "method": f"{METHOD}, {trained.run.name}"}

    def more(self, trained: HandsRun, metrics: Metrics, part: Part) -> dict[str, Any]:
        return {"training_seconds": metrics["training_seconds"]}

    def show(self, metrics: Metrics, rows: Sequence[Row], part: Part) -> Iterator[Table]:
        cells = [(row["method"], *(row.get(key, "") for key in HEADER)) for row in rows]
        yield Table("MPJPE, mm, hands aligned at their wrists", ("", *HEADER.values()), cells)


def stage(model: A2JTransformer, hands: Hands, recipe: Recipe, trainer: Trainer) -> Stage:
    """The one training, by Adam."""
    config = recipe.train
    model.train()
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(parameters, lr=config.lr, weight_decay=config.weight_decay)
    rate = partial(warm_then, steps=config.steps, warmup=config.warmup, drops=config.drops)

    def batch(step: int, generator: torch.Generator) -> dict[str, Tensor]:
        return hands.draw(config.batch, generator, trainer.share, config.augmentation, trainer.whole.draws())

    def loss(sample: dict[str, Tensor], generator: torch.Generator) -> dict[str, Tensor]:
        gather = trainer.whole.gather  # the mean is over valid joints
        said = Estimate(*(gather(x, 1) for x in model.estimates(sample["images"])))
        return model.loss(said, gather(sample["targets"]), gather(sample["valid"].float()))

    return Stage(STAGE, {"model": model}, optimizer, config.steps, batch, loss, LambdaLR(optimizer, rate))


HANDS = HandsTask()


def open_run(folder: Path) -> HandsRun:
    """A finished run for hands (`posetrain.lifecycle.open_run`)."""
    return lifecycle.open_run(HANDS, folder)
