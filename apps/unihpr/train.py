"""A whole run: prepare, three steps, evaluate, report."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from trainer.checkpoint import load_weights
from trainer.loop import Trainer
from trainer.poses import Part
from trainer.processes import first_alone
from trainer.recipe import load_recipe, to_plain
from trainer.results import write_results
from trainer.runs import Existing, Run
from trainer.stage import LoopConfig
from trainer.texts import read_json

from unihpr.data import Data, Stores, prepare_stores
from unihpr.evaluate import Metrics, evaluate, watch
from unihpr.model import UniHPR
from unihpr.recipe import Recipe
from unihpr.report import write_report
from unihpr.steps import STEPS


@dataclass
class Trained:
    """A run that can be asked: its model, its data and its recipe."""

    run: Run
    recipe: Recipe
    model: UniHPR
    data: Data


def train(
    recipe: Recipe, folder: Path, existing: Existing = "refuse", *, report: bool = True
) -> tuple[Trained, Metrics]:
    """Train by a recipe into a run folder, then evaluate and, unless told not to, write the report.

    Raises:
        ValueError, FileNotFoundError: the recipe's data or weights cannot be had, or the folder holds a run.
    """
    stores, run = prepare_on_one(recipe), Run(folder)
    card = {"recipe": to_plain(recipe), "app": "unihpr"}
    trainer = Trainer(run, recipe.loop, card, stores.fingerprint, existing)
    data = Data(stores, recipe.data, trainer.device)
    begun = existing == "resume" and any(run.checkpoints(step).path() for step in ("align_image", "finetune"))
    model = (UniHPR.of_checkpoint if begun else UniHPR)(recipe.model).to(trainer.device)
    model.fit_scale(*data.scale())
    watched = data_on_one(data, "validation", recipe.loop).test() if recipe.loop.evaluate_every else None
    trainer.start(recipe, existing)
    for name, step in STEPS.items():
        if getattr(recipe, name).steps:
            stage = step(model, data, recipe, trainer)
            if watched:
                stage.evaluate = partial(watch, model, watched, recipe.evaluation, name)
            trainer.fit(stage)
    trained = Trained(run, recipe, model, data)
    metrics: Metrics = {}
    if trainer.accelerator.is_main_process:
        metrics = measure(trained)
        if report:
            write_report(run, model, data, recipe, metrics)
    trainer.close()
    return trained, metrics


def prepare_on_one(recipe: Recipe) -> Stores:
    """Stores made by the first process while the others wait."""
    with first_alone(recipe.loop) as say:
        return prepare_stores(recipe.data, say)


def data_on_one(data: Data, part: Part, loop: LoopConfig) -> Data:
    """`Data.on`, rendered by the first process while the others wait."""
    with first_alone(loop) as say:
        return data.on(part, say)


def open_run(folder: Path, with_data: bool = True) -> Trained:
    """A finished run: its recipe, its last weights and (where asked) its data.

    Raises:
        FileNotFoundError: the folder holds no run, or one that has not come to its third step.
        ValueError: it is another app's, has steps to go, or (where they are asked for) has other data now.
    """
    run, recipe = Run.open(folder, Recipe, "unihpr")
    model = UniHPR.of_checkpoint(recipe.model).eval()
    load_weights(run.checkpoint("finetune"), {"model": model})
    stores = prepare_stores(recipe.data) if with_data else None
    run.require(steps_of(recipe), None if stores is None else stores.fingerprint)
    data = None if stores is None else Data(stores, recipe.data)
    return Trained(run, recipe, model, data)  # type: ignore[arg-type]


def steps_of(recipe: Recipe) -> dict[str, int]:
    """How many steps each of a run's stages has."""
    return {name: getattr(recipe, name).steps for name in STEPS}


def measure(trained: Trained, part: Part = "test") -> Metrics:
    """Evaluate a run on a part of its split and write its metrics file.

    Raises:
        ValueError: the split has no such part.
    """
    metrics = evaluate(trained.model, trained.data.on(part), trained.recipe.evaluation)
    last = {record["stage"]: record["seconds"] for record in trained.run.curves()}
    metrics["training_seconds"] = round(sum(last.values()), 1)
    trained.run.write_metrics(metrics, part)
    return metrics


def save_results(
    path: Path, trained: Trained, metrics: Metrics, baselines: Sequence[Path] = (), part: Part = "test"
) -> None:
    """Write metrics as a results file with where they come from.

    Args:
        baselines: run folders of `typer apps/unihpr baseline` on the same data, a further row each.

    Raises:
        FileNotFoundError: such a folder holds no metrics.json.
        ValueError: it was trained on other data, or not to the end.
    """
    data = trained.data.stores.fingerprint
    rows = [{"method": "UniHPR", "run": trained.run.name, **metrics}]
    rows += [_baseline_row(folder, data, part) for folder in baselines]
    write_results(
        path,
        rows,
        data=trained.data.on(part).stores.fingerprint,
        seeds=[trained.recipe.loop.seed],
        recipe=to_plain(trained.recipe),
        precision=trained.run.precision(),
        part=part,
    )


def _baseline_row(folder: Path, data: str, part: Part) -> Metrics:
    file = Run(folder).metrics_file(part)
    if not file.is_file():
        more = "" if part == "test" else f" with --resume --part {part}"
        raise FileNotFoundError(f"{file}: no such file; run `typer apps/unihpr baseline`{more} first")
    recipe = load_recipe(folder / "recipe.yaml", Recipe).baseline
    stages = ("simple_baseline", "simple_baseline_detector")
    Run(folder).require(dict.fromkeys(stages, recipe.steps), data)
    cure = "measure it again with `unihpr baseline --resume`"
    found = read_json(file, cure)
    if not all(isinstance(found.get(name), dict) for name in ("exact", "detector")):
        raise ValueError(f"{file}: is damaged: it should hold `exact` and `detector`; {cure}")
    seconds = found["exact"].pop("training_seconds", None)
    found["detector"].pop("training_seconds", None)
    return {
        "method": "SimpleBaseline, augmented alike" if recipe.augment else "SimpleBaseline",
        "run": folder.name,
        "lift": found["exact"],
        "lift_detector": found["detector"],
        "training_seconds": seconds,
    }
