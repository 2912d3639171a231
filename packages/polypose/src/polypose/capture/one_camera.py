"""A person before one camera: each frame lifted, brought to the person's bones, placed by its rays, smoothed.

The way of the pelvis and the pose about it are smoothed apart, for the first is known far worse. Where the
camera measures depth, a joint's distance is told by that, too, and a person's size. A long film is solved in
stretches, with the bones, the size and the usual distance of a sample of all frames.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from posedata.geometry.camera import Camera
from posedata.skeleton import Skeleton

from polypose.capture.bearings import smooth_way, usual_distance
from polypose.capture.bones import bone_lengths, height_of, keep_lengths, symmetric
from polypose.capture.depth import COMMON, Images, Reach, measure, size_by
from polypose.capture.lifted import Lifted, lift_track
from polypose.capture.placing import size_of, standing_place, widened
from polypose.capture.rays import Rays, cast, with_standing
from polypose.capture.smoothing import Process, agility, smooth
from polypose.capture.stretches import sampled, stretches
from polypose.capture.triangulate import Joints, Prior, in_pieces, triangulate
from polypose.model import Model

_POSE, _PLACE = 1.8, (1.0, 0.5)
"""m/s^1.5 of the trunk about the pelvis, and of the pelvis across the view and along it; chosen on validation
people, the pelvis' so that a jump of 0.4 m keeps most of its height."""
_FOREIGN_SD = 0.028
"""Metres by which a detector's joints lie elsewhere than the lifter's in every frame; set on four films."""


@dataclass(frozen=True)
class _Body:
    """What is the same in all frames.

    Attributes:
        lengths: (E,) metres, bones as lifted.
        factor: by what to multiply them.
        share: by which distances are wrong together.
        usual: metres, the median distance of the pelvis; None where the frames at hand tell.
    """

    lengths: np.ndarray
    factor: float
    share: float
    usual: float | None


@dataclass(frozen=True)
class _Moved:
    """pose: (T, J, 3) about the pelvis. spread: (T, J, 3, 3) of it. place: (T, 3). wide: (T, 3, 3) of it.
    stands: (T,) variance of the place across the view that frames have in common."""

    pose: np.ndarray
    spread: np.ndarray
    place: np.ndarray
    wide: np.ndarray
    stands: np.ndarray


def solve_one(
    model: Model,
    camera: Camera,
    keypoints: np.ndarray,
    times: np.ndarray,
    *,
    height: float | None,
    focal_sd: float,
    smoothed: bool,
    depth: Images | None,
    stretch: int,
) -> tuple[np.ndarray, np.ndarray, float]:
    """Joints (T, J, 3), metres of the camera's world, covariances (T, J, 3, 3), float32; the share of seen
    joints whose distance was measured.

    Args:
        keypoints: (T, J, 3), sides put back; the rest as of `polypose.capture.solving.solve_person`.
    """
    skeleton, shape = model.skeleton, keypoints.shape[:2]
    rows = sampled(np.asarray((keypoints[..., 2] > 0).any(1)), stretch)
    lifted = lift_track(model, camera, keypoints[rows], times[rows])
    if not lifted.valid.any():
        return np.full((*shape, 3), np.nan), np.full((*shape, 3, 3), np.nan, np.float32), 0.0
    reach = None if depth is None else measure(depth, camera, keypoints, times, skeleton)
    known = 0 if reach is None else int(np.isfinite(reach.distance).sum())
    reach = reach if known else None
    rays = cast([camera], keypoints[None, rows], skeleton)
    told = None if reach is None else reach.within(rows)
    body = _body(camera, rays, lifted, skeleton, height, focal_sd, told, len(rows) < shape[0])
    out = _Moved(
        np.empty((*shape, 3), np.float32),
        np.empty((*shape, 3, 3), np.float32),
        np.empty((shape[0], 3)),
        np.empty((shape[0], 3, 3)),
        np.empty(shape[0]),
    )
    for part in stretches(shape[0], stretch):
        mine = None if reach is None else reach.within(part.wide)
        points, clock = keypoints[part.wide], times[part.wide]
        if len(rows) < shape[0]:
            lifted = lift_track(model, camera, points, clock)
            rays = cast([camera], points[None], skeleton)
        placed = _placed(rays, lifted, body, skeleton, mine, points)
        moved = _smooth(clock, placed, camera, skeleton, body.usual) if smoothed else placed
        for name, values in vars(out).items():
            values[part.own] = getattr(moved, name)[part.inside]
    joints, covariance = _whole(out, rays.origin[0], body, skeleton, height, stretch)
    return joints, covariance, known / max(int((keypoints[..., 2] > 0).sum()), 1)


