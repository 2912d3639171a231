"""Samplers: free functions from noise to data. Nothing here knows what is sampled.

ODE samplers take ``(denoise, x, sigmas)``: x = sigmas[0] times standard normal, levels decreasing, usually to
0 (`posediff.schedule`). SDE samplers take ``(denoise, x, times, sde, generator)``: x from the process at
times[0], in the process' own scale; the last step returns its mean, without noise, over the scale.
`dpmpp_2m_sde` runs the reverse SDE on levels.
``denoise(x, sigma)`` estimates x_0 from x_0 + sigma n; sigma is a scalar tensor.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from posediff.sde import SDE, Denoise, score

Callback = Callable[[int, Tensor], None]


def euler(denoise: Denoise, x: Tensor, sigmas: Tensor, *, callback: Callback | None = None) -> Tensor:
    """Probability-flow ODE by Euler's rule (DDIM, Song et al. 2020). len(sigmas) - 1 evaluations."""
    for i in range(len(sigmas) - 1):
        denoised = denoise(x, sigmas[i])
        x = denoised + (sigmas[i + 1] / sigmas[i]) * (x - denoised)
        if callback:
            callback(i, x)
    return x


def heun(denoise: Denoise, x: Tensor, sigmas: Tensor, *, callback: Callback | None = None) -> Tensor:
    """Probability-flow ODE by Heun's rule (Karras et al. 2022, algorithm 1).

    n = len(sigmas) - 1 steps take 2n - 1 evaluations when the last level is 0, else 2n.
    """
    for i in range(len(sigmas) - 1):
        here, there = sigmas[i], sigmas[i + 1]
        slope = (x - denoise(x, here)) / here
        moved = x + (there - here) * slope
        if there > 0:
            slope = 0.5 * (slope + (moved - denoise(moved, there)) / there)
            moved = x + (there - here) * slope
        x = moved
        if callback:
            callback(i, x)
    return x


def dpmpp_2m(denoise: Denoise, x: Tensor, sigmas: Tensor, *, callback: Callback | None = None) -> Tensor:
    """DPM-Solver++ (2M) (Lu et al. 2022, algorithm 2): second order from the last two denoised values.

    len(sigmas) - 1 evaluations. A step to level 0 is first order, as there is no finite log-SNR there.
    """
    previous: Tensor | None = None
    for i in range(len(sigmas) - 1):
        denoised = denoise(x, sigmas[i])
        target = denoised
        if previous is not None and sigmas[i + 1] > 0:
            ratio = torch.log(sigmas[i - 1] / sigmas[i]) / torch.log(sigmas[i] / sigmas[i + 1])
            target = denoised + (denoised - previous) / (2 * ratio)
        x = target + (sigmas[i + 1] / sigmas[i]) * (x - target)
        previous = denoised
        if callback:
            callback(i, x)
    return x


def dpmpp_2m_sde(
    denoise: Denoise,
    x: Tensor,
    sigmas: Tensor,
    *,
    eta: float = 1.0,
    generator: torch.Generator | None = None,
    callback: Callback | None = None,
) -> Tensor:
    """SDE-DPM-Solver++ (2M) (Lu et al. 2022, algorithm 4): the reverse SDE, second order.

    len(sigmas) - 1 evaluations. eta 1 is the reverse SDE, 0 the ODE of `dpmpp_2m`, between them a part of the
    noise. With an exact denoiser all end in the same distribution. A learned one is not exact, and then the
    SDE and the ODE differ: this one has the samples that many steps of Euler-Maruyama have.
    """
    previous: Tensor | None = None
    for i in range(len(sigmas) - 1):
        here, there = sigmas[i], sigmas[i + 1]
        denoised = denoise(x, here)
        target = denoised
        if previous is not None and there > 0:
            ratio = torch.log(sigmas[i - 1] / here) / torch.log(here / there)
            target = denoised + (denoised - previous) / (2 * ratio)
        # Of the noise in x a part is kept; the rest of the next level's variance is drawn afresh.
        x = target + (there / here) ** (1 + eta) * (x - target)
        if eta and there > 0:
            x = x + there * torch.sqrt(1 - (there / here) ** (2 * eta)) * randn_like(x, generator)
        previous = denoised
        if callback:
            callback(i, x)
    return x


def ancestral(
    denoise: Denoise,
    x: Tensor,
    sigmas: Tensor,
    *,
    generator: torch.Generator | None = None,
    callback: Callback | None = None,
) -> Tensor:
    """DDIM with eta 1 (Song et al. 2020, eqs. 12 and 16): DDPM's posterior on fewer steps, as D3DP draws.

    len(sigmas) - 1 evaluations; `dpmpp_2m_sde` of first order.
    """
    for i in range(len(sigmas) - 1):
        kept = sigmas[i + 1] / sigmas[i]
        denoised = denoise(x, sigmas[i])
        x = denoised + kept**2 * (x - denoised)
        if sigmas[i + 1] > 0:
            x = x + sigmas[i + 1] * torch.sqrt(1 - kept**2) * randn_like(x, generator)
        if callback:
            callback(i, x)
    return x


