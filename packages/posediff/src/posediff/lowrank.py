"""Normal distributions of flat poses whose covariance is a diagonal and a few shared directions."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.distributions import LowRankMultivariateNormal

from posediff.sampler import randn_like


class LowRank(NamedTuple):
    """Covariances ``diag(sd²) + factor factorᵀ``, about a mean that is kept elsewhere.

    sd: (..., D), above 0: the floor of every eigenvalue. factor: (..., D, R), what moves together.
    """

    sd: Tensor
    factor: Tensor

    def log_density(self, residual: Tensor, known: Tensor | None = None) -> Tensor:
        """Log-density of differences to the mean, in nats: (..., D) to (...).

        known: (..., D) bool; the density is that of the known coordinates alone, whatever the others hold.
        """
        sd, factor = self
        missing: Tensor | float = 0.0
        if known is not None:  # a unit variance of its own, at its mean: a constant, which is taken off
            sd, factor = torch.where(known, sd, 1.0), torch.where(known[..., None], factor, 0.0)
            residual = torch.where(known, residual, 0.0)
            missing = -0.5 * torch.log(2 * sd.new_tensor(torch.pi)) * (~known).sum(-1)
        normal = LowRankMultivariateNormal(torch.zeros_like(sd), factor, sd**2, validate_args=False)
        return normal.log_prob(residual) - missing

    def draw(self, count: int, generator: torch.Generator | None = None) -> Tensor:
        """Differences to the mean: (count, ..., D)."""
        shape = (count, *self.sd.shape)
        own = randn_like(self.sd.new_empty(shape), generator)
        shared = randn_like(
            self.factor.new_empty(count, *self.factor.shape[:-2], self.factor.shape[-1]), generator
        )
        return self.sd * own + (self.factor @ shared[..., None])[..., 0]

    def stretched(self, by: float | Tensor) -> LowRank:
        """With all standard deviations `by` times as large; by: a scalar or (...)."""
        by = torch.as_tensor(by, device=self.sd.device)
        return LowRank(self.sd * by[..., None], self.factor * by[..., None, None])
