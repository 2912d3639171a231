"""Joints that were not seen, given a place for the lifter: it knows whole people alone.

Between two frames that show it a joint is on the way from one to the other. Where no frame is near it hangs
from its parent along the trunk, as legs and arms of most people do: a guess, and as unsure.
"""

from __future__ import annotations

import numpy as np
from posedata.skeleton import Skeleton
from posedata.stature import standing

NEAR = 0.5
"""Seconds over which a joint is interpolated."""
BETWEEN_SURE, GUESS_SURE = 0.2, 0.1
BETWEEN_SD, GUESS_SD = 0.05, 0.2
"""Metres by which such joints are off, beside the lifter's own error."""


def completed(points: np.ndarray, times: np.ndarray, skeleton: Skeleton) -> tuple[np.ndarray, np.ndarray]:
    """Keypoints (T, J, 3) without gaps where a trunk was seen, and (T, J) metres of sd that that adds.

    Args:
        points: pixels and confidence, 0 where not seen.
        times: (T,) seconds.
    """
    out, doubt = points.copy(), np.zeros(points.shape[:2])
    if (points[..., 2] > 0).all():
        return out, doubt
    for j in range(points.shape[1]):
        seen = points[:, j, 2] > 0
        rows = np.flatnonzero(seen)
        if not 0 < len(rows) < len(seen):
            continue
        after = rows[np.clip(np.searchsorted(rows, np.arange(len(seen))), 0, len(rows) - 1)]
        before = rows[np.clip(np.searchsorted(rows, np.arange(len(seen)), "right") - 1, 0, len(rows) - 1)]
        short = ~seen & (before < after) & (times[after] - times[before] <= NEAR)
        for axis in (0, 1):
            out[short, j, axis] = np.interp(times[short], times[rows], points[rows, j, axis])
        out[short, j, 2], doubt[short, j] = BETWEEN_SURE, BETWEEN_SD
    return _hung(out, doubt, skeleton)


def _hung(points: np.ndarray, doubt: np.ndarray, skeleton: Skeleton) -> tuple[np.ndarray, np.ndarray]:
    """What is still missing, from the parent or, of a parent, from its children."""
    trunk = _trunk(points, skeleton)
    whole = np.isfinite(trunk).all(-1)
    order = [skeleton.root]
    for joint in order:
        order.extend(c for c, parent in enumerate(skeleton.parents) if parent == joint)
    links = [(p, c) for c in reversed(order) if (p := skeleton.parents[c]) >= 0]  # inward, then outward
    links += [(c, p) for p, c in reversed(links)]
    for target, source in links:
        missing = whole & (points[:, target, 2] <= 0) & (points[:, source, 2] > 0)
        lower, upper = standing(skeleton.joints[source]), standing(skeleton.joints[target])
        if lower is None or upper is None or not missing.any():
            continue
        points[missing, target, :2] = points[missing, source, :2] + (upper[2] - lower[2]) * trunk[missing]
        points[missing, target, 2], doubt[missing, target] = (
            GUESS_SURE,
            np.hypot(doubt[missing, source], GUESS_SD),
        )
    return points, doubt


def _trunk(points: np.ndarray, skeleton: Skeleton) -> np.ndarray:
    """(T, 2) pixels a metre up the trunk; NaN where none was seen."""
    ends = []
    for part in ("hip", "shoulder"):
        both = points[:, [skeleton.index(f"{side}_{part}") for side in ("left", "right")]]
        weight = (both[..., 2:] > 0).astype(float)
        total = weight.sum(1)
        ends.append(np.where(total > 0, (both[..., :2] * weight).sum(1) / np.maximum(total, 1), np.nan))
    hip, shoulder = standing("left_hip"), standing("left_shoulder")
    assert hip is not None
    assert shoulder is not None
    return np.asarray((ends[1] - ends[0]) / (shoulder[2] - hip[2]))
