"""What a pose store holds: its columns, their types and shapes, and the checks on them.

One table serves the writer and the reader, so that what can be written is exactly what can be opened.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from posedata.skeleton import SKELETONS
from posedata.store.names import did_you_mean

SCHEMA = 1
IMAGE_KINDS: dict[str, tuple[type[np.generic], tuple[int, ...]]] = {
    "rgb": (np.uint8, (3,)),
    "depth": (np.uint16, ()),
    "mask": (np.uint8, ()),
}
TAR = "webdataset"
"""The layout of pictures in tar files, as meta.json names it."""
NAME_LISTS = {"subject": "subjects", "sequence": "sequences", "action": "actions"}
FILE_NAME = re.compile(r"[\w.-]+")
REQUIRED_META = ("skeleton", "fps", "source", "licence")


@dataclass(frozen=True)
class ColumnSpec:
    """dtype, shape after the first axis ("J" = joints of the skeleton, "P" = as many as all rows have) and
    which table it belongs to."""

    dtype: type[np.generic]
    shape: tuple[int | str, ...]
    table: str = "rows"


COLUMNS: dict[str, ColumnSpec] = {
    "joints": ColumnSpec(np.float32, ("J", 3)),
    "valid": ColumnSpec(np.bool_, ("J",)),
    "visible_true": ColumnSpec(np.bool_, ("J",)),
    "subject": ColumnSpec(np.int32, ()),
    "sequence": ColumnSpec(np.int32, ()),
    "action": ColumnSpec(np.int32, ()),
    "frame": ColumnSpec(np.int32, ()),
    "camera": ColumnSpec(np.int32, ()),
    "image": ColumnSpec(np.int32, ()),
    "boxes": ColumnSpec(np.float32, (4,)),
    "points": ColumnSpec(np.float32, ("P", 3)),
    "camera_focal": ColumnSpec(np.float32, (2,), "cameras"),
    "camera_centre": ColumnSpec(np.float32, (2,), "cameras"),
    "camera_rotation": ColumnSpec(np.float32, (3, 3), "cameras"),
    "camera_translation": ColumnSpec(np.float32, (3,), "cameras"),
    "camera_distortion": ColumnSpec(np.float32, (5,), "cameras"),
    "camera_size": ColumnSpec(np.int32, (2,), "cameras"),
}
CAMERA_COLUMNS = tuple(name for name, spec in COLUMNS.items() if spec.table == "cameras")
_KEYPOINTS = ColumnSpec(np.float32, ("J", 3))


def tar_name(shard: int) -> str:
    """The name of a tar file of pictures."""
    return f"{shard:05d}.tar"


def column_spec(name: str) -> ColumnSpec:
    """The spec of a column; `keypoints_NAME` stands for any detector's name.

    Raises ValueError, with the nearest known name, for a column that no store has.
    """
    if name.startswith("keypoints_") and FILE_NAME.fullmatch(name.removeprefix("keypoints_")):
        return _KEYPOINTS
    if name not in COLUMNS:
        raise ValueError(f"column {name!r} is not in the store's schema{did_you_mean(name, COLUMNS)}")
    return COLUMNS[name]


def check_meta(meta: Mapping[str, Any], where: Path) -> None:
    """Raise ValueError where a required field is missing or names a skeleton that is not known."""
    for field in REQUIRED_META:
        if field not in meta:
            raise ValueError(f"{where}: field {field!r} is missing; give it when writing the store")
    if meta["skeleton"] not in SKELETONS:
        known = ", ".join(sorted(SKELETONS))
        raise ValueError(f"{where}: skeleton {meta['skeleton']!r} is not known; use one of {known}")
    check_fps(meta["fps"], f"{where}: fps")
    for field in NAME_LISTS.values():
        names = meta.get(field, [])
        if not isinstance(names, list) or not all(isinstance(n, str) for n in names):
            raise ValueError(f"{where}: {field} must be a list of strings; write the store again")
        if len(set(names)) != len(names):
            raise ValueError(f"{where}: {field} names one twice; make names unique, write the store again")


def check_fps(fps: Any, what: str) -> None:
    """Raise ValueError, which begins with `what`, unless it is a positive, finite number."""
    if isinstance(fps, bool) or not isinstance(fps, int | float) or not 0 < fps < float("inf"):
        raise ValueError(f"{what} is {fps!r}; give frames per second as a positive number")


def as_column(name: str, values: Any, where: Path | str) -> np.ndarray:
    """Values as a column's type. ValueError where that would change them: complex or bool numbers, text,
    fractions for whole numbers, whole numbers that are too large."""
    array, dtype = np.asarray(values), np.dtype(column_spec(name).dtype)
    if array.dtype.kind not in {"f": "fiu", "i": "iu", "b": "b"}[dtype.kind]:
        raise ValueError(f"{where}: column {name!r} is {array.dtype}, the schema wants {dtype}; convert it")
    if dtype.kind == "i" and array.size:
        limits = np.iinfo(dtype)
        for value in (int(array.min()), int(array.max())):
            if not limits.min <= value <= limits.max:
                raise ValueError(f"{where}: column {name!r} has {value}; {dtype} cannot hold that")
    with np.errstate(over="ignore"):  # what becomes infinite is refused with its row
        return np.ascontiguousarray(array, dtype=dtype)


def check_shape(name: str, array: np.ndarray, joints: int, length: int | None, where: Path) -> None:
    """Raise ValueError unless dtype, trailing shape and (where given) length are the schema's."""
    spec = column_spec(name)
    free = array.shape[1] if array.ndim > 1 else 0
    trailing = tuple({"J": joints, "P": free}.get(str(size), size) for size in spec.shape)
    if array.dtype != np.dtype(spec.dtype):
        raise ValueError(
            f"{where}: column {name!r} is {array.dtype}, the schema wants {np.dtype(spec.dtype)}; convert it"
        )
    if array.shape[1:] != trailing or array.ndim != 1 + len(trailing):
        raise ValueError(
            f"{where}: column {name!r} has shape {array.shape}, the schema wants (N, {str(trailing)[1:]};"
            " check the skeleton"
        )
    if length is not None and len(array) != length:
        raise ValueError(
            f"{where}: column {name!r} has {len(array)} rows where {length} are due; write the store again"
        )


