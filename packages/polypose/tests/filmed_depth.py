"""Synthetic people filmed in RGB-D, with the noise of a Kinect, whose true joints are known."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from capture_people import H36M, Detector, watched
from PIL import Image
from polypose.capture.detecting import Seen
from polypose.capture.tracks import Track
from posedata.geometry.camera import Camera
from posedata.synthetic.flesh import Flesh
from posedata.synthetic.people.motion import generate_motion
from posedata.synthetic.render import Renderer

SIZE, FOCAL, RATE = (512, 424), 365.0, 30.0
"""Of a Kinect v2's depth camera."""


@dataclass(frozen=True)
class Filmed:
    """A person before a camera.

    Attributes:
        joints: (T, 17, 3) metres in the world. keypoints: (T, 17, 3) as a detector finds them.
        images: (T, H, W) depth in millimetres. rgb: (T, H, W, 3). masks: (T, H, W) 1 on the person.
    """

    camera: Camera
    joints: np.ndarray
    keypoints: np.ndarray
    images: np.ndarray
    rgb: np.ndarray
    masks: np.ndarray

    def seen(self, depth: bool) -> Seen:
        """What capture is given, with its depth or without."""
        times = np.arange(len(self.joints)) / RATE
        boxes = np.full((len(times), 4), np.nan)
        track = Track(1, 0, self.keypoints, boxes)
        images: Callable[[float], np.ndarray] = lambda time: self.images[round(time * RATE)]  # noqa: E731
        return Seen("kinect", None, SIZE, times, "h36m17", (track,), depth=images if depth else None)

    def write(self, folder: Path) -> Path:
        """A folder of an RGB-D recording; the keypoints lie beside it as NAME.npz."""
        (folder / "depth").mkdir(parents=True)
        (folder / "rgb").mkdir()
        for number, (depth, rgb) in enumerate(zip(self.images, self.rgb, strict=True)):
            Image.fromarray(depth).save(folder / "depth" / f"{number}.png")
            Image.fromarray(rgb).save(folder / "rgb" / f"{number}.png", compress_level=1)
        cx, cy = self.camera.centre.tolist()
        table = {
            "width": SIZE[0],
            "height": SIZE[1],
            "fx": FOCAL,
            "fy": FOCAL,
            "cx": cx,
            "cy": cy,
            "fps": RATE,
        }
        (folder / "intrinsics.json").write_text(json.dumps(table))
        np.savez(folder.with_suffix(".npz"), keypoints=self.keypoints, skeleton="h36m17")
        return folder


def synthetic(seed: int, frames: int = 30) -> np.ndarray:
    """(T, 17, 3) somebody of the synthetic people."""
    return generate_motion(1, 1, frames, seed=100 + seed).joints.astype(np.float64)


def filmed(seed: int, joints: np.ndarray, distance: float = 3.0, detector: Detector | None = None) -> Filmed:
    """A person of some girth in a room, whose joints are (T, 17, 3), metres, z up, seen from before them."""
    rng = np.random.default_rng(seed)
    middle = torch.from_numpy(joints[:, 0].mean(0))
    right = (joints[:, H36M.index("right_hip")] - joints[:, H36M.index("left_hip")]).mean(0)
    turn = np.arctan2(right[0], -right[1]) + rng.uniform(-1, 1)  # up x right is where they face
    at = middle + distance * torch.tensor([np.cos(turn), np.sin(turn), 0.1], dtype=torch.float64)
    camera = Camera.look_at(at, middle, FOCAL, SIZE)
    flesh = Flesh.sample(torch.Generator().manual_seed(seed))
    renderer = Renderer(SIZE)
    pictures = []
    for number, each in enumerate(joints):
        generators = [torch.Generator().manual_seed(seed * 1000 + n) for n in (0, number)]
        pictures.append(
            renderer.render(
                torch.from_numpy(each), flesh, camera.to(dtype=torch.float32),
                generator=generators[0], kinect=True, noise=generators[1],
            )
        )  # fmt: skip
    keypoints = watched(joints, [camera], detector or Detector(flip=0), seed=seed)[0]
    parts = ("depth", "rgb", "mask")
    images, rgb, masks = (np.stack([getattr(p, name) for p in pictures]) for name in parts)
    return Filmed(camera, joints, keypoints, images, rgb, masks)
