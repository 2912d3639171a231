"""What cameras saw as rays in the world: where they start, where they point, and how sure they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from posedata.geometry.camera import Camera
from posedata.skeleton import Skeleton
from posedata.views.noise import PART_SCALES

JITTER = 0.01
"""A detector's error along one axis at the trunk, in units of the box's size: `posedata.views.noise`'s."""
STANDING = 0.02
"""Likewise what stays as long as a camera sees the person from one side: where a detector puts a shoulder,
seen from there. Measured on two people before four cameras: between what each camera says against all of them
(0.012) and against the other three (0.03)."""
_DEEP = 1.5
"""By how much more that is of hips, which lie deepest: there, and where people mark pictures (COCO)."""
_LEAST_CONFIDENCE = 0.05
_LEAST_BOX = 8.0


@dataclass(frozen=True)
class Rays:
    """Keypoints of V cameras in T frames as rays.

    Attributes:
        origin: (V, 3) metres.
        direction: (V, T, J, 3) of unit length, in the world; 0 where not seen.
        sd: (V, T, J) radians across the ray; infinite where not seen.
    """

    origin: np.ndarray
    direction: np.ndarray
    sd: np.ndarray

    @property
    def seen(self) -> np.ndarray:
        """(V, T, J)"""
        return np.isfinite(self.sd)

    def scaled(self, factor: np.ndarray) -> Rays:
        """With `sd` times a factor of each camera (V,)."""
        return replace(self, sd=self.sd * factor[:, None, None])

    def misses(self, points: np.ndarray) -> np.ndarray:
        """(V, T, J) by how many `sd` points (T, J, 3) lie beside the rays; NaN where not seen.

        A point behind the camera is as far off as can be.
        """
        off = points - self.origin[:, None, None]
        along = (off * self.direction).sum(-1)
        aside = np.linalg.norm(off - along[..., None] * self.direction, axis=-1)
        angle = np.arctan2(aside, along)
        return np.where(self.seen, angle / np.where(self.seen, self.sd, 1), np.nan)


def cast(cameras: Sequence[Camera], keypoints: np.ndarray, skeleton: Skeleton) -> Rays:
    """The rays of keypoints, undistorted.

    A keypoint's error grows with the person in the picture, towards the ends of limbs (`PART_SCALES`) and
    with less confidence.

    Args:
        keypoints: (V, T, J, 3) pixels and confidence.
    """
    directions, spreads, origins = [], [], []
    for camera, points in zip(cameras, keypoints, strict=True):
        camera = camera.to(dtype=torch.float64)
        rays = camera.rays(torch.from_numpy(np.ascontiguousarray(points[..., :2], np.float64))).numpy()
        seen = (points[..., 2] > 0) & np.isfinite(rays).all(-1)
        rays = np.where(seen[..., None], rays, 1.0)
        length = np.linalg.norm(rays, axis=-1, keepdims=True)
        directions.append(np.where(seen[..., None], rays / length @ camera.rotation.numpy(), 0.0))
        pixels = _jitter(points, skeleton) * box_size(points)[:, None]
        focal = float(camera.focal.mean())
        spreads.append(np.where(seen, pixels / focal / length[..., 0], np.inf))
        origins.append(camera.position.numpy())
    return Rays(np.stack(origins), np.stack(directions), np.stack(spreads))


def with_standing(rays: Rays, keypoints: np.ndarray, skeleton: Skeleton) -> tuple[Rays, np.ndarray]:
    """The rays of `cast`, their `sd` with what stands; and (V, T, J) its share of that variance.

    No averaging over frames takes that share away, and each camera has its own.
    """
    ratio = (standing(skeleton) / _jitter(keypoints, skeleton)) ** 2
    return replace(rays, sd=rays.sd * np.sqrt(1 + ratio)), np.asarray(ratio / (1 + ratio))


def standing(skeleton: Skeleton) -> np.ndarray:
    """(J,) `STANDING` of each joint."""
    return STANDING * np.array([_DEEP if "hip" in n or n == "pelvis" else 1.0 for n in skeleton.joints])


def box_size(points: np.ndarray) -> np.ndarray:
    """(..., ) pixels: the square root of the area of the box around what was seen of (..., J, 3).

    At least a third of its longer side, as of a person seen from the side.
    """
    seen = points[..., 2:] > 0
    high = np.where(seen, points[..., :2], -np.inf).max(-2)
    low = np.where(seen, points[..., :2], np.inf).min(-2)
    sides = np.where(np.isfinite(high - low), high - low, 0)
    longest = sides.max(-1)
    return np.maximum(np.sqrt(np.maximum(sides, longest[..., None] / 3).prod(-1)), _LEAST_BOX)


def _jitter(points: np.ndarray, skeleton: Skeleton) -> np.ndarray:
    """(..., J) what changes from frame to frame of (..., J, 3), in units of the box's size."""
    scale = np.array([_part_scale(name) for name in skeleton.joints])
    return np.asarray(JITTER * scale / np.sqrt(np.clip(points[..., 2], _LEAST_CONFIDENCE, 1)))


def _part_scale(joint: str) -> float:
    return next((scale for part, scale in PART_SCALES.items() if part in joint), 1.0)
