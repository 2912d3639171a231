"""Where 2D joints come from: true ones with a detector's noise, a file, or a detector that runs now.

Every source gives pixels of the store's images and a confidence, (n, J, 3), in the networks' skeleton. This
is the only supervision of stage A.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from posedata.geometry.boxes import bounding_box
from posedata.keypoints import convert_keypoints
from posedata.readers.files.safe_text import read_json
from posedata.readers.rgbd import people_ids
from posedata.skeleton import get_skeleton
from posedata.store import PoseStore
from posedata.views.noise import DetectorNoise
from posetrain.keypoints import checked_keypoints
from torch import Tensor

from unipose.recipe import DataConfig, NoiseConfig

COCO = get_skeleton("coco17")
_MEDIAPIPE = (0, 2, 5, 7, 8, 11, 12, 13, 14, 15, 16, 23, 24, 25, 26, 27, 28)
"""BlazePose's landmarks that are COCO's 17."""

Detector = Callable[[UInt8[np.ndarray, "H W 3"]], Float[np.ndarray, "17 3"]]
"""RGB image to COCO-17 joints: pixels and confidence; confidence 0 throughout where nobody was found."""


def detect(
    store: PoseStore, rows: Int[np.ndarray, " n"], config: DataConfig, seed: int
) -> Float[Tensor, "n J 3"]:
    """2D joints of these rows by the recipe's detector.

    Raises:
        ValueError, FileNotFoundError: the detector, its file or a column it needs is not there.
    """
    to = get_skeleton(config.skeleton)
    if config.detector == "noise":
        found = noisy_keypoints(store, rows, config.noise, seed)
        return convert_keypoints(found, store.skeleton, to)
    if config.detector == "store":
        given = np.array(store.column("keypoints_detector")[rows])
        pixels = checked_keypoints(given, store.skeleton, f"{store.path}, keypoints_detector")
        return convert_keypoints(_in_images(pixels, store, rows), store.skeleton, to)
    if config.detector == "coco":
        if not config.keypoints:
            raise ValueError("data.keypoints is not set; give the COCO JSON of the training and test frames")
        every = torch.cat([read_coco_keypoints(path) for path in config.keypoints])
        if len(every) != len(store):
            raise ValueError(
                f"{config.keypoints[-1]}: {len(every)} frames have keypoints, {store.path} has {len(store)}"
                " rows; give one image per row, in the store's order, those without a person in `images` too"
            )
        return convert_keypoints(every[torch.from_numpy(rows)], COCO, to)
    detector = live_detector(config.detector)
    images = store.images(rows)
    found = torch.from_numpy(np.stack([detector(image) for image in images]).astype(np.float32))
    return convert_keypoints(found, COCO, to)


def noisy_keypoints(
    store: PoseStore, rows: Int[np.ndarray, " n"], noise: NoiseConfig, seed: int
) -> Float[Tensor, "n J 3"]:
    """The store's true keypoints as a detector with this noise would give them, in its images' pixels.

    Drawn once a frame: a detector makes the same mistake each time it is asked.
    """
    true = torch.from_numpy(np.array(store.column("keypoints_true")[rows]))
    pixels = _in_images(true, store, rows)
    model = DetectorNoise(skeleton=store.skeleton.name, **asdict(noise))
    visible = pixels[..., 2] > 0
    box = bounding_box(pixels[..., :2], visible, margin=0.1)
    generator = torch.Generator().manual_seed(seed)
    seen, confidence = model.apply(pixels[..., :2], box, generator)
    return torch.cat([seen, (confidence * visible)[..., None]], dim=-1)


def read_coco_keypoints(path: Path) -> Float[Tensor, "n 17 3"]:
    """The keypoints of a COCO JSON, one person an image (the largest), by ascending image id.

    COCO's visibility 0, 1, 2 becomes confidence 0, 0.5, 1; a detector's scores stay as they are. Other
    categories than people and crowds are left out.

    Raises:
        FileNotFoundError, ValueError: no such file, no JSON or one that would fill the memory, or not COCO
            keypoints in pixels.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; give a COCO JSON with keypoints")
    content, what = read_json(path, (dict, list), constants=True), "the file"
    kinds = people_ids(content, path) if isinstance(content, dict) else {1}
    try:
        people: list[dict[str, Any]] = content["annotations"] if isinstance(content, dict) else content
        what = "the list of images"
        images = [i["id"] for i in content["images"]] if isinstance(content, dict) else []
        images = sorted(images or {p["image_id"] for p in people})
        found = np.zeros((len(images), 17, 3), np.float32)
        largest = np.full(len(images), -1.0)
        place = {image: i for i, image in enumerate(images)}
        for number, person in enumerate(people):
            what = f"annotation {number}"
            if (kinds is not None and person.get("category_id", 1) not in kinds) or person.get("iscrowd"):
                continue
            values = np.asarray(person["keypoints"], np.float32).reshape(17, 3)
            seen = values[values[:, 2] > 0]
            size = float(np.prod(np.ptp(seen[:, :2], axis=0))) if len(seen) else 0.0
            at = place[person["image_id"]]
            if size > largest[at]:
                largest[at], found[at] = size, values
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
        raise ValueError(f"{path}: not COCO keypoints, at {what}; see cocodataset.org, data format") from None
    if (found[..., 2] == 2).any() and np.isin(found[..., 2], (0, 1, 2)).all():
        found[..., 2] /= 2
    return checked_keypoints(found, COCO, str(path))


def live_detector(name: str) -> Detector:
    """A 2D pose detector that runs here; both are extras.

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
        raise ValueError(
            "data.detector=mediapipe: the package is not installed; pip install 'polypose[mediapipe]'"
        ) from None
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
        raise ValueError(
            "data.detector=rtmlib: the package is not installed; pip install 'polypose[rtmlib]'"
        ) from None
    try:
        network = Body(mode="lightweight", backend="onnxruntime", device="cpu")
    except Exception:
        raise ValueError(
            "data.detector=rtmlib: its weights are not here; allow its download, or use mediapipe"
        ) from None

    def run(image: np.ndarray) -> np.ndarray:
        points, scores = network(np.ascontiguousarray(image[..., ::-1]))
        if not len(points):
            return np.zeros((17, 3), np.float32)
        best = int(np.argmax(scores.mean(axis=1)))
        return np.concatenate([points[best], scores[best, :, None].clip(0, 1)], axis=1).astype(np.float32)

    return run


def _in_images(keypoints: Tensor, store: PoseStore, rows: np.ndarray) -> Tensor:
    """From pixels of the whole frame to those of the stored crop."""
    if "boxes" not in store:
        return keypoints
    box = torch.from_numpy(np.array(store.column("boxes")[rows]))
    size = torch.tensor(store.image_size, dtype=box.dtype)
    scale = size / (box[:, 2:] - box[:, :2])
    pixels = (keypoints[..., :2] - box[:, None, :2]) * scale[:, None] - 0.5  # as Camera.crop has it
    return torch.cat([pixels, keypoints[..., 2:]], dim=-1)
