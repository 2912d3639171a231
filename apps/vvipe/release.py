"""The view-invariant weights that polypose ships: measured as a user gets them, and told on a card."""

from pathlib import Path

import torch
from polypose.card import fill
from polypose.loading import load
from posedata.results import write_results
from posedata.terminal import print_line
from poseenc.hits import evaluate
from posetrain.task import Say, Table

from vvipe.data import open_data
from vvipe.recipe import METHODS, Recipe

TEMPLATE = Path(__file__).with_name("card.md")
RIGS = {"same_rig": "training cameras", "unseen": "unseen cameras", "all": "all"}


def release(source: Path, recipe: Recipe, weights: Path, json: Path, say: Say = print_line) -> Table:
    """Write a finished model's weights, in float16, and their card; returns their Hit@k on the test people.

    Args:
        source: its run, or its file.
        recipe: that it was trained by.
        weights: the .safetensors to write; the card goes beside it, as .md.
        json: the results file to write.

    Raises:
        FileNotFoundError, ValueError: there is no such model, or its data cannot be had.
    """
    data = open_data(recipe.data, torch.device("cpu"), say)
    load(source).save(weights, half=True)
    network = load(weights).network
    found = evaluate(network, data.test, data.body.torso, recipe.evaluation, recipe.vae.align)
    row = {"method": METHODS["vvipe"], "keypoints": recipe.data.keypoints, **found}
    write_results(json, [row], data=data.fingerprint, seeds=[recipe.loop.seed])
    hits = [f"hit{k}" for k in recipe.evaluation.hits]
    lines = [[name, *(f"{found[rig][key]:.1f}" for key in hits)] for rig, name in RIGS.items()]
    header = ["cameras", *(f"Hit@{k}" for k in recipe.evaluation.hits)], ["---"] * (1 + len(hits))
    numbers = "\n".join(f"| {' | '.join(cells)} |" for cells in (*header, *lines))
    fill(TEMPLATE, weights, numbers=numbers, lifting=f"{found['same_rig']['mpjpe_mm']:.1f}")
    return Table("Hit@k, percent, test subjects", tuple(header[0]), lines)
