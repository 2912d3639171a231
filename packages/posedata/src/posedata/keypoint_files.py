"""Keypoints and joints from a user's file: read, checked, and told what they were taken for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from posedata.errors import DAMAGED
from posedata.keypoints import LARGEST, checked_keypoints, frames_told
from posedata.skeleton import Skeleton
from posedata.terminal import print_line

Say = Callable[[str], None]

TORSO = "centre and scale need a hip and a shoulder that were seen"
"""By what keypoints are a person's (`posedata.keypoints.holds_person`)."""
_WIDEST = 3.0
"""Metres between nobody's hands."""


def read_keypoints(
    path: Path, skeleton: Skeleton, size: tuple[int, int] | None = None, say: Say = print_line
) -> Float[Tensor, "N J 3"]:
    """Keypoints of an .npy, (N, J, 2) or (N, J, 3) with confidences, of confidence 0 where not seen.

    Args:
        size: width and height of the images, if known.
        say: told what they are read as, and what looks wrong.

    Raises:
        FileNotFoundError, ValueError: no such file, or no keypoints of that skeleton in pixels
            (`posedata.keypoints.take_keypoints`, `posedata.plausible.check_keypoints`).
    """
    values = read_array(path, "keypoints")
    say(f"keypoints are read as {skeleton.name}; name another set with --skeleton")
    return checked_keypoints(values, skeleton, str(path), size, say)


def read_joints(path: Path, skeleton: Skeleton) -> Float[Tensor, "N J 3"]:
    """Joints of an .npy, (N, J, 3) in any unit and frame.

    Raises:
        FileNotFoundError, ValueError: no such file, or not whole poses of that skeleton, but
            keypoints with confidence for instance.
    """
    values = read_array(path, "joints")
    if values.dtype.kind not in "fiu":
        raise ValueError(f"{path}: holds {values.dtype} values, want numbers")
    if not values.size:
        raise ValueError(f"{path}: has no frame; give one pose at least")
    if values.ndim != 3 or values.shape[1:] != (len(skeleton), 3):
        raise ValueError(f"{path}: shape is {values.shape}, want (N, {len(skeleton)}, 3) of {skeleton.name}")
    wrong = ~(np.abs(values) <= LARGEST).all(-1)
    if wrong.any():
        frame, joint = (int(i) for i in np.argwhere(wrong)[0])
        place = f"{skeleton.joints[joint]}: is at ({', '.join(f'{x:.4g}' for x in values[frame, joint])})"
        raise ValueError(f"{path}: frame {frame}, {place}; leave the frame out")
    _no_keypoints(values, path)
    return torch.from_numpy(values.astype(np.float32))


def _no_keypoints(values: np.ndarray, path: Path) -> None:
    """Refuse x, y and confidence as joints: nobody is metres wide and everywhere within one of a plane."""
    third, side = values[..., 2], float(np.median(np.ptp(values[..., :2], axis=1).max(-1)))
    if third.min() >= 0 and third.max() <= 1 and side > _WIDEST:
        told = f"{side:.4g} wide, and a third coordinate within 0 and 1"
        raise ValueError(f"{path}: poses are {told}: these look like keypoints with confidence; embed as 2d")


def tell_invalid(valid: np.ndarray | Tensor, what: str, say: Say = print_line, why: str = "") -> None:
    """Say which frames hold no person, if any do not.

    Args:
        what: they get, "no pose" for instance.
        why: what a person has to show (`TORSO`).
    """
    rows = np.flatnonzero(~np.asarray(valid))
    if len(rows):
        told = f"{len(rows)} of {len(valid)} frames hold no person and get {what}: {frames_told(rows)}"
        say(f"{told}; {why}" if why else told)


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
    except DAMAGED:
        raise ValueError(f"{path}: is not a whole .npy of numbers; write one with numpy.save") from None
    if not isinstance(values, np.ndarray):
        raise ValueError(f"{path}: is an .npz of {', '.join(values)[:80]}; save one of them as .npy")
    return values
