"""What a 2D detection, a depth image and a body's build say about 3D joints, as pure functions in metres.

One value per pose or clip, unreduced beyond that. Lengths are compared by `huber`, which is in metres and has
slope 1 far off, so that all terms are of one kind and their weights can be read against each other.

The forms and the weights that go with them are this project's: UniPose (arXiv 2509.23376) names a 2D-to-3D
back-projection loss, body symmetry and joint motion, but prints no formula that could be read.
"""

from typing import TYPE_CHECKING

from posedata.lazy import lazily

if TYPE_CHECKING:
    from .body import reference_segments, skin_depths, support_reaches, symmetry_margins
    from .bones import (
        bone_lengths,
        bone_range_loss,
        bone_variance_loss,
        mirrored_bones,
        symmetry_loss,
    )
    from .lift import KeypointDepth, SkinOffset, keypoint_depth, lift_loss
    from .motion import acceleration_loss, stillness
    from .ray import ray_loss
    from .robust import geman_mcclure, huber
    from .surface import behind_loss, support_loss
    from .weak import TERMS, Evidence, weak_loss, weak_terms
    from .weights import WeakWeights

__all__ = [
    "TERMS",
    "Evidence",
    "KeypointDepth",
    "SkinOffset",
    "WeakWeights",
    "acceleration_loss",
    "behind_loss",
    "bone_lengths",
    "bone_range_loss",
    "bone_variance_loss",
    "geman_mcclure",
    "huber",
    "keypoint_depth",
    "lift_loss",
    "mirrored_bones",
    "ray_loss",
    "reference_segments",
    "skin_depths",
    "stillness",
    "support_loss",
    "support_reaches",
    "symmetry_loss",
    "symmetry_margins",
    "weak_loss",
    "weak_terms",
]

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazily(__name__)