def check_columns(
    columns: Mapping[str, np.ndarray], meta: Mapping[str, Any], images: int | None, where: Path
) -> None:
    """Check a whole set of columns together: shapes, equal lengths, complete camera table, index ranges.

    `images` is the number of images in the shards (None: not yet known, indices stay unchecked).
    """
    if "joints" not in columns:
        raise ValueError(f"{where}: column 'joints' is missing; every store has it")
    if not len(columns["joints"]):
        raise ValueError(f"{where}: column 'joints' has no row; check what was selected")
    joints = len(SKELETONS[meta["skeleton"]])
    present = [name for name in CAMERA_COLUMNS if name in columns]
    if present and len(present) != len(CAMERA_COLUMNS):
        missing = ", ".join(sorted(set(CAMERA_COLUMNS) - set(present)))
        raise ValueError(f"{where}: the camera table lacks {missing}; write all of it or none")
    cameras = len(columns["camera_focal"]) if present else 0
    for name, array in columns.items():
        in_cameras = column_spec(name).table == "cameras"
        check_shape(name, array, joints, cameras if in_cameras else len(columns["joints"]), where)
    for name, field in NAME_LISTS.items():
        if name in columns:
            _check_range(name, columns[name], 0, len(meta.get(field, [])), f"the {field} of meta.json", where)
    if "camera" in columns:
        _check_range("camera", columns["camera"], -1, cameras, "the camera table", where)
    if "image" in columns and images is not None:
        _check_range("image", columns["image"], -1, images, "the image shards", where)


def _check_range(name: str, index: np.ndarray, low: int, high: int, into: str, where: Path) -> None:
    if len(index) and (index.min() < low or index.max() >= high):
        bad = int(np.flatnonzero((index < low) | (index >= high))[0])
        raise ValueError(
            f"{where}: column {name!r} row {bad} is {int(index[bad])}, outside {low}..{high - 1} of {into};"
            " write the store again"
        )
