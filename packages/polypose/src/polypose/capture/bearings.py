"""A way before one camera, smoothed as it is known: two bearings, and the logarithm of the distance.

A bearing is known to a pixel, the distance to a tenth or less, and wrong by the same factor in every frame.
Smoothed in metres, the error along one frame's ray leaks across the next frame's, which points elsewhere, and
the person walks off the picture.
"""

from __future__ import annotations

import numpy as np
from posedata.geometry.camera import Camera

from polypose.capture.smoothing import Process, smooth

_NEAREST = 1e-3


def smooth_way(
    times: np.ndarray,
    place: np.ndarray,
    covariance: np.ndarray,
    camera: Camera,
    process: Process,
    usual: float | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Places (T, 3) and covariances (T, 3, 3) of the camera's world, given all frames.

    Args:
        place: (T, 3) metres; NaN where there is nothing, which is bridged.
        covariance: (T, 3, 3).
        process: in metres at the usual distance: how people move across the view, who may jump and fall, and
            how towards the camera.
        usual: metres from the camera (`usual_distance`); that of these places, if left out.
    """
    turn, shift = camera.rotation.double().numpy(), camera.translation.double().numpy()
    points = _before(place, camera)
    if not np.isfinite(points).any():
        return place, covariance
    usual = float(np.nanmedian(points[:, 2])) if usual is None else usual
    slope = _slope(points, usual)
    spread = slope @ turn @ covariance @ turn.T @ np.swapaxes(slope, -1, -2)
    x, y, z = points.T
    bearings = usual * np.stack([x / z, y / z, np.log(z / usual)], axis=-1)
    found = smooth(times, np.stack([bearings] * 2, 1), np.stack([spread] * 2, 1), process)
    a, b = found.mean[:, 0, :2].T / usual
    depth = usual * np.exp(found.mean[:, 1, 2] / usual)
    spread = np.zeros_like(spread)
    spread[:, :2, :2], spread[:, 2, 2] = found.covariance[:, 0, :2, :2], found.covariance[:, 1, 2, 2]
    points = np.stack([a * depth, b * depth, depth], axis=-1)
    back = turn.T @ np.linalg.inv(_slope(points, usual))
    return (points - shift) @ turn, back @ spread @ np.swapaxes(back, -1, -2)


def usual_distance(place: np.ndarray, camera: Camera) -> float:
    """Metres along the camera's axis, the median of (T, 3); 1 where nothing lies before it."""
    depth = _before(place, camera)[:, 2]
    return float(np.nanmedian(depth)) if np.isfinite(depth).any() else 1.0


def _before(place: np.ndarray, camera: Camera) -> np.ndarray:
    """(T, 3) in the camera's axes; NaN where that is not before it."""
    points = place @ camera.rotation.double().numpy().T + camera.translation.double().numpy()
    points[~(points[:, 2] > _NEAREST)] = np.nan
    return points


def _slope(points: np.ndarray, usual: float) -> np.ndarray:
    """(T, 3, 3) derivative of bearings and logarithm by camera points, in metres at the usual distance."""
    x, y, z = points.T
    nil = np.zeros_like(z)
    rows = [[1 / z, nil, -x / z**2], [nil, 1 / z, -y / z**2], [nil, nil, 1 / z]]
    return usual * np.moveaxis(np.array(rows), -1, 0)
