"""A person as a tree of turning bones of constant length: what BVH and GLB hold.

The bones' lengths are the medians over time. At rest the person stands in a T, facing z, y up. A joint with
several children turns as they do together (least squares, Kabsch 1976), and each of them hangs from a pivot
of its own at the same place, which turns what is left: hips, spine and shoulders keep their own directions.
A joint with one child turns by the shortest way; the twist about the bone, which positions do not tell, is
the least from the frame before, and fades within a second.

Where a bone's length changes over time its direction is kept and its end lies off by the difference, added up
along the way from the root. A gap is filled by interpolation, a joint that is never known lies on its parent.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from posedata.skeleton import Skeleton, get_skeleton

from polypose.capture.write.people import filled, y_up

_FADES = 1.0
"""Seconds in which a twist fades to a third."""
_STUB = 0.2
"""Of the last bone of a limb: how far its tip lies beyond the joint."""
_REST = (
    (("shoulder", "elbow", "wrist", "hand", "hip", "clavicle", "eye", "ear"), (1.0, 0.0, 0.0)),
    (("knee", "ankle", "foot", "heel"), (0.0, -1.0, 0.0)),
    (("toe", "nose", "face"), (0.0, 0.0, 1.0)),
)
"""Where a joint lies from its parent at rest, by a word in its name; the right's x is negative; others up."""
_NAMES = {
    "pelvis": "Hips", "spine": "Spine", "thorax": "Chest", "neck": "Head", "head": "HeadTop_End",
    "hip": "UpLeg", "knee": "Leg", "ankle": "Foot", "shoulder": "Arm", "elbow": "ForeArm", "wrist": "Hand",
}  # fmt: skip
_PIVOTS = {"hip": "HipJoint", "spine": "LowerBack", "shoulder": "Shoulder", "neck": "Neck"}
"""What motion tools call nodes of Human3.6M's joints, and the pivots before them."""
_SIDES = ("left", "right")


@dataclass(frozen=True)
class Bone:
    """A node: where its place (3,) is from its parent's in the parent's axes, metres, at rest.

    `joint` is the index of the joint that it is, -1 for a pivot and a tip.
    """

    name: str
    parent: int
    offset: np.ndarray
    joint: int
    tip: bool = False


@dataclass(frozen=True)
class Rig:
    """Nodes, depth first; root (T, 3) metres, y up; turns (T, N, 3, 3) of each in its parent's axes."""

    bones: tuple[Bone, ...]
    root: np.ndarray
    turns: np.ndarray

    @property
    def rest(self) -> np.ndarray:
        """(N, 3) metres: where the nodes are when nothing turns and the root is at the origin."""
        places = np.zeros((len(self.bones), 3))
        for i, bone in enumerate(self.bones[1:], start=1):
            places[i] = places[bone.parent] + bone.offset
        return places


def rig_of(joints: np.ndarray, skeleton: Skeleton, rate: float) -> Rig:
    """The rig of a person's joints, (T, J, 3) metres, z up."""
    places = y_up(filled(joints))
    bones = _bones(places, skeleton)
    turns = np.empty((len(places), len(bones), 3, 3), np.float32)
    world = {-1: np.broadcast_to(np.eye(3), (len(places), 3, 3))}
    for i, bone in enumerate(bones):
        above = world[bone.parent]
        local = _turns(i, bones, places, above, rate)
        turns[:, i] = local
        world = {k: held for k, held in world.items() if k <= bone.parent}  # depth first: others are done
        world[i] = above @ local
    root = places[:, skeleton.root]
    return Rig(bones, np.where(np.isfinite(root), root, 0), turns)


def _bones(places: np.ndarray, skeleton: Skeleton) -> tuple[Bone, ...]:
    """Depth first, as a BVH file lists them."""
    h36m = set(skeleton.joints) <= {*_NAMES, *(f"{side}_{name}" for name in _NAMES for side in _SIDES)}
    children: dict[int, list[int]] = {joint: [] for joint in range(len(skeleton))}
    for child, parent in skeleton.edges:
        children[parent].append(child)
    bones: list[Bone] = []

    def grow(joint: int, above: int, offset: np.ndarray) -> None:
        name = skeleton.joints[joint]
        tip = h36m and name == "head"
        bones.append(Bone(_named(name, _NAMES) if h36m else name, above, offset, joint, tip))
        here = len(bones) - 1
        for child in children[joint]:
            below = here
            if len(children[joint]) > 1:
                pivot = _named(skeleton.joints[child], _PIVOTS) if h36m else f"{skeleton.joints[child]}_pivot"
                bones.append(Bone(pivot, here, np.zeros(3), -1))
                below = len(bones) - 1
            grow(child, below, _length(places, joint, child) * _at_rest(skeleton.joints[child]))
        if not children[joint] and not tip:
            bones.append(Bone("", here, offset * _STUB, -1, tip=True))

    grow(skeleton.root, -1, np.zeros(3))
    return tuple(bones)