def euler_maruyama(
    denoise: Denoise,
    x: Tensor,
    times: Tensor,
    sde: SDE,
    *,
    generator: torch.Generator | None = None,
    callback: Callback | None = None,
) -> Tensor:
    """Reverse SDE by Euler-Maruyama (Song et al. 2021, eq. 6): GFPose's and UniHPR's 1000-step sampler."""
    return _reverse(denoise, x, times, sde, 1.0, generator, callback)


def mode_seeking(
    denoise: Denoise,
    x: Tensor,
    times: Tensor,
    sde: SDE,
    *,
    generator: torch.Generator | None = None,
    callback: Callback | None = None,
) -> Tensor:
    """The reverse SDE with its noise switched off and its full score kept: NOT a sampler of the data.

    GFPose's code calls this its probability flow; the true one takes half the score (`euler`, `heun`).
    Twice the pull and no noise contract everything towards modes: on Gaussian data of std 5.0 with the exact
    score it returns 0.16. One hypothesis from it can score well; its spread and its likelihood mean nothing.
    The generator is not used.
    """
    return _reverse(denoise, x, times, sde, 0.0, None, callback)


def _reverse(
    denoise: Denoise,
    x: Tensor,
    times: Tensor,
    sde: SDE,
    temperature: float,
    generator: torch.Generator | None,
    callback: Callback | None,
) -> Tensor:
    for i in range(len(times) - 1):
        t, dt = times[i], times[i] - times[i + 1]
        diffusion = sde.diffusion(t)
        drift = 0.5 * sde.rate(t) * x + diffusion**2 * score(sde, denoise, x, t)
        x = x + drift * dt
        if temperature and i < len(times) - 2:
            x = x + temperature * diffusion * torch.sqrt(dt) * randn_like(x, generator)
        if callback:
            callback(i, x)
    return x / sde.scale(times[-1])


def reverse_diffusion(
    denoise: Denoise,
    x: Tensor,
    times: Tensor,
    sde: SDE,
    *,
    generator: torch.Generator | None = None,
    callback: Callback | None = None,
) -> Tensor:
    """Reverse of the forward SDE's Euler-Maruyama chain (Song et al. 2021, eq. 46): `euler_maruyama`'s step.

    VP and VE models have chains of their own there (eqs. 10 and 8), whose reverses are not this one.
    """
    return predictor_corrector(denoise, x, times, sde, corrections=0, generator=generator, callback=callback)


def predictor_corrector(
    denoise: Denoise,
    x: Tensor,
    times: Tensor,
    sde: SDE,
    *,
    corrections: int = 1,
    snr: float = 0.16,
    generator: torch.Generator | None = None,
    callback: Callback | None = None,
) -> Tensor:
    """Reverse diffusion, each step preceded by Langevin corrections (Song et al. 2021, algorithms 2 to 5).

    (1 + corrections) * (len(times) - 1) evaluations. The Langevin step is ``2 (snr std)²``: the norm ratio of
    the paper's algorithm 5 in expectation, which is the same for every row, whatever else is in the batch.
    """
    for i in range(len(times) - 1):
        t, dt = times[i], times[i] - times[i + 1]
        for _ in range(corrections):
            step = 2 * (snr * sde.std(t)) ** 2
            noise = randn_like(x, generator)
            x = x + step * score(sde, denoise, x, t) + torch.sqrt(2 * step) * noise
        variance = sde.diffusion(t) ** 2 * dt
        x = x * (1 + 0.5 * sde.rate(t) * dt) + variance * score(sde, denoise, x, t)
        if i < len(times) - 2:
            x = x + torch.sqrt(variance) * randn_like(x, generator)
        if callback:
            callback(i, x)
    return x / sde.scale(times[-1])


def randn_like(x: Tensor, generator: torch.Generator | None) -> Tensor:
    """Standard normal of x's shape, dtype and device, drawn on the generator's device."""
    device = generator.device if generator is not None else x.device
    return torch.randn(x.shape, generator=generator, device=device, dtype=x.dtype).to(x.device)


ODE_SAMPLERS = {"euler": euler, "heun": heun, "dpmpp_2m": dpmpp_2m, "flow": euler}
"""`flow` is `euler` on levels evenly spaced in t (`posediff.schedule.straight`)."""

LEVEL_SDE_SAMPLERS = {"dpmpp_2m_sde": dpmpp_2m_sde}
"""They walk levels as the ODE's do, and take a generator."""

SDE_SAMPLERS = {
    "euler_maruyama": euler_maruyama,
    "reverse_diffusion": reverse_diffusion,
    "predictor_corrector": predictor_corrector,
    "mode_seeking": mode_seeking,
}
