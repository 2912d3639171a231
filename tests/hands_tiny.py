"""UniPose's hands small enough for tests: their recipe as overrides."""

from pathlib import Path

from posetrain.recipe import load_recipe
from unipose.hands.recipe import RECIPES, Recipe

TINY = (
    "data.images=24",
    "data.test_images=16",
    "data.size=32",
    "data.workers=1",
    "model.backbone=light",
    "model.weights=null",
    "model.dim=32",
    "model.heads=2",
    "model.hidden=32",
    "train.steps=4",
    "train.batch=4",
    "train.warmup=1",
    "loop.log_every=1",
    "loop.checkpoint_every=2",
    "loop.trackers=[]",
    "loop.precision=no",
)


def tiny(cache: Path, *more: str) -> Recipe:
    """The recipe for rendered hands, made tiny."""
    return load_recipe("hands", Recipe, [*TINY, f"data.cache={cache}", *more], RECIPES)
