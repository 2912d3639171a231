"""VideoPose3D's npz files of Human3.6M (Pavllo et al., CVPR 2019), `positions_2d` above all.

`positions_2d` is subject -> action -> one (T, 17, 2) a camera, pixels, in the order of
`files.h36m_cameras.CAMERAS`; `metadata` tells the order of the joints: Human3.6M's, or COCO's, converted
by name (approximately: the thorax is the middle of the shoulders, the neck the nose). Both are pickles, read
through `files.safe_pickle`, and can only be read whole: they are unpacked into one array a view.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32, Float64

from posedata.keypoints import convert_keypoints, take_keypoints
from posedata.readers.files.safe_npz import load_plain_npz
from posedata.readers.format import Context
from posedata.skeleton import Skeleton, get_skeleton
from posedata.store.schema import FILE_NAME

_REACH = 1e4
_APART = 50
"""By how many frames, a second's, a view may end before its poses."""
_UNPUBLISHED = "S11 Directions"


@dataclass(frozen=True)
class Detections:
    """A file of detected 2D, and the detector's name: the store's column is `keypoints_NAME`."""

    name: str
    path: Path

    @classmethod
    def parse(cls, text: str) -> Detections:
        """From "NAME=FILE", or "FILE", whose own name then tells the detector's.

        Raises ValueError for a name that no column can have, and for "true", the projections' own.
        """
        name, sign, file = text.partition("=")
        if not sign or "/" in name:
            name, file = detector_of(Path(text)), text
        if not FILE_NAME.fullmatch(name) or name == "true":
            raise ValueError(
                f"keypoints {text!r}: {name!r} cannot be a detector's name; give NAME=FILE, e.g. cpn={file}"
            )
        return cls(name, Path(file))

    def unpack(self, stems: Mapping[tuple[str, str], str], views: int, context: Context) -> set[str]:
        """Put every view of these sequences into the scratch, and tell which sequences the file lacks.

        `stems`: file name's beginning by subject and action. Returns those for which there are views. Raises
        ValueError, which names the sequence, for another number of views or of joints, or an order of the
        joints that is not known; FileNotFoundError.
        """
        entries = load_plain_npz(self.path)
        layout = layout_of(entries.get("metadata"), self.path, context)
        found: set[str] = set()
        strangers: list[str] = []
        unseen = 0
        for key, arrays in sequences_of(entries, self.path, "positions_2d"):
            if key in stems:
                where = f"{self.path}: {' '.join(key)}"
                for number, view in enumerate(views_of(arrays, views, where)):
                    points, lost = as_h36m(view, layout, f"{where} view {number}")
                    unseen += lost
                    save(self._view(context, stems[key], number), points)
                found.add(stems[key])
            elif key[0] in {subject for subject, _ in stems}:
                strangers.append(" ".join(key))
        if not found:
            raise ValueError(
                f"{self.path}: has none of the sequences that have poses; give the matching file"
            )
        tell_unseen(self.path, unseen, context)
        missed = f"keypoints_{self.name} has confidence 0"
        lacking = [" ".join(key) for key, stem in stems.items() if stem not in found]
        if _UNPUBLISHED in lacking:
            lacking.remove(_UNPUBLISHED)
            context.tell(f"{self.path}: lacks {_UNPUBLISHED}, as published; there {missed}")
        if lacking:
            context.note(
                f"{self.path}: has no views of {len(lacking)} sequences (first {lacking[0]}); there {missed},"
                " give the matching file"
            )
        if strangers:
            context.note(
                f"{self.path}: {len(strangers)} sequences of positions_2d (first {strangers[0]}) have no"
                " poses; left out, give the matching files"
            )
        return found

    def view(
        self, stem: str | None, number: int, count: int, sequence: str, context: Context
    ) -> Float32[np.ndarray, "T 17 3"]:
        """What was detected in the first `count` frames of an unpacked view: pixels and confidence.

        Frames that the file lacks are 0, 0, 0 (all of them for a `stem` of None), and told. Raises ValueError
        for a view that ends more than a second before its poses: it is of something else.
        """
        out = np.zeros((count, 17, 3), np.float32)
        if stem is None:
            return out
        seen = np.load(self._view(context, stem, number), allow_pickle=False)[:count]
        if len(seen) + _APART < count:
            raise ValueError(
                f"{self.path}: {sequence}: view {number} has {len(seen)} frames for {count} poses; give the"
                " matching file"
            )
        if len(seen) < count:
            context.note(
                f"{self.path}: {sequence}: view {number} has {len(seen)} frames for {count} poses; beyond,"
                f" keypoints_{self.name} has confidence 0"
            )
        out[: len(seen)] = seen
        return out

    def _view(self, context: Context, stem: str, number: int) -> Path:
        return context.scratch / f"{stem}-{self.name}-{number}.npy"


