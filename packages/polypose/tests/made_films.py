"""Small films, made by the tests themselves: frames whose brightness tells their number."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

STEP = 20
"""Grey levels between one frame and the next."""


def write_film(
    path: Path,
    count: int = 8,
    size: tuple[int, int] = (64, 48),
    rate: int = 10,
    *,
    stamps: Sequence[int] | None = None,
    codec: str = "libx264",
    pixels: str = "yuv420p",
    options: dict[str, str] | None = None,
) -> Path:
    """Frames of grey `STEP` * number (wrapped at 240), the left upper quarter red.

    One thread, so that the bytes are the same whatever the processor.

    Args:
        stamps: presentation times in milliseconds, instead of an even rate.
    """
    with av.open(str(path), "w", options=options or {}) as container:
        stream = container.add_stream(codec, rate=rate, options={"g": "4", "threads": "1"})
        stream.width, stream.height, stream.pix_fmt = *size, pixels
        if stamps is not None:
            stream.time_base = stream.codec_context.time_base = Fraction(1, 1000)
        for number in range(count):
            frame = av.VideoFrame.from_ndarray(picture(number, size), format="rgb24")
            frame = frame.reformat(format=pixels)
            if stamps is not None:
                frame.pts, frame.time_base = stamps[number], Fraction(1, 1000)
            else:
                frame.pts, frame.time_base = number, Fraction(1, rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def picture(number: int, size: tuple[int, int] = (64, 48)) -> np.ndarray:
    width, height = size
    image = np.full((height, width, 3), number * STEP % 240, np.uint8)
    image[: height // 2, : width // 2] = (220, 0, 0)
    return image


def number_of(image: np.ndarray) -> int:
    """Which frame a picture is, from its brightest quarter corner without red."""
    height, width = image.shape[:2]
    corners = [image[y, x].astype(int) for y in (2, height - 3) for x in (2, width - 3)]
    grey = [corner.mean() for corner in corners if np.ptp(corner) < 60]
    return round(float(np.median(grey)) / STEP)


def turn(path: Path, quarter: int) -> Path:
    """Write into an .mp4 that players turn it by quarter turns with the clock, as phones do."""
    content = bytearray(path.read_bytes())
    place = content.index(b"tkhd") + 4 + 40
    cos, sin = ((1, 0), (0, 1), (-1, 0), (0, -1))[quarter % 4]
    matrix = [cos << 16, sin << 16, 0, -sin << 16, cos << 16, 0, 0, 0, 1 << 30]
    content[place : place + 36] = b"".join(value.to_bytes(4, "big", signed=True) for value in matrix)
    path.write_bytes(bytes(content))
    return path


def write_sound(path: Path) -> Path:
    """A second of silence."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.float32), "fltp", "mono")
        frame.sample_rate, frame.pts = 8000, 0
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path
