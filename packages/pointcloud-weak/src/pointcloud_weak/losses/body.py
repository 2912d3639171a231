"""What is known of a body's build beforehand, by joint name, for any skeleton.

Margins and reference lengths are those measured on ITOP's labels (side test, 4,863 poses); skin depths and
reaches are choices.
"""

import torch
from jaxtyping import Float
from posedata import Skeleton
from torch import Tensor

from .bones import Bone, mirrored_bones

_TRUNK = ("hip", "torso", "pelvis", "spine", "thorax", "neck", "head", "shoulder_centre", "nose")
_MARGINS = {"elbow": 0.03, "hand": 0.02, "wrist": 0.02, "knee": 0.01, "foot": 0.01, "ankle": 0.01}
"""How much left and right labels differ anyway, by a bone's child: upper arm, forearm, thigh, shin; other
pairs 0."""

_SEGMENTS = {
    ("head_centre", "shoulder_centre"): 0.250,
    ("left_shoulder", "right_shoulder"): 0.363,
    ("left_hip", "right_hip"): 0.228,
    ("shoulder", "elbow"): 0.316,
    ("elbow", "hand"): 0.327,
    ("elbow", "wrist"): 0.262,
    ("hip", "knee"): 0.506,
    ("knee", "foot"): 0.487,
    ("knee", "ankle"): 0.487,
}
"""ITOP's means in metres; elbow to wrist is four fifths of elbow to hand, knee to ankle taken as to foot."""


def skin_depths(skeleton: Skeleton) -> Float[Tensor, " J"]:
    """How deep each joint lies under the skin to begin with: 0.10 m on trunk and head, 0.05 m on limbs."""
    return _by_joint(skeleton, 0.10, 0.05)


def support_reaches(skeleton: Skeleton) -> Float[Tensor, " J"]:
    """How far each joint may be from the nearest point of the surface: 0.15 m on trunk and head, 0.08 m on
    limbs."""
    return _by_joint(skeleton, 0.15, 0.08)


def symmetry_margins(skeleton: Skeleton) -> Float[Tensor, " P"]:
    """Margins of the pairs of `mirrored_bones`, metres."""
    children = [skeleton.joints[one[0]] for one, _ in mirrored_bones(skeleton)]
    return torch.tensor([_MARGINS.get(name.partition("_")[2], 0.0) for name in children])


def reference_segments(skeleton: Skeleton) -> tuple[list[Bone], Float[Tensor, " S"]]:
    """Pairs of joints whose usual distance is known, and that distance in metres."""
    pairs, lengths = [], []
    for (one, other), length in _SEGMENTS.items():
        for side in ("", "left_", "right_"):
            names = (side + one, side + other)
            if all(name in skeleton.joints for name in names):
                pairs.append((skeleton.index(names[1]), skeleton.index(names[0])))
                lengths.append(length)
    return pairs, torch.tensor(lengths)


def _by_joint(skeleton: Skeleton, trunk: float, limb: float) -> Tensor:
    return torch.tensor([trunk if any(part in j for part in _TRUNK) else limb for j in skeleton.joints])
