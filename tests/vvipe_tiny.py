"""A V-VIPE small enough for tests: its recipe as overrides."""

from pathlib import Path

from trainer.recipe import load_recipe
from vvipe.recipe import RECIPES, Recipe

TINY = (
    "data.train_poses=200",
    "data.test_poses=30",
    "data.synthetic={subjects: 3, test_subjects: 1, clips: 2, frames: 40}",
    "model.hidden=32",
    "model.dim=8",
    "vae={steps: 8, batch: 32}",
    "mapping={steps: 6, batch: 16}",
    "matching={steps: 4, batch: 16, dim: 4, draws: 3}",
    "evaluation.hits=[1, 10]",
    "loop.checkpoint_every=2",
    "loop.log_every=1",
    "loop.trackers=[]",
)


def tiny(cache: Path, *more: str) -> Recipe:
    """The quickstart recipe, made tiny."""
    return load_recipe("quickstart", Recipe, [*TINY, f"data.cache={cache}", *more], RECIPES)


def overrides(cache: Path, *more: str) -> list[str]:
    """The same as options of a command."""
    return [part for item in (*TINY, f"data.cache={cache}", *more) for part in ("--set", item)]
