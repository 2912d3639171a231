"""UniHPR as a task: stores prepared once, the papers' three steps, what is measured and shown of them."""

from collections.abc import Callable, Collection, Hashable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from polypose.model import Model
from polypose.network import UniHPR
from polypose.pose_protocols import pose_protocol, remark, score_branches
from polypose.summary import CALIBRATION, calibration, summary
from posedata.scoring.protocols import published_rows
from posedata.splits import Part
from posetrain import lifecycle
from posetrain.ablation import Comparison
from posetrain.checkpoint import load_weights
from posetrain.lifecycle import Trained
from posetrain.loop import Trainer
from posetrain.runs import Run
from posetrain.stage import Stage
from posetrain.task import Metrics, Row, Scored, Table, Task

from unihpr.ablate import COMPONENTS, LOSSES, load_aligned, of_aligned
from unihpr.baseline import SIMPLE_BASELINE, ViewTask
from unihpr.data import Data, TrainingData, settings_of
from unihpr.evaluate import evaluate, watch
from unihpr.recipe import ABOUT, Recipe
from unihpr.report import write_report
from unihpr.senses import SENSES
from unihpr.steps import STEPS

HEADER = ("", "this run, % of mean pose", "paper, Human3.6M")


class UniHPRTask(ViewTask[Recipe, UniHPR]):
    """Image, 2D and 3D in one embedding."""

    about = ABOUT
    siblings = (SIMPLE_BASELINE, SENSES)
    comparisons = {"components": COMPONENTS, "losses": LOSSES}  # noqa: RUF012
    headline = COMPONENTS.measured

    def of(self, recipe: Recipe) -> Task[Recipe, Any, Data]:
        return SENSES if recipe.senses.steps else self

    def build(self, recipe: Recipe, data: Data | None, begun: Collection[str]) -> UniHPR:
        """With data to train on, decoders take their scale from them."""
        has_image = data is None or not {"align_image", "finetune"}.isdisjoint(begun)
        model = (UniHPR.of_checkpoint if has_image else UniHPR)(recipe.model)
        if isinstance(data, TrainingData):
            model.to(data.device).fit_scale(data.scale())
        return model

    def steps(self, recipe: Recipe) -> dict[str, int]:
        return {name: getattr(recipe, name).steps for name in STEPS}

    def stages(
        self, model: UniHPR, data: Data, recipe: Recipe, trainer: Trainer
    ) -> dict[str, Callable[[], Stage]]:
        assert isinstance(data, TrainingData)
        return {name: partial(step, model, data, recipe, trainer) for name, step in STEPS.items()}

    def restore(self, model: UniHPR, run: Run) -> None:
        """What step 3 came to; before it, the encoders of steps 1 and 2."""
        if run.checkpoints("finetune").path():
            load_weights(run.checkpoint("finetune"), {"model": model})
        else:
            load_aligned(model, run)

    def shared(self, recipe: Recipe) -> dict[str, Hashable]:
        """Step 1, whose loss is of two modalities in any variant."""
        if not recipe.align_poses.steps:
            return {}
        return {"align_poses": (recipe.data, recipe.model, recipe.align_poses, recipe.loop)}

    def pack(self, trained: Trained[Recipe, UniHPR, Data]) -> Path:
        return as_model(trained).save(trained.run.path)

    def watch(self, model: UniHPR, held_out: Data, recipe: Recipe) -> Callable[[str], dict[str, float]]:
        return partial(watch, model, held_out.test(), recipe.evaluation)

    def measure(self, trained: Trained[Recipe, UniHPR, Data], held_out: Data, part: Part) -> Metrics:
        metrics = evaluate(trained.model, held_out, trained.recipe.evaluation)
        return metrics | {"training_seconds": round(sum(trained.run.seconds().values()), 1)}

    def show(self, metrics: Metrics, rows: Sequence[Row], part: Part) -> Iterator[Table]:
        yield Table(f"MPJPE, mm, {part} subjects", HEADER, [*summary(metrics), *_beside(metrics, rows[1:])])
        if shares := calibration(metrics):
            yield Table("hypotheses: share of truth in their intervals", CALIBRATION, shares)

    def report(self, trained: Trained[Recipe, UniHPR, Data], metrics: Metrics) -> Path:
        return write_report(trained.run, trained.model, trained.data, trained.recipe, metrics)

    def comparison(self, name: str, recipe: Recipe) -> Comparison:
        """Without a step 3 it measures what steps 1 and 2 leave."""
        return of_aligned(self.comparisons[name], recipe)

    def score(self, trained: Trained[Recipe, UniHPR, Data], name: str) -> Scored:
        scored, data = pose_protocol(name), trained.data
        batch = trained.recipe.evaluation.batch
        scores = score_branches(trained.model, data.source, data.test, batch, scored)
        said = remark(data.source, scored)
        header = ("method", "input", *scored.columns, "source")
        shown: list[Table | str] = [
            Table(scored.title, header, published_rows(scores, [name])),
            *(
                Table(f"{branch}: {key}", ("", key.partition("_by_")[0]), list(values.items()))
                for branch, found in scores.items()
                for key, values in found.items()
                if isinstance(values, dict)
            ),
            said,
        ]
        rows: list[Row] = [{"method": branch, "protocol": name, **found} for branch, found in scores.items()]
        more = {"data": data.fingerprint, "remark": said, "published": scored.published()}
        return Scored(shown, rows, more)


def _beside(metrics: Metrics, others: Sequence[Row]) -> Iterator[tuple[str, str, str]]:
    """Lines of the table of other methods' lifting."""
    mean = metrics["baselines"]["mean_pose"]["mpjpe_mm"]
    for row in others:
        for name, key in (("3D from 2D", "lift"), ("3D from noisy 2D", "lift_detector")):
            error = row[key]["mpjpe_mm"]
            yield f"{row['method']}, {name}", f"{error:.1f} = {error / mean:.0%}", ""


UNIHPR = UniHPRTask()


def open_run(folder: Path) -> Trained[Recipe, UniHPR, Data]:
    """A finished run of UniHPR (`posetrain.lifecycle.open_run`).

    Raises:
        FileNotFoundError, ValueError: there is none, or it is a baseline's.
    """
    trained = lifecycle.open_run(UNIHPR, folder)
    if not isinstance(trained.model, UniHPR):
        raise ValueError(f"{folder}: is a run of {trained.task.about.label}; name one of UniHPR")
    return trained


def open_model(folder: Path) -> Model:
    """What a user holds of a finished run. Errors as of `open_run`."""
    return as_model(open_run(folder))


def as_model(trained: Trained[Recipe, UniHPR, Data]) -> Model:
    """A run's network with the settings that its recipe says."""
    settings = settings_of(trained.recipe, trained.opened)
    return Model(trained.model, settings, str(trained.run.path))