def _body(
    camera: Camera,
    rays: Rays,
    lifted: Lifted,
    skeleton: Skeleton,
    height: float | None,
    focal_sd: float,
    reach: Reach | None,
    part: bool,
) -> _Body:
    """Of all frames, or a part of them."""
    lengths = symmetric(bone_lengths(lifted.joints, lifted.covariance, skeleton), skeleton)
    factor, size_sd = size_of(lengths, skeleton, height)
    share, usual = float(np.hypot(size_sd, focal_sd)), None
    if part or reach is not None:
        found = _fit(rays, lifted, lengths, factor, skeleton)
        usual = usual_distance(
            np.where(lifted.valid[:, None], found.joints[:, skeleton.root], np.nan), camera
        )
        if reach is not None:
            share = COMMON
            factor = size_by(reach, _away(rays, found)) if height is None else factor
    return _Body(lengths, factor, share, usual if part else None)


def _placed(
    rays: Rays, lifted: Lifted, body: _Body, skeleton: Skeleton, reach: Reach | None, points: np.ndarray
) -> _Moved:
    """Every frame by itself."""
    factor, root = body.factor, skeleton.root
    if reach is not None:
        away = _away(rays, _fit(rays, lifted, body.lengths, factor, skeleton))
        along = np.einsum("vtjx,tjxy,vtjy->vtj", rays.direction, lifted.covariance, rays.direction)
        reach = reach.of_the_body(away, np.sqrt(along) * factor)
    found = _fit(rays, lifted, body.lengths, factor, skeleton, reach)
    spread = lifted.covariance * factor**2
    place = np.where(lifted.valid[:, None], found.joints[:, root], np.nan)
    lasting = with_standing(rays, points[None], skeleton)
    stands = standing_place(*lasting, place - rays.origin[0], spread, root)
    if reach is not None:
        spread = np.where(np.isfinite(spread), found.relative, np.nan)
    return _Moved(found.joints - found.joints[:, [root]], spread, place, found.covariance[:, root], stands)


def _smooth(
    times: np.ndarray, moved: _Moved, camera: Camera, skeleton: Skeleton, usual: float | None
) -> _Moved:
    others = np.arange(len(skeleton)) != skeleton.root
    way = Process(np.array(_PLACE), 0.95, 1.0)
    place, wide = smooth_way(times, moved.place, moved.wide, camera, way, usual)
    process = Process(_POSE * agility(skeleton)[others], 0.8, 0.5)
    found = smooth(times, moved.pose[:, others], moved.spread[:, others], process)
    pose, spread = np.zeros_like(moved.pose), np.zeros_like(moved.spread)
    pose[:, others], spread[:, others] = found.mean, found.covariance
    return _Moved(pose, spread, place, wide, moved.stands)


def _whole(
    moved: _Moved, origin: np.ndarray, body: _Body, skeleton: Skeleton, height: float | None, stretch: int
) -> tuple[np.ndarray, np.ndarray]:
    """Joints whose bones are equally long in all frames, and covariances, which take the spread's place."""
    rows = sampled(np.isfinite(moved.place).all(-1), stretch)
    lengths = symmetric(bone_lengths(moved.pose[rows], moved.spread[rows], skeleton), skeleton)
    if height is not None:
        lengths = lengths * (height / height_of(lengths, skeleton))
    foreign = _FOREIGN_SD**2 * np.eye(3) * (np.arange(len(skeleton)) != skeleton.root)[:, None, None]
    joints = np.empty(moved.pose.shape)
    for own, _, _ in stretches(len(joints), stretch):
        place, spread = moved.place[own], moved.spread[own].astype(np.float64)
        wide = widened(place, moved.wide[own], origin, body.share, moved.stands[own])
        pose = keep_lengths(moved.pose[own].astype(np.float64), spread, lengths, skeleton)
        joints[own] = pose - pose[:, [skeleton.root]] + place[:, None]
        moved.spread[own] = spread + foreign + wide[:, None]
    return joints, moved.spread


def _fit(
    rays: Rays,
    lifted: Lifted,
    lengths: np.ndarray,
    factor: float,
    skeleton: Skeleton,
    reach: Reach | None = None,
) -> Joints:
    """Lifted poses with these bones, so many times as large, where rays and measured distances say."""
    spread = lifted.covariance * factor**2
    poses = keep_lengths(lifted.joints * factor, spread, lengths * factor, skeleton)

    def fit(some: slice) -> Joints:
        part = Rays(rays.origin, rays.direction[:, some], rays.sd[:, some])
        away = None if reach is None else reach.within(some)
        return triangulate(part, Prior(poses[None, some], spread[None, some]), skeleton.root, away)

    return in_pieces(fit, len(poses))


def _away(rays: Rays, found: Joints) -> np.ndarray:
    """(1, T, J) metres along the rays."""
    return np.asarray(((found.joints - rays.origin[:, None, None]) * rays.direction).sum(-1))
