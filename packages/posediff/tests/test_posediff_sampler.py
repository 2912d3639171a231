"""Samplers on distributions whose denoiser is known exactly: mean, std and modes against evaluations."""

from __future__ import annotations

import math

import pytest
import torch
from posediff.sampler import (
    ODE_SAMPLERS,
    SDE_SAMPLERS,
    dpmpp_2m,
    dpmpp_2m_sde,
    euler,
    heun,
    mode_seeking,
    predictor_corrector,
)
from posediff.schedule import geometric, karras, levels_of, uniform_time
from posediff.sde import VE, VP, Denoise, SubVP
from torch import Tensor


def gaussian(mean: float, std: float) -> Denoise:
    return lambda x, sigma: mean + std**2 / (std**2 + sigma**2) * (x - mean)


def mixture(centres: Tensor, weights: Tensor, std: float) -> Denoise:
    """1-D: the posterior mean over components, each shrunk towards its centre."""

    def denoise(x: Tensor, sigma: Tensor) -> Tensor:
        variance = std**2 + sigma**2
        logits = torch.log(weights) - 0.5 * (x - centres) ** 2 / variance
        shrunk = centres + std**2 / variance * (x - centres)
        return (logits.softmax(-1) * shrunk).sum(-1, keepdim=True)

    return denoise


def normal(count: int, seed: int = 0) -> Tensor:
    return torch.randn(count, 1, generator=torch.Generator().manual_seed(seed))


class Counted:
    def __init__(self, denoise: Denoise) -> None:
        self.denoise, self.calls = denoise, 0

    def __call__(self, x: Tensor, sigma: Tensor) -> Tensor:
        self.calls += 1
        return self.denoise(x, sigma)


@pytest.mark.parametrize(
    ("name", "steps", "evaluations"), [("euler", 7, 7), ("heun", 7, 13), ("dpmpp_2m", 7, 7)]
)
def test_evaluations_are_as_documented(name: str, steps: int, evaluations: int) -> None:
    counted = Counted(gaussian(0.0, 1.0))
    ODE_SAMPLERS[name](counted, normal(2), karras(steps, 0.01, 10.0))
    assert counted.calls == evaluations


def test_sde_on_levels_without_noise_is_the_ode_and_with_it_keeps_the_law() -> None:
    """eta 0 is `dpmpp_2m`; eta 1 has the data's std, but for the last level's share of a narrow one."""
    counted = Counted(gaussian(0.3, 0.5))
    levels, start = geometric(7, 0.1, 20.0), 20 * normal(50)
    ode = dpmpp_2m(gaussian(0.3, 0.5), start, levels)
    torch.testing.assert_close(dpmpp_2m_sde(counted, start, levels, eta=0.0), ode)
    assert counted.calls == 7
    generator = torch.Generator().manual_seed(1)
    for steps, error in ((7, 0.15), (12, 0.07), (50, 0.06)):
        for std in (0.3, 1.0, 3.0):
            levels = geometric(steps, 0.1, 20.0)
            drawn = dpmpp_2m_sde(gaussian(0.3, std), 20 * normal(40_000), levels, generator=generator)
            assert drawn.std().item() == pytest.approx(std, rel=error), (steps, std)
            assert drawn.mean().item() == pytest.approx(0.3, abs=0.03 * max(std, 2.0))


def test_sde_samplers_evaluate_once_a_step_and_correctors_more() -> None:
    for name, sampler in SDE_SAMPLERS.items():
        counted = Counted(gaussian(0.0, 1.0))
        sampler(counted, normal(2), uniform_time(9), SubVP())
        assert counted.calls == (18 if name == "predictor_corrector" else 9), name


# The map of an ODE sampler on Gaussian data is affine, so two particles give its mean and std exactly.
# Rows: sampler, evaluations, greatest relative error of the std over data stds 0.1, 0.2, 0.4, 0.8.
@pytest.mark.parametrize(
    ("name", "evaluations", "error"),
    [
        ("euler", 10, 0.30),
        ("euler", 50, 0.06),
        ("heun", 19, 0.07),
        ("heun", 49, 0.011),
        ("dpmpp_2m", 5, 0.08),
        ("dpmpp_2m", 10, 0.02),
        ("dpmpp_2m", 20, 0.012),
    ],
)
def test_ode_std_against_evaluations(name: str, evaluations: int, error: float) -> None:
    steps = (evaluations + 1) // 2 if name == "heun" else evaluations
    levels = geometric(steps, 0.01, 5.0)
    for std in (0.1, 0.2, 0.4, 0.8):
        start = 0.3 + 5.0 * torch.tensor([-1.0, 1.0])
        low, high = ODE_SAMPLERS[name](gaussian(0.3, std), start, levels).tolist()
        assert (low + high) / 2 == pytest.approx(0.3, abs=1e-4)
        assert (high - low) / 2 == pytest.approx(std, rel=error)


