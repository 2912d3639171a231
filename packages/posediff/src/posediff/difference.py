"""Poses as differences to their conditional mean, in units of how far they usually lie from it.

A frame is a centre (..., D) and a unit (...), a scalar or one a row. Where the unit is 0 nothing is known of
the spread, and the pose itself is meant.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from posediff.schedule import geometric, straight
from posediff.sde import Denoise

FOLLOW = 0.02
"""How far the spread moves towards a batch's in a step."""

NARROWEST = 1e-4
"""The least spread, in units of the data's std."""

FLATTEST = 0.05
"""The least of a profile: of a root that is always at the origin, say."""

AROUND_MEAN = (20.0, 0.05)
"""Levels that ``PoseDecoder.sample`` walks around a mean, in units of its ``spread``. From 20 the differences
themselves, some of which spread thrice as far as the rest, are lost in the noise; a last step from 0.05 keeps
the width of those that spread a third as far."""

AROUND_NOTHING = (80.0, 0.01)
"""The same for a decoder without a mean, in units of the data's std."""

UNCENTRED = 0.25
"""What stands for ``spread`` where a decoder has none: poses given a condition spread less than poses do."""


def frame(centre: Tensor, unit: Tensor) -> tuple[Tensor, Tensor]:
    """Centre 0 and unit 1 where the unit is 0."""
    known = unit > 0
    return torch.where(known[..., None], centre, 0.0), torch.where(known, unit, 1.0)


def about(denoise: Denoise, centre: Tensor, unit: Tensor, sigma_max: float) -> Denoise:
    """The denoiser of poses made from one of differences; sigma_max is the highest level that one knows."""
    centre, unit = frame(centre, unit)

    def denoise_poses(x: Tensor, sigma: Tensor) -> Tensor:
        sigma = sigma[..., 0] if sigma.ndim == x.ndim else sigma
        # Beyond the highest known level only the direction of x is left to be known.
        inside = (sigma_max * unit / sigma).clamp(max=1) / unit
        return centre + unit[..., None] * denoise(inside[..., None] * (x - centre), inside * sigma)

    return denoise_poses


def sample_about(
    sampler: Callable[..., Tensor],
    denoise: Denoise,
    centre: Tensor,
    unit: Tensor,
    noise: Tensor,
    levels: Tensor,
) -> Tensor:
    """Run a sampler on levels in a frame: each row's levels are ``levels`` times its own unit."""

    def denoise_differences(z: Tensor, sigma: Tensor) -> Tensor:
        return (denoise(centre + unit[..., None] * z, unit * sigma) - centre) / unit[..., None]

    return centre + unit[..., None] * sampler(denoise_differences, levels[0] * noise, levels)


def levels_about(
    n: int, unit: Tensor, ends: tuple[float, float], start: float | None = None, *, even: bool = False
) -> Tensor:
    """The levels of ``sample_about``, in units: in constant ratio between the ends, then 0. Returns (n + 1,).

    start: the first level instead of ends', in what the units are in; the narrowest row's is exact. even:
    evenly spaced in flow matching's time, from the first of the ends to 0.

    Raises:
        ValueError: start is not above the last level.
    """
    top, end = ends
    if start is not None:
        least = float(unit.min())
        top = start / least
        if not top > end:
            raise ValueError(f"sigma_start: {start}; it must be above the last level, {end * least:.3g}")
    return straight(n, top) if even else geometric(n, end, top)


def residual_sums(difference: Tensor, weight: Tensor, modality: int | Tensor, modalities: int) -> Tensor:
    """Sums by modality of weighted squares and of weights, both (B, D). Returns (modalities, 2, D)."""
    terms = torch.stack([difference**2 * weight, weight], 1)
    if isinstance(modality, int):
        sums = terms.new_zeros(modalities, *terms.shape[1:])
        sums[modality] = terms.sum(0)
        return sums
    each = torch.arange(modalities, device=terms.device)
    own = modality.to(terms.device).expand(len(terms)) == each[:, None]
    return torch.stack([torch.where(rows[:, None, None], terms, 0.0).sum(0) for rows in own])


def followed(spread: Tensor, profile: Tensor, residual: Tensor) -> tuple[Tensor, Tensor]:
    """Spread (modalities,) and profile (modalities, D), moved a little towards residuals' rms.

    The profile is the rms by coordinate over that of all. A spread of 0 stays, as does what has no residual.
    """
    squares, weights = residual.to(spread).unbind(1)
    total = weights.sum(1)
    rms = (squares.sum(1) / total.clamp(min=1e-12)).sqrt()
    moved = torch.lerp(spread, rms, FOLLOW).clamp(min=NARROWEST)
    each = (squares / weights.clamp(min=1e-12)).sqrt() / rms.clamp(min=1e-12)[:, None]
    reshaped = torch.lerp(profile, each, FOLLOW).clamp(min=FLATTEST)
    return (
        torch.where((total > 0) & (spread > 0), moved, spread),
        torch.where(weights > 0, reshaped, profile),
    )