def _named(joint: str, names: dict[str, str]) -> str:
    side, _, part = joint.partition("_")
    return side.capitalize() + names[part] if side in _SIDES else names[joint]


def _at_rest(joint: str) -> np.ndarray:
    found = next((way for words, way in _REST if any(word in joint for word in words)), (0.0, 1.0, 0.0))
    return np.array(found) * (np.array([-1.0, 1.0, 1.0]) if joint.startswith("right_") else 1.0)


def _length(places: np.ndarray, parent: int, child: int) -> float:
    lengths = np.linalg.norm(places[:, child] - places[:, parent], axis=-1)
    lengths = lengths[np.isfinite(lengths)]
    return float(np.median(lengths)) if len(lengths) else 0.0


def _turns(i: int, bones: tuple[Bone, ...], places: np.ndarray, above: np.ndarray, rate: float) -> np.ndarray:
    """(T, 3, 3) in the parent's axes."""
    ends = [(k, bone) for k, bone in enumerate(bones) if bone.parent == i]
    start = bones[i].joint if bones[i].joint >= 0 else bones[bones[i].parent].joint
    pivots = [k for k, bone in ends if bone.joint < 0 and not bone.tip]
    aims = [bone for bone in bones if bone.parent in pivots] if pivots else [bone for _, bone in ends]
    aims = [bone for bone in aims if bone.joint >= 0 and bone.offset.any()]
    if not aims:
        return np.broadcast_to(np.eye(3), (len(places), 3, 3))
    rest = _unit(np.stack([bone.offset for bone in aims]))
    seen = _unit(places[:, [bone.joint for bone in aims]] - places[:, [start]])
    local = np.where(np.isfinite(seen), seen, 0) @ above  # rows by the inverse of a rotation
    return _together(rest, local) if len(aims) > 1 else _shortest(rest[0], local[:, 0], rate)


def _together(rest: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Kabsch: the rotations (T, 3, 3) that take directions (C, 3) nearest to (T, C, 3)."""
    u, _, vt = np.linalg.svd(np.einsum("tci,cj->tij", seen, rest))
    u[..., 2] *= np.sign(np.linalg.det(u @ vt))[:, None]
    turns: np.ndarray = u @ vt
    return turns


def _shortest(rest: np.ndarray, seen: np.ndarray, rate: float) -> np.ndarray:
    """Rotations (T, 3, 3) that take a direction to (T, 3), with little twist from frame to frame."""
    swing = _swing(np.broadcast_to(rest, seen.shape), seen)
    carried = _swing(seen[:-1], seen[1:]) @ swing[:-1]
    across = _unit(np.cross(rest, np.eye(3)[np.abs(rest).argmin()]))
    sides = np.stack([across, np.cross(rest, across)], axis=1)
    moved = np.einsum("ij,tjk,k->ti", sides.T, np.swapaxes(swing[1:], 1, 2) @ carried, across)
    steps = np.arctan2(moved[:, 1], moved[:, 0])
    keeps = float(np.exp(-1 / (_FADES * rate)))
    twist = np.zeros(len(seen))
    for frame, step in enumerate(steps.tolist(), start=1):
        total = twist[frame - 1] + step
        twist[frame] = keeps * ((total + np.pi) % (2 * np.pi) - np.pi)
    c, s = np.cos(twist)[:, None, None], np.sin(twist)[:, None, None]
    cross = np.cross(rest, np.eye(3)).T
    about: np.ndarray = c * np.eye(3) + s * cross + (1 - c) * np.outer(rest, rest)
    return swing @ about


def _swing(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """The shortest rotations (T, 3, 3) from directions to others; the identity where one is zero."""
    axis, cosine = np.cross(start, end), (start * end).sum(-1)
    cross = np.zeros((len(start), 3, 3))
    for i, j, k in ((0, 1, 2), (1, 2, 0), (2, 0, 1)):
        cross[:, j, i], cross[:, i, j] = axis[:, k], -axis[:, k]
    with np.errstate(divide="ignore", invalid="ignore"):
        turns = np.eye(3) + cross + cross @ cross / (1 + cosine)[:, None, None]
    back = cosine < -1 + 1e-9
    if back.any():
        least = np.eye(3)[np.abs(start[back]).argmin(-1)]
        about = _unit(np.cross(start[back], least))
        turns[back] = 2 * about[:, :, None] * about[:, None, :] - np.eye(3)
    turns[~(start.any(-1) & end.any(-1))] = np.eye(3)
    return turns


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)


H36M_BONES = tuple(_named(joint, _NAMES) for joint in get_skeleton("h36m17").joints)
"""What the nodes of h36m17's joints are called, in their order."""
