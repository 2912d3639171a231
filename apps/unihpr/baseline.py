"""SimpleBaseline on the same data, split and views: what every lifter is measured against.

Martinez et al., ICCV 2017, with the authors' settings: pixels and camera-frame joints standardised by the
training data, 1024 wide, two blocks, dropout 0.5, Adam 1e-3 with exponential decay, squared error.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from functools import partial
from pathlib import Path

import torch
from polypose.samples import Sample
from posedata.scoring.retrieval import relative_errors
from posedata.skeleton import get_skeleton
from posedata.splits import Elsewhere, Part
from poseenc.baseline import Lifter
from posetrain.checkpoint import load_weights
from posetrain.lifecycle import Trained
from posetrain.loop import Trainer, seed_of
from posetrain.runs import Existing, Run
from posetrain.stage import Stage
from posetrain.task import Metrics, ModelT, RecipeT, Row, Say, Table, Task
from torch import Tensor, nn

from unihpr.data import SKELETON, Data, TrainingData, open_test, prepare_stores
from unihpr.recipe import BASELINE, Recipe

STAGES = {"simple_baseline": 0.0, "simple_baseline_detector": 1.0}
"""The share of keypoints with detector noise, in training and in the test."""

KEYPOINTS = {"exact": "simple_baseline", "detector": "simple_baseline_detector"}

FINAL_RATE = 0.14
"""The authors' decay, 0.96 every 100,000 of 4.9 M steps, comes to this share at the end."""


class Lifters(nn.ModuleDict):
    """A lifter by stage, each made when its stage begins."""


class ViewTask(Task[RecipeT, ModelT, Data]):
    """A task on the views of a recipe's data."""

    def check(self, recipe: RecipeT, folder: Path, existing: Existing, group: str | None) -> None:
        """Refuse what would stream the same batch several times in a step."""
        if recipe.data.order == "stream" and recipe.loop.accumulate > 1:
            raise ValueError("data.order=stream and loop.accumulate above 1 exclude each other; set one back")

    def open(self, recipe: RecipeT, device: torch.device, say: Say) -> Data:
        return TrainingData(prepare_stores(recipe.data, say), recipe.data, device)

    def on(self, data: Data, part: Part, say: Say) -> Data:
        assert isinstance(data, TrainingData)
        return data.on(part, say)

    def elsewhere(self, trained: Trained[RecipeT, ModelT, Data], place: Elsewhere, part: Part) -> Data:
        return open_test(trained.recipe.data, place, part)


class SimpleBaselineTask(ViewTask[Recipe, Lifters]):
    """SimpleBaseline twice: on exact keypoints, and on a detector's."""

    about = BASELINE

    def build(self, recipe: Recipe, data: Data | None, begun: Collection[str]) -> Lifters:
        if data is not None:
            return Lifters()
        joints, hidden = len(get_skeleton(SKELETON)), recipe.baseline.hidden
        return Lifters(
            {n: Lifter(torch.zeros(2, joints, 2), torch.zeros(2, joints, 3), hidden) for n in STAGES}
        )

    def steps(self, recipe: Recipe) -> dict[str, int]:
        return dict.fromkeys(STAGES, recipe.baseline.steps)

    def stages(
        self, model: Lifters, data: Data, recipe: Recipe, trainer: Trainer
    ) -> dict[str, Callable[[], Stage]]:
        assert isinstance(data, TrainingData)
        return {name: partial(stage, name, model, data, recipe, trainer) for name in STAGES}

    def restore(self, model: Lifters, run: Run) -> None:
        for name in STAGES:
            load_weights(run.checkpoint(name), {"lifter": model[name]})

    def watch(self, model: Lifters, held_out: Data, recipe: Recipe) -> Callable[[str], dict[str, float]]:
        return partial(measure, model, held_out)

    def measure(self, trained: Trained[Recipe, Lifters, Data], held_out: Data, part: Part) -> Metrics:
        seconds = trained.run.seconds()
        return {
            keypoints: measure(trained.model.eval(), held_out, name) | {"training_seconds": seconds[name]}
            for keypoints, name in KEYPOINTS.items()
        }

    def row(self, trained: Trained[Recipe, Lifters, Data], metrics: Metrics) -> Row:
        exact, detector = (dict(metrics[keypoints]) for keypoints in KEYPOINTS)
        detector.pop("training_seconds")
        alike = ", augmented alike" if trained.recipe.baseline.augment else ""
        return {
            "method": f"{self.about.label}{alike}",
            "run": trained.run.name,
            "training_seconds": exact.pop("training_seconds"),
            "lift": exact,
            "lift_detector": detector,
        }

    def rows(self, trained: Trained[Recipe, Lifters, Data], metrics: Metrics, part: Part) -> list[Row]:
        return [{"keypoints": keypoints, **found} for keypoints, found in metrics.items()]

    def show(self, metrics: Metrics, rows: Sequence[Row], part: Part) -> Iterator[Table]:
        lines = [(name, m["mpjpe_mm"], m["pa_mpjpe_mm"]) for name, m in metrics.items()]
        yield Table(f"{self.about.label}, {part} subjects", ("keypoints", "MPJPE mm", "PA-MPJPE mm"), lines)


def stage(name: str, model: Lifters, data: TrainingData, recipe: Recipe, trainer: Trainer) -> Stage:
    """The training of one lifter, which is made here."""
    config, noise = recipe.baseline, STAGES[name]
    scale = data.draw_views(
        20_000, torch.Generator(data.device).manual_seed(0), lambda rows: rows, noise=noise, frame="pixels"
    )
    torch.manual_seed(seed_of(trainer.config.seed, "weights"))  # whatever was trained before
    lifter = Lifter(scale.keypoints, scale.joints, config.hidden).to(data.device)
    model[name] = lifter
    optimizer = torch.optim.Adam(lifter.parameters(), lr=config.lr)
    decay = torch.optim.lr_scheduler.ExponentialLR(optimizer, FINAL_RATE ** (1 / config.steps))

    def batch(step: int, generator: torch.Generator) -> Sample:
        return data.draw_views(
            config.batch, generator, trainer.share, noise=noise, frame="pixels", augment=config.augment
        )

    def loss(sample: Sample, generator: torch.Generator) -> dict[str, Tensor]:
        return {"loss": lifter.loss(sample.keypoints, sample.joints)}

    return Stage(name, {"lifter": lifter}, optimizer, config.steps, batch, loss, decay)


@torch.no_grad()
def measure(model: Lifters, data: Data, name: str) -> Metrics:
    """Errors of one lifter on keypoints such as it was trained on."""
    held_out = data.test(detector=STAGES[name] > 0, frame="pixels", images=False)
    return relative_errors(model[name](held_out.keypoints), held_out.joints)


SIMPLE_BASELINE = SimpleBaselineTask()
