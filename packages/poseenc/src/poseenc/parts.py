"""A unit vector in two parts, [P | V]: P depends on the pose alone, V on the view of it too.

P are the first `invariant` numbers of a vector, V the others; with 0 there is no P, and V is the vector. Each
part is normalised by itself, to the root of its share of the numbers, so that the vector has length 1, no
number counts more than another, and cosines add: d/D of the cosine of P and 1 - d/D of that of V.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize

View = Literal["invariant", "camera"]
"""What is compared: poses whoever saw them (P), or poses as a camera saw them (the whole)."""


def split(x: Float[Tensor, "*batch D"], invariant: int) -> list[Tensor]:
    """P and V, as they are; the whole alone where there is no P."""
    return [x[..., :invariant], x[..., invariant:]] if invariant else [x]


def share(part: Tensor, whole: Tensor) -> float:
    """The length of a part within a unit vector."""
    return math.sqrt(part.shape[-1] / whole.shape[-1])


def unit(x: Float[Tensor, "*batch D"], invariant: int = 0) -> Float[Tensor, "*batch D"]:
    """Features as unit vectors, each part normalised by itself."""
    return torch.cat([normalize(p, dim=-1) * share(p, x) for p in split(x, invariant)], dim=-1)


def pose_held(x: Float[Tensor, "*batch D"], invariant: int) -> Float[Tensor, "*batch D"]:
    """The same vector, whose P has no gradient."""
    if not invariant:
        return x
    pose, view = split(x, invariant)
    return torch.cat([pose.detach(), view], dim=-1)


def pose_part(x: Float[Tensor, "*batch D"], invariant: int) -> Float[Tensor, "*batch d"]:
    """P as a unit vector; zero of a row that says nothing.

    Raises:
        ValueError: there is no P.
    """
    if not invariant:
        raise ValueError(
            "view: this space has no view-invariant part; train one with senses.space.invariant above 0,"
            " or take view=camera"
        )
    return normalize(x[..., :invariant], dim=-1)
