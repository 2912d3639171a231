"""A person before several cameras: rays triangulated with lifted poses as prior, joints smoothed in place.

A long film is solved in stretches, with the bones and the cameras' noise of a sample of all frames.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from posedata.geometry.camera import Camera
from posedata.skeleton import Skeleton

from polypose.capture.aside import aside
from polypose.capture.bones import bone_lengths, height_of, keep_lengths, symmetric
from polypose.capture.lifted import lift_track
from polypose.capture.rays import Rays, cast, with_standing
from polypose.capture.smoothing import Process, agility, smooth
from polypose.capture.stretches import sampled, stretches
from polypose.capture.swaps import unswap_views
from polypose.capture.triangulate import Joints, Prior, dlt, in_pieces, noise_factors, triangulate
from polypose.model import Model

_WORLD = 2.5
"""m/s^1.5 of the trunk in the world; chosen on validation people."""
_BESIDE = 0.03
"""Metres by which the pelvis that lifted poses hang from lies beside the seen one: what stands there."""
_HEIGHTS = (0.35, 2.6)


@dataclass(frozen=True)
class _Looks:
    """What cameras saw, (V, T, J, 3), sides put back; its rays and the share (V, T, J) of their variance that
    lasts; lifted poses (V, T, J, 3) and their covariances."""

    keypoints: np.ndarray
    rays: Rays
    lasting: np.ndarray
    poses: np.ndarray
    spread: np.ndarray

    @classmethod
    def of(cls, model: Model, cameras: Sequence[Camera], points: np.ndarray, times: np.ndarray) -> _Looks:
        points, rays = unswap_views(points, cast(cameras, points, model.skeleton), model.skeleton)
        rays, lasting = with_standing(rays, points, model.skeleton)
        lifted = [lift_track(model, c, mine, times) for c, mine in zip(cameras, points, strict=True)]
        return cls(
            points,
            rays,
            lasting,
            np.stack([one.joints for one in lifted]),
            np.stack([one.covariance for one in lifted]),
        )

    def fit(self, skeleton: Skeleton, poses: np.ndarray, factors: np.ndarray | None = None) -> Joints:
        """Joints by the rays, whose `sd` is multiplied by each camera's factor, and these poses."""
        rays = self.rays if factors is None else self.rays.scaled(factors)

        def part(some: slice) -> Joints:
            prior = Prior(poses[:, some], self.spread[:, some], beside=_BESIDE)
            mine = Rays(rays.origin, rays.direction[:, some], rays.sd[:, some])
            return triangulate(mine, prior, skeleton.root)

        return in_pieces(part, poses.shape[1])

    def with_bones(self, lengths: np.ndarray, skeleton: Skeleton) -> np.ndarray:
        """The poses (V, T, J, 3) with bones of these lengths."""
        pairs = zip(self.poses, self.spread, strict=True)
        return np.stack([keep_lengths(pose, spread, lengths, skeleton) for pose, spread in pairs])


def solve_some(
    model: Model,
    cameras: Sequence[Camera],
    keypoints: np.ndarray,
    times: np.ndarray,
    *,
    smoothed: bool,
    stretch: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Keypoints (V, T, J, 3) with sides put back, joints (T, J, 3) and covariances (T, J, 3, 3), float32.

    Args:
        keypoints: (V, T, J, 3); the rest as of `polypose.capture.solving.solve_person`.

    Raises:
        ValueError: the person is of no person's size.
    """
    skeleton, frames = model.skeleton, len(times)
    rows = sampled(np.asarray((keypoints[..., 2] > 0).any((0, 2))), stretch)
    looks = _Looks.of(model, cameras, keypoints[:, rows], times[rows])
    lengths, factors = _told(looks, skeleton)
    out = keypoints.astype(np.float32)
    joints = np.empty((frames, len(skeleton), 3))
    covariance = np.empty((frames, len(skeleton), 3, 3), np.float32)
    for part in stretches(frames, stretch):
        if len(rows) < frames:
            looks = _Looks.of(model, cameras, keypoints[:, part.wide], times[part.wide])
        found = looks.fit(skeleton, looks.with_bones(lengths, skeleton), factors)
        places, spread = found.joints, found.covariance
        if smoothed:
            stands = (found.leverage * looks.lasting).sum(0)[..., None, None] / 3
            process = Process(_WORLD * agility(skeleton), 0.6, 0.3)
            moved = smooth(times[part.wide], places, spread * (1 - stands), process)
            places, spread = moved.mean, moved.covariance + spread * stands
        spread = spread + aside(looks.rays, looks.lasting, factors, found, skeleton)[:, None]
        out[:, part.own] = looks.keypoints[:, part.inside]
        joints[part.own], covariance[part.own] = places[part.inside], spread[part.inside]
    rows = sampled(np.asarray(np.isfinite(joints).any((1, 2))), stretch)
    lengths = symmetric(bone_lengths(joints[rows], covariance[rows], skeleton), skeleton)
    for own, _, _ in stretches(frames, stretch):
        joints[own] = keep_lengths(joints[own], covariance[own].astype(np.float64), lengths, skeleton)
    return out, joints, covariance


def _told(looks: _Looks, skeleton: Skeleton) -> tuple[np.ndarray, np.ndarray]:
    """Bones (E,), metres, and by what each camera's noise is more than usual (V,)."""
    bare = dlt(looks.rays, looks.keypoints[..., 2])
    _check_size(bone_lengths(bare, np.ones((*bare.shape[:2], 1, 1)) * np.eye(3), skeleton), skeleton)
    found = looks.fit(skeleton, looks.poses)
    lengths = symmetric(bone_lengths(found.joints, found.covariance, skeleton), skeleton)
    found = looks.fit(skeleton, looks.with_bones(lengths, skeleton))
    return lengths, noise_factors(looks.rays, found)


def _check_size(lengths: np.ndarray, skeleton: Skeleton) -> None:
    tall = height_of(lengths, skeleton)
    if np.isfinite(tall) and not _HEIGHTS[0] <= tall <= _HEIGHTS[1]:
        raise ValueError(
            f"the cameras see a person {tall:.3g} m tall: the calibration is of other cameras or other units;"
            " give that of these films, in metres or millimetres"
        )
