"""Any number of senses in one space, as a task: one step, what any of them say together, and its measures."""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from contrastive import Temperature, multimodal_info_nce
from contrastive.multimodal import check_terms
from polypose.samples import Sample
from polypose.senses.held_out import HeldOut
from polypose.senses.measuring import errors, evaluate, lines
from polypose.senses.model import SensesModel
from polypose.senses.network import Senses, without_labels
from polypose.senses.reporting import write_report
from posedata.splits import Part
from posedata.views.batch import Views
from posedata.views.surface import with_points
from posediff import Whole
from poseenc import Embedded, drop
from posetrain.checkpoint import load_weights
from posetrain.lifecycle import Trained
from posetrain.loop import Trainer
from posetrain.recipe import to_yaml
from posetrain.runs import Existing, Run
from posetrain.stage import Stage
from posetrain.task import Metrics, Row, Table
from torch import Tensor

from unihpr.baseline import ViewTask
from unihpr.data import Data, TrainingData, settings_of
from unihpr.invariance import across_cameras, alike_in_batch, draw_pairs
from unihpr.recipe import PAIRED, Recipe
from unihpr.recipe import SENSES as ABOUT
from unihpr.report import plane
from unihpr.steps import Spreads, make_stage, many

STAGE = "senses"


def senses(model: Senses, data: TrainingData, recipe: Recipe, trainer: Trainer) -> Stage:
    """Every sense with every other; what is kept of a view with what is left out; both decoded.

    A batch is views with pictures and further ones without, in which all but 2D and 3D are missing. Where the
    space has a part of the pose alone (`space.invariant`), also poses before two cameras each. Of pictured
    people, nothing is known but what a detector found where there are no `space.labels`.
    """
    config = recipe.senses
    model.train()
    temperature = Temperature(*config.temperature)
    spreads, gather = Spreads(model.decoders, trainer), many(trainer)

    def batch(step: int, generator: torch.Generator) -> dict[str, Views]:
        noise, labels = data.config.noise, config.space.labels
        pictured = noise if labels else 1.0
        views = data.views.draw_pictured(config.batch, generator, trainer.share, step, noise=pictured)
        views = views if labels else without_labels(views)
        with trainer.whole.draws():
            drawn = {"image": with_points(views, config.points, generator)}
        if config.poses:
            kept = trainer.share(torch.arange(config.poses, device=data.device))
            drawn["pose"] = data.views.draw(config.poses, generator, noise=noise, augment=True)[kept]
        if config.space.invariant:
            drawn["pair"] = draw_pairs(data, config.pairs, generator, trainer)
        return drawn

    def counted(rows: Tensor) -> Tensor:
        """A count of rows as its mean over processes, so that means are those of the whole batch."""
        return trainer.whole.total(rows) / trainer.whole.processes

    def loss(views: dict[str, Views], generator: torch.Generator) -> dict[str, Tensor]:
        parts = tuple(map(len, views.values()))
        rows = trainer.whole.own(*parts)
        with trainer.whole.draws():
            found = Embedded.cat([model(some, generator) for some in views.values()])
        with trainer.whole.draws(), trainer.whole.rows(*parts):
            kept = drop(found.present, generator)
        left = {name: there & ~kept[name] for name, there in found.present.items()}
        # without labels senses would be surer the more they agree on what no pose tells
        aligned = found if config.space.labels else found.sureness_held()
        halves = sides = {"kept": model.fuse(aligned, kept), "left": model.fuse(aligned, left)}
        if config.space.invariant:  # P of these is taught by pairs alone; that of others is drawn to it
            aligned = aligned.pose_held(PAIRED)
            sides = {"kept": model.fuse(aligned, kept), "left": model.fuse(aligned, left)}
        tau = temperature()
        values = {
            "contrast": multimodal_info_nce(
                aligned.directions(),
                found.present,
                tau,
                config.terms,
                concentrations=found.sharpness(),
                gather=gather,
            ),
            "left_out": multimodal_info_nce(
                {name: side.belief.mean for name, side in sides.items()},
                {name: side.there for name, side in sides.items()},
                tau,
                {"pairwise": 1.0},
                gather=gather,
            ),
            "likelihood": model.surprise(found, kept, counted),
        }
        truth = Sample.cat([Sample.of(replace(some, image=None)) for some in views.values()])
        for target in model.targets:
            whole = None if rows is None else Whole(*rows)
            terms = [
                model.decoder_terms(target, truth, half, generator, whole, counted)
                for half in halves.values()
            ]
            for _, residual in terms:
                spreads.add(target, residual)
            values[target] = torch.stack([term for term, _ in terms]).mean()
        total = values["contrast"] + config.left_out * values["left_out"]
        total = total + config.likelihood * values["likelihood"]
        total = total + config.decode * (values["3d"] + values["2d"])
        if config.space.invariant:
            pairs = views["pair"]
            near = alike_in_batch(pairs, trainer)
            values["invariance"] = across_cameras(
                found.at(slice(-len(pairs), None)), near, tau, gather=gather
            )
            total = total + config.invariance * values["invariance"] + config.decode * values["body"]
        return {"loss": total, **values, "temperature": tau.detach()}

    modules = {"model": model, "temperature": temperature}
    return make_stage(STAGE, modules, config, batch, loss, spreads)


