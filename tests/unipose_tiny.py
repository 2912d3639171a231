"""A UniPose small enough for tests: its recipe as overrides."""

from pathlib import Path

from posetrain.recipe import load_recipe
from unipose.recipe import RECIPES, Recipe

TINY = (
    "data.clips=10",
    "data.test_clips=5",
    "data.image_size=64",
    "data.workers=1",
    "data.points=64",
    "data.stored_points=96",
    "data.synthetic={subjects: 4, test_subjects: 1, clips: 2, frames: 24}",
    "model={dim: 32, layers: 1, heads: 2, references: 8, neighbours: 8, image_share: 0.5}",
    "student_model={dim: 32, hidden: 32, heads: 2, encoder_layers: 1, decoder_layers: 1}",
    "teacher={steps: 4, batch: 4}",
    "student={steps: 4, batch: 4}",
    "pseudo={ray: 9, support: 9, bones: [0, 99]}",
    "twins=true",
    "loop.checkpoint_every=2",
    "loop.log_every=1",
    "loop.trackers=[]",
    "loop.precision=no",
)


def tiny(cache: Path, *more: str) -> Recipe:
    """The quickstart recipe, made tiny."""
    return load_recipe("quickstart", Recipe, [*TINY, f"data.cache={cache}", *more], RECIPES)
