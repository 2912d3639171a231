"""One person's motion from what one camera or several saw of it.

One camera: each frame is lifted, brought to the person's own bones and placed by its rays; the way of the
pelvis and the pose about it are smoothed apart, for the first is known far worse. Where it measures depth, a
joint's distance is told by that, too, and a person's size. Several: rays are
triangulated with the lifted poses as prior, and joints are smoothed where they are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from posedata.geometry.camera import Camera
from posedata.skeleton import Skeleton

from polypose.capture.bearings import smooth_way
from polypose.capture.bones import bone_lengths, height_of, keep_lengths, symmetric
from polypose.capture.depth import COMMON, Images, Reach, measure, size_by
from polypose.capture.lifted import lift_track
from polypose.capture.placing import size_of, widened
from polypose.capture.rays import Rays, cast, with_standing
from polypose.capture.smoothing import Process, smooth
from polypose.capture.swaps import unswap, unswap_views
from polypose.capture.triangulate import Joints, Prior, dlt, noise_factors, triangulate
from polypose.model import Model

BRIDGED = 1.0
"""Seconds before and after which somebody was seen, within which a place is told."""
_AGILE = {"wrist": 2.2, "ankle": 2.2, "elbow": 1.4, "knee": 1.4, "head": 1.2}
"""How much more than the trunk's a joint's velocity changes."""
_POSE, _PLACE, _WORLD = 1.8, (1.0, 0.5), 2.5
"""m/s^1.5 of the trunk: about the pelvis, of the pelvis across the view and along it, in the world; chosen on
validation people, the pelvis' so that a jump of 0.4 m keeps most of its height."""
_FOREIGN_SD = 0.028
"""Metres by which a detector's joints lie elsewhere than the lifter's in every frame; set on four films."""
_BESIDE = 0.03
"""Metres by which the pelvis that lifted poses hang from lies beside the seen one: what stands there."""
_PIECE = 2000
_HEIGHTS = (0.35, 2.6)


@dataclass(frozen=True)
class Solved:
    """A person in the cameras' world.

    Attributes:
        joints: (T, J, 3) metres; NaN where not known. covariance: (T, J, 3, 3).
        keypoints: (V, T, J, 3) as used, exchanged sides put back.
    """

    joints: np.ndarray
    covariance: np.ndarray
    keypoints: np.ndarray

    def turned(self, rotation: np.ndarray, translation: np.ndarray) -> Solved:
        """In another world: x' = rotation x + translation."""
        joints = self.joints @ rotation.T + translation
        return replace(self, joints=joints, covariance=rotation @ self.covariance @ rotation.T)


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
) -> Solved:
    """A person's joints in the world of the cameras.

    Args:
        cameras: V, single ones.
        keypoints: (V, T, J, 3) pixels and confidence, of the model's skeleton.
        times: (T,) seconds.
        height: metres, if known.
        focal_sd: share by which the focal length of a lone camera may be wrong.
        depth: of a lone camera, its depth images by time.

    Raises:
        ValueError: the height is nobody's, or several cameras see a person of no person's size.
    """
    seen = (keypoints[..., 2] > 0).any((1, 2))
    used = np.flatnonzero(seen).tolist()
    cameras = [cameras[view] for view in used]
    skeleton = model.skeleton
    mended = np.stack([unswap(points, skeleton, times) for points in keypoints[used]])
    if len(used) == 1:
        joints, covariance = _one(model, cameras[0], mended[0], times, height, focal_sd, smoothed, depth)
    else:
        mended, joints, covariance = _several(model, cameras, mended, times, smoothed)
    if smoothed:
        gone = _unseen((mended[..., 2] > 0).any((0, 2)), times) > BRIDGED
        joints[gone], covariance[gone] = np.nan, np.nan
    out = keypoints.copy()
    out[used] = mended
    return Solved(joints, covariance, out)


def _one(
    model: Model,
    camera: Camera,
    keypoints: np.ndarray,
    times: np.ndarray,
    height: float | None,
    focal_sd: float,
    smoothed: bool,
    depth: Images | None,
) -> tuple[np.ndarray, np.ndarray]:
    skeleton, root = model.skeleton, model.skeleton.root
    rays = cast([camera], keypoints[None], skeleton)
    lifted = lift_track(model, camera, keypoints, times)
    if not lifted.valid.any():
        return np.full((*keypoints.shape[:2], 3), np.nan), np.full((*keypoints.shape[:2], 3, 3), np.nan)
    lengths = symmetric(bone_lengths(lifted.joints, lifted.covariance, skeleton), skeleton)
    factor, size_sd = size_of(lengths, skeleton, height)
    share = float(np.hypot(size_sd, focal_sd))
    reach = None if depth is None else measure(depth, camera, keypoints, times, skeleton)
    if reach is not None and not np.isfinite(reach.distance).any():
        reach = None
    if reach is not None:
        share = COMMON
        poses = keep_lengths(lifted.joints, lifted.covariance, lengths, skeleton)
        found = _pieces(lambda some: _fit(rays, poses, lifted.covariance, some, root), len(times))
        away = ((found.joints - rays.origin[:, None, None]) * rays.direction).sum(-1)
        factor = size_by(reach, away) if height is None else factor
        along = np.einsum("vtjx,tjxy,vtjy->vtj", rays.direction, lifted.covariance, rays.direction)
        reach = reach.of_the_body(away * factor, np.sqrt(along) * factor)
    spread = lifted.covariance * factor**2
    poses = keep_lengths(lifted.joints * factor, spread, lengths * factor, skeleton)
    found = _pieces(lambda some: _fit(rays, poses, spread, some, root, reach), len(times))
    place = np.where(lifted.valid[:, None], found.joints[:, root], np.nan)
    wide = found.covariance[:, root]
    if reach is not None:
        spread = np.where(np.isfinite(spread), found.relative, np.nan)
    pose = found.joints - found.joints[:, [root]]
    if smoothed:
        others = np.arange(len(skeleton)) != root
        place, wide = smooth_way(times, place, wide, camera, Process(np.array(_PLACE), 0.95, 1.0))
        process = Process(_POSE * _agility(skeleton)[others], 0.8, 0.5)
        moved = smooth(times, pose[:, others], spread[:, others], process)
        pose, spread = np.zeros((len(times), len(skeleton), 3)), np.zeros((len(times), len(skeleton), 3, 3))
        pose[:, others], spread[:, others] = moved.mean, moved.covariance
    wide = widened(place, wide, rays.origin[0], share)
    lengths = symmetric(bone_lengths(pose, spread, skeleton), skeleton)
    if height is not None:
        lengths = lengths * (height / height_of(lengths, skeleton))
    pose = keep_lengths(pose, spread, lengths, skeleton)
    spread = spread + _FOREIGN_SD**2 * np.eye(3) * (np.arange(len(skeleton)) != root)[:, None, None]
    return pose - pose[:, [root]] + place[:, None], spread + wide[:, None]


