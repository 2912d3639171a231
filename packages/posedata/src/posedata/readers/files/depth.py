"""Depth images as whole millimetres, or an error that names the unit that their values look like."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
from jaxtyping import Shaped, UInt16

from posedata.errors import DAMAGED
from posedata.readers.files.kinect import read_depth_png
from posedata.readers.files.pcd import millimetres

TUM_SCALE = 5000.0
"""Units of a metre in TUM's RGB-D recordings and those that follow their layout."""
_LARGEST = 8192
_NEAREST, _FARTHEST = 0.15, 10.0
"""Metres between which the middle of a depth image of people lies: depth cameras see 0.3 to 8 m."""
_FAR_FLOATS = 50.0
_UNITS = {"millimetres": 1000.0, "centimetres": 100.0, "metres": 1.0}


def read_depth(
    path: Path,
    scale: float,
    size: tuple[int, int],
    *,
    given: bool = False,
    tum: bool = False,
    lost: Counter[str] | None = None,
) -> UInt16[np.ndarray, "H W"]:
    """A depth image, 16-bit PNG or `.npy`, in whole millimetres; 0 where nothing was measured.

    Args:
        scale: units of a metre, of integers; floats are metres, unless the scale was `given`.
        size: width and height that the intrinsics are for.
        given: the user gave the scale for these files: it holds whatever comes out.
        tum: their names are times, as TUM's, which have 5000 units a metre.
        lost: counts pixels that are "negative", "not finite" or "beyond 65.5 m", which become 0.

    Raises ValueError naming the file: it is not a depth image, of another size, or no room's in that unit.
    """
    raw = read_depth_png(path) if path.suffix.lower() == ".png" else _read_npy(path)
    if raw.shape != size[::-1]:
        raise ValueError(
            f"{path}: is {raw.shape[1]}x{raw.shape[0]}, the intrinsics say {size[0]}x{size[1]};"
            f" {_size_cure(raw.shape, size)}"
        )
    floats = raw.dtype.kind == "f"
    scale = 1.0 if floats and not given else scale
    metres = raw.astype(np.float64) / scale
    finite = np.isfinite(metres)
    known = finite & (metres > 0)
    if not given and known.any():
        _check_unit(path, metres[known], scale, floats, tum)
    if lost is not None:
        lost["negative"] += int((finite & (metres < 0)).sum())
        lost["not finite"] += int((~finite).sum())
        lost["beyond 65.5 m"] += int((known & (metres * 1000 >= 65535.5)).sum())
    return millimetres(metres * 1000)


def _size_cure(shape: tuple[int, ...], size: tuple[int, int]) -> str:
    factor = shape[1] / size[0]
    if abs(shape[0] / size[1] - factor) < 0.02 * factor:
        return f"multiply width, height, fx, fy, cx and cy by {factor:.4g}, or give those of this image"
    return "give those of this image"


def _check_unit(path: Path, metres: Shaped[np.ndarray, " N"], scale: float, floats: bool, tum: bool) -> None:
    middle = float(np.median(metres))
    if _NEAREST <= middle <= (_FAR_FLOATS if floats else _FARTHEST):
        return
    looks = next((n for n, s in _UNITS.items() if 0.3 <= middle * scale / s <= _FARTHEST), None)
    given = "" if looks is None else f"{_UNITS[looks]:g}"
    span = f"{path}: values of {metres.min():.4g} to {metres.max():.4g} metres"
    if not floats:
        span += f" at {scale:g} units a metre"
    what = f"; these look like {looks}" if looks else ", which no depth camera sees"
    if floats and middle < _NEAREST:
        cure = "depth cameras see farther; save metres, not a share of a range"
    elif floats:
        cure = "save uint16 millimetres"
        cure += f", divide by {given}, or give --depth-scale {given}" if looks else ", or give --depth-scale"
    elif tum:
        cure = "the name is a time, as in TUM's recordings, which have 5000 units a metre: --depth-scale 5000"
    elif looks:
        cure = f"give --depth-scale {given}, or depth_scale in the intrinsics"
    else:
        cure = "give --depth-scale, the units of a metre (TUM's recordings have 5000)"
    raise ValueError(f"{span}{what}; {cure}")


def _read_npy(path: Path) -> Shaped[np.ndarray, "H W"]:
    try:
        array: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
    except DAMAGED:
        raise ValueError(
            f"{path}: is not an .npy array of numbers, or cut short; save it with numpy.save, or copy it"
            " again"
        ) from None
    numbers = array.dtype.kind in "fiu" and array.itemsize > 1
    if array.ndim != 2 or not numbers or not array.size or max(array.shape) > _LARGEST:
        raise ValueError(
            f"{path}: is {array.dtype} {array.shape}, wanted (H, W) of uint16 or floats; save it so"
        )
    return array