class SensesTask(ViewTask[Recipe, Senses]):
    """Image, 2D, 3D, depth and cloud, or some of them."""

    about = ABOUT

    def build(self, recipe: Recipe, data: Data | None, begun: Collection[str]) -> Senses:
        wanted = {"image": "rgb", "depth": "depth", "cloud": "depth"}
        kinds = {wanted[name] for name in recipe.senses.space.modalities if name in wanted}
        if missing := kinds - {*recipe.data.pictures}:
            raise ValueError(f"data.pictures lacks {', '.join(sorted(missing))}, which senses.space needs")
        config = recipe.model if data is not None else replace(recipe.model, image_weights=None)
        model = Senses(config, recipe.senses.space)
        if isinstance(data, TrainingData):
            model.to(data.device).fit_scale(data.scale())
        return model

    def check(self, recipe: Recipe, folder: Path, existing: Existing, group: str | None) -> None:
        super().check(recipe, folder, existing, group)
        try:
            check_terms(recipe.senses.terms, len(recipe.senses.space.modalities))
        except ValueError as error:
            raise ValueError(f"senses.{error}") from None

    def steps(self, recipe: Recipe) -> dict[str, int]:
        return {STAGE: recipe.senses.steps}

    def stages(
        self, model: Senses, data: Data, recipe: Recipe, trainer: Trainer
    ) -> dict[str, Callable[[], Stage]]:
        assert isinstance(data, TrainingData)
        return {STAGE: partial(senses, model, data, recipe, trainer)}

    def restore(self, model: Senses, run: Run) -> None:
        load_weights(run.checkpoint(STAGE), {"model": model})

    def pack(self, trained: Trained[Recipe, Senses, Data]) -> Path:
        return SensesModel(trained.model, settings_of(trained.recipe, trained.data)).save(trained.run.path)

    def watch(self, model: Senses, held_out: Data, recipe: Recipe) -> Callable[[str], dict[str, float]]:
        test = held_out_of(held_out, recipe)
        return lambda stage: errors(model, test, recipe.evaluation.batch)

    def measure(self, trained: Trained[Recipe, Senses, Data], held_out: Data, part: Part) -> Metrics:
        test, more = held_out_of(held_out, trained.recipe), drawing(trained.recipe)
        hypotheses = trained.recipe.evaluation.hypotheses
        metrics = evaluate(trained.model.eval(), test, hypotheses=hypotheses, **more)
        return metrics | {"training_seconds": round(sum(trained.run.seconds().values()), 1)}

    def report(self, trained: Trained[Recipe, Senses, Data], metrics: Metrics) -> Path:
        recipe, run = trained.recipe, trained.run
        return write_report(
            run.path,
            trained.model.eval(),
            held_out_of(trained.data, recipe),
            metrics["tables"],
            run.curves(),
            to_yaml(recipe),
            plane=plane,
            **drawing(recipe),
        )

    def rows(self, trained: Trained[Recipe, Senses, Data], metrics: Metrics, part: Part) -> list[Row]:
        return [{"kind": kind, **row} for kind, found in metrics["tables"].items() for row in found]

    def more(self, trained: Trained[Recipe, Senses, Data], metrics: Metrics, part: Part) -> Metrics:
        return {name: value for name, value in metrics.items() if name != "tables"}

    def show(self, metrics: Metrics, rows: Sequence[Row], part: Part) -> Iterator[Table]:
        for title, header, found in lines(metrics["tables"]):
            yield Table(f"{title}, {part} subjects", header, found)


def drawing(recipe: Recipe) -> dict[str, Any]:
    """How poses are drawn where they are measured."""
    config = recipe.evaluation
    return {"batch": config.batch, "steps": config.sampler_steps, "sampler": config.sampler}


def held_out_of(data: Data, recipe: Recipe) -> HeldOut:
    """All held-out views, keypoints as a detector's, whose they are."""
    views, seen = data.seen(detector=True)
    people = torch.from_numpy(data.source.column("subject").astype("int64"))
    return HeldOut(with_points(views, recipe.senses.points), people, seen)


SENSES = SensesTask()
