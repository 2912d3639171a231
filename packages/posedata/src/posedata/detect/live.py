"""2D pose detectors that run here: MediaPipe's BlazePose and rtmlib's RTMPose, each an optional package."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Float, UInt8

Detector = Callable[[UInt8[np.ndarray, "H W 3"]], Float[np.ndarray, "17 3"]]
"""RGB image to COCO-17 joints: pixels and confidence; confidence 0 throughout where nobody was found."""

_MEDIAPIPE = (0, 2, 5, 7, 8, 11, 12, 13, 14, 15, 16, 23, 24, 25, 26, 27, 28)
"""BlazePose's landmarks that are COCO's 17."""


def live_detector(name: str) -> Detector:
    """The detector `mediapipe` or `rtmlib`.

    Raises:
        ValueError: the package is not installed, its weights cannot be had, or no detector is called that.
    """
    makers = {"mediapipe": _mediapipe, "rtmlib": _rtmlib}
    if name not in makers:
        raise ValueError(f"no 2D detector is called {name}; take one of {', '.join(makers)}")
    return makers[name]()


def _mediapipe() -> Detector:
    try:
        from mediapipe.python.solutions.pose import Pose  # type: ignore[import-not-found]
    except ImportError:
        raise _missing("mediapipe") from None
    network = Pose(static_image_mode=True, model_complexity=1, min_detection_confidence=0.3)

    def run(image: np.ndarray) -> np.ndarray:
        result = network.process(np.ascontiguousarray(image)).pose_landmarks
        if result is None:
            return np.zeros((17, 3), np.float32)
        height, width = image.shape[:2]
        marks = [result.landmark[i] for i in _MEDIAPIPE]
        return np.array([[m.x * width - 0.5, m.y * height - 0.5, m.visibility] for m in marks], np.float32)

    return run


def _rtmlib() -> Detector:
    try:
        from rtmlib import Body  # type: ignore[import-not-found]
    except ImportError:
        raise _missing("rtmlib") from None
    try:
        network = Body(mode="lightweight", backend="onnxruntime", device="cpu")
    except Exception:
        raise ValueError(
            "detector rtmlib: its weights are not here; allow its download, or use mediapipe"
        ) from None

    def run(image: np.ndarray) -> np.ndarray:
        points, scores = network(np.ascontiguousarray(image[..., ::-1]))
        if not len(points):
            return np.zeros((17, 3), np.float32)
        best = int(np.argmax(scores.mean(axis=1)))
        return np.concatenate([points[best], scores[best, :, None].clip(0, 1)], axis=1).astype(np.float32)

    return run


def _missing(name: str) -> ValueError:
    return ValueError(f"detector {name}: the package is not installed; pip install 'polypose[{name}]'")
