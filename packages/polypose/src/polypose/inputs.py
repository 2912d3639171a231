"""What a user hands in: arrays, lists and tensors, checked and told what they were taken for."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from posedata.keypoints import LARGEST, checked_keypoints, convert_keypoints
from posedata.plausible import looks_like
from posedata.skeleton import SKELETONS, Skeleton, conversion, get_skeleton
from torch import Tensor

from polypose.network import POSE_SKELETON

Array = np.ndarray | Tensor
Say = Callable[[str], None]
_TALL = (0.2, 4.0)
"""Metres between which the longest side of a person's pose lies."""
_OURS = ("polypose", "posedata")
_COARSE = 2048
"""Above which float16 no longer tells neighbouring pixels apart."""


class InputWarning(UserWarning):
    """What a user handed in is probably not what they think it is."""


def warn(text: str) -> None:
    """Tell by Python's warnings, at the line of the user's that called."""
    level, frame = 1, sys._getframe()
    while frame.f_back and frame.f_globals.get("__name__", "").partition(".")[0] in _OURS:
        level, frame = level + 1, frame.f_back
    warnings.warn(text.removeprefix("warning: "), InputWarning, stacklevel=level)


@dataclass(frozen=True)
class Like:
    """How arrays are handed back: as they came, NumPy's or a tensor on its device."""

    device: torch.device | None = None

    @classmethod
    def of(cls, values: Any) -> Like:
        return cls(values.device if isinstance(values, Tensor) else None)

    def give(self, values: Tensor) -> Any:
        return values.cpu().numpy() if self.device is None else values.to(self.device)


def as_array(values: Any, what: str) -> np.ndarray:
    """An array, list or tensor as NumPy's; what is masked is NaN.

    Raises:
        ValueError: it is something else, a table for instance.
    """
    if isinstance(values, Tensor):
        if values.dtype == torch.bfloat16:
            raise ValueError(f"{what}: bfloat16 tells numbers above 256 in steps of 2; give float32")
        values = values.detach().cpu().numpy()
    if hasattr(values, "columns") and hasattr(values, "to_numpy"):
        raise ValueError(f"{what}: is a table; give table.to_numpy().reshape(rows, joints, 2 or 3)")
    try:
        array = np.asarray(values)
    except ValueError:
        array = np.empty(0, object)
    if isinstance(values, np.ma.MaskedArray) and array.dtype.kind in "fiu":
        array = np.ma.filled(values.astype(np.result_type(array.dtype, np.float32)), np.nan)
    if array.dtype.kind not in "fiu":
        told = "lists of unequal length, or no numbers" if array.dtype == object else f"{array.dtype} values"
        raise ValueError(f"{what}: holds {told}, want numbers; give an array of numbers")
    return array


