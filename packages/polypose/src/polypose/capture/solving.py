"""One person's motion from what one camera or several saw of it (`one_camera`, `some_cameras`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from posedata.geometry.camera import Camera

from polypose.capture.depth import Images
from polypose.capture.one_camera import solve_one
from polypose.capture.some_cameras import solve_some
from polypose.capture.stretches import STRETCH, stretches
from polypose.capture.swaps import unswap
from polypose.model import Model

BRIDGED = 1.0
"""Seconds before and after which somebody was seen, within which a place is told."""


@dataclass(frozen=True)
class Solved:
    """A person in the cameras' world.

    Attributes:
        joints: (T, J, 3) metres; NaN where not known. covariance: (T, J, 3, 3), float32.
        keypoints: (V, T, J, 3) as used, exchanged sides put back, float32.
        measured: share of the seen joints whose distance depth images told.
    """

    joints: np.ndarray
    covariance: np.ndarray
    keypoints: np.ndarray
    measured: float = 0.0

    def turned(self, rotation: np.ndarray, translation: np.ndarray) -> Solved:
        """In another world: x' = rotation x + translation."""
        joints, covariance = np.empty_like(self.joints), np.empty_like(self.covariance)
        for own, _, _ in stretches(len(joints)):
            joints[own] = self.joints[own] @ rotation.T + translation
            covariance[own] = rotation @ self.covariance[own] @ rotation.T
        return replace(self, joints=joints, covariance=covariance)


def solve_person(
    model: Model,
    cameras: Sequence[Camera],
    keypoints: np.ndarray,
    times: np.ndarray,
    *,
    height: float | None = None,
    focal_sd: float = 0.0,
    smoothed: bool = True,
    depth: Images | None = None,
    stretch: int = STRETCH,
) -> Solved:
    """A person's joints in the world of the cameras.

    Args:
        cameras: V, single ones.
        keypoints: (V, T, J, 3) pixels and confidence, of the model's skeleton.
        times: (T,) seconds.
        height: metres, if known.
        focal_sd: share by which the focal length of a lone camera may be wrong.
        depth: of a lone camera, its depth images by time.
        stretch: frames that are solved at once, of a longer film.

    Raises:
        ValueError: the height is nobody's, or several cameras see a person of no person's size.
    """
    used = np.flatnonzero((keypoints[..., 2] > 0).any((1, 2))).tolist()
    cameras = [cameras[view] for view in used]
    out = keypoints.astype(np.float32)
    for view in used:
        out[view] = unswap(out[view], model.skeleton, times)
    measured, shown = 0.0, np.asarray((out[..., 2] > 0).any((0, 2)))
    if len(used) == 1:
        joints, covariance, measured = solve_one(
            model,
            cameras[0],
            out[used[0]],
            times,
            height=height,
            focal_sd=focal_sd,
            smoothed=smoothed,
            depth=depth,
            stretch=stretch,
        )
    else:
        out[used], joints, covariance = solve_some(
            model, cameras, out[used], times, smoothed=smoothed, stretch=stretch
        )
    if smoothed:
        gone = _unseen(shown, times) > BRIDGED
        joints[gone], covariance[gone] = np.nan, np.nan
    return Solved(joints, covariance, out, measured)


def _unseen(seen: np.ndarray, times: np.ndarray) -> np.ndarray:
    """(T,) seconds to the nearest frame with somebody."""
    at = times[seen]
    if not len(at):
        return np.full(len(times), np.inf)
    after = np.clip(np.searchsorted(at, times), 0, len(at) - 1)
    before = np.clip(after - 1, 0, len(at) - 1)
    return np.minimum(np.abs(at[after] - times), np.abs(times - at[before]))
