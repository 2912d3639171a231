"""Where a person stands before one camera, and how sure that is: as far as its size is known."""

from __future__ import annotations

import numpy as np
from posedata.skeleton import Skeleton

from polypose.capture.bones import height_of
from polypose.capture.rays import Rays

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


def standing_place(
    rays: Rays, lasting: np.ndarray, away: np.ndarray, spread: np.ndarray, root: int
) -> np.ndarray:
    """(T,) square metres along one axis across the view: how far off the pelvis is in all frames alike.

    Each joint's ray tells where the pelvis is, as surely as the pose tells the joint from it; what a ray has
    wrong in every frame comes through by that share.

    Args:
        rays, lasting: of one camera, as `polypose.capture.rays.with_standing` gives them.
        away: (T, 3) metres from the camera to the pelvis.
        spread: (T, J, 3, 3) square metres, of the pose about it.
    """
    far = np.linalg.norm(away, axis=-1)
    toward = away / np.maximum(far, 1e-9)[:, None]
    along = np.einsum("tx,tjxy,ty->tj", toward, spread, toward)
    pose = (np.trace(spread, axis1=-2, axis2=-1) - along) / 2
    pose[:, root] = 0
    own = np.where(rays.seen[0], rays.sd[0] * far[:, None], 1.0) ** 2
    weight = np.where(rays.seen[0] & np.isfinite(pose), 1 / (own * (1 - lasting[0]) + np.nan_to_num(pose)), 0)
    share = weight / np.maximum(weight.sum(1, keepdims=True), 1e-12)
    return np.asarray((share**2 * own * lasting[0]).sum(1))


def widened(
    places: np.ndarray, covariance: np.ndarray, origin: np.ndarray, share: float, stands: np.ndarray
) -> np.ndarray:
    """(T, 3, 3) of places whose distance from the camera is wrong by a common factor too.

    Args:
        places: (T, 3); covariance: (T, 3, 3); origin: (3,) where the camera stands.
        share: sd of the factor: of the person's size and of the focal length.
        stands: (T,) variance across the view that does not change.
    """
    away = places - origin
    square = np.maximum((away**2).sum(-1), 1e-12)[:, None, None]
    line = away[..., :, None] * away[..., None, :]
    return np.asarray(covariance + share**2 * line + stands[:, None, None] * (np.eye(3) - line / square))
