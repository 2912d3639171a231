"""What metrics refuse: unequal shapes, no tensors, thresholds in another unit, what is not finite."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

LARGEST_THRESHOLD = 5.0
"""Metres: a larger threshold is one in millimetres."""
_LARGEST_SHARE = 2.0


def check_finite(name: str, values: Tensor, valid: Tensor, joints: Sequence[str], cure: str) -> None:
    """Raise ValueError, with how many and the first by frame and joint, where what counts is not finite.

    Args:
        values: (N, J, d); valid: (N, J), what counts.
        joints: J names.
    """
    wrong = valid & ~values.isfinite().all(-1)
    if bool(wrong.any()):
        frame, joint = wrong.nonzero()[0].tolist()
        raise ValueError(
            f"{name}: {int(wrong.sum()):,} joints are not finite, first {joints[joint]} of frame {frame};"
            f" {cure}"
        )


def check_pair(predicted: Tensor, true: Tensor, valid: Tensor | None = None) -> None:
    """Tensors of floats, of one shape, `valid` a mask of its joints."""
    for name, values in (("predicted", predicted), ("true", true)):
        check_floats(name, values)
    if predicted.shape != true.shape:
        raise ValueError(
            f"predicted has shape {tuple(predicted.shape)}, true {tuple(true.shape)}; give a true pose for"
            " each prediction (`true.expand_as(predicted)` for several of one pose)"
        )
    if predicted.device != true.device:
        raise ValueError(f"predicted is on {predicted.device}, true on {true.device}; move one to the other")
    if valid is None:
        return
    if not isinstance(valid, Tensor) or valid.dtype != torch.bool:
        raise TypeError(f"valid is {_kind(valid)}; give a bool tensor")
    if valid.shape != true.shape[:-1]:
        raise ValueError(
            f"valid has shape {tuple(valid.shape)}, {tuple(true.shape[:-1])} are due: one a joint"
        )


def check_floats(name: str, values: object) -> None:
    """Raise TypeError for what is not a tensor of floats: an array of numpy, integers, complex numbers."""
    if not isinstance(values, Tensor) or not values.dtype.is_floating_point:
        raise TypeError(f"{name} is {_kind(values)}; give a tensor of floats")


def _kind(values: object) -> str:
    if isinstance(values, Tensor):
        return f"a tensor of {str(values.dtype).removeprefix('torch.')}"
    return f"a {type(values).__module__}.{type(values).__name__}"


def check_reference(reference: Tensor, true: Tensor, threshold: float) -> None:
    """A length for each pose, and a threshold that is a share of it."""
    if reference.shape != true.shape[:-2]:
        raise ValueError(
            f"reference has shape {tuple(reference.shape)}, {tuple(true.shape[:-2])} are due: a length a pose"
        )
    if not 0 < threshold <= _LARGEST_SHARE:
        raise ValueError(f"threshold {threshold:g}: give a share of the reference, e.g. 0.05 for PCK@0.05")


def check_metres(threshold: float) -> None:
    """A threshold in metres that errors of poses can be under."""
    if not 0 < threshold <= LARGEST_THRESHOLD:
        unit = "; this looks like millimetres" if threshold > LARGEST_THRESHOLD else ""
        raise ValueError(
            f"threshold {threshold:g}: give metres above 0, at most {LARGEST_THRESHOLD:g}{unit} (0.150 is 150"
            " mm)"
        )


def check_embeddings(name: str, values: Tensor, distance: str) -> None:
    """(N, D) floats, finite; for the cosine not zero."""
    check_floats(name, values)
    wrong = ~values.isfinite().all(-1)
    if bool(wrong.any()):
        raise ValueError(
            f"{name}: {int(wrong.sum()):,} of {len(values):,} embeddings are not finite, first row"
            f" {int(wrong.nonzero()[0, 0])}; leave them out"
        )
    if distance == "cosine" and bool((zero := ~values.any(-1)).any()):
        raise ValueError(
            f"{name}: {int(zero.sum()):,} of {len(values):,} embeddings are zero, which have no cosine, first"
            f" row {int(zero.nonzero()[0, 0])}; leave them out"
        )


def check_found(found: Tensor, queries: Tensor, gallery: Tensor) -> None:
    """What `nearest` found belongs to these queries and this gallery."""
    if len(found) != len(queries):
        raise ValueError(f"found has {len(found)} rows for {len(queries)} query poses; give one each")
    if found.numel() and not 0 <= int(found.min()) <= int(found.max()) < len(gallery):
        raise ValueError(
            f"found names entries {int(found.min())} to {int(found.max())}, the gallery has {len(gallery)}"
            " poses; give the poses of the gallery that was searched"
        )
