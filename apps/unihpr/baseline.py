"""SimpleBaseline on the same data, split and views: what every lifter is measured against.

Martinez et al., ICCV 2017, with the authors' settings: pixels and camera-frame joints standardised by the
training data, 1024 wide, two blocks, dropout 0.5, Adam 1e-3 with exponential decay, squared error.
"""

from functools import partial
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from poseenc import SimpleBaseline
from torch import Tensor, nn
from trainer.loop import Trainer, seed_of
from trainer.poses import Part
from trainer.recipe import to_plain
from trainer.results import write_results
from trainer.runs import Existing, Run
from trainer.stage import Stage

from unihpr.data import Data
from unihpr.evaluate import Metrics, errors
from unihpr.recipe import BaselineConfig, Recipe
from unihpr.samples import Sample
from unihpr.train import data_on_one, prepare_on_one

FINAL_RATE = 0.14
"""The authors' decay, 0.96 every 100,000 of 4.9 M steps, comes to this share at the end."""


class Lifter(nn.Module):
    """SimpleBaseline with its standardisation."""

    pixels_mean: Tensor
    pixels_std: Tensor
    joints_mean: Tensor
    joints_std: Tensor

    def __init__(self, pixels: Float[Tensor, "N J 2"], joints: Float[Tensor, "N J 3"], hidden: int) -> None:
        super().__init__()
        self.network = SimpleBaseline(pixels.shape[1], hidden)
        for name, values in (("pixels", pixels), ("joints", joints)):
            self.register_buffer(f"{name}_mean", values.mean(0))
            self.register_buffer(f"{name}_std", values.std(0).clamp(min=1e-6))

    def forward(self, pixels: Float[Tensor, "B J 2"]) -> Float[Tensor, "B J 3"]:
        """Camera-frame joints, metres relative to the root."""
        lifted = self.network((pixels - self.pixels_mean) / self.pixels_std)
        return lifted * self.joints_std + self.joints_mean

    def loss(self, pixels: Float[Tensor, "B J 2"], joints: Float[Tensor, "B J 3"]) -> Float[Tensor, ""]:
        """Mean squared error of standardised joints."""
        return (((self(pixels) - joints) / self.joints_std) ** 2).mean()


def train_baseline(
    data: Data, config: BaselineConfig, trainer: Trainer, noise: float, watched: Data | None = None
) -> Lifter:
    """Train a SimpleBaseline.

    Args:
        noise: share of training keypoints with detector noise; above 0 it is followed on noisy ones.
        watched: what to follow the training on.
    """
    lifter, stage = simple_baseline(data, config, trainer, noise)
    if watched:
        stage.evaluate = partial(_measure, lifter, watched, noise)
    trainer.fit(stage)
    return lifter.eval()


def simple_baseline(
    data: Data, config: BaselineConfig, trainer: Trainer, noise: float
) -> tuple[Lifter, Stage]:
    """A SimpleBaseline and its training; the same weights to begin with, whatever was trained before.

    Args:
        noise: share of training keypoints with detector noise.
    """
    torch.manual_seed(seed_of(trainer.config.seed, "weights"))
    scale = data.draw_views(
        20_000, torch.Generator(data.device).manual_seed(0), lambda rows: rows, noise=noise, frame="pixels"
    )
    lifter = Lifter(scale.keypoints, scale.joints, config.hidden).to(data.device)
    optimizer = torch.optim.Adam(lifter.parameters(), lr=config.lr)
    decay = torch.optim.lr_scheduler.ExponentialLR(optimizer, FINAL_RATE ** (1 / config.steps))

    def batch(step: int, generator: torch.Generator) -> Sample:
        return data.draw_views(
            config.batch, generator, trainer.share, noise=noise, frame="pixels", augment=config.augment
        )

    def loss(sample: Sample, generator: torch.Generator) -> dict[str, Tensor]:
        return {"loss": lifter.loss(sample.keypoints, sample.joints)}

    return lifter, Stage(_stage(noise), {"lifter": lifter}, optimizer, config.steps, batch, loss, decay)


def _stage(noise: float) -> str:
    return "simple_baseline" + ("_detector" if noise else "")


@torch.no_grad()
def _measure(lifter: Lifter, data: Data, noise: float) -> Metrics:
    held_out = data.test_pixels(detector=noise > 0)
    return errors(lifter(held_out.keypoints), held_out.joints)


def run_baseline(
    recipe: Recipe, folder: Path, existing: Existing, json: Path | None, part: Part = "test"
) -> list[tuple[Any, ...]]:
    """Train and measure on exact and on detector keypoints; rows (keypoints, MPJPE, PA-MPJPE) in mm, none on
    all but the first process.

    Raises:
        ValueError: the split has no such part, or the folder holds a run.
    """
    stores = prepare_on_one(recipe)
    run = Run(folder)
    trainer = Trainer(
        run, recipe.loop, {"recipe": to_plain(recipe), "app": "unihpr"}, stores.fingerprint, existing
    )
    data = Data(stores, recipe.data, trainer.device)
    watched = data_on_one(data, "validation", recipe.loop) if recipe.loop.evaluate_every else None
    held_out = data_on_one(data, part, recipe.loop)
    trainer.start(recipe, existing)
    found: dict[str, Metrics] = {}
    for name, noise in (("exact", 0.0), ("detector", 1.0)):
        lifter = train_baseline(data, recipe.baseline, trainer, noise, watched)
        if trainer.accelerator.is_main_process:
            last = run.curves(_stage(noise))[-1]
            found[name] = _measure(lifter, held_out, noise) | {"training_seconds": last["seconds"]}
    trainer.close()
    if not found:
        return []  # another process tells
    run.write_metrics(found, part)
    if json:
        write_results(
            json,
            [{"keypoints": name, **metrics} for name, metrics in found.items()],
            data=held_out.stores.fingerprint,
            seeds=[recipe.loop.seed],
            recipe=to_plain(recipe),
            precision=run.precision(),
            part=part,
        )
    return [(name, m["mpjpe_mm"], m["pa_mpjpe_mm"]) for name, m in found.items()]
