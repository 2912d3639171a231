"""Forward noising processes.

A process carries data to noise as ``x_t = scale(t) * x_0 + std(t) * n`` with n standard normal. Dividing by
the scale gives ``x_t / scale(t) = x_0 + sigma(t) * n``: every process here is the same one seen through a
scale and a clock (Karras et al. 2022, eq. 8 and table 1). Denoisers and ODE samplers therefore speak in
``sigma`` alone; only the samplers of a reverse SDE need the process itself.

Times are tensors of any shape in [0, 1]; what comes back has the same shape.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

Denoise = Callable[[Tensor, Tensor], Tensor]
"""``denoise(x, sigma)``: the expectation of x_0 given ``x = x_0 + sigma n``; sigma broadcasts against x."""


class SDE(Protocol):
    """``dx = -rate(t) / 2 * x dt + diffusion(t) dw``, with its marginal and its clock."""

    def scale(self, t: Tensor) -> Tensor: ...
    def std(self, t: Tensor) -> Tensor: ...
    def rate(self, t: Tensor) -> Tensor: ...
    def diffusion(self, t: Tensor) -> Tensor: ...
    def sigma(self, t: Tensor) -> Tensor: ...
    def time(self, sigma: Tensor) -> Tensor: ...


@dataclass(frozen=True)
class _Linear:
    """What VP and sub-VP share: a rate that grows linearly from ``beta_min`` to ``beta_max``."""

    beta_min: float = 0.1
    beta_max: float = 20.0

    def rate(self, t: Tensor) -> Tensor:
        return self.beta_min + (self.beta_max - self.beta_min) * t

    def scale(self, t: Tensor) -> Tensor:
        return torch.exp(-0.5 * self._integral(t))

    def _integral(self, t: Tensor) -> Tensor:
        return self.beta_min * t + 0.5 * (self.beta_max - self.beta_min) * t**2

    def _time_of_integral(self, integral: Tensor) -> Tensor:
        # The quadratic's root in the form that does not cancel for small integrals.
        slope = self.beta_max - self.beta_min
        return 2 * integral / (self.beta_min + torch.sqrt(self.beta_min**2 + 2 * slope * integral))


@dataclass(frozen=True)
class VP(_Linear):
    """Variance preserving (Song et al. 2021, eq. 11): std² = 1 - scale²."""

    def std(self, t: Tensor) -> Tensor:
        return torch.sqrt(-torch.expm1(-self._integral(t)))

    def diffusion(self, t: Tensor) -> Tensor:
        return torch.sqrt(self.rate(t))

    def sigma(self, t: Tensor) -> Tensor:
        return torch.sqrt(torch.expm1(self._integral(t)))

    def time(self, sigma: Tensor) -> Tensor:
        return self._time_of_integral(torch.log1p(sigma**2))


@dataclass(frozen=True)
class SubVP(_Linear):
    """Sub-VP (Song et al. 2021, eq. 13), the process of GFPose, ZeDO and UniHPR: std = 1 - scale²."""

    def std(self, t: Tensor) -> Tensor:
        return -torch.expm1(-self._integral(t))

    def diffusion(self, t: Tensor) -> Tensor:
        return torch.sqrt(self.rate(t) * -torch.expm1(-2 * self._integral(t)))

    def sigma(self, t: Tensor) -> Tensor:
        return 2 * torch.sinh(0.5 * self._integral(t))

    def time(self, sigma: Tensor) -> Tensor:
        return self._time_of_integral(2 * torch.asinh(0.5 * sigma))


@dataclass(frozen=True)
class VE:
    """Variance exploding (Song et al. 2021, eq. 9): sigma grows geometrically, the scale stays 1."""

    sigma_min: float = 0.01
    sigma_max: float = 50.0

    def scale(self, t: Tensor) -> Tensor:
        return torch.ones_like(t)

    def rate(self, t: Tensor) -> Tensor:
        return torch.zeros_like(t)

    def sigma(self, t: Tensor) -> Tensor:
        return self.sigma_min * torch.exp(t * math.log(self.sigma_max / self.sigma_min))

    def std(self, t: Tensor) -> Tensor:
        return self.sigma(t)

    def diffusion(self, t: Tensor) -> Tensor:
        return self.sigma(t) * math.sqrt(2 * math.log(self.sigma_max / self.sigma_min))

    def time(self, sigma: Tensor) -> Tensor:
        return torch.log(sigma / self.sigma_min) / math.log(self.sigma_max / self.sigma_min)


def score(sde: SDE, denoise: Denoise, x: Tensor, t: Tensor) -> Tensor:
    """Gradient of log p_t at x, by Tweedie's formula: ``(scale * E[x_0 | x] - x) / std²``.

    x: any shape, in the process' own scale; t: broadcasts against x. Returns the shape of x.
    """
    scale = sde.scale(t)
    return (scale * denoise(x / scale, sde.sigma(t)) - x) / sde.std(t) ** 2
