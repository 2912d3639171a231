"""What a 2D detector is: pictures in, everybody's keypoints out."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np

_SEEN = 0.3


class Detections(NamedTuple):
    """Everybody in a picture: keypoints (P, J, 3) pixels and confidence, boxes (P, 4) x, y, width, height."""

    keypoints: np.ndarray
    boxes: np.ndarray

    @classmethod
    def none(cls, joints: int) -> Detections:
        """Nobody."""
        return cls(np.zeros((0, joints, 3), np.float32), np.zeros((0, 4), np.float32))


class Detector(Protocol):
    """Finds people in the pictures of one film, in order.

    Attributes:
        skeleton: of the keypoints, by `posedata.skeleton`'s name.
        memory: (n, k) all that it keeps from one picture for the next; what goes on with it goes on alike.
    """

    skeleton: str
    memory: np.ndarray

    def detect(self, image: np.ndarray) -> Detections:
        """Everybody in a picture (H, W, 3) uint8 RGB."""
        ...


def box_around(keypoints: np.ndarray, shape: tuple[int, ...] | None = None) -> np.ndarray:
    """(P, 4) boxes x, y, width, height around keypoints that were seen, within a picture of this shape."""
    boxes = np.full((len(keypoints), 4), np.nan, np.float32)
    for box, points in zip(boxes, keypoints, strict=True):
        least = _SEEN if (points[:, 2] > _SEEN).sum() >= 2 else 0.0
        seen = points[points[:, 2] > least, :2]
        if not len(seen):
            continue
        low, high = seen.min(0), seen.max(0)
        if shape is not None:
            edge = np.array([shape[1] - 1, shape[0] - 1], np.float32)
            low, high = low.clip(0, edge), high.clip(0, edge)
        box[:2], box[2:] = low, high - low
    return boxes
