"""Where a sampler evaluates: noise levels for ODE samplers, times for SDE samplers.

Every schedule returns a decreasing float32 vector. Level schedules end in an extra 0, so n evaluations take
n + 1 levels; time schedules have n + 1 times, the last of which is where integration stops.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from posediff.sde import SDE


def karras(n: int, sigma_min: float, sigma_max: float, *, rho: float = 7.0) -> Tensor:
    """Levels evenly spaced in sigma^(1/rho) (Karras et al. 2022, eq. 5), then 0. Returns (n + 1,)."""
    _check(n, sigma_min, sigma_max)
    ramp = torch.linspace(sigma_max ** (1 / rho), sigma_min ** (1 / rho), n, dtype=torch.float64)
    return _finish(ramp**rho)


def geometric(n: int, sigma_min: float, sigma_max: float) -> Tensor:
    """Levels in constant ratio, then 0: even steps in log-SNR, as DPM-Solver has them. Returns (n + 1,)."""
    _check(n, sigma_min, sigma_max)
    return _finish(torch.logspace(0, 1, n, base=sigma_min / sigma_max, dtype=torch.float64) * sigma_max)


def straight(n: int, top: float) -> Tensor:
    """Levels t / (1 - t), t falling evenly to 0 from where the level is ``top``. Returns (n + 1,).

    The grid of flow matching, on which `posediff.sampler.euler` takes its equal steps along a straight path.
    """
    if n < 1 or not top > 0:
        raise ValueError(f"need n >= 1 and top > 0, got n={n} and top={top}")
    t = torch.linspace(top / (1 + top), 0, n + 1, dtype=torch.float64)
    return (t / (1 - t)).float()


def uniform_time(n: int, *, start: float = 1.0, end: float = 1e-3) -> Tensor:
    """Times evenly spaced from start to end, the grid of GFPose's sampler. Returns (n + 1,)."""
    if n < 1 or not start > end >= 0:
        raise ValueError(f"need n >= 1 and start > end >= 0, got n={n}, start={start}, end={end}")
    return torch.linspace(start, end, n + 1, dtype=torch.float64).float()


def cosine_levels(count: int = 1000, *, offset: float = 0.008, most: float = 0.999) -> Tensor:
    """Levels of the cosine schedule's steps, rising (Nichol and Dhariwal 2021, eq. 17). Returns (count,).

    The share of the signal's variance falls as a squared cosine, in no step by more than ``most``.
    """
    t = torch.linspace(0, 1, count + 1, dtype=torch.float64)
    signal = torch.cos((t + offset) / (1 + offset) * math.pi / 2) ** 2
    signal = (signal[1:] / signal[:-1]).clamp(min=1 - most).cumprod(0)
    return ((1 - signal) / signal).sqrt().float()


def levels_of(sde: SDE, times: Tensor) -> Tensor:
    """The noise levels at those times, then 0: an ODE sampler on an SDE's own grid."""
    return torch.cat([sde.sigma(times), times.new_zeros(1)])


def _check(n: int, sigma_min: float, sigma_max: float) -> None:
    if n < 1 or not 0 < sigma_min < sigma_max:
        raise ValueError(
            f"need n >= 1 and 0 < sigma_min < sigma_max, got n={n} and the range {sigma_min} to {sigma_max}"
        )


def _finish(levels: Tensor) -> Tensor:
    return torch.cat([levels, levels.new_zeros(1)]).float()


def draw_levels(
    n: int, sigma_min: float, sigma_max: float, *, generator: torch.Generator | None = None
) -> Tensor:
    """Levels to train at: four in five log-normal, ln sigma ~ N(-1, 1.5²), one uniform in ln sigma. (n,).

    The first part lies where a denoiser of unit-variance data has something to learn (Karras et al. 2022,
    section 5, with a lower mean since poses given their condition are far less spread than poses); the second
    keeps every level that a sampler can visit trained.
    """
    device = generator.device if generator is not None else None
    pick, where = torch.rand(2, n, generator=generator, device=device)
    normal = torch.randn(n, generator=generator, device=device) * 1.5 - 1.0
    low, high = math.log(sigma_min), math.log(sigma_max)
    return torch.where(pick < 0.8, normal, low + (high - low) * where).clamp(low, high).exp()


def draw_straight(
    n: int, sigma_min: float, sigma_max: float, *, generator: torch.Generator | None = None
) -> Tensor:
    """Levels t / (1 - t) of logit-normal t (Esser et al. 2024, Scaling Rectified Flow Transformers, eq. 19).

    The logit of t is ln sigma: standard normal, clamped to the range. (n,).
    """
    device = generator.device if generator is not None else None
    normal = torch.randn(n, generator=generator, device=device)
    return normal.clamp(math.log(sigma_min), math.log(sigma_max)).exp()


def draw_times(n: int, *, end: float = 1e-3, generator: torch.Generator | None = None) -> Tensor:
    """Times to train at, uniform in [end, 1] (Song et al. 2021, as GFPose). Returns (n,)."""
    device = generator.device if generator is not None else None
    return end + (1 - end) * torch.rand(n, generator=generator, device=device)
