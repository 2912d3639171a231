"""Synthetic people filmed in RGB-D, with the noise of a Kinect, whose true joints are known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from capture_people import Detector, watched
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
        images: (T, H, W) depth in millimetres.
    """

    camera: Camera
    joints: np.ndarray
    keypoints: np.ndarray
    images: np.ndarray
    rgb: np.ndarray

    def seen(self, depth: bool) -> Seen:
        """What capture is given, with its depth or without."""
        times = np.arange(len(self.joints)) / RATE
        boxes = np.full((len(times), 4), np.nan)
        track = Track(1, 0, self.keypoints, boxes)
        images: Callable[[float], np.ndarray] = lambda time: self.images[round(time * RATE)]  # noqa: E731
        return Seen("kinect", None, SIZE, times, "h36m17", (track,), depth=images if depth else None)


def filmed(seed: int, frames: int = 30, distance: float = 3.0, detector: Detector | None = None) -> Filmed:
    """Somebody of the synthetic people, of some stature and girth, in a room."""
    rng = np.random.default_rng(seed)
    joints = generate_motion(1, 1, frames, seed=100 + seed).joints.astype(np.float64)
    middle = torch.from_numpy(joints[:, 0].mean(0))
    turn = rng.uniform(-1.2, 1.2)
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
    images, rgb = (np.stack([getattr(p, name) for p in pictures]) for name in ("depth", "rgb"))
    return Filmed(camera, joints, keypoints, images, rgb)
