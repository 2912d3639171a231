"""Skeletons: named joints, parents, mirror, and conversion from one joint set to another by name.

The same anatomical joint has the same name in every skeleton here, whatever its dataset calls it, so
that a conversion never needs an index list. Where datasets disagree about a word, ours means:

| ours             | means                                                                                 |
|------------------|---------------------------------------------------------------------------------------|
| thorax           | base of the neck (Human3.6M "thorax"; SMPL, MPI-INF-3DHP "neck"; NTU "SpineShoulder") |
| neck             | top of the neck, where the head turns (Human3.6M "neck/nose", SMPL and 3DHP "head")   |
| head             | top of the head (Human3.6M "head", 3DHP "head_top")                                   |
| head_centre      | middle of the head (ITOP and NTU "head")                                              |
| shoulder_centre  | midpoint of the shoulders (ITOP and Panoptic "neck")                                  |
| torso            | midpoint of shoulder_centre and pelvis (ITOP)                                         |
| pelvis           | midpoint of the hips (Panoptic "BodyCenter", NTU "SpineBase")                         |
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
        plan = _conversion(self, to, lossy)
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
def _conversion(source: Skeleton, to: Skeleton, lossy: bool) -> tuple[tuple[tuple[int, float], ...], ...]:
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


_PANOPTIC15 = """
    shoulder_centre<pelvis nose<shoulder_centre pelvis
    L.shoulder<shoulder_centre L.elbow<L.shoulder L.wrist<L.elbow L.hip<pelvis L.knee<L.hip L.ankle<L.knee
    R.shoulder<shoulder_centre R.elbow<R.shoulder R.wrist<R.elbow R.hip<pelvis R.knee<R.hip R.ankle<R.knee
"""

_HAND = """
    S.thumb4<S.thumb3 S.thumb3<S.thumb2 S.thumb2<S.thumb1 S.thumb1<S.wrist
    S.index4<S.index3 S.index3<S.index2 S.index2<S.index1 S.index1<S.wrist
    S.middle4<S.middle3 S.middle3<S.middle2 S.middle2<S.middle1 S.middle1<S.wrist
    S.ring4<S.ring3 S.ring3<S.ring2 S.ring2<S.ring1 S.ring1<S.wrist
    S.little4<S.little3 S.little3<S.little2 S.little2<S.little1 S.little1<S.wrist
"""

SKELETONS: dict[str, Skeleton] = {
    skeleton.name: skeleton
    for skeleton in (
        _skeleton(
            "h36m17",
            """
            pelvis R.hip<pelvis R.knee<R.hip R.ankle<R.knee L.hip<pelvis L.knee<L.hip L.ankle<L.knee
            spine<pelvis thorax<spine neck<thorax head<neck
            L.shoulder<thorax L.elbow<L.shoulder L.wrist<L.elbow
            R.shoulder<thorax R.elbow<R.shoulder R.wrist<R.elbow
            """,
        ),
        _skeleton(
            "coco17",
            """
            nose L.eye<nose R.eye<nose L.ear<L.eye R.ear<R.eye L.shoulder<L.ear R.shoulder<R.ear
            L.elbow<L.shoulder R.elbow<R.shoulder L.wrist<L.elbow R.wrist<R.elbow
            L.hip<L.shoulder R.hip<R.shoulder L.knee<L.hip R.knee<R.hip L.ankle<L.knee R.ankle<R.knee
            """,
        ),
        _skeleton(
            "mpi_inf_3dhp28",
            """
            spine3<spine2 spine4<spine3 spine2<spine spine<pelvis pelvis thorax<spine4 neck<thorax head<neck
            L.clavicle<thorax L.shoulder<L.clavicle L.elbow<L.shoulder L.wrist<L.elbow L.hand<L.wrist
            R.clavicle<thorax R.shoulder<R.clavicle R.elbow<R.shoulder R.wrist<R.elbow R.hand<R.wrist
            L.hip<pelvis L.knee<L.hip L.ankle<L.knee L.foot<L.ankle L.toe<L.foot
            R.hip<pelvis R.knee<R.hip R.ankle<R.knee R.foot<R.ankle R.toe<R.foot
            """,
        ),
        _skeleton(
            "smpl24",
            """
            pelvis L.hip<pelvis R.hip<pelvis lower_spine<pelvis L.knee<L.hip R.knee<R.hip
            middle_spine<lower_spine L.ankle<L.knee R.ankle<R.knee upper_spine<middle_spine
            L.foot<L.ankle R.foot<R.ankle thorax<upper_spine L.clavicle<upper_spine R.clavicle<upper_spine
            neck<thorax L.shoulder<L.clavicle R.shoulder<R.clavicle L.elbow<L.shoulder R.elbow<R.shoulder
            L.wrist<L.elbow R.wrist<R.elbow L.hand<L.wrist R.hand<R.wrist
            """,
        ),
        _skeleton(
            "itop15",
            """
            head_centre<shoulder_centre shoulder_centre<torso R.shoulder<shoulder_centre
            L.shoulder<shoulder_centre R.elbow<R.shoulder L.elbow<L.shoulder R.hand<R.elbow L.hand<L.elbow
            torso R.hip<torso L.hip<torso R.knee<R.hip L.knee<L.hip R.foot<R.knee L.foot<L.knee
            """,
        ),
        _skeleton("panoptic15", _PANOPTIC15),
        _skeleton("panoptic19", _PANOPTIC15 + "L.eye<nose L.ear<L.eye R.eye<nose R.ear<R.eye"),
        _skeleton(
            "ntu25",
            """
            pelvis spine<pelvis neck<thorax head_centre<neck
            L.shoulder<thorax L.elbow<L.shoulder L.wrist<L.elbow L.hand<L.wrist
            R.shoulder<thorax R.elbow<R.shoulder R.wrist<R.elbow R.hand<R.wrist
            L.hip<pelvis L.knee<L.hip L.ankle<L.knee L.foot<L.ankle
            R.hip<pelvis R.knee<R.hip R.ankle<R.knee R.foot<R.ankle thorax<spine
            L.hand_tip<L.hand L.thumb<L.hand R.hand_tip<R.hand R.thumb<R.hand
            """,
        ),
        _skeleton(
            "interhand42",
            _HAND.replace("S.", "R.") + "R.wrist" + _HAND.replace("S.", "L.") + "L.wrist<R.wrist",
        ),
    )
}
"""The skeletons known by name. Joint orders: Human3.6M as VideoPose3D; COCO, MPI-INF-3DHP (28), SMPL, ITOP,
CMU Panoptic (coco19 and its first 15) and NTU RGB+D as published. COCO-17, which has no root of its own,
hangs from the nose. InterHand2.6M: two hands, 1 the base of a finger and 4 its tip; the left wrist hangs from
the right, which is no bone."""


def get_skeleton(name: str) -> Skeleton:
    """A skeleton of ``SKELETONS``.

    Raises:
        ValueError: if the name is unknown; the message lists those known.
    """
    if name not in SKELETONS:
        raise ValueError(f"unknown skeleton {name!r}; known are {', '.join(SKELETONS)}")
    return SKELETONS[name]
