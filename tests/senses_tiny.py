"""A space of five senses small enough for tests: its recipe as overrides."""

from pathlib import Path

from posetrain.recipe import load_recipe
from unihpr.recipe import RECIPES, Recipe

TINY = (
    "data.images=32",
    "data.test_images=24",
    "data.image_size=[48, 64]",
    "data.workers=1",
    "data.synthetic={subjects: 4, test_subjects: 2, clips: 2, frames: 40}",
    "model={dim: 32, hidden: 32, decoder_hidden: 32}",
    "senses={steps: 3, batch: 8, poses: 16, points: 64}",
    "senses.space={cloud_width: 8, invariant: 0}",
    "evaluation={hypotheses: 2, sampler_steps: 2}",
    "loop={checkpoint_every: 2, log_every: 1}",
    "loop.trackers=[]",
    "loop.precision=no",
)


def tiny(cache: Path, *more: str) -> Recipe:
    """The recipe `senses`, made tiny."""
    return load_recipe("senses", Recipe, [*TINY, f"data.cache={cache}", *more], RECIPES)
