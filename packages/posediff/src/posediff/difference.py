"""Poses as differences to their conditional mean, in units of how far they usually lie from it.

A frame is a centre (..., D) and a unit (...), a scalar or one a row. Where the unit is 0 nothing is known of
the spread, and the pose itself is meant.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from posediff.sde import Denoise

FOLLOW = 0.02
"""How far the spread moves towards a batch's in a step."""

NARROWEST = 1e-4
"""The least spread, in units of the data's std."""

FLATTEST = 0.05
"""The least of a profile: of a root that is always at the origin, say."""


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
