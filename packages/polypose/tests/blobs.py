"""Films of coloured figures on black, and a detector that finds them without a network."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from polypose.capture.detectors.detector import Detections, box_around
from posedata.skeleton import get_skeleton

COCO = get_skeleton("coco17")
FIGURE = np.array([
    (0, -90), (-4, -94), (4, -94), (-9, -92), (9, -92), (-18, -70), (18, -70), (-24, -42), (24, -42),
    (-26, -16), (26, -16), (-11, -12), (11, -12), (-12, 30), (12, 30), (-12, 70), (12, 70),
]) * (-1, 1)  # fmt: skip
"""COCO's joints of somebody who faces the camera, pixels about the middle; 164 high."""
COLOURS = ((230, 20, 20), (20, 230, 20), (30, 30, 230))


def write_figures(path: Path, places: np.ndarray, size: tuple[int, int] = (320, 240), rate: int = 10) -> Path:
    """A film of rectangles, each in a colour of its own, 24 wide and 80 high.

    One thread, so that the bytes are the same whatever the processor.

    Args:
        places: (F, P, 2) pixels of their middles; NaN where somebody is not there.
    """
    width, height = size
    y, x = np.mgrid[:height, :width]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=rate, options={"g": "10", "crf": "10", "threads": "1"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for number, people in enumerate(places):
            image = np.zeros((height, width, 3), np.uint8)
            for middle, colour in zip(people, COLOURS, strict=False):
                if np.isfinite(middle).all():
                    image[(abs(x - middle[0]) <= 12) & (abs(y - middle[1]) <= 40)] = colour
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, rate)
            container.mux(stream.encode(frame.reformat(format="yuv420p")))
        container.mux(stream.encode(None))
    return path


class Blobs:
    """Finds each colour's rectangle; what it says leans towards where it was before, which is its memory."""

    skeleton = "coco17"

    def __init__(self, fail_after: int | None = None) -> None:
        self.memory = np.full((3, 4), np.nan)
        self.calls = 0
        self._fail_after = fail_after

    def detect(self, image: np.ndarray) -> Detections:
        self.calls += 1
        if self._fail_after is not None and self.calls > self._fail_after:
            raise KeyboardInterrupt
        people = []
        for which in range(3):
            others = [channel for channel in range(3) if channel != which]
            mask = (image[..., which] > 120) & (image[..., others] < 100).all(-1)
            if mask.sum() < 200:
                self.memory[which] = np.nan
                continue
            y, x = (axis.mean() for axis in np.nonzero(mask))
            old = self.memory[which, :2]
            middle = np.array([x, y]) if np.isnan(old).any() else 0.5 * old + 0.5 * np.array([x, y])
            self.memory[which] = (*middle, 0, 0)
            points = np.column_stack([FIGURE * 0.4 + middle, np.full(17, 0.9)])
            people.append(points)
        if not people:
            return Detections.none(17)
        keypoints = np.stack(people).astype(np.float32)
        return Detections(keypoints, box_around(keypoints, image.shape))


def walk(frames: int, lanes: Sequence[tuple[float, float, float]]) -> np.ndarray:
    """(F, P, 2): places of people who walk along x: (start, height, step in pixels)."""
    steps = np.arange(frames)[:, None]
    lanes_ = np.array(lanes)
    return np.stack([lanes_[:, 0] + steps * lanes_[:, 2], np.repeat(lanes_[None, :, 1], frames, 0)], -1)