def detector_of(path: Path) -> str:
    """The detector that a file's name tells; "true" for ground truth."""
    name = path.stem.removeprefix("data_2d_h36m_")
    return "true" if name == "gt" else name


def sequences_of(entries: dict[str, Any], path: Path, name: str) -> Iterator[tuple[tuple[str, str], Any]]:
    """Subject, action and what the file has for them."""
    table = entries.get(name)
    if not isinstance(table, dict) or not table:
        raise ValueError(f"{path}: has no dict {name!r}; give a file in VideoPose3D's layout")
    for subject, actions in table.items():
        if not isinstance(subject, str) or not isinstance(actions, dict):
            raise ValueError(f"{path}: {name} of {str(subject)[:40]} is not a dict of actions; get it again")
        for action, value in actions.items():
            if not isinstance(action, str):
                raise ValueError(
                    f"{path}: {name} of {subject[:40]} has an action without a name; get it again"
                )
            yield (subject[:80], action[:80]), value


def layout_of(metadata: Any, path: Path, context: Context) -> Skeleton:
    """The skeleton of the file's 2D joints, by which of them its metadata calls left and right."""
    h36m = get_skeleton("h36m17")
    fields = metadata if isinstance(metadata, dict) else {}
    name, symmetry = (fields.get(field) for field in ("layout_name", "keypoints_symmetry"))
    if name is None and symmetry is None:
        context.note(
            f"{path}: has no metadata, so its joints are taken for Human3.6M's 17; check their order"
        )
        return h36m
    try:
        pairs = None if symmetry is None else {(int(a), int(b)) for a, b in zip(*symmetry, strict=True)}
    except (TypeError, ValueError, OverflowError):
        pairs = set()
    for layout, skeleton in (("h36m", h36m), ("coco", get_skeleton("coco17"))):
        if (name is None or str(name) == layout) and pairs in (None, _left_and_right(skeleton)):
            return skeleton
    raise ValueError(
        f"{path}: metadata: layout {str(name)[:40]!r} with its keypoints_symmetry is neither Human3.6M's nor"
        " COCO's; give a file of one of these"
    )


def _left_and_right(skeleton: Skeleton) -> set[tuple[int, int]]:
    return {(i, j) for i, j in enumerate(skeleton.mirror) if skeleton.joints[i].startswith("left_")}


def as_h36m(
    view: Float64[np.ndarray, "T 17 2"], layout: Skeleton, where: str
) -> tuple[Float32[np.ndarray, "T 17 3"], int]:
    """A view's joints in the order of Human3.6M, and how many were not seen.

    Confidence is 1, and 0 where nothing was seen: at NaN, (0, 0) or (-1, -1), and for what would be made of
    such.
    """
    points = take_keypoints(view, layout, where)[0]
    made = convert_keypoints(torch.from_numpy(points), layout, get_skeleton("h36m17")).numpy()
    return made, int((points[..., 2] == 0).sum())


def tell_unseen(path: Path, count: int, context: Context) -> None:
    """Say how many keypoints of a file were not seen, if any were not."""
    if count:
        context.tell(f"{path}: {count} keypoints are NaN, (0, 0) or (-1, -1), so were not seen")


def views_of(arrays: Any, count: int, where: str) -> list[Float64[np.ndarray, "T 17 2"]]:
    """A sequence's views, NaN where not seen.

    Raises ValueError, which begins with `where`, if they are not `count` arrays of pixels.
    """
    if not isinstance(arrays, list | tuple | np.ndarray) or len(arrays) != count:
        found = len(arrays) if isinstance(arrays, list | tuple | np.ndarray) else "no"
        raise ValueError(f"{where}: has {found} views for {count} cameras; give the matching file")
    for array in arrays:
        if not isinstance(array, np.ndarray) or array.ndim != 3 or array.shape[1:] != (17, 2):
            raise ValueError(f"{where}: a view is not an array (T, 17, 2); give a file of 17 joints")
        if array.dtype.kind != "f":
            raise ValueError(f"{where}: a view holds {array.dtype}, wanted floats; save pixels as floats")
    with np.errstate(invalid="ignore", over="ignore"):  # a NaN that signals, and what float64 does not hold
        views = [array.astype(np.float64) for array in arrays]
    for view in views:
        checked(np.where(np.isnan(view), 0, view), where)
    return views


def checked(array: np.ndarray, where: str) -> np.ndarray:
    """The array as float32; ValueError for what is no metre and no pixel."""
    if not (np.isfinite(array).all() and np.abs(array).max(initial=0) < _REACH):
        raise ValueError(f"{where}: holds numbers that no position has (metres, pixels); get it again")
    return np.ascontiguousarray(array, dtype=np.float32)


def save(place: Path, array: np.ndarray) -> None:
    """Under another name first: the file may be there from a run before, and in use."""
    part = place.with_name(f"{place.name}.part")
    with part.open("wb") as file:
        np.save(file, array, allow_pickle=False)
    part.replace(place)
