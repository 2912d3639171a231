"""A person's bones keep their lengths: measured over all frames, and joints moved until they are so long."""

from __future__ import annotations

import numpy as np
from posedata.skeleton import Skeleton
from posedata.stature import standing

_SWEEPS = 12
STANDING_HEIGHT = 1.73
"""Metres from the floor to the crown of the person of `posedata.stature`, whose head joint lies below it."""
_SPAN = (("hip", "knee"), ("knee", "ankle"), ("pelvis", "spine"), ("spine", "thorax"), ("thorax", "neck"))


def bone_lengths(joints: np.ndarray, covariance: np.ndarray, skeleton: Skeleton) -> np.ndarray:
    """(E,) metres, of `skeleton.edges`: the median over frames by how sure each is; NaN of one never seen.

    Args:
        joints: (T, J, 3); NaN where not known.
        covariance: (T, J, 3, 3).
    """
    out = np.full(len(skeleton.edges), np.nan)
    variance = np.trace(covariance, axis1=-2, axis2=-1)
    for i, (child, parent) in enumerate(skeleton.edges):
        length = np.linalg.norm(joints[:, child] - joints[:, parent], axis=-1)
        weight = 1 / np.maximum(variance[:, child] + variance[:, parent], 1e-12)
        known = np.isfinite(length) & np.isfinite(weight)
        if known.any():
            out[i] = weighted_median(length[known], weight[known])
    return out


def weighted_median(values: np.ndarray, weights: np.ndarray) -> float:
    """The least value that half of the weight does not exceed."""
    order = np.argsort(values)
    total = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(total, total[-1] / 2)])


def symmetric(lengths: np.ndarray, skeleton: Skeleton) -> np.ndarray:
    """(E,) with left and right alike."""
    edges = [frozenset(edge) for edge in skeleton.edges]
    mirror = skeleton.mirror
    partner = [edges.index(frozenset({mirror[a], mirror[b]})) for a, b in skeleton.edges]
    return np.asarray((lengths + lengths[partner]) / 2)


def keep_lengths(
    joints: np.ndarray, covariance: np.ndarray, lengths: np.ndarray, skeleton: Skeleton, sweeps: int = _SWEEPS
) -> np.ndarray:
    """(T, J, 3) the joints moved as little as their covariances allow until bones have these lengths.

    Bone after bone the two ends move along what they are least sure of (Gauss-Seidel, as in the
    position based dynamics of Müller et al. 2007, with covariances for inverse masses). Then what is left is
    taken out from the root outward, so that lengths are exact. A bone of NaN length is left alone.

    Args:
        covariance: (T, J, 3, 3) of each joint; of zeros it stays.
    """
    out = joints.copy()
    spread = np.nan_to_num(covariance)
    held = [(i, edge) for i, edge in enumerate(skeleton.edges) if np.isfinite(lengths[i])]
    for _ in range(sweeps):
        for i, (child, parent) in held:
            way = out[:, child] - out[:, parent]
            long = np.maximum(np.linalg.norm(way, axis=-1, keepdims=True), 1e-9)
            along = way / long
            near, far = spread[:, parent] @ along[..., None], spread[:, child] @ along[..., None]
            give = (along[:, None] @ (near + far))[..., 0]
            excess = (long - lengths[i]) / np.where(give > 1e-12, give, np.inf)
            out[:, child] -= far[..., 0] * excess
            out[:, parent] += near[..., 0] * excess
    exact = out.copy()
    for child in _outward(skeleton):
        parent = skeleton.parents[child]
        length = lengths[[c for c, _ in skeleton.edges].index(child)]
        way = out[:, child] - out[:, parent]
        long = np.maximum(np.linalg.norm(way, axis=-1, keepdims=True), 1e-9)
        exact[:, child] = exact[:, parent] + (way * length / long if np.isfinite(length) else way)
    return exact


def height_of(lengths: np.ndarray, skeleton: Skeleton) -> float:
    """How tall a person of these bones is, metres: as the person of `posedata.stature` is to theirs.

    From the bones that stand on each other, ankle to neck.
    """
    mine, usual = 0.0, 0.0
    for upper, lower in _SPAN:
        sides = ("left_", "right_") if f"left_{lower}" in skeleton.joints else ("",)
        for side in sides:
            pair = side + upper, side + lower
            child = max(skeleton.index(name) for name in pair if name in skeleton.joints)
            row = [c for c, _ in skeleton.edges].index(child)
            ends = [np.array(standing(name)) for name in pair]
            mine += lengths[row] / len(sides)
            usual += float(np.linalg.norm(ends[0] - ends[1])) / len(sides)
    return mine / usual * STANDING_HEIGHT


def _outward(skeleton: Skeleton) -> list[int]:
    """Joints but the root, each after its parent."""
    order = [skeleton.root]
    for joint in order:
        order.extend(child for child, parent in enumerate(skeleton.parents) if parent == joint)
    return order[1:]
