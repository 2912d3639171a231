"""A training run small enough to be killed and repeated many times; not a test itself.

Two stages with everything that has state: dropout, AdamW, a schedule, accumulation, averaging, evaluation.
"""

import dataclasses
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from posetrain.errors import plain_errors
from posetrain.loop import Trainer
from posetrain.recipe import to_plain
from posetrain.runs import Run
from posetrain.stage import LoopConfig, Stage
from torch import Tensor, nn


@dataclasses.dataclass(frozen=True)
class Recipe:
    pause: float = 0.0
    loop: LoopConfig = LoopConfig(
        device="cpu", accumulate=2, ema=0.9, log_every=1, evaluate_every=6, checkpoint_every=7, trackers=()
    )


def train(path: Path, recipe: Recipe) -> dict[str, float]:
    torch.manual_seed(0)
    points = torch.randn(256, 3)
    encoder = nn.Sequential(nn.Linear(3, 8), nn.Dropout(0.2), nn.Tanh())
    head = nn.Linear(8, 1)
    trainer = Trainer(Run(path), recipe.loop, {"app": "toy", "recipe": to_plain(recipe)}, data="points")
    trainer.start(recipe, "resume")
    first = stage("first", {"encoder": encoder, "head": head}, points, recipe.pause)
    trainer.fit(first)
    encoder.requires_grad_(False)
    metrics = trainer.fit(stage("second", {"encoder": encoder, "head": head}, points, recipe.pause))
    trainer.close()
    return metrics


def command(path: Path, recipe: Recipe, arguments: list[str]) -> None:
    """The same as a command line, with what it says on stderr in a file beside the run."""
    sys.argv = arguments
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where the tests run in the background
    with path.with_suffix(".err").open("w") as said:
        os.dup2(said.fileno(), 2)
        with plain_errors():
            train(path, recipe)


def stage(name: str, modules: dict[str, nn.Module], points: Tensor, pause: float) -> Stage:
    net = nn.Sequential(*modules.values())
    optimizer = torch.optim.AdamW([p for p in net.parameters() if p.requires_grad], lr=3e-2)

    def loss(batch: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        time.sleep(pause)
        noise = 0.1 * torch.randn(len(batch), 1, generator=generator)
        error = net(batch) - batch.prod(dim=-1, keepdim=True) - noise
        return {"loss": error.square().mean(), "largest": error.detach().abs().max()}

    return Stage(
        name=name,
        modules=modules,
        optimizer=optimizer,
        steps=25,
        batch=lambda step, generator: points[torch.randint(len(points), (16,), generator=generator)],
        loss=loss,
        scheduler=torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 25),
        evaluate=evaluate(net, points),
    )


def evaluate(net: nn.Module, points: Tensor) -> Callable[[], dict[str, float]]:
    def measure() -> dict[str, float]:
        torch.rand(3)  # draws from the global state on purpose: training must not notice
        return {"mse": float((net(points) - points.prod(dim=-1, keepdim=True)).square().mean())}

    return measure
