"""Where the 2D joints of a store's rows come from."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from posedata.detect.live import live_detector
from posedata.geometry.boxes import bounding_box, crop_keypoints
from posedata.keypoints import convert_keypoints
from posedata.readers.coco_frames import read_coco_keypoints
from posedata.skeleton import get_skeleton
from posedata.store.pose_store import PoseStore
from posedata.views.noise import DetectorNoise
from posedata.views.recorded import store_keypoints

COCO = get_skeleton("coco17")


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
