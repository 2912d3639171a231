"""Exact likelihood under the model, by integrating the probability-flow ODE.

Along ``dx / d ln sigma = x - D(x, sigma)`` the log-density changes by minus the divergence of the right-hand
side (Song et al. 2021, eq. 39, in Karras et al.'s variables). What is returned is the density of the data
blurred by the smallest level, which is what the model knows.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from posediff.sde import Denoise


def log_likelihood(
    denoise: Denoise,
    x: Tensor,
    *,
    sigma_min: float = 0.002,
    sigma_max: float = 160.0,
    steps: int = 50,
    probes: int | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Log-density, in nats, of each row. x: (..., D); returns (...).

    Heun's rule on steps even in ln sigma, two evaluations each. probes=None takes the exact divergence, D
    backward passes an evaluation; a number takes that many Rademacher probes (Hutchinson), unbiased in the
    divergence. At sigma_max the density is taken as N(0, sigma_max²), so sigma_max must dwarf the data.
    """
    probe = _probes(x, probes, generator)
    levels = torch.linspace(math.log(sigma_min), math.log(sigma_max), steps + 1, dtype=torch.float64)
    x = x.detach()
    change = x.new_zeros(x.shape[:-1])
    for i in range(steps):
        here, there = (level.exp().to(x) for level in levels[i : i + 2])
        dt = float(levels[i + 1] - levels[i])
        slope, divergence = _flow(denoise, x, here, probe)
        slope_there, divergence_there = _flow(denoise, x + dt * slope, there, probe)
        x = x + 0.5 * dt * (slope + slope_there)
        change = change + 0.5 * dt * (divergence + divergence_there)
    normal = -0.5 * (x / sigma_max) ** 2 - 0.5 * math.log(2 * math.pi) - math.log(sigma_max)
    return normal.sum(-1) + change


def _probes(x: Tensor, count: int | None, generator: torch.Generator | None) -> Tensor:
    # (P, ..., D): either the identity's rows, or random signs over sqrt(P).
    if count is None:
        eye = torch.eye(x.shape[-1], dtype=x.dtype, device=x.device)
        return eye.reshape(-1, *[1] * (x.ndim - 1), x.shape[-1]).expand(-1, *x.shape)
    device = generator.device if generator is not None else x.device
    signs = torch.randint(0, 2, (count, *x.shape), generator=generator, device=device).to(x) * 2 - 1
    return signs / math.sqrt(count)


def _flow(denoise: Denoise, x: Tensor, sigma: Tensor, probe: Tensor) -> tuple[Tensor, Tensor]:
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        slope = x - denoise(x, sigma)
        divergence = x.new_zeros(x.shape[:-1])
        for direction in probe:
            (row,) = torch.autograd.grad(slope, x, direction, retain_graph=True)
            divergence = divergence + (row * direction).sum(-1)
    return slope.detach(), divergence.detach()
