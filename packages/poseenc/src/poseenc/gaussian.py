"""A diagonal normal distribution for every row of a batch: what a probabilistic encoder says."""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor


class Gaussian(NamedTuple):
    """Mean and standard deviation of independent coordinates."""

    mean: Float[Tensor, "B dim"]
    std: Float[Tensor, "B dim"]

    def sample(self, count: int, generator: torch.Generator | None = None) -> Float[Tensor, "B S dim"]:
        """``count`` draws of every row, differentiable in mean and deviation."""
        shape = (len(self.mean), count, self.mean.shape[1])
        device = self.mean.device if generator is None else generator.device
        noise = torch.randn(shape, generator=generator, device=device).to(self.mean)
        return self.mean[:, None] + self.std[:, None] * noise

    def kl_to_normal(self) -> Float[Tensor, " B"]:
        """Kullback-Leibler divergence from N(0, 1), summed over the coordinates: (σ² + μ² - 1)/2 - log σ."""
        return ((self.std**2 + self.mean**2 - 1) / 2 - self.std.log()).sum(-1)
