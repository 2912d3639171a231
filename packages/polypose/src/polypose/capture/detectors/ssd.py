"""What MediaPipe's person detector says, decoded: anchors, boxes with four points, weighted suppression."""

from __future__ import annotations

from functools import cache

import numpy as np

SIDE = 224
_GRIDS = ((28, 2), (14, 2), (7, 6))
"""Strides 8, 16 and three times 32, two anchors a cell and layer."""
_SURE = 0.5
_SAME = 0.3


@cache
def anchors() -> np.ndarray:
    """(2254, 2): centres x, y of the anchors in an image of side 1; all are of size 1."""
    out = []
    for grid, count in _GRIDS:
        middle = (np.arange(grid) + 0.5) / grid
        y, x = np.meshgrid(middle, middle, indexing="ij")
        out.append(np.repeat(np.stack([x, y], -1).reshape(-1, 2), count, axis=0))
    return np.concatenate(out)


def decode(raw: np.ndarray, logits: np.ndarray, least: float = _SURE) -> tuple[np.ndarray, np.ndarray]:
    """The detections above a score.

    Args:
        raw: (2254, 12) in pixels from each anchor: centre, size, and four points.
        logits: (2254,).

    Returns:
        (n, 12) x0, y0, x1, y1 and the points (hips, scale, shoulders, scale of the upper body) in an image of
        side 1; (n,) scores.
    """
    scores = 1 / (1 + np.exp(-np.clip(logits, -100, 100).astype(np.float64)))
    keep = scores >= least
    values, centres = raw[keep].astype(np.float64) / SIDE, anchors()[keep]
    middle, half = values[:, :2] + centres, values[:, 2:4] / 2
    points = (values[:, 4:].reshape(-1, 4, 2) + centres[:, None]).reshape(-1, 8)
    return np.concatenate([middle - half, middle + half, points], axis=1), scores[keep]


def suppressed(values: np.ndarray, scores: np.ndarray, same: float = _SAME) -> tuple[np.ndarray, np.ndarray]:
    """Detections that overlap by more than `same` (intersection over union) as their mean by score."""
    order = np.argsort(-scores, kind="stable")
    out, sure = [], []
    while len(order):
        alike = _iou(values[order[0]], values[order]) > same
        alike[0] = True
        mine = order[alike]
        weight = scores[mine, None]
        out.append((values[mine] * weight).sum(0) / weight.sum())
        sure.append(scores[order[0]])
        order = order[~alike]
    return np.array(out).reshape(-1, values.shape[1]), np.array(sure)


def _iou(one: np.ndarray, many: np.ndarray) -> np.ndarray:
    low, high = np.maximum(one[:2], many[:, :2]), np.minimum(one[2:4], many[:, 2:4])
    both = np.clip(high - low, 0, None).prod(1)
    area = np.clip(one[2:4] - one[:2], 0, None).prod()
    areas = np.clip(many[:, 2:4] - many[:, :2], 0, None).prod(1)
    return both / np.maximum(area + areas - both, 1e-12)
