"""V-VIPE's input: keypoints of one joint set from any detector's, and poses free of body and place."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float
from posedata.geometry.align import root_relative
from posedata.geometry.canonical import (
    body_rotation,
    in_torsos,
    normalise_on_torso,
    torso_length,
    universal_lengths,
    with_bone_lengths,
)
from posedata.keypoints import convert_keypoints
from posedata.skeleton import Skeleton, get_skeleton
from torch import Tensor

POSE = get_skeleton("h36m17")

_LIMBS = ["shoulder", "elbow", "wrist", "hip", "knee", "ankle"]
_JOINTS = ("neck", *(f"{side}_{limb}" for limb in _LIMBS for side in ("left", "right")))
_PARENT = {"shoulder": "neck", "elbow": "shoulder", "wrist": "elbow", "hip": "shoulder"} | {
    "knee": "hip",
    "ankle": "knee",
}


def _parent(name: str) -> int:
    side, _, limb = name.partition("_")
    if not limb:
        return -1
    above = _PARENT[limb]
    return _JOINTS.index(above if above == "neck" else f"{side}_{above}")


KEYPOINTS = Skeleton("body13", _JOINTS, tuple(_parent(name) for name in _JOINTS))
"""The joints that COCO's and Human3.6M's sets share: twelve of the limbs, and the nose, which Human3.6M's
seventeen call the neck."""


def read_keypoints(points: Float[Tensor, "B K 3"], skeleton: Skeleton) -> Float[Tensor, "B 13 3"]:
    """Keypoints of `coco17`, `h36m17` or another set, with confidence, as those of `KEYPOINTS`."""
    return convert_keypoints(points, skeleton, KEYPOINTS)


def normalise(
    keypoints: Float[Tensor, "*batch 13 2"], confidence: Float[Tensor, "*batch 13"]
) -> Float[Tensor, "*batch 13 2"]:
    """Centred on the hips, in units of twice the torso seen, as `posedata.geometry.canonical` does.

    Joints of confidence 0 do not count; NaN where the keypoints are nobody's (`holds_person`).
    """
    return normalise_on_torso(keypoints, KEYPOINTS, confidence > 0)


@dataclass(frozen=True)
class Body:
    """The universal skeleton: the bone lengths that every pose is given.

    Attributes:
        lengths: (17,) metres, of `POSE`.
    """

    lengths: Float[Tensor, " J"]

    @classmethod
    def mean_of(cls, joints: Float[Tensor, "N J 3"]) -> Body:
        """The mean over poses, the same left and right."""
        return cls(universal_lengths(joints, POSE))

    @property
    def torso(self) -> float:
        """Metres from pelvis over spine to thorax: the unit of poses."""
        spine, thorax = self.lengths[POSE.index("spine")], self.lengths[POSE.index("thorax")]
        return float(spine + thorax)

    def pose(self, joints: Float[Tensor, "B J 3"], align: bool = True) -> Float[Tensor, "B J 3"]:
        """What V-VIPE embeds: root at the origin, bones of this body, in torsos, in the body frame.

        Args:
            joints: any unit, any frame.
            align: False leaves the pose turned as it is.
        """
        centred = root_relative(joints, POSE.root)  # a place far off in millimetres leaves metres no digits
        same = in_torsos(with_bone_lengths(centred, POSE, self.lengths.to(joints)), POSE)
        return same @ body_rotation(same, POSE).mT if align else same

    def own(self, joints: Float[Tensor, "B J 3"]) -> Float[Tensor, "B J 3"]:
        """The pose of its own bones and heading in torsos: what augmentation projects."""
        return root_relative(joints, POSE.root) / torso_length(joints, POSE)[..., None, None]
