"""A whole run: data, the stages, evaluation, report."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
from trainer.checkpoint import load_weights
from trainer.loop import Trainer, seed_of
from trainer.poses import Part
from trainer.processes import first_alone, join_processes
from trainer.recipe import to_plain
from trainer.results import write_results
from trainer.runs import Existing, Run
from trainer.texts import read_json

from vvipe.data import Data, open_data
from vvipe.evaluate import Metrics, evaluate, nearest_2d, watch
from vvipe.model import VVIPE, Model, build
from vvipe.recipe import Recipe
from vvipe.steps import last_steps, stages, vae_modules

Only = Literal["vae", "mapping", "all"]


@dataclass
class Trained:
    """A run that can be asked: its model, its recipe and (where opened with them) its data.

    Attributes:
        has_encoder: whether it has an encoder of keypoints yet, or only the autoencoder.
    """

    run: Run
    recipe: Recipe
    model: Model
    has_encoder: bool = True
    data: Data | None = None

    @property
    def test_data(self) -> Data:
        """The data; made again where the run was opened without."""
        if self.data is None:
            self.data = open_data(self.recipe.data, self.model.body.lengths.device)
        return self.data


def train(
    recipe: Recipe,
    folder: Path,
    existing: Existing = "refuse",
    only: Only = "all",
    data: Data | None = None,
    report: bool = True,
) -> tuple[Trained, Metrics]:
    """Train by a recipe into a run folder, then evaluate and write the report.

    Args:
        only: `vae` stops after stage 1; `mapping` wants stage 1 there already, in the folder or by
            `mapping.vae`.
        data: to share between runs; made by the recipe where left out.
        report: whether to write the report.

    Raises:
        ValueError, FileNotFoundError: the data cannot be had, the folder holds a run, stage 1 is missing, or
            `mapping.vae` was trained otherwise. The folder is as it was then.
    """
    if data is None:
        data = open_on_one(recipe)
    run = Run(folder)
    trainer = Trainer(
        run, recipe.loop, {"recipe": to_plain(recipe), "app": "vvipe"}, data.fingerprint, existing
    )
    torch.manual_seed(seed_of(recipe.loop.seed, "weights"))
    model = build(recipe).to(trainer.device)
    model.body.lengths.copy_(data.body.lengths)
    todo = _stages(model, recipe, run, only, existing, data.fingerprint)
    watched = data.on("validation") if recipe.loop.evaluate_every else None
    trainer.start(recipe, existing)
    for name, step in todo.items():
        stage = step(model, data, recipe, trainer)
        if watched:
            stage.evaluate = partial(watch, model, watched, recipe, name)
        trainer.fit(stage)
    trained = Trained(run, recipe, model, "vae" not in list(todo)[-1:], data)
    metrics: Metrics = {}
    if trainer.accelerator.is_main_process and trained.has_encoder:
        metrics = measure(trained)
        if report:
            from vvipe.report import write_report

            write_report(trained, metrics)
    trainer.close()
    return trained, metrics


def open_run(folder: Path) -> Trained:
    """A finished run: its recipe and its last weights.

    Raises:
        FileNotFoundError: the folder holds no run, or one without a checkpoint.
        ValueError: the run is another app's.
    """
    run, recipe = Run.open(folder, Recipe, "vvipe")
    model = build(recipe).eval()
    (last,) = last_steps(recipe)
    if run.checkpoints(last).path() is None and isinstance(model, VVIPE):
        _load_vae(model, folder)
        return Trained(run, recipe, model, has_encoder=False)
    load_weights(run.checkpoint(last), {"model": model})
    return Trained(run, recipe, model)


def measure(trained: Trained, part: Part = "test") -> Metrics:
    """Evaluate a run on a part of its split and write its metrics file.

    Raises:
        ValueError, FileNotFoundError: the run is not finished, or was trained on other data; the split has no
            such part.
    """
    require_encoder(trained)
    recipe, data = trained.recipe, trained.test_data
    need_end(trained, data.fingerprint)
    test = data.on(part).test
    metrics = evaluate(trained.model, test, data.body.torso, recipe.evaluation, recipe.vae.align)
    last = {record["stage"]: record["seconds"] for record in trained.run.curves()}
    metrics["training_seconds"] = round(sum(last.values()), 1)
    trained.run.write_metrics(metrics, part)
    return metrics


def require_encoder(trained: Trained) -> None:
    """Raise a ValueError that says so where a run cannot embed keypoints yet."""
    if not trained.has_encoder:
        raise ValueError(
            f"{trained.run.path}: has only the autoencoder; go on with train --stage mapping --resume"
        )


def need_end(trained: Trained, data: str | None = None) -> None:
    """Raise where a run is not finished or, with a fingerprint given, was trained on other data."""
    require_encoder(trained)
    trained.run.require(last_steps(trained.recipe), data)


def rows(
    trained: Trained, metrics: Metrics, peer: Path | None = None, part: Part = "test"
) -> list[dict[str, Any]]:
    """The table of `evaluate`: this run, the peer's run on the same test, and bare keypoints.

    Raises:
        ValueError: the peer was tested on other data.
    """
    name = {"vvipe": "V-VIPE", "prvipe": "PR-VIPE"}
    found = [{"method": name[trained.recipe.model.method], "run": trained.run.name, **metrics}]
    if peer is not None:
        other = open_run(peer)
        if to_plain(other.recipe.data) != to_plain(trained.recipe.data):
            raise ValueError(f"{peer}/recipe.yaml: its data section differs from {trained.run.name}'s")
        other.data = trained.test_data
        found.append({"method": name[other.recipe.model.method], "run": peer.name, **measure(other, part)})
    bare = nearest_2d(trained.test_data.on(part).test, trained.recipe.evaluation)
    return [*found, {"method": "2D keypoints", "run": "", **bare}]


def save_results(path: Path, trained: Trained, table: list[dict[str, Any]], part: Part = "test") -> None:
    """Write the table as a results file with where it comes from."""
    write_results(
        path,
        table,
        data=trained.test_data.on(part).fingerprint,
        seeds=[trained.recipe.loop.seed],
        recipe=to_plain(trained.recipe),
        precision=trained.run.precision(),
        part=part,
    )


def stored_metrics(folder: Path) -> Metrics | None:
    """The metrics.json of a finished run, or None."""
    file = folder / "metrics.json"
    return read_json(file, "delete it, and it is measured again") if file.exists() else None


def _stages(
    model: Model, recipe: Recipe, run: Run, only: Only, existing: Existing, data: str
) -> dict[str, Any]:
    """What there is to train; stage 1 of another run is loaded."""
    todo = stages(recipe)
    if not isinstance(model, VVIPE):
        if only != "all":
            raise ValueError(f"--stage {only}: PR-VIPE has a single stage; leave --stage out")
        return todo
    source = recipe.mapping.vae
    if source is not None and recipe.mapping.pretrained:
        if existing == "replace" and source.resolve() == run.path.resolve():
            raise ValueError(f"--overwrite would delete {source}, the mapping.vae; use another --name")
        _require_same(source, _load_vae(model, source), recipe, data)
    if only == "mapping" and "vae" in todo:
        run.checkpoint("vae")
        if existing == "replace":
            raise ValueError(
                f"--overwrite would delete stage 1 in {run.path}, which --stage mapping goes on from; "
                "use --resume, or set mapping.vae and another --name"
            )
    if only == "vae":
        todo.pop("mapping", None)
    if not todo:
        raise ValueError("--stage vae: the recipe leaves stage 1 out (mapping.vae or mapping.pretrained)")
    return todo


def _load_vae(model: VVIPE, folder: Path) -> dict[str, Any]:
    """Its card."""
    return load_weights(Run(folder).checkpoint("vae"), vae_modules(model))


def _require_same(source: Path, card: dict[str, Any], recipe: Recipe, data: str) -> None:
    """Raise unless stage 1 of another run is finished, on this run's data and in its frame."""
    its = card["recipe"]["vae"]
    if card["data"] != data:
        raise ValueError(
            f"mapping.vae: {source} was trained on other data ({card['data']}, here {data}), "
            "maybe on people of this run's test; train stage 1 on this run's data"
        )
    if card["step"] < its["steps"]:
        raise ValueError(
            f"mapping.vae: {source} is at step {card['step']} of {its['steps']} of stage 1; finish it first"
        )
    if its["align"] != recipe.vae.align:
        raise ValueError(f"mapping.vae: {source} has vae.align {its['align']}; set vae.align to the same")


def open_on_one(recipe: Recipe) -> Data:
    """A recipe's data on its device; stores are made by the first process while the others wait."""
    with first_alone(recipe.loop) as say:
        return open_data(recipe.data, join_processes(recipe.loop).device, say)
