"""The von Mises-Fisher distribution on the unit sphere: a direction, and how sure it is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable

from .parts import share, split

LEAST_WIDTH = 16
"""The fewest dimensions for which log C_D is right to a millionth (`log_normaliser`)."""

_STEPS = 8


class VonMisesFisher(NamedTuple):
    """One distribution a row, of density C_D(k) exp(k m·x).

    Attributes:
        mean: (B, D) unit vectors m; zero in a row that says nothing.
        concentration: (B,) k >= 0; of 0 in a row that says nothing.
    """

    mean: Float[Tensor, "B D"]
    concentration: Float[Tensor, " B"]

    def nll(self, target: Float[Tensor, "B D"]) -> Float[Tensor, " B"]:
        """-log density of unit vectors, in nats: -k m·x - log C_D(k)."""
        cosine = (self.mean * target).sum(-1)
        return -self.concentration * cosine - log_normaliser(self.concentration, target.shape[-1])

    def mean_cosine(self) -> Float[Tensor, " B"]:
        """A_D(k): the mean cosine to m that it predicts."""
        return mean_cosine(self.concentration, self.mean.shape[-1])


def fuse(parts: Sequence[VonMisesFisher], invariant: int = 0) -> VonMisesFisher:
    """The product of the densities, again of this kind: direction and length of the sum of k m.

    What says nothing (k = 0) drops out, agreement adds up, contradiction cancels; one alone is itself. A row
    in which nothing is left has direction zero and concentration 0.

    Args:
        invariant: of directions that are [P | V] (`poseenc.parts`): each of the two has its own direction,
            and the concentration is the sum's component along both.

    Raises:
        ValueError: there are no parts.
    """
    if not parts:
        raise ValueError("parts: none; pass one distribution or more")
    total = torch.stack([part.concentration[:, None] * part.mean for part in parts]).sum(0)
    pieces = split(total, invariant)
    squares = torch.stack([piece.square().sum(-1) for piece in pieces])
    left = ~(squares <= torch.finfo(squares.dtype).tiny).any(0)  # NaN is not nothing: it stays
    lengths = torch.where(left, squares, 1).sqrt()
    shares = [share(piece, total) for piece in pieces]
    mean = [
        torch.where(left[:, None], piece, 0) / length[:, None] * long
        for piece, length, long in zip(pieces, lengths, shares, strict=True)
    ]
    along = torch.stack([long * length for long, length in zip(shares, lengths, strict=True)]).sum(0)
    return VonMisesFisher(torch.cat(mean, dim=-1), torch.where(left, along, 0))


def log_normaliser(concentration: Float[Tensor, "*batch"], width: int) -> Float[Tensor, "*batch"]:
    """log C_D(k) = v log k - (v + 1) log 2π - log I_v(k), v = D / 2 - 1; at k = 0 the uniform density's.

    By the uniform asymptotic expansion of I_v (Abramowitz and Stegun, 9.7.7) with four terms, in float64, in
    which k and its powers cancel. Its slope is -A_D(k) (`mean_cosine`), exactly.

    Args:
        concentration: k >= 0.
        width: D, at least `LEAST_WIDTH`.

    Raises:
        ValueError: a smaller width.
    """
    if width < LEAST_WIDTH:
        raise ValueError(f"width {width}: the expansion needs {LEAST_WIDTH} dimensions or more")
    result: Tensor = _LogNormaliser.apply(concentration, width)
    return result


def mean_cosine(concentration: Float[Tensor, "*batch"], width: int) -> Float[Tensor, "*batch"]:
    """A_D(k) = I_{D/2}(k) / I_{D/2-1}(k), the mean of m·x: 0 at k = 0, towards 1 for large k.

    The expansion's ratio `_STEPS` orders above, and the recurrence down from there, which damps its error; in
    float64, differentiable.
    """
    k = concentration.double()
    order = width / 2 - 1 + _STEPS
    ratio = k * (_smooth(k, order) - _smooth(k, order + 1)).exp()
    for step in range(_STEPS):
        ratio = k / (2 * (order - step) + k * ratio)
    return ratio.to(concentration.dtype)


def kl_to_uniform(concentration: Float[Tensor, "*batch"], width: int) -> Float[Tensor, "*batch"]:
    """Kullback-Leibler divergence from the uniform distribution, in nats: k A_D(k) + log C_D(k) - log C_D(0).

    What being sure costs: the regulariser of concentrations that only scale logits, which could all grow.
    """
    zero = torch.zeros((), dtype=concentration.dtype, device=concentration.device)
    gained = log_normaliser(concentration, width) - log_normaliser(zero, width)
    return concentration * mean_cosine(concentration, width) + gained


class _LogNormaliser(torch.autograd.Function):
    @staticmethod
    def forward(ctx: FunctionCtx, concentration: Tensor, width: int) -> Tensor:
        ctx.save_for_backward(concentration)
        ctx.width = width  # type: ignore[attr-defined]
        v = width / 2 - 1
        value = _smooth(concentration.double(), v) - (v + 1) * math.log(2 * math.pi)
        return value.to(concentration.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, grad: Tensor) -> tuple[Tensor, None]:
        (concentration,) = ctx.saved_tensors  # type: ignore[attr-defined]
        return -grad * mean_cosine(concentration, ctx.width), None  # type: ignore[attr-defined]


def _smooth(k: Tensor, v: float) -> Tensor:
    """v log k - log I_v(k), which is smooth where k is 0; float64.

    I_v(v z) = e^(v η) / (√(2π v) (1 + z²)^¼) (1 + Σ u_n(t) / v^n), with 1 / t = √(1 + z²) and
    η = √(1 + z²) + log(z / (1 + √(1 + z²))).
    """
    root = (1 + (k / v).square()).sqrt()
    series = torch.ones_like(root)
    for number, (numerators, denominator) in enumerate(_TERMS, 1):
        u = sum(n * root ** -(number + 2 * power) for power, n in enumerate(numerators))
        series = series + u / (denominator * v**number)
    flat = (root.log() + math.log(2 * math.pi * v)) / 2 - series.log()
    return v * (math.log(v) - root + (1 + root).log()) + flat


_TERMS = (
    ((3, -5), 24),
    ((81, -462, 385), 1152),
    ((30375, -369603, 765765, -425425), 414720),
    ((4465125, -94121676, 349922430, -446185740, 185910725), 39813120),
)
"""u_1 to u_4 (Abramowitz and Stegun, 9.3.9): u_n is t^n times a polynomial in t², over a denominator."""
