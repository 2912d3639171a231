"""A whole run: prepare, train, evaluate."""

import math
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from posedata.views.hands import WRISTS
from poseenc.anchor import A2JTransformer, Estimate
from torch import Tensor
from trainer.checkpoint import load_weights
from trainer.loop import Trainer
from trainer.poses import Part
from trainer.processes import first_alone, join_processes
from trainer.recipe import to_plain
from trainer.results import write_results
from trainer.runs import Existing, Run
from trainer.stage import Stage

from unipose.hands.data import Hands, fingerprint, prepare, prepare_part
from unipose.hands.evaluate import Rows, errors, evaluate
from unipose.hands.recipe import Recipe, TrainConfig

STAGE = "hands"


@dataclass
class Trained:
    """A run that can be asked."""

    run: Run
    recipe: Recipe
    model: A2JTransformer


def make_model(recipe: Recipe, trained: bool = False) -> A2JTransformer:
    """The network of a recipe, for its size of picture.

    Args:
        trained: to be filled from a checkpoint: the weights that its backbone began from are not looked for.
    """
    model = recipe.model
    return A2JTransformer(
        21 * len(WRISTS), size=recipe.data.size, backbone=model.backbone,
        weights=None if trained else model.weights, freeze=model.weights is not None,
        dim=model.dim, heads=model.heads, layers=model.layers, hidden=model.hidden, points=model.points,
        dropout=model.dropout,
    )  # fmt: skip


def train(recipe: Recipe, folder: Path, existing: Existing = "refuse") -> tuple[Trained, Rows]:
    """Train by a recipe into a run folder, then evaluate; rows are empty on all but the first process.

    Raises:
        ValueError, FileNotFoundError: the recipe's data or weights cannot be had, or the folder holds a run.
    """
    with first_alone(recipe.loop) as say:
        stores = prepare(recipe.data, say)
        watched = prepare_part(recipe.data, "validation", say) if recipe.loop.evaluate_every else None
    run = Run(folder)
    begun = existing == "resume" and run.checkpoints(STAGE).path() is not None
    torch.manual_seed(recipe.loop.seed)
    model = make_model(recipe, trained=begun)
    trainer = Trainer(
        run, recipe.loop, {"recipe": to_plain(recipe), "app": "unipose hands"}, fingerprint(*stores), existing
    )
    trainer.start(recipe, existing)
    model.to(trainer.device)
    hands = [Hands.open(store, trainer.device) for store in stores]
    stage = make_stage(model, hands[0], recipe, trainer)
    if watched:
        stage.evaluate = partial(errors, model, Hands.open(watched, trainer.device))
    trainer.fit(stage)
    rows: Rows = []
    if trainer.accelerator.is_main_process:
        rows = evaluate(model, *hands)
        run.write_metrics({"rows": rows, "training_seconds": _seconds(run)})
    trainer.close()
    return Trained(run, recipe, model), rows


def open_run(folder: Path) -> Trained:
    """A finished run: its recipe and its last weights.

    Raises:
        FileNotFoundError: the folder holds no run, or one without a checkpoint.
        ValueError: it has steps to go.
    """
    run, recipe = Run.open(folder, Recipe, "unipose hands")
    model = make_model(recipe, trained=True).eval()
    run.require({STAGE: recipe.train.steps})
    load_weights(run.checkpoint(STAGE), {"model": model})
    return Trained(run, recipe, model)


def measure(trained: Trained, part: Part = "test") -> Rows:
    """Evaluate a run on its test or validation pictures, on the device that its recipe says.

    Raises:
        ValueError: its data are no longer the same.
        FileNotFoundError: InterHand2.6M's folder lacks the part.
    """
    recipe, stores = trained.recipe, prepare(trained.recipe.data)
    trained.run.require({STAGE: recipe.train.steps}, fingerprint(*stores))
    device = join_processes(recipe.loop).device
    held_out = stores[1] if part == "test" else prepare_part(recipe.data, part)
    rows = evaluate(trained.model.to(device), *(Hands.open(s, device) for s in (stores[0], held_out)))
    trained.run.write_metrics({"rows": rows, "training_seconds": _seconds(trained.run)}, part)
    return rows


def save_results(path: Path, trained: Trained, rows: Rows, part: Part = "test") -> None:
    """Write measured rows with where they come from."""
    train, test = prepare(trained.recipe.data)
    held_out = test if part == "test" else prepare_part(trained.recipe.data, part)
    write_results(
        path,
        rows,
        data=fingerprint(train, held_out),
        seeds=[trained.recipe.loop.seed],
        recipe=to_plain(trained.recipe),
        training_seconds=_seconds(trained.run),
        precision=trained.run.precision(),
        part=part,
    )


def make_stage(model: A2JTransformer, hands: Hands, recipe: Recipe, trainer: Trainer) -> Stage:
    """The training of a network on these pictures."""
    config = recipe.train
    model.train()
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(parameters, lr=config.lr, weight_decay=config.weight_decay)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step, config))

    def batch(step: int, generator: torch.Generator) -> dict[str, Tensor]:
        return hands.draw(config.batch, generator, trainer.share, config.augmentation, trainer.whole.draws())

    def loss(sample: dict[str, Tensor], generator: torch.Generator) -> dict[str, Tensor]:
        gather = trainer.whole.gather  # the mean is over valid joints
        said = Estimate(*(gather(x, 1) for x in model.estimates(sample["images"])))
        return model.loss(said, gather(sample["targets"]), gather(sample["valid"].float()))

    return Stage(STAGE, {"model": model}, optimizer, config.steps, batch, loss, scheduler)


def _rate(step: int, config: TrainConfig) -> float:
    """Share of the learning rate."""
    if step < config.warmup:
        return (step + 1) / config.warmup
    if config.drops:
        return 0.2 ** sum(step >= drop for drop in config.drops)
    return 0.5 * (1 + math.cos(math.pi * (step - config.warmup) / max(1, config.steps - config.warmup)))


def _seconds(run: Run) -> float:
    return round(max((record["seconds"] for record in run.curves(STAGE)), default=0.0), 1)
