"""The weights that polypose ships: their spread fitted, measured as a user gets them, and told on a card."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch
from polypose.card import write_card
from polypose.loading import load
from polypose.measuring import Metrics, anywhere_rows, branch_row, calibrate, estimates
from polypose.model import Model
from polypose.network import Modality
from polypose.samples import Sample
from polypose.spread import fit
from posedata.results import write_results
from posedata.terminal import print_line
from posetrain.task import Say, Table

from unihpr.data import TrainingData, prepare_stores
from unihpr.recipe import Recipe

VIEWS, PICTURES = 16_000, 4000
"""Of training, that the spread is fitted to."""


def release(source: Path, recipe: Recipe, weights: Path, json: Path, say: Say = print_line) -> Table:
    """Fit a finished model's spread, write its weights and their card, and measure what was written on the
    test people; returns the error of each branch that the weights have.

    Args:
        source: its run, or its file.
        recipe: that it was trained by.
        weights: the .safetensors to write, in float16; the card goes beside it, as .md.
        json: the results file to write.

    Raises:
        FileNotFoundError, ValueError: there is no such model, or the split has no validation people.
    """
    model, data = load(source), TrainingData(prepare_stores(recipe.data, say), recipe.data)
    held_out = branches_of(data.on("validation", say))
    fit_spread(model, data, held_out, recipe.loop.seed)
    factors = calibrate(model.network, list(held_out.values()), model.settings.batch)
    say("stretch on validation people: " + ", ".join(f"{name} x {f:.2f}" for name, f in factors.items()))
    model.save(weights, half=True, decodes=("3d",), encodes=recipe.encodes)
    rows = list(measure(load(weights), data))
    write_results(json, rows, data=data.fingerprint, seeds=[recipe.loop.seed], stretch=factors)
    write_card(weights, rows)
    shown = [(row["rig"], row["branch"], f"{row['mpjpe_mm']:.1f}") for row in rows if "by" not in row]
    return Table("MPJPE, mm, test subjects", ("cameras", "branch", ""), shown)


def fit_spread(
    model: Model, data: TrainingData, held_out: dict[str, tuple[Modality, Sample]], seed: int
) -> None:
    """Which poses the model is less sure of, by what it makes of training views, and of people held out."""
    network, batch = model.network, model.settings.batch
    generator = torch.Generator(data.device).manual_seed(seed)
    drawn = data.draw_views(VIEWS, generator, lambda rows: rows)
    pictures = data.draw_images(PICTURES, generator, lambda rows: rows)
    seen: dict[Modality, Sample] = {"2d": drawn, "3d": drawn, "image": pictures}
    trained = {name: estimates(network, name, [sample], batch) for name, sample in seen.items()}
    others = {
        name: estimates(network, name, [s for m, s in held_out.values() if m == name], batch) for name in seen
    }
    fit(network.make_spread(), trained, others, seed=seed)


def branches_of(data: TrainingData) -> dict[str, tuple[Modality, Sample]]:
    """What is measured on rendered views: exact 2D, a detector's, the image, and 3D itself."""
    exact = data.test()
    return {
        "lift": ("2d", exact),
        "lift_detector": ("2d", data.test(detector=True, images=False)),
        "image": ("image", exact),
        "reconstruct": ("3d", exact),
    }


def measure(model: Model, data: TrainingData) -> Iterator[Metrics]:
    """Rows of the card: every branch on rendered views, and lifting before cameras that may stand anywhere.

    A row has `rig`, `branch` and what `polypose.measuring.branch_row` says; then follow those of
    `polypose.measuring.anywhere_rows`.
    """
    rows = data.source.store.tensors(["joints", "subject"], "cpu", data.source.rows)
    people = rows["subject"].long()
    for name, (modality, sample) in branches_of(data).items():
        if modality not in model.modalities:
            continue
        row = branch_row(model.network, modality, sample, people, model.settings.batch)
        yield {"rig": data.config.rig, "branch": name, **row}
    yield from anywhere_rows(model, rows["joints"], people, data.views.virtual.noise, data.config.seed)
