"""A UniHPR small enough for tests: its recipe as overrides."""

from pathlib import Path

from posetrain.recipe import load_recipe
from unihpr.recipe import RECIPES, Recipe

TINY = (
    "data.images=48",
    "data.test_images=40",
    "data.image_size=[48, 64]",
    "data.workers=1",
    "data.synthetic={subjects: 4, test_subjects: 1, clips: 2, frames: 40}",
    "model.dim=64",
    "model.hidden=64",
    "model.decoder_hidden=64",
    "align_poses.steps=6",
    "align_poses.batch=32",
    "align_image.steps=4",
    "align_image.batch=8",
    "finetune.steps=4",
    "finetune.batch=8",
    "finetune.poses=16",
    "evaluation.hypotheses=2",
    "evaluation.sampler_steps=3",
    "evaluation.neighbours=2",
    "baseline={steps: 5, batch: 32, hidden: 32}",
    "loop.checkpoint_every=2",
    "loop.log_every=1",
    "loop.trackers=[]",
    "loop.precision=no",
)


def tiny(cache: Path, *more: str) -> Recipe:
    """The quickstart recipe, made tiny."""
    return load_recipe("quickstart", Recipe, [*TINY, f"data.cache={cache}", *more], RECIPES)
