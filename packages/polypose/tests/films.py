"""A film of walkers: a white disc where a view sees a head, on black, a frame for each of its times."""

from pathlib import Path

import av
import numpy as np
from polypose.capture.motion import Motion

HEAD = 10


def heads(motion: Motion, view: int, frame: int) -> np.ndarray:
    """(P, 2) pixels of the heads that a view sees in a frame."""
    name = motion.views[view].name
    seen = [p.keypoints[name][frame - p.first, HEAD] for p in motion.people if 0 <= frame - p.first < len(p)]
    return np.array([point[:2] for point in seen if point[2] > 0]).reshape(-1, 2)


def picture(motion: Motion, view: int, frame: int) -> np.ndarray:
    """(H, W, 3) uint8."""
    width, height = motion.views[view].camera.size.tolist()
    y, x = np.mgrid[:height, :width]
    image = np.zeros((height, width, 3), np.uint8)
    for u, v in heads(motion, view, frame):
        image[(x - u) ** 2 + (y - v) ** 2 < 9**2] = 255
    return image


def write_film(path: Path, motion: Motion, view: int = 0, codec: str = "libx264") -> Path:
    """Write the film of a view as it is told by the motion."""
    rate = round(motion.rate)
    with av.open(str(path), "w") as out:
        stream = out.add_stream(codec, rate=rate, options={"threads": "1"})
        stream.width, stream.height = motion.views[view].camera.size.tolist()
        stream.pix_fmt = "yuv420p"
        for frame in range(len(motion)):
            shown = av.VideoFrame.from_ndarray(picture(motion, view, frame), format="rgb24")
            out.mux(stream.encode(shown))
        out.mux(stream.encode(None))
    return path
