"""Where a person stands before one camera, and how sure that is: as far as its size is known."""

from __future__ import annotations

import numpy as np
from posedata.geometry.camera import Camera
from posedata.skeleton import Skeleton

from polypose.capture.bones import height_of
from polypose.capture.smoothing import Process, smooth

UNKNOWN_HEIGHT_SD, KNOWN_HEIGHT_SD = 0.05, 0.02
"""Of a person's size, as a share: of a grown person of whom nothing is known, and of one whose height is."""
SHORTEST, TALLEST = 0.4, 2.6
_NEAR = 0.05
"""Metres before the camera, nearer than which nobody is."""


def check_height(height: float | None) -> None:
    """Raises:
    ValueError: nobody is so tall.
    """
    if height is not None and not SHORTEST <= height <= TALLEST:
        raise ValueError(f"height is {height:g} m; give metres, {SHORTEST} to {TALLEST}")


def size_of(lengths: np.ndarray, skeleton: Skeleton, height: float | None) -> tuple[float, float]:
    """By what to multiply a person of such bones so that it is as tall as told; and how wrong that may be.

    A large person far off looks like a small one near: the lifter gives the size of the people it knows.

    Args:
        lengths: (E,) metres, of the lifted person.
        height: metres from the floor to the crown, if known.

    Raises:
        ValueError: nobody is so tall.
    """
    check_height(height)
    if height is None:
        return 1.0, UNKNOWN_HEIGHT_SD
    return height / height_of(lengths, skeleton), KNOWN_HEIGHT_SD


def widened(places: np.ndarray, covariance: np.ndarray, origin: np.ndarray, share: float) -> np.ndarray:
    """(T, 3, 3) of places whose distance from the camera is wrong by a common factor too.

    Args:
        places: (T, 3); covariance: (T, 3, 3); origin: (3,) where the camera stands.
        share: sd of the factor: of the person's size and of the focal length.
    """
    away = places - origin
    return np.asarray(covariance + share**2 * away[..., :, None] * away[..., None, :])


def along_bearings(
    times: np.ndarray, places: np.ndarray, covariance: np.ndarray, camera: Camera, process: Process
) -> tuple[np.ndarray, np.ndarray]:
    """Places (T, 3) before one camera, smoothed, and their covariance (T, 3, 3).

    A camera tells bearings to millimetres and distances to decimetres, and its errors of distance last. As
    bearings and logarithm of depth they stay apart: in space an error that was along one frame's ray would
    lie across that of a person who has gone on.

    Args:
        process: how people move across the view, who may jump and fall, and how towards the camera.
    """
    turn, shift = camera.rotation.double().numpy(), camera.translation.double().numpy()
    local, spread = places @ turn.T + shift, turn @ covariance @ turn.T
    local[~(local[:, 2] > _NEAR)] = np.nan
    usual = float(np.nanmedian(local[:, 2]))
    bearing = np.column_stack([local[:, :2] / local[:, 2:], np.log(local[:, 2] / usual)]) * usual
    slope = _slopes(local, usual)
    spread = slope @ spread @ np.swapaxes(slope, 1, 2)
    found = smooth(times, np.stack([bearing] * 2, 1), np.stack([spread] * 2, 1), process)
    across, depth = found.mean[:, 0, :2] / usual, usual * np.exp(found.mean[:, 1, 2:] / usual)
    local = np.concatenate([across * depth, depth], -1)
    spread = np.zeros_like(spread)
    spread[:, :2, :2], spread[:, 2, 2] = found.covariance[:, 0, :2, :2], found.covariance[:, 1, 2, 2]
    slope = np.linalg.inv(_slopes(local, usual))
    return (local - shift) @ turn, turn.T @ slope @ spread @ np.swapaxes(slope, 1, 2) @ turn


def _slopes(local: np.ndarray, usual: float) -> np.ndarray:
    """(T, 3, 3) of bearings and log depth, both times the usual depth, by places before the camera."""
    x, y, z = local.T
    nil = np.zeros_like(z)
    rows = [[1 / z, nil, -x / z**2], [nil, 1 / z, -y / z**2], [nil, nil, 1 / z]]
    return usual * np.moveaxis(np.array(rows), -1, 0)
