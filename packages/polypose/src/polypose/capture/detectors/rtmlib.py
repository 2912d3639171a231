"""RTMPose by rtmlib: COCO's 17 keypoints of everybody, each picture by itself; loads its networks itself."""

from __future__ import annotations

from typing import Any

import numpy as np

from polypose.capture.detectors.detector import Detections, box_around

_LEAST = 0.3


class RtmPose:
    """The detector `rtmlib`.

    Raises:
        ValueError: the package is not installed, or its networks cannot be had.
    """

    skeleton = "coco17"

    def __init__(self, mode: str = "balanced") -> None:
        try:
            from rtmlib import Body
        except ImportError:
            raise ValueError("detector rtmlib: is not installed; pip install 'polypose[rtmlib]'") from None
        try:
            self._body: Any = Body(mode=mode, backend="onnxruntime", device="cpu")
        except Exception:
            raise ValueError(
                "detector rtmlib: its networks are not here; let it download them once, or take blazepose"
            ) from None
        self.memory = np.zeros((0, 4))

    def detect(self, image: np.ndarray) -> Detections:
        """Everybody whose mean score is above 0.3; one who nobody is there for gets a whole-picture pose."""
        points, scores = self._body(np.ascontiguousarray(image[..., ::-1]))
        keypoints = np.concatenate([points, np.clip(scores, 0, 1)[..., None]], axis=-1)
        keypoints = keypoints[keypoints[..., 2].mean(1) > _LEAST].astype(np.float32)
        return Detections(keypoints, box_around(keypoints, image.shape))
