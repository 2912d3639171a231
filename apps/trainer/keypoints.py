"""Keypoints from a user's file: read, checked, and told what they were taken for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import torch
from jaxtyping import Float
from posedata.inspection.plausible import check_keypoints
from posedata.keypoints import frames_told, take_keypoints
from posedata.skeleton import Skeleton
from posedata.store import PoseStore
from posedata.terminal import print_line
from torch import Tensor

Say = Callable[[str], None]


def read_keypoints(
    path: Path, skeleton: Skeleton, size: tuple[int, int] | None = None, say: Say = print_line
) -> Float[Tensor, "N J 3"]:
    """Keypoints of an .npy, (N, J, 2) or (N, J, 3) with confidences, of confidence 0 where not seen.

    Args:
        size: width and height of the images, if known.
        say: told what they are read as, and what looks wrong.

    Raises:
        FileNotFoundError, ValueError: no such file, or no keypoints of that skeleton in pixels
            (`posedata.keypoints.take_keypoints`, `posedata.inspection.plausible.check_keypoints`).
    """
    values = read_array(path, "keypoints")
    say(f"keypoints are read as {skeleton.name}; name another set with --skeleton")
    return checked_keypoints(values, skeleton, str(path), size, say)


def store_keypoints(store: PoseStore, name: str, say: Say = print_line) -> Float[Tensor, "N J 3"]:
    """The column `keypoints_NAME` of a store, checked in the same way.

    Raises:
        ValueError: there is no such column, or these are no keypoints of the store's skeleton in pixels.
    """
    column = f"keypoints_{name}"
    if column not in store:
        known = ", ".join(c.removeprefix("keypoints_") for c in store.columns if c.startswith("keypoints_"))
        there = f"name one of: {known}" if known else "make views with 'posedata views'"
        raise ValueError(f"{store.path}: has no column {column}; {there}")
    values = np.array(store.column(column))
    return checked_keypoints(values, store.skeleton, f"{store.path}, {column}", say=say)


def checked_keypoints(
    values: np.ndarray,
    skeleton: Skeleton,
    where: str,
    size: tuple[int, int] | None = None,
    say: Say = print_line,
) -> Float[Tensor, "N J 3"]:
    """Somebody's array as keypoints with confidence.

    Raises:
        ValueError: what `posedata.keypoints.take_keypoints` or
            `posedata.inspection.plausible.check_keypoints` finds.
    """
    points, notes = take_keypoints(values, skeleton, where)
    errors, warnings = check_keypoints(points, skeleton, size)
    if errors:
        raise ValueError(f"{where}: {'; '.join(errors)}")
    for text in [f"note: {note}" for note in notes] + [f"warning: {warning}" for warning in warnings]:
        say(text)
    return torch.from_numpy(points)


def tell_invalid(valid: np.ndarray | Tensor, what: str, say: Say = print_line) -> None:
    """Say which frames hold no person, if any do not."""
    rows = np.flatnonzero(~np.asarray(valid))
    if len(rows):
        say(f"{len(rows)} of {len(valid)} frames hold no person and get {what}: {frames_told(rows)}")


def read_array(path: Path, what: str) -> np.ndarray:
    """The array of an .npy file.

    Raises:
        FileNotFoundError, ValueError: no such file, or not one whole array.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; give an .npy of {what}")
    try:
        with path.open("rb") as file:
            values = np.load(file, allow_pickle=False)
    except (ValueError, EOFError, BadZipFile, MemoryError):
        raise ValueError(f"{path}: is not a whole .npy of numbers; write one with numpy.save") from None
    if not isinstance(values, np.ndarray):
        raise ValueError(f"{path}: is an .npz of {', '.join(values)[:80]}; save one of them as .npy")
    return values
