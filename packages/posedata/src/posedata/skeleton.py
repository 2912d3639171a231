"""Skeletons: named joints, parents, mirror, and conversion from one joint set to another by name.

The same anatomical joint has the same name in every skeleton here, whatever its dataset calls it, so
that a conversion never needs an index list. Where datasets disagree about a word, ours means:

| ours             | means                                                                                 |
|------------------|---------------------------------------------------------------------------------------|
| thorax           | base of the neck (Human3.6M "thorax"; SMPL, MPI-INF-3DHP "neck"; NTU "SpineShoulder") |
| neck             | top of the neck, where the head turns (Human3.6M "neck/nose", SMPL and 3DHP "head")   |
| head             | top of the head (Human3.6M "head", 3DHP "head_top")                                   |
| head_centre      | middle of the head (ITOP and NTU "head")                                              |
| shoulder_centre  | midpoint of the shoulders (ITOP, Panoptic, OpenPose and Halpe "neck")                 |
| torso            | midpoint of shoulder_centre and pelvis (ITOP)                                         |
| pelvis           | midpoint of the hips (Panoptic "BodyCenter", NTU "SpineBase", OpenPose "MidHip")      |
| spine            | half-way up the back (Human3.6M "spine", NTU "SpineMid")                              |
| lower_spine, ... | SMPL "spine1", "spine2", "spine3", which sit elsewhere than 3DHP's of those names     |

Left and right are the person's own. Human3.6M joints 1 to 3 are the *right* leg: some published tables
(mmpose 0.x ``h36m.py``) name them left.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache

import torch
from jaxtyping import Float
from torch import Tensor

from posedata._trees import TREES

Rule = tuple[tuple[str, float], ...]
"""A joint as a weighted sum of other joints; the weights sum to 1."""


@dataclass(frozen=True)
class Skeleton:
    """A named joint set and its tree.

    Args:
        name: what error messages and pose stores call it.
        joints: one name per joint; sided joints begin with ``left_`` or ``right_``.
        parents: for each joint the index of its parent, -1 for the root; in any order.

    Raises:
        ValueError: if a name repeats, or ``parents`` is not a tree over ``joints`` with one root.
    """

    name: str
    joints: tuple[str, ...]
    parents: tuple[int, ...]

    def __post_init__(self) -> None:
        if len(set(self.joints)) != len(self.joints):
            repeated = sorted({j for j in self.joints if self.joints.count(j) > 1})
            raise ValueError(f"skeleton {self.name!r}: joint names repeat: {', '.join(repeated)}")
        if len(self.parents) != len(self.joints):
            raise ValueError(
                f"skeleton {self.name!r}: {len(self.joints)} joints but {len(self.parents)} parents"
            )
        if sum(p == -1 for p in self.parents) != 1 or not all(map(self._reaches_root, range(len(self)))):
            raise ValueError(
                f"skeleton {self.name!r}: parents {self.parents} are not a tree with one root (-1)"
            )

    def _reaches_root(self, joint: int) -> bool:
        for _ in self.parents:
            if not -1 <= self.parents[joint] < len(self.joints):
                return False
            joint = self.parents[joint]
            if joint == -1:
                return True
        return False

    def __len__(self) -> int:
        return len(self.joints)

    def index(self, name: str) -> int:
        """Index of a joint.

        Raises:
            ValueError: if there is no such joint; the message lists those there are.
        """
        if name not in self.joints:
            raise ValueError(f"skeleton {self.name!r} has no joint {name!r}; it has {', '.join(self.joints)}")
        return self.joints.index(name)

    @property
    def root(self) -> int:
        """Index of the joint without a parent."""
        return self.parents.index(-1)

    @property
    def edges(self) -> tuple[tuple[int, int], ...]:
        """``(child, parent)`` for every joint but the root, in joint order."""
        return tuple((child, parent) for child, parent in enumerate(self.parents) if parent >= 0)

    @cached_property
    def root_first(self) -> tuple[int, ...]:
        """All joints, every parent before its children."""
        order = [self.root]
        for joint in order:
            order += [child for child, parent in self.edges if parent == joint]
        return tuple(order)

    @cached_property
    def mirror(self) -> tuple[int, ...]:
        """Permutation that swaps left and right, derived from the names.

        Raises:
            ValueError: if a sided joint lacks its partner.
        """
        return tuple(self.index(_other_side(joint)) for joint in self.joints)

    def flip(self, joints: Float[Tensor, "*batch J d"]) -> Float[Tensor, "*batch J d"]:
        """Mirror image: the first coordinate negated, left and right swapped.

        Serves 3D joints and 2D keypoints (with confidence or without) whose x is measured from the mirror.
        """
        flipped = joints[..., list(self.mirror), :].clone()
        flipped[..., 0].neg_()
        return flipped

    def convert(
        self, joints: Float[Tensor, "*batch J d"], to: Skeleton, *, lossy: bool = False
    ) -> Float[Tensor, "*batch K d"]:
        """Joints of another skeleton, matched by name.

        A joint that the source lacks is made by one of the ``MIDPOINTS``, which are definitions and so
        exact in 3D (in 2D up to perspective). With ``lossy=True`` the ``APPROXIMATIONS`` serve too.

        Args:
            joints: (..., J, d), any d.
            to: the skeleton wanted.
            lossy: admit approximations.

        Returns:
            (..., K, d) with K joints in the order of ``to``. Differentiable; a NaN in a joint that is not
            needed does no harm.

        Raises:
            ValueError: naming every joint that cannot be had.
        """
        if joints.shape[-2] != len(self):
            raise ValueError(
                f"skeleton {self.name!r} has {len(self)} joints, the array has {joints.shape[-2]}"
            )
        plan = conversion(self, to, lossy)
        made = [_weighted_sum(joints, sources) for sources in plan]
        return torch.stack(made, dim=-2)


def _other_side(joint: str) -> str:
    if joint.startswith("left_"):
        return "right_" + joint.removeprefix("left_")
    if joint.startswith("right_"):
        return "left_" + joint.removeprefix("right_")
    return joint


def _weighted_sum(joints: Tensor, sources: tuple[tuple[int, float], ...]) -> Tensor:
    (first, weight), *rest = sources
    total = joints[..., first, :] if weight == 1.0 else weight * joints[..., first, :]
    for index, weight in rest:
        total = total + weight * joints[..., index, :]
    return total


@lru_cache(maxsize=256)
def conversion(source: Skeleton, to: Skeleton, lossy: bool) -> tuple[tuple[tuple[int, float], ...], ...]:
    """For every joint of `to` the indices and weights of what it is made of.

    Raises:
        ValueError: naming every joint that cannot be had.
    """
    plan = {name: _resolve(name, source, lossy, frozenset()) for name in to.joints}
    missing = [name for name, weights in plan.items() if weights is None]
    if missing:
        cure = "" if lossy else "; lossy=True admits approximations for some joints"
        raise ValueError(f"cannot convert {source.name!r} to {to.name!r}: no {', '.join(missing)}{cure}")
    return tuple(tuple(weights.items()) for weights in plan.values() if weights is not None)


def _resolve(name: str, source: Skeleton, lossy: bool, pending: frozenset[str]) -> dict[int, float] | None:
    if name in source.joints:
        return {source.index(name): 1.0}
    if name in pending:
        return None
    rules = MIDPOINTS.get(name, ()) + (APPROXIMATIONS.get(name, ()) if lossy else ())
    for rule in rules:
        weights: dict[int, float] = {}
        for part, share in rule:
            found = _resolve(part, source, lossy, pending | {name})
            if found is None:
                break
            for index, weight in found.items():
                weights[index] = weights.get(index, 0.0) + share * weight
        else:
            return weights
    return None


def _middle(*names: str) -> Rule:
    return tuple((name, 1.0 / len(names)) for name in names)


MIDPOINTS: dict[str, tuple[Rule, ...]] = {
    "pelvis": (_middle("left_hip", "right_hip"),),
    "shoulder_centre": (_middle("left_shoulder", "right_shoulder"),),
    "torso": (_middle("left_shoulder", "right_shoulder", "left_hip", "right_hip"),),
}
"""Joints that are midpoints by definition (ITOP's neck and torso: residual 0.08 cm on all 4,863 test poses,
its float16 rounding)."""


def _sided(rules: dict[str, tuple[Rule, ...]]) -> dict[str, tuple[Rule, ...]]:
    return {
        side + joint: tuple(tuple((side + part, share) for part, share in rule) for rule in alternatives)
        for side in ("left_", "right_")
        for joint, alternatives in rules.items()
    }


APPROXIMATIONS: dict[str, tuple[Rule, ...]] = {
    "spine": (_middle("middle_spine"), _middle("pelvis", "thorax")),
    "middle_spine": (_middle("spine"),),
    "thorax": (_middle("shoulder_centre"),),
    "shoulder_centre": (_middle("thorax"),),
    "neck": (_middle("nose"), _middle("thorax", "head_centre")),
    "head": (
        _middle("left_eye", "right_eye"),
        (("head_centre", 1.5), ("thorax", -0.5)),
        (("neck", 2.0), ("thorax", -1.0)),
    ),
    "head_centre": (_middle("nose", "left_ear", "right_ear"), _middle("neck", "head")),
    **_sided(
        {
            "hand": ((("wrist", 1.25), ("elbow", -0.25)),),
            "wrist": ((("hand", 0.8), ("elbow", 0.2)),),
            "foot": (_middle("ankle"),),
            "ankle": (_middle("foot"),),
        }
    ),
}
"""What ``lossy=True`` admits, first choice first. From a COCO set, thorax, spine, neck and head follow the
common Human3.6M mapping (mid-shoulders, half-way, nose, mid-eyes); a hand lies a quarter of the forearm
beyond the wrist, the middle of the head between nose and ears; the top of SMPL's head is as far above its
neck as that is above the thorax; a foot stands for an ankle and the reverse. The rest are halves of the
segment they lie on. None is measured: expect centimetres."""


def _skeleton(name: str, tree: str) -> Skeleton:
    """Build from ``joint<parent`` words in joint order; the root is a bare word."""
    pairs = [word.partition("<") for word in tree.replace("L.", "left_").replace("R.", "right_").split()]
    joints = tuple(joint for joint, _, _ in pairs)
    return Skeleton(name, joints, tuple(joints.index(parent) if parent else -1 for _, _, parent in pairs))


SKELETONS: dict[str, Skeleton] = {name: _skeleton(name, tree) for name, tree in TREES.items()}
"""The skeletons known by name. Joint orders: Human3.6M as VideoPose3D; COCO, MPI-INF-3DHP (28), SMPL, ITOP,
CMU Panoptic (coco19 and its first 15), NTU RGB+D, OpenPose's BODY_25, Halpe's 26 body keypoints and
MediaPipe's (BlazePose's) 33 landmarks as published. Bones are those that the owners draw; where these leave
parts unconnected, Halpe's nose hangs from the neck, MediaPipe's mouth from the nose, its shoulders from the
ears. COCO-17 and MediaPipe's, which have no root of their own, hang from the nose. OpenPose's and Halpe's
"neck" is the shoulder_centre, their "MidHip" and "Hip" the pelvis; MediaPipe's pinky, index and thumb are the
knuckles that InterHand's names call little1, index1 and thumb2. InterHand2.6M: two hands, 1 the base of a
finger and 4 its tip; the left wrist hangs from the right, which is no bone."""


def get_skeleton(name: str) -> Skeleton:
    """A skeleton of ``SKELETONS``.

    Raises:
        ValueError: if the name is unknown; the message lists those known.
    """
    if name not in SKELETONS:
        raise ValueError(f"unknown skeleton {name!r}; known are {', '.join(SKELETONS)}")
    return SKELETONS[name]
