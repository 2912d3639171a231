"""A whole run: prepare, three steps, evaluate, report."""

import time
from dataclasses import dataclass
from pathlib import Path

from accelerate import PartialState
from trainer.checkpoint import load_weights
from trainer.loop import Trainer
from trainer.recipe import load_recipe, to_plain
from trainer.results import write_results
from trainer.runs import Existing, Run

from unihpr.data import Data, Stores, prepare_stores
from unihpr.evaluate import Metrics, evaluate
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


def train(recipe: Recipe, folder: Path, existing: Existing = "refuse") -> tuple[Trained, Metrics]:
    """Train by a recipe into a run folder, then evaluate and write the report.

    Raises:
        ValueError, FileNotFoundError: the recipe's data or weights cannot be had, or the folder holds a run.
    """
    stores = prepare_on_one(recipe)
    run = Run.start(folder, recipe, existing)
    card = {"recipe": to_plain(recipe), "app": "unihpr"}
    trainer = Trainer(run, recipe.loop, card, stores.fingerprint)
    data = Data(stores, recipe.data, trainer.device)
    model = UniHPR(recipe.model).to(trainer.device)
    model.fit_scale(*data.scale())
    began = time.monotonic()
    for name, step in STEPS.items():
        if getattr(recipe, name).steps:
            trainer.fit(step(model, data, recipe, trainer))
    seconds = time.monotonic() - began
    trained = Trained(run, recipe, model, data)
    metrics: Metrics = {}
    if trainer.accelerator.is_main_process:
        metrics = evaluate(model, data, recipe.evaluation) | {"training_seconds": round(seconds, 1)}
        run.write_metrics(metrics)
        write_report(run, model, data, recipe, metrics)
    trainer.close()
    return trained, metrics


def prepare_on_one(recipe: Recipe) -> Stores:
    """Stores made by the first process while the others wait."""
    state = PartialState(cpu=recipe.loop.device == "cpu")
    with state.main_process_first():
        say = print if state.is_main_process else (lambda text: None)
        return prepare_stores(recipe.data, say)


def open_run(folder: Path, with_data: bool = True) -> Trained:
    """A finished run: its recipe, its last weights and (where asked) its data.

    Raises:
        FileNotFoundError: the folder holds no run, or one that has not come to its third step.
    """
    stored = folder / "recipe.yaml"
    if not stored.is_file():
        raise FileNotFoundError(f"{stored}: no such run; train one first, or name its folder")
    recipe = load_recipe(stored, Recipe)
    run = Run(folder)
    model = UniHPR(recipe.model).eval()
    load_weights(run.checkpoint("finetune"), {"model": model})
    data = Data(prepare_stores(recipe.data), recipe.data) if with_data else None
    return Trained(run, recipe, model, data)  # type: ignore[arg-type]


def save_results(path: Path, trained: Trained, metrics: Metrics) -> None:
    """Write metrics as a results file with where they come from."""
    write_results(
        path,
        [{"run": trained.run.name, **metrics}],
        data=trained.data.stores.fingerprint,
        seeds=[trained.recipe.loop.seed],
        recipe=to_plain(trained.recipe),
    )
