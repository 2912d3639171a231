"""Where cameras stand, from a person that all of them see, where only their lenses are known.

First guess: the person's lifted poses, turned onto each other (Kabsch), and the places of the pelvis before
each camera. Then bundle adjustment: cameras are moved until rays miss joints least (Triggs et al. 2000), the
joints being triangulated anew for every trial: cameras alone are unknown. Rays tell no size; bones do.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from posedata.geometry.align import procrustes
from posedata.geometry.camera import Camera
from posedata.skeleton import Skeleton

from polypose.capture.bones import bone_lengths, height_of
from polypose.capture.calibration import rodrigues
from polypose.capture.rays import Rays, cast
from polypose.capture.triangulate import dlt, triangulate

_FRAMES = 50
"""Of which cameras are told, spread over the film."""
_ROUNDS = 6
_TURNED = 0.15
"""Metres at which a joint's disagreement counts a quarter."""
_WRONG = 5.0
"""Median miss, in sd, from which cameras do not see the same person at the same time."""


def find_extrinsics(
    cameras: Sequence[Camera],
    keypoints: np.ndarray,
    poses: np.ndarray,
    places: np.ndarray,
    skeleton: Skeleton,
    height: float | None = None,
) -> list[Camera]:
    """The cameras in the world of the first, which stays where it is; metres by the person's bones.

    Args:
        cameras: lenses; where the first stands is kept, of others it is not looked at.
        keypoints: (V, T, J, 3) pixels and confidence of one person.
        poses: (V, T, J, 3) metres, the same lifted, about the pelvis in each camera's frame; or NaN.
        places: (V, T, 3) the pelvis in each camera's frame.
        height: metres, of the person, if known; else it is as tall as it was lifted.

    Raises:
        ValueError: the cameras do not see a person at the same time, or not the same one.
    """
    both = np.isfinite(poses).all((2, 3)) & np.isfinite(places).all(-1)
    rows = np.flatnonzero(both.all(0) if both.all(0).any() else (both[0] & both[1:].any(0)))
    if len(rows) < 10 or not all((both[0] & one).sum() >= 10 for one in both[1:]):
        raise ValueError("the films show nobody at the same time: give a calibration")
    rows = rows[:: -(-len(rows) // _FRAMES)]
    lenses = [_at_origin(camera) for camera in cameras]
    rays = [
        cast([lens], points[None, rows], skeleton) for lens, points in zip(lenses, keypoints, strict=True)
    ]
    guess = [_guess(poses[[0, v]], places[[0, v]], both[0] & both[v]) for v in range(1, len(cameras))]
    sure = keypoints[..., 2][:, rows]
    start = np.concatenate([np.zeros(3 * (len(cameras) - 1)), *(shift for _, shift in guess)])
    turns = [turn for turn, _ in guess]
    from scipy.optimize import least_squares

    def misses(values: np.ndarray) -> np.ndarray:
        moved = _moved(rays, *_unpacked(values, turns))
        off = np.nan_to_num(dlt(moved, sure)) - moved.origin[:, None, None]
        along = (off * moved.direction).sum(-1, keepdims=True)
        aside = (off - along * moved.direction) / np.maximum(np.abs(along), 0.1)  # a vector: it has a sign
        both = moved.seen & (moved.seen.sum(0) > 1)
        return np.where(both[..., None], aside / moved.sd[..., None], 0.0).ravel()

    done = least_squares(misses, start, loss="soft_l1", ftol=1e-5, xtol=1e-6, max_nfev=60)
    turned, shifts = _unpacked(done.x, turns)
    joined = _moved(rays, turned, shifts)
    left = joined.misses(np.nan_to_num(dlt(joined, sure)))
    if not np.nanmedian(left) < _WRONG:
        raise ValueError(
            "the films do not show one person at the same time from several sides: give a calibration"
        )
    factor = _size(joined, poses[0, rows], skeleton, height)
    first = cameras[0].to(dtype=torch.float64)
    out = [first]
    for lens, turn, shift in zip(lenses[1:], turned, shifts, strict=True):
        rotation = torch.from_numpy(turn) @ first.rotation
        translation = torch.from_numpy(turn) @ first.translation + torch.from_numpy(shift * factor)
        out.append(lens.replace(rotation=rotation, translation=translation))
    return out


def _guess(poses: np.ndarray, places: np.ndarray, both: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rotation and translation from the first camera's frame to the other's."""
    first, other = (torch.from_numpy(p[both].reshape(1, -1, 3)) for p in poses)
    weight = torch.ones(first.shape[:2], dtype=torch.float64)
    turn = torch.eye(3, dtype=torch.float64)
    for _ in range(_ROUNDS):
        turn = procrustes(first, other, scale=False, weights=weight).rotation[0]
        off = (first @ turn.mT - other).norm(dim=-1)
        weight = 1 / (1 + (off / _TURNED) ** 2) ** 2
    rotation = np.asarray(turn.numpy())
    return rotation, np.median(places[1, both] - places[0, both] @ rotation.T, axis=0)


def _unpacked(values: np.ndarray, turns: Sequence[np.ndarray]) -> tuple[list[np.ndarray], list[np.ndarray]]:
    vectors, shifts = values.reshape(2, len(turns), 3)
    return [rodrigues(v) @ turn for v, turn in zip(vectors, turns, strict=True)], list(shifts)


def _moved(rays: Sequence[Rays], turns: Sequence[np.ndarray], shifts: Sequence[np.ndarray]) -> Rays:
    """All cameras' rays in the first one's frame."""
    whole = [(np.eye(3), np.zeros(3)), *zip(turns, shifts, strict=True)]
    return Rays(
        np.stack([-turn.T @ shift for turn, shift in whole]),
        np.concatenate([one.direction @ turn for one, (turn, _) in zip(rays, whole, strict=True)]),
        np.concatenate([one.sd for one in rays]),
    )


def _size(rays: Rays, poses: np.ndarray, skeleton: Skeleton, height: float | None) -> float:
    """By what to multiply all distances."""
    found = triangulate(rays)
    lengths = bone_lengths(found.joints, found.covariance, skeleton)
    flat = np.broadcast_to(np.eye(3), (*poses.shape, 3))
    tall = height or height_of(bone_lengths(poses, flat, skeleton), skeleton)
    return tall / height_of(lengths, skeleton)


def _at_origin(camera: Camera) -> Camera:
    eye, zero = torch.eye(3, dtype=torch.float64), torch.zeros(3, dtype=torch.float64)
    return camera.to(dtype=torch.float64).replace(rotation=eye, translation=zero)
