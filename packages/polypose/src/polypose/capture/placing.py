"""Where a person stands before one camera, and how sure that is: as far as its size is known."""

from __future__ import annotations

import numpy as np
from posedata.skeleton import Skeleton

from polypose.capture.bones import height_of

UNKNOWN_HEIGHT_SD, KNOWN_HEIGHT_SD = 0.05, 0.02
"""Of a person's size, as a share: of a grown person of whom nothing is known, and of one whose height is."""
SHORTEST, TALLEST = 0.4, 2.6


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
