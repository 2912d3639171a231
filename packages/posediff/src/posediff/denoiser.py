"""The denoiser: a network made to predict x_0 at every noise level, and its training loss.

``D(x, sigma) = c_skip x + c_out F(c_in x, c_noise)`` (Karras et al. 2022, eq. 7). The four coefficients are
all that tells one parametrisation from another, so the score networks of VP, sub-VP and VE models and EDM's
own stand behind one Denoiser. Data are taken to have standard deviation ``sigma_data``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn

from posediff.sde import SDE, VE, VP, SubVP


class Coefficients(NamedTuple):
    skip: Tensor
    out: Tensor
    input: Tensor
    noise: Tensor


class Preconditioning(Protocol):
    """From noise levels (any shape) to the coefficients of ``D`` (same shape)."""

    def __call__(self, sigma: Tensor) -> Coefficients: ...


@dataclass(frozen=True)
class EDM:
    """Unit-variance input and target at every level (Karras et al. 2022, table 1, last column).

    The label is 5 ln sigma, not their ln sigma / 4: our sinusoids have periods from 2 pi up, and over their
    range of labels, 3 wide, nearly all of them would stand still.
    """

    sigma_data: float | Tensor = 1.0
    label_scale: float = 5.0

    def __call__(self, sigma: Tensor) -> Coefficients:
        total = sigma**2 + self.sigma_data**2
        root = torch.sqrt(total)
        return Coefficients(
            self.sigma_data**2 / total,
            sigma * self.sigma_data / root,
            1 / root,
            self.label_scale * torch.log(sigma),
        )


@dataclass(frozen=True)
class NoisePrediction:
    """The network predicts the noise: ``score = -F(x_t, 999 t) / std``, as GFPose trains VP and sub-VP."""

    sde: SDE = field(default_factory=SubVP)
    label_scale: float = 999.0

    def __call__(self, sigma: Tensor) -> Coefficients:
        t = self.sde.time(sigma)
        return Coefficients(torch.ones_like(sigma), -sigma, self.sde.scale(t), self.label_scale * t)


@dataclass(frozen=True)
class ScaledScore:
    """``score = F(x, sigma) / sigma``: VE models with output divided by sigma (Song et al. 2021)."""

    def __call__(self, sigma: Tensor) -> Coefficients:
        return Coefficients(torch.ones_like(sigma), sigma, torch.ones_like(sigma), torch.log(sigma))


@dataclass(frozen=True)
class Velocity:
    """The network predicts ``n - x_0``: the velocity of the straight path ``(1 - t) x_0 + t n``.

    Flow matching (Lipman et al. 2023, Flow Matching for Generative Modeling; Liu et al. 2023, Flow Straight
    and Fast, eq. 1). The path over its scale 1 - t is ``x_0 + sigma n`` with sigma = t / (1 - t), so that the
    loss of a ``Denoiser`` is the plain ``|F - (n - x_0)|²``, and Euler's step in t is
    `posediff.sampler.euler`'s in sigma.
    """

    label_scale: float = 999.0

    def __call__(self, sigma: Tensor) -> Coefficients:
        scale = 1 / (1 + sigma)
        t = sigma * scale
        return Coefficients(scale, -t, scale, self.label_scale * t)


PARAMETRISATIONS: dict[str, Callable[[], Preconditioning]] = {
    "edm": EDM,
    "subvp": lambda: NoisePrediction(SubVP()),
    "vp": lambda: NoisePrediction(VP()),
    "ve": ScaledScore,
    "flow": Velocity,
}

PROCESSES: dict[str, Callable[[], SDE]] = {
    "edm": SubVP,
    "subvp": SubVP,
    "vp": VP,
    "ve": VE,
    "flow": SubVP,
}
"""The process whose reverse SDE is run for a decoder of that parametrisation. The two are independent:
EDM's coefficients and the velocity's suit any process, and sub-VP is what the 1000-step papers run."""


class Denoiser(nn.Module):
    """``network(x, label, condition)`` made into ``denoise(x, sigma, condition)``.

    x: (..., D). sigma: a scalar tensor, or one a row: x's leading shape, (...) or (..., 1). condition: handed
    through. std: of the data by coordinate, (..., D), where EDM's ``sigma_data`` is not that of all. A
    network of zeros is then the exact denoiser of normal data with these stds.
    """

    def __init__(self, network: nn.Module, preconditioning: Preconditioning) -> None:
        super().__init__()
        self.network = network
        self.preconditioning = preconditioning

    def forward(self, x: Tensor, sigma: Tensor, condition: Any = None, std: Tensor | None = None) -> Tensor:
        c = self._coefficients(sigma[..., 0] if sigma.ndim == x.ndim else sigma, std)
        return c.skip * x + c.out * self.network(c.input * x, c.noise, condition)

    def loss(
        self,
        clean: Tensor,
        sigma: Tensor,
        noise: Tensor,
        condition: Any = None,
        std: Tensor | None = None,
    ) -> Tensor:
        """Squared error of the network's own target: ``|D(x_0 + sigma n) - x_0|² / c_out²``.

        clean, noise: (..., D), noise standard normal; sigma: (...). Returns (..., D), unreduced. The weight
        1 / c_out² is EDM's (eq. 8) and, for noise prediction, the plain ``|F - n|²`` of GFPose.
        """
        denoised = self(clean + _column(sigma) * noise, sigma, condition, std)
        return ((denoised - clean) / self._coefficients(sigma, std).out) ** 2

    def _coefficients(self, sigma: Tensor, std: Tensor | None) -> Coefficients:
        """Those of x: (..., 1), or (..., D) where data spread by coordinate; the label's is (...)."""
        if std is None:
            c = self.preconditioning(sigma)
            return Coefficients(_column(c.skip), _column(c.out), _column(c.input), c.noise)
        if not isinstance(self.preconditioning, EDM):
            raise TypeError(f"std by coordinate: {type(self.preconditioning).__name__} has none; use EDM")
        c = replace(self.preconditioning, sigma_data=std)(sigma[..., None])
        return c._replace(noise=c.noise[..., 0])


def _column(values: Tensor) -> Tensor:
    return values[..., None] if values.ndim else values
