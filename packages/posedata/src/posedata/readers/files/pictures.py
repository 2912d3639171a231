"""What the readers of photographs and videos share: crops around a person, and frames out of video files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32, Int, UInt8
from PIL import Image

from posedata.readers.files.damage import CUT_SHORT
from posedata.readers.files.kinect import Framing, batches

NO_IMAGES = "none"
SIZE_HELP = "Images: width x height of the crop around the person, e.g. 192x256, or none."


def crop_size(text: str) -> tuple[int, int] | None:
    """Width and height from the option `size`; None for no images. ValueError says how to write it."""
    return None if text == NO_IMAGES else Framing.parse((0, 0), _not_full(text)).size


def crop_boxes(
    keypoints: Float32[np.ndarray, "T J 3"], full: tuple[int, int], size: tuple[int, int]
) -> Float32[np.ndarray, "T 4"]:
    """A box of the crop's aspect around each row's keypoints; the whole image where a row has none."""
    return Framing(full, size).boxes(keypoints)


def crops(
    images: Iterable[UInt8[np.ndarray, "_h _w 3"]],
    boxes: Float32[np.ndarray, "T 4"],
    size: tuple[int, int],
) -> Iterator[dict[str, np.ndarray]]:
    """Batches of the images' parts in the boxes, for the store; black outside the image."""
    pairs = zip(images, boxes, strict=False)  # an image that is lacking is told by the store's count
    return batches({"rgb": crop(image, box, size)} for image, box in pairs)


def crop(
    image: UInt8[np.ndarray, "_h _w 3"], box: Float32[np.ndarray, " 4"], size: tuple[int, int]
) -> UInt8[np.ndarray, "H W 3"]:
    """The part of an image in a box, resampled with antialiasing to `size` (width, height).

    The box's edges are the outer edges of pixels: the whole image is -0.5, -0.5, width - 0.5, height - 0.5.
    """
    height, width = image.shape[:2]
    left, top, right, bottom = (float(edge) + 0.5 for edge in box)
    x0, y0, x1, y1 = max(left, 0.0), max(top, 0.0), min(right, width), min(bottom, height)
    out = Image.new("RGB", size)
    scale_x, scale_y = size[0] / (right - left), size[1] / (bottom - top)
    place = (round((x0 - left) * scale_x), round((y0 - top) * scale_y))
    end = (round((x1 - left) * scale_x), round((y1 - top) * scale_y))
    inner = (end[0] - place[0], end[1] - place[1])
    if x1 > x0 and y1 > y0 and min(inner) > 0:
        part = Image.fromarray(image).resize(inner, Image.Resampling.BILINEAR, (x0, y0, x1, y1))
        out.paste(part, place)
    return np.asarray(out)


def count_frames(path: Path) -> int:
    """How many frames a video holds, counted in the file and not taken from its header."""
    av = _av(path)
    try:
        with av.open(str(path)) as container:
            return sum(1 for packet in container.demux(video=0) if packet.size)
    except (av.error.FFmpegError, IndexError):
        raise ValueError(f"{path}: is not a whole video ({CUT_SHORT}); get it again") from None


def video_frames(path: Path, wanted: Int[np.ndarray, " n"]) -> Iterator[UInt8[np.ndarray, "H W 3"]]:
    """The frames of these ascending numbers, decoded one after the other."""
    av = _av(path)
    due = iter(wanted.tolist())
    number = next(due, None)
    try:
        with av.open(str(path)) as container:
            for i, frame in enumerate(container.decode(video=0)):
                if number is None:
                    return
                if i == number:
                    yield frame.to_ndarray(format="rgb24")
                    number = next(due, None)
    except (av.error.FFmpegError, IndexError):
        raise ValueError(f"{path}: cannot be decoded ({CUT_SHORT}); get it again") from None
    if number is not None:
        raise ValueError(f"{path}: ends before frame {number}; get it again")


def _av(path: Path) -> Any:
    try:
        import av
    except ImportError:
        raise ValueError(
            f"{path}: reading videos needs PyAV; pip install 'posedata[video]', or leave --size out"
        ) from None
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such video; unpack it, or leave --size out")
    return av


def _not_full(text: str) -> str:
    if text == "full":
        raise ValueError(
            "size 'full': images differ in size here; give width x height, e.g. 192x256, or none"
        )
    return text
