"""2D joints of a store's rows: true ones with a detector's noise, a file's, or a detector's that runs now.

The detectors that run here are MediaPipe's BlazePose and rtmlib's RTMPose, each an optional package.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from posedata.geometry.boxes import bounding_box, crop_keypoints
from posedata.keypoints import convert_keypoints
from posedata.readers.rgbd import read_coco_keypoints
from posedata.skeleton import get_skeleton
from posedata.store.pose_store import PoseStore
from posedata.views.noise import DetectorNoise
from posedata.views.recorded import store_keypoints

COCO = get_skeleton("coco17")

Detector = Callable[[UInt8[np.ndarray, "H W 3"]], Float[np.ndarray, "17 3"]]
"""RGB image to COCO-17 joints: pixels and confidence; confidence 0 throughout where nobody was found."""

_MEDIAPIPE = (0, 2, 5, 7, 8, 11, 12, 13, 14, 15, 16, 23, 24, 25, 26, 27, 28)
"""BlazePose's landmarks that are COCO's 17."""


@dataclass(frozen=True)
class KeypointSource:
    """A choice of 2D detector, and what it needs.

    Attributes:
        detector: `noise`: the true keypoints with `noise`; `store`: the store's `keypoints_detector`; `coco`:
            those of `files`; else the name of a `live_detector`, run on the store's pictures.
        skeleton: of the joints that are given, by name.
        noise: of `noise`; its skeleton is the store's.
        files: of `coco`: COCO JSONs that hold one image per row of the store between them.
    """

    detector: str
    skeleton: str
    noise: DetectorNoise = field(default_factory=DetectorNoise)
    files: tuple[Path, ...] = ()

    @property
    def key(self) -> list[object]:
        """All that decides the joints, as JSON (`store.cache`); files by their size and time."""
        files = [[str(p), p.stat().st_size, p.stat().st_mtime_ns] for p in self.files if p.is_file()]
        return [self.detector, self.skeleton, asdict(self.noise), files]

    def detect(self, store: PoseStore, rows: Int[np.ndarray, " n"], seed: int = 0) -> Float[Tensor, "n J 3"]:
        """2D joints of these rows: pixels of the store's images, and a confidence.

        Args:
            seed: of the noise.

        Raises:
            ValueError, FileNotFoundError: the detector, its file or a column it needs is not there.
        """
        to = get_skeleton(self.skeleton)
        if self.detector == "noise":
            return convert_keypoints(noisy_keypoints(store, rows, self.noise, seed), store.skeleton, to)
        if self.detector == "store":
            pixels = _in_images(store_keypoints(store, "detector", rows), store, rows)
            return convert_keypoints(pixels, store.skeleton, to)
        if self.detector == "coco":
            return convert_keypoints(self._of_files(store)[torch.from_numpy(rows)], COCO, to)
        detector = live_detector(self.detector)
        found = np.stack([detector(image) for image in store.images(rows)]).astype(np.float32)
        return convert_keypoints(torch.from_numpy(found), COCO, to)

    def _of_files(self, store: PoseStore) -> Float[Tensor, "N 17 3"]:
        if not self.files:
            raise ValueError("detector coco: keypoints is not set; give the COCO JSON of every frame")
        every = torch.cat([read_coco_keypoints(path) for path in self.files])
        if len(every) != len(store):
            raise ValueError(
                f"{self.files[-1]}: {len(every)} frames have keypoints, {store.path} has {len(store)} rows;"
                " give one image per row, in the store's order, those without a person in `images` too"
            )
        return every


def live_detector(name: str) -> Detector:
    """The detector `mediapipe` or `rtmlib`.

    Raises:
        ValueError: the package is not installed, its weights cannot be had, or no detector is called that.
    """
    makers = {"mediapipe": _mediapipe, "rtmlib": _rtmlib}
    if name not in makers:
        raise ValueError(f"no 2D detector is called {name}; take one of {', '.join(makers)}")
    return makers[name]()


def noisy_keypoints(
    store: PoseStore, rows: Int[np.ndarray, " n"], noise: DetectorNoise, seed: int
) -> Float[Tensor, "n J 3"]:
    """The store's true keypoints as a detector with this noise would give them, in its images' pixels.

    Drawn once a frame: a detector makes the same mistake each time it is asked.
    """
    true = torch.from_numpy(np.array(store.column("keypoints_true")[rows]))
    pixels = _in_images(true, store, rows)
    visible = pixels[..., 2] > 0
    box = bounding_box(pixels[..., :2], visible, margin=0.1)
    generator = torch.Generator().manual_seed(seed)
    seen, confidence = replace(noise, skeleton=store.skeleton.name).apply(pixels[..., :2], box, generator)
    return torch.cat([seen, (confidence * visible)[..., None]], dim=-1)


def _in_images(keypoints: Tensor, store: PoseStore, rows: np.ndarray) -> Tensor:
    """From pixels of the whole frame to those of the stored crop."""
    if "boxes" not in store:
        return keypoints
    return crop_keypoints(
        keypoints, torch.from_numpy(np.array(store.column("boxes")[rows])), store.image_size
    )


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
        from rtmlib import Body
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
    return ValueError(f"detector {name}: the package is not installed; pip install 'polypose-apps[{name}]'")
