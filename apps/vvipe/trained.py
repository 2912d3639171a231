"""A trained run, and what a user holds of it."""

from typing import Literal

from polypose.config import InvariantSettings
from polypose.invariant import ViewInvariant
from poseenc.vvipe import Model
from posetrain.lifecycle import Trained

from vvipe.data import Data
from vvipe.recipe import Recipe, network_config

VVIPERun = Trained[Recipe, Model, Data]


def as_model(trained: VVIPERun) -> ViewInvariant:
    """A run's network with what its recipe says of it; after stage 1 it embeds 3D poses alone."""
    recipe, data = trained.recipe, trained.opened
    encodes: tuple[Literal["2d", "3d"], ...] = ("2d", "3d")
    if recipe.model.method == "prvipe":
        encodes = ("2d",)
    elif trained.stages == {"vae"}:
        encodes = ("3d",)
    settings = InvariantSettings(
        align=recipe.vae.align,
        encodes=encodes,
        data="" if data is None else data.fingerprint,
        batch=recipe.evaluation.batch,
    )
    return ViewInvariant(trained.model, network_config(recipe), settings, str(trained.run.path))
