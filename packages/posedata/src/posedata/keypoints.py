"""2D keypoints as a detector or a file gives them: what was seen, and the same in another joint set.

Keypoints are (..., J, 3): x and y in pixels, and a confidence in [0, 1], 0 where the joint was not seen.
What is made of a joint that was not seen was not seen either. `plausible` says whether the
numbers are what they are called.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32
from torch import Tensor

from posedata.geometry.canonical import torso_seen
from posedata.plausible import check_keypoints
from posedata.skeleton import SKELETONS, Skeleton, conversion
from posedata.terminal import print_line

LARGEST = 1e6
"""Pixels beyond which no image reaches."""
_OVER = 1e-3
_METRES, _MILLIMETRES, _STRANGE = 10, 1000, 0.1
"""What no pixels are all below, what no scale of confidences exceeds, and in which share of the keypoints."""
_MARKS = (0.0, -1.0)


def convert_keypoints(
    points: Float[Tensor, "*batch J 3"], source: Skeleton, to: Skeleton
) -> Float[Tensor, "*batch K 3"]:
    """Keypoints of another joint set, by `Skeleton.convert`'s rules, approximations included.

    A joint made of others has the smallest of their confidences: 0 where one of them was not seen, and
    is then (0, 0, 0).

    Raises:
        ValueError: naming every joint that cannot be had, or another number of joints than `source` has.
    """
    if points.shape[-2:] != (len(source), 3):
        raise ValueError(
            f"keypoints have shape {tuple(points.shape)}, want (..., {len(source)}, 3) of {source.name}"
        )
    if source == to:
        return points
    plan = conversion(source, to, lossy=True)
    if all(len(parts) == 1 for parts in plan):
        return points[..., [parts[0][0] for parts in plan], :]
    place = source.convert(torch.where(points[..., 2:] > 0, points[..., :2], 0), to, lossy=True)
    sure = torch.stack(
        [points[..., [index for index, _ in parts], 2].amin(-1) for parts in plan], dim=-1
    ).clamp(min=0)[..., None]
    return torch.cat([torch.where(sure > 0, place, 0), sure], dim=-1)


def holds_person(points: Float[Tensor, "*batch J 3"], skeleton: Skeleton) -> Bool[Tensor, "*batch"]:
    """Whether a hip and a shoulder were seen, at different places (`geometry.canonical.torso_seen`).

    A pose is told from its pelvis and in units of its torso. Two eyes, or the legs alone, say neither where
    that is nor how large, and a network would make up a body for them.

    Raises:
        ValueError: a skeleton without shoulders or hips.
    """
    return torso_seen(points[..., :2], skeleton, points[..., 2] > 0)


def take_keypoints(
    values: np.ndarray, skeleton: Skeleton, where: str = "keypoints"
) -> tuple[Float32[np.ndarray, "N J 3"], list[str]]:
    """Somebody's array as keypoints, and notes: what in it was taken as not seen.

    Not seen are joints of confidence 0 or -1, those without confidence whose x and y are both NaN, and any at
    exactly (0, 0) or (-1, -1), which is how detectors mark them.

    Args:
        values: (N, J, 2) pixels, or (N, J, 3) with confidences; any number type.
        where: what messages call it, a file's name for instance.

    Raises:
        ValueError: it is anything else. The message names frame and joint, and says what to do.
    """
    _right_shape(values, skeleton, where)
    exact = values.astype(np.result_type(values.dtype, np.float32), copy=False)
    x, y, given = exact[..., 0], exact[..., 1], values.shape[2] == 3
    sure = exact[..., 2] if given else np.ones_like(x)
    nowhere = np.isnan(x) & np.isnan(y)
    marked = [(x == mark) & (y == mark) & (sure != 0) for mark in _MARKS]
    minus = sure == -1
    unseen = (sure == 0) | minus | marked[0] | marked[1] | (nowhere & (np.isnan(sure) | (not given)))
    if given:
        _no_depth(exact, where)
    _right_confidence(np.where(unseen, 0, sure), skeleton, where)
    _refuse(
        ~(unseen | ((np.abs(x) <= LARGEST) & (np.abs(y) <= LARGEST))),
        lambda i, j: (
            f"is at ({x[i, j]:.4g}, {y[i, j]:.4g}), which is no place in an image; "
            + ("give it confidence 0 if it was not seen" if given else "give (NaN, NaN) if it was not seen")
        ),
        skeleton,
        where,
    )
    out = np.zeros((*x.shape, 3), np.float32)
    for axis, column in enumerate((x, y, sure.clip(0, 1))):
        np.copyto(out[..., axis], column, where=~unseen)
    marks = {"at exactly (0, 0)": marked[0] & ~minus, "at exactly (-1, -1)": marked[1] & ~minus}
    marks |= {"of confidence -1": minus, "that are NaN": nowhere & (sure != 0)}
    notes = [
        f"{count} of {unseen.size} keypoints {what} are taken as not seen"
        for what, which in marks.items()
        if (count := int(which.sum()))
    ]
    return out, notes


def checked_keypoints(
    values: np.ndarray,
    skeleton: Skeleton,
    where: str,
    size: tuple[int, int] | None = None,
    say: Callable[[str], None] = print_line,
) -> Float[Tensor, "N J 3"]:
    """Somebody's array as keypoints with confidence.

    Raises:
        ValueError: what `take_keypoints` or `posedata.plausible.check_keypoints` finds.
    """
    points, notes = take_keypoints(values, skeleton, where)
    errors, warnings = check_keypoints(points, skeleton, size)
    if errors:
        raise ValueError(f"{where}: {'; '.join(errors)}")
    for text in [f"note: {note}" for note in notes] + [f"warning: {warning}" for warning in warnings]:
        say(text)
    return torch.from_numpy(points)


def frames_told(rows: np.ndarray, most: int = 5) -> str:
    """Frame numbers in words: "frame 3", "frames 3, 7, 8 and 12 more"."""
    listed = ", ".join(map(str, rows[:most].tolist()))
    more = f" and {len(rows) - most} more" if len(rows) > most else ""
    return f"frame{'s' if len(rows) > 1 else ''} {listed}{more}"


def _right_shape(values: np.ndarray, skeleton: Skeleton, where: str) -> None:
    shape, joints = values.shape, len(skeleton)
    if values.dtype.kind not in "fiu":
        raise ValueError(f"{where}: holds {values.dtype} values, want numbers: x, y and a confidence")
    cure = ""
    if values.ndim == 2 and shape[1] in (2, 3):
        cure = "; of one frame give array[None]"
    elif values.ndim == 4:
        cure = "; of several people give one at a time, array[:, person]"
    elif values.ndim == 3 and shape[2] == 4:
        cure = "; leave out depth: array[..., [0, 1, 3]] of x, y, z, visibility"
    elif values.ndim == 3 and shape[2] in (2, 3) and shape[1] != joints:
        same = [name for name, other in SKELETONS.items() if len(other) == shape[1]]
        cure = f"; {shape[1]} joints have {' and '.join(same)}: name the skeleton" if same else ""
        cure = cure or f"; skeletons that are known: {', '.join(SKELETONS)}"
    if values.ndim != 3 or shape[1] != joints or shape[2] not in (2, 3):
        raise ValueError(f"{where}: shape is {shape}, want (N, {joints}, 2 or 3) for {skeleton.name}{cure}")
    if not len(values):
        raise ValueError(f"{where}: has no frame; give one at least")


def _no_depth(values: np.ndarray, where: str) -> None:
    """Raise where x, y and z of 3D joints were given: z is often negative or large, or x and y are metres."""
    third = values[..., 2]
    strange = float((((third < 0) & (third != -1)) | (third > _MILLIMETRES)).mean())
    metres = bool((np.abs(values[..., :2]) < _METRES).all() and (third > 1 + _OVER).any())
    if strange > _STRANGE or metres:
        raise ValueError(
            f"{where}: third numbers run from {np.nanmin(third):.4g} to {np.nanmax(third):.4g},"
            " as z of 3D joints does; give x and y in pixels, and a confidence of 0 to 1"
        )


def _right_confidence(sure: np.ndarray, skeleton: Skeleton, where: str) -> None:
    _refuse(
        ~np.isfinite(sure) | (sure < 0),
        lambda i, j: (
            f"has confidence {sure[i, j]:.4g}; give 0 where a joint was not seen, up to 1 where it was"
        ),
        skeleton,
        where,
    )
    highest = float(sure.max(initial=0))
    if highest > 1 + _OVER:
        flags = bool(np.isin(sure, (0, 1, 2)).all())
        scale = next((most for most in (100, 255, 1000) if 2 < highest <= most), None)
        cure = "clip it to 1" if highest <= 2 else f"divide it by {scale or f'{highest:.4g}'}"
        cure = "of COCO's visibility 0, 1, 2 give 1 where it is above 0" if flags else cure
        raise ValueError(f"{where}: confidence reaches {highest:.4g}, want 0 to 1; {cure}")


def _refuse(wrong: np.ndarray, why: Any, skeleton: Skeleton, where: str) -> None:
    if wrong.any():
        frame, joint = (int(index) for index in np.argwhere(wrong)[0])
        raise ValueError(f"{where}: frame {frame}, {skeleton.joints[joint]}: {why(frame, joint)}")