def test_orders_of_convergence() -> None:
    """Between two positive levels: halving the step halves Euler's error and quarters the others'."""
    exact = 1.0 * math.sqrt(1 + 0.5**2) / math.sqrt(1 + 4.0**2)
    for sampler, order in ((euler, 1), (heun, 2), (dpmpp_2m, 2)):
        errors = []
        for n in (160, 320):
            levels = torch.logspace(0, 1, n + 1, base=0.5 / 4.0, dtype=torch.float64) * 4.0
            end = sampler(gaussian(0.0, 1.0), torch.ones(1, dtype=torch.float64), levels)
            errors.append(abs(float(end) - exact))
        assert math.log2(errors[0] / errors[1]) == pytest.approx(order, abs=0.15)


@pytest.mark.parametrize("name", ["euler_maruyama", "reverse_diffusion", "predictor_corrector"])
@pytest.mark.parametrize("sde", [VP(), SubVP(), VE(0.01, 50.0)])
@pytest.mark.parametrize("std", [0.2, 1.0])
def test_sde_samplers_on_a_gaussian(name: str, sde: SubVP | VP | VE, std: float) -> None:
    times = uniform_time(200)
    start = normal(20_000) * sde.std(times[0])
    generator = torch.Generator().manual_seed(1)
    drawn = SDE_SAMPLERS[name](gaussian(0.5, std), start, times, sde, generator=generator)
    assert drawn.mean().item() == pytest.approx(0.5, abs=0.03)
    assert drawn.std().item() == pytest.approx(std, rel=0.05)


def test_mode_seeking_collapses_where_the_true_samplers_do_not() -> None:
    """The figure of the docstring: data of std 5, exact score, sub-VP, 1000 steps of one grid."""
    sde, times, denoise = SubVP(), uniform_time(1000), gaussian(2.0, 5.0)
    start = normal(20_000) * sde.std(times[0])
    generator = torch.Generator().manual_seed(1)
    stochastic = SDE_SAMPLERS["euler_maruyama"](denoise, start, times, sde, generator=generator)
    ode = euler(denoise, start / sde.scale(times[0]), levels_of(sde, times))
    collapsed = mode_seeking(denoise, start, times, sde)
    assert stochastic.std().item() == pytest.approx(5.0, rel=0.02)
    assert ode.std().item() == pytest.approx(5.0, rel=0.02)
    assert collapsed.std().item() == pytest.approx(0.16, abs=0.01)
    assert collapsed.mean().item() == pytest.approx(2.0, abs=0.02)


@pytest.mark.parametrize("name", ["euler", "heun", "dpmpp_2m", "euler_maruyama", "predictor_corrector"])
def test_modes_keep_their_weights(name: str) -> None:
    """Two narrow modes, 1 : 3. Every sampler covers both, in proportion, at its right width."""
    weights = torch.tensor([0.25, 0.75])
    denoise = mixture(torch.tensor([-1.0, 1.0]), weights, 0.1)
    noise = normal(20_000)
    if name in ODE_SAMPLERS:
        drawn = ODE_SAMPLERS[name](denoise, noise * 80.0, geometric(60, 0.01, 80.0))
    else:
        times = uniform_time(200)
        generator = torch.Generator().manual_seed(1)
        start = noise * SubVP().std(times[0])
        drawn = SDE_SAMPLERS[name](denoise, start, times, SubVP(), generator=generator)
    upper = drawn[drawn > 0]
    assert len(upper) / len(drawn) == pytest.approx(0.75, abs=0.02)
    assert upper.mean().item() == pytest.approx(1.0, abs=0.01)
    assert upper.std().item() == pytest.approx(0.1, rel=0.08)


def test_mode_seeking_narrows_every_mode() -> None:
    denoise = mixture(torch.tensor([-1.0, 1.0]), torch.tensor([0.25, 0.75]), 0.1)
    times = uniform_time(200)
    drawn = mode_seeking(denoise, normal(4_000), times, SubVP())
    assert drawn[drawn > 0].std().item() < 0.01


def test_generator_makes_runs_repeat_and_rows_do_not_depend_on_their_batch() -> None:
    times, sde = uniform_time(20), SubVP()
    start = normal(8)
    runs = [
        predictor_corrector(gaussian(0.0, 1.0), start, times, sde, generator=torch.Generator().manual_seed(5))
        for _ in range(2)
    ]
    assert torch.equal(runs[0], runs[1])
    alone = dpmpp_2m(gaussian(0.0, 1.0), start[:1], geometric(5, 0.01, 5.0))
    together = dpmpp_2m(gaussian(0.0, 1.0), start, geometric(5, 0.01, 5.0))
    assert torch.equal(alone, together[:1])


def test_callback_sees_every_step() -> None:
    seen: list[int] = []
    heun(gaussian(0.0, 1.0), normal(1), karras(4, 0.01, 5.0), callback=lambda i, x: seen.append(i))
    assert seen == [0, 1, 2, 3]
