"""A trained model in a user's hand: poses lifted, embedded, retrieved, drawn.

    model = polypose.load("runs/quickstart")
    poses = model.lift(keypoints, size=(640, 480), skeleton="coco17")   # .joints, .sd, .valid, .translation
    found = model.embed(image=crops)                                    # any modalities, together or alone
    hits = model.retrieve(found, gallery, k=10)
    motion = polypose.capture("film.mp4", out="results")                # people in 3D over time

Nothing is imported until it is asked for.
"""

from typing import TYPE_CHECKING

from posedata.lazy import lazily

if TYPE_CHECKING:
    from polypose.capture import capture
    from polypose.config import ModelConfig, Settings
    from polypose.depth import DepthLifter
    from polypose.embeddings import Embeddings
    from polypose.inputs import InputWarning
    from polypose.invariant import ViewInvariant
    from polypose.loading import load
    from polypose.model import Model
    from polypose.poses import BodyPoses, Poses

__all__ = [
    "BodyPoses",
    "DepthLifter",
    "Embeddings",
    "InputWarning",
    "Model",
    "ModelConfig",
    "Poses",
    "Settings",
    "ViewInvariant",
    "capture",
    "load",
]

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazily(__name__)