def take_skeleton(values: np.ndarray, skeleton: str | None, where: str = "keypoints") -> Skeleton:
    """The skeleton of this name or, of none, the only one that has so many joints.

    Args:
        values: (N, J, 2 or 3); an error says what they look like.

    Raises:
        ValueError: no skeleton is called so, none has so many joints, or several have.
    """
    if skeleton is not None:
        return get_skeleton(skeleton)
    joints = values.shape[-2] if values.ndim > 1 else 0
    able = [name for name in lifted_skeletons() if len(SKELETONS[name]) == joints]
    if not able:
        known = ", ".join(f"{name} ({len(SKELETONS[name])})" for name in lifted_skeletons())
        raise ValueError(f"{where}: shape is {values.shape}; give (N, joints, 2 or 3) of one of: {known}")
    if len(able) == 1:
        return SKELETONS[able[0]]
    hint = ""
    if values.ndim == 3 and values.shape[2] in (2, 3) and len(values):
        some = values[:: max(1, len(values) // 100), :, :2].astype(np.float64)
        best, _ = looks_like(some, SKELETONS[able[0]])
        hint = f"; these look like {best or able[0]}"
    raise ValueError(f"{where}: {joints} joints have {' and '.join(able)}: name the skeleton{hint}")


def take_size(size: Any) -> tuple[int, int]:
    """Width and height in pixels. ValueError where they are none."""
    try:
        width, height = (int(side) for side in size)
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"size: {str(size)[:40]} is no size; give (width, height) in pixels") from None
    if not (1 <= width <= LARGEST and 1 <= height <= LARGEST):
        told = f"{str(width)[:10]} x {str(height)[:10]}"
        raise ValueError(f"size: {told}; give (width, height) in pixels, above 0 and up to {LARGEST:.0f}")
    return width, height


@cache
def lifted_skeletons() -> tuple[str, ...]:
    """Names of the skeletons that a body's 17 joints can be had from."""
    return tuple(name for name, skeleton in SKELETONS.items() if _converts(skeleton))


def _converts(skeleton: Skeleton) -> bool:
    try:
        conversion(skeleton, POSE_SKELETON, lossy=True)
    except ValueError:
        return False
    return True


def take_keypoints(
    values: Any,
    skeleton: str | None = None,
    confidence: Any = None,
    size: tuple[int, int] | None = None,
    say: Say = warn,
    where: str = "keypoints",
    notes: bool = False,
    to: Skeleton = POSE_SKELETON,
) -> Float[Tensor, "N K 3"]:
    """Keypoints of any skeleton as those of another with confidence, on the CPU.

    Args:
        values: (N, J, 2) pixels, or (N, J, 3) with confidences.
        confidence: (N, J) instead.
        where: what messages call them.
        notes: tell also of what was taken as not seen.
        to: Human3.6M's 17 joints, or which.

    Raises:
        ValueError: they are no such thing; the message names frame, joint and cure.
    """
    if size is not None:
        size = take_size(size)
    array = as_array(values, where)
    if array.dtype == np.float16 and (np.abs(array[..., :2]) > _COARSE).any():
        say(f"warning: {where}: float16 tells pixels above 2048 in steps of 2; give float32")
    if confidence is not None:
        array = _with_confidence(array, as_array(confidence, "confidence"))
    source = take_skeleton(array, skeleton, where)
    points = checked_keypoints(array, source, where, size, _told(say, notes))
    return convert_keypoints(points, source, to)


def _told(say: Say, notes: bool) -> Say:
    """Tells of what is wrong and, where asked to, of what is merely noted."""

    def tell(text: str) -> None:
        if notes or text.startswith("warning: "):
            say(text)

    return tell


def _with_confidence(array: np.ndarray, confidence: np.ndarray) -> np.ndarray:
    if array.ndim != 3 or confidence.shape != array.shape[:2]:
        raise ValueError(
            f"confidence: {confidence.shape} beside keypoints {array.shape}; give one a joint, (N, joints)"
        )
    return np.concatenate([array[..., :2].astype(np.float64), confidence[..., None]], axis=-1)


def take_poses(
    values: Any, skeleton: str = POSE_SKELETON.name, say: Say = warn, *, anywhere: bool = False
) -> Float[Tensor, "N 17 3"]:
    """3D poses as Human3.6M's 17 joints, metres in a camera's frame, on the CPU; NaN where not known.

    Args:
        anywhere: of any unit and in any frame instead.

    Raises:
        ValueError: they are no such thing, or not in metres.
    """
    array, source = as_array(values, "pose"), get_skeleton(skeleton)
    if array.ndim != 3 or array.shape[1:] != (len(source), 3) or not len(array):
        cure = "; of one pose give pose[None]" if array.shape == (len(source), 3) else ""
        raise ValueError(f"pose: shape is {array.shape}, want (N, {len(source)}, 3) of {source.name}{cure}")
    joints = source.convert(torch.from_numpy(array.astype(np.float32)), POSE_SKELETON, lossy=True)
    whole = joints[joints.isfinite().all(-1).all(-1)]
    if len(whole) and not anywhere:
        _before_a_camera(whole, say)
    return joints


def _before_a_camera(whole: Float[Tensor, "N 17 3"], say: Say) -> None:
    """Raise where poses are not in metres, tell where y seems to point up."""
    side = float((whole.amax(1) - whole.amin(1)).amax(-1).median())
    if not _TALL[0] <= side <= _TALL[1]:
        cure = "divide by 1000" if side > 100 * _TALL[0] else "bring them to metres"
        raise ValueError(f"pose: people are {side:.3g} from end to end; give metres ({cure})")
    head, pelvis = POSE_SKELETON.index("head"), POSE_SKELETON.root
    below = (whole[:, head, 1] > whole[:, pelvis, 1]).float().mean()
    if len(whole) >= 20 and below > 0.98:
        told = f"heads are below hips in {below:.0%} of poses; does y point up?"
        say(f"warning: pose: {told} a camera's y points down")