def _fit(
    rays: Rays, poses: np.ndarray, spread: np.ndarray, some: slice, root: int, reach: Reach | None = None
) -> Joints:
    part = Rays(rays.origin, rays.direction[:, some], rays.sd[:, some])
    away = None if reach is None else reach.within(some)
    return triangulate(part, Prior(poses[None, some], spread[None, some]), root, away)


def _several(
    model: Model, cameras: Sequence[Camera], keypoints: np.ndarray, times: np.ndarray, smoothed: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    skeleton, root = model.skeleton, model.skeleton.root
    keypoints, rays = unswap_views(keypoints, cast(cameras, keypoints, skeleton), skeleton)
    rays, lasting = with_standing(rays, keypoints, skeleton)
    lifted = [
        lift_track(model, camera, points, times) for camera, points in zip(cameras, keypoints, strict=True)
    ]
    poses, spread = np.stack([x.joints for x in lifted]), np.stack([x.covariance for x in lifted])

    def fit(rays: Rays, poses: np.ndarray) -> Joints:
        def part(some: slice) -> Joints:
            prior = Prior(poses[:, some], spread[:, some], beside=_BESIDE)
            return triangulate(Rays(rays.origin, rays.direction[:, some], rays.sd[:, some]), prior, root)

        return _pieces(part, len(times))

    bare = dlt(rays, keypoints[..., 2])
    _check_size(bone_lengths(bare, np.ones((*bare.shape[:2], 1, 1)) * np.eye(3), skeleton), skeleton)
    found = fit(rays, poses)
    lengths = symmetric(bone_lengths(found.joints, found.covariance, skeleton), skeleton)
    own = np.stack([keep_lengths(x, c, lengths, skeleton) for x, c in zip(poses, spread, strict=True)])
    found = fit(rays, own)
    found = fit(rays.scaled(noise_factors(rays, found)), own)
    joints, covariance = found.joints, found.covariance
    if smoothed:
        stands = (found.leverage * lasting).sum(0)[..., None, None] / 3
        moving = covariance * (1 - stands)
        moved = smooth(times, joints, moving, Process(_WORLD * _agility(skeleton), 0.6, 0.3))
        joints, covariance = moved.mean, moved.covariance + covariance * stands
    lengths = symmetric(bone_lengths(joints, covariance, skeleton), skeleton)
    return keypoints, keep_lengths(joints, covariance, lengths, skeleton), covariance


def _check_size(lengths: np.ndarray, skeleton: Skeleton) -> None:
    tall = height_of(lengths, skeleton)
    if np.isfinite(tall) and not _HEIGHTS[0] <= tall <= _HEIGHTS[1]:
        raise ValueError(
            f"the cameras see a person {tall:.3g} m tall: the calibration is of other cameras or other units;"
            " give that of these films, in metres or millimetres"
        )


def _unseen(seen: Any, times: np.ndarray) -> np.ndarray:
    """(T,) seconds to the nearest frame with somebody."""
    at = times[seen]
    if not len(at):
        return np.full(len(times), np.inf)
    after = np.clip(np.searchsorted(at, times), 0, len(at) - 1)
    before = np.clip(after - 1, 0, len(at) - 1)
    return np.minimum(np.abs(at[after] - times), np.abs(times - at[before]))


def _agility(skeleton: Skeleton) -> np.ndarray:
    return np.array([next((v for p, v in _AGILE.items() if p in n), 1.0) for n in skeleton.joints])


def _pieces(fit: Callable[[slice], Joints], frames: int) -> Joints:
    """Of a long film some minutes at a time: memory stays what it is."""
    parts = [fit(slice(start, start + _PIECE)) for start in range(0, frames, _PIECE)]
    return Joints(
        *(np.concatenate([getattr(p, name) for p in parts]) for name in ("joints", "covariance", "relative")),
        *(np.concatenate([getattr(p, name) for p in parts], axis=1) for name in ("weights", "leverage")),
    )
