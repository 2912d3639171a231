"""What a camera errs by alike for a whole person: it is not quite where its calibration says.

Seen with such a camera all joints lie aside together, in all frames. Neither more joints nor more frames
average that away, unlike what each joint has of its own (`rays.STANDING`). How much it is, the cameras tell
themselves, as far as their rays pass the person on one side; two of them can only tell it across one plane.
"""

from __future__ import annotations

import numpy as np
from posedata.skeleton import Skeleton

from polypose.capture.rays import Rays, standing
from polypose.capture.triangulate import Joints

ASIDE = 0.016
"""Sd along one axis, in units of the box's size: the mean over joints and frames of what a camera says
against all four, of one man in two recordings (0.0195 and 0.012, with the three dimensions that fit
themselves left out of the count); three networks say the same of each camera."""
_BELIEF = 4
"""As many dimensions of what cameras tell does `ASIDE` count as."""
_LEAST = 1e-9


def aside(
    rays: Rays, lasting: np.ndarray, factors: np.ndarray, found: Joints, skeleton: Skeleton
) -> np.ndarray:
    """(T, 3, 3) square metres, the covariance of where a whole person is, by that alone.

    A camera's angle moves the person by its share of all cameras' information on the place.

    Args:
        rays: with what stands in their `sd`, of which it is the share `lasting` (V, T, J) of the variance.
        factors: (V,) by what each camera's `sd` was multiplied for that.
        found: what they were triangulated to.
    """
    off = np.nan_to_num(found.joints) - rays.origin[:, None, None]
    away = np.maximum((off * rays.direction).sum(-1), 0.1)
    counts = np.where(rays.seen, found.weights, 0.0)
    sd = np.where(rays.seen, rays.sd, 1.0)
    across = np.eye(3) - rays.direction[..., :, None] * rays.direction[..., None, :]
    precision = counts / (sd * factors[:, None, None] * away) ** 2
    told = (precision[..., None, None] * across).sum(2)  # V, T, 3, 3
    share = np.linalg.inv(told.sum(0) + _LEAST * np.eye(3)) @ told
    total = counts.sum(2)
    angle = (counts * sd * np.sqrt(lasting) * ASIDE / standing(skeleton)).sum(2) / np.maximum(total, _LEAST)
    middle = (counts * away).sum(2) / np.maximum(total, _LEAST)
    plane = (counts[..., None, None] * across).sum(2) / np.maximum(total, _LEAST)[..., None, None]
    shifts = ((angle * middle) ** 2)[..., None, None] * plane
    spread = (share @ shifts @ np.swapaxes(share, -1, -2)).sum(0)
    return np.asarray(spread * _told(counts, off / away[..., None] - rays.direction, angle))


def _told(counts: np.ndarray, miss: np.ndarray, angle: np.ndarray) -> float:
    """By what to multiply the usual variance: from the mean miss of each camera, (V, T, J, 3) radians."""
    total = counts.sum((1, 2))
    mean = (counts[..., None] * miss).sum((1, 2)) / np.maximum(total, _LEAST)[:, None]
    usual = (counts.sum(2) * angle).sum(1) / np.maximum(total, _LEAST)
    square = ((mean**2).sum(-1) / np.maximum(usual, _LEAST) ** 2)[total > 0].sum()
    free = max(2 * int((total > 0).sum()) - 3, 0)
    return float((_BELIEF + square) / (_BELIEF + free))
