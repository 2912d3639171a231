"""What people wear, by a few mean colours: tells two people apart who cross."""

from __future__ import annotations

from functools import cache

import numpy as np
from posedata.skeleton import get_skeleton

PATCHES = 3
_ACROSS = np.linspace(0.2, 0.8, 4)
_SURE = 0.3
_PLACES = {
    "chest": ("left_shoulder", "right_shoulder", "left_hip", "right_hip"),
    "left_thigh": ("left_hip", "left_hip", "left_knee", "left_knee"),
    "right_thigh": ("right_hip", "right_hip", "right_knee", "right_knee"),
}
"""Corners of each patch, which lies between them."""


def colours(image: np.ndarray, keypoints: np.ndarray, skeleton: str) -> np.ndarray:
    """Mean colour of chest and thighs of everybody.

    Args:
        image: (H, W, 3) uint8.
        keypoints: (P, J, 3) pixels and confidence.

    Returns:
        (P, 3, 3) float32, 0 to 1; NaN where a corner was not seen.
    """
    out = np.full((len(keypoints), PATCHES, 3), np.nan, np.float32)
    if not len(keypoints):
        return out
    corners = keypoints[:, _corners(skeleton)]  # P, patches, 4, 3
    v, u = np.meshgrid(_ACROSS, _ACROSS, indexing="ij")
    weights = np.stack([(1 - u) * (1 - v), u * (1 - v), (1 - u) * v, u * v], -1).reshape(-1, 4)
    places = np.rint(np.einsum("kc,pncx->pnkx", weights, corners[..., :2]))
    height, width = image.shape[:2]
    inside = (places >= 0).all(-1) & (places[..., 0] < width) & (places[..., 1] < height)
    x, y = np.where(inside[..., None], places, 0).astype(int).transpose(3, 0, 1, 2)
    found = image[y, x].astype(np.float32) / 255
    count = inside.sum(-1)
    mean = (found * inside[..., None]).sum(-2) / np.maximum(count, 1)[..., None]
    known = (corners[..., 2] > _SURE).all(-1) & (count > 0)
    out[known] = mean[known]
    return out


@cache
def _corners(skeleton: str) -> np.ndarray:
    names = get_skeleton(skeleton)
    return np.array([[names.index(joint) for joint in corners] for corners in _PLACES.values()])
