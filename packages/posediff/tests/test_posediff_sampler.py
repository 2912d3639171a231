"""Samplers on distributions whose denoiser is known exactly: mean, std and modes against evaluations."""

from __future__ import annotations

import math

import pytest
import torch
from posediff.sampler import (
    LEVEL_SDE_SAMPLERS,
    ODE_SAMPLERS,
    SDE_SAMPLERS,
    ancestral,
    dpmpp_2m,
    dpmpp_2m_sde,
    euler,
    heun,
    mode_seeking,
    predictor_corrector,
)
from posediff.schedule import cosine_levels, geometric, karras, levels_of, uniform_time
from posediff.sde import VE, VP, Denoise, SubVP, score
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


STOCHASTIC = ["euler_maruyama", "reverse_diffusion", "predictor_corrector", "dpmpp_2m_sde"]


def walk(name: str, start: Tensor, steps: int, seed: int) -> Tensor:
    """A sampler that draws, over so many steps, from a normal law of std 0.5."""
    generator = torch.Generator().manual_seed(seed)
    if name == "dpmpp_2m_sde":
        return dpmpp_2m_sde(gaussian(0.3, 0.5), start, geometric(steps, 0.1, 5.0), generator=generator)
    return SDE_SAMPLERS[name](gaussian(0.3, 0.5), start, uniform_time(steps), SubVP(), generator=generator)


@pytest.mark.parametrize("name", STOCHASTIC)
def test_every_draw_comes_from_the_generator(name: str) -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    first = walk(name, normal(8), 5, seed=1)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(1)
    assert torch.equal(walk(name, normal(8), 5, seed=1), first)
    assert not torch.equal(walk(name, normal(8), 5, seed=2), first)


@pytest.mark.parametrize("name", STOCHASTIC)
def test_the_last_step_adds_no_noise_and_the_one_before_does(name: str) -> None:
    corrected = name == "predictor_corrector"  # Langevin's noise comes before the step
    one = [walk(name, normal(8), 1, seed) for seed in (1, 2)]
    assert torch.equal(*one) is not corrected
    two = [walk(name, normal(8), 2, seed) for seed in (1, 2)]
    assert not torch.equal(*two)


@pytest.mark.parametrize("sde", [VP(), SubVP(), VE(0.01, 50.0)])
@pytest.mark.parametrize("corrections", [0, 1, 2])
def test_sde_samplers_by_their_equations(sde: SubVP, corrections: int) -> None:
    """Song et al. 2021, eq. 6 by Euler-Maruyama, and algorithm 2 around it: the same draws, step by step."""
    denoise, times, start = gaussian(0.3, 0.5), uniform_time(6), normal(50)
    generator = torch.Generator().manual_seed(4)
    x = start
    for i in range(6):
        t, dt = times[i], times[i] - times[i + 1]
        for _ in range(corrections):
            step = 2 * 0.16**2 * sde.std(t) ** 2
            noise = torch.randn(x.shape, generator=generator)
            x = x + step * score(sde, denoise, x, t) + (2 * step) ** 0.5 * noise
        x = x + (sde.rate(t) / 2 * x + sde.diffusion(t) ** 2 * score(sde, denoise, x, t)) * dt
        if i < 5:
            x = x + sde.diffusion(t) * dt**0.5 * torch.randn(x.shape, generator=generator)
    expected = x / sde.scale(times[6])
    names = ["euler_maruyama", "reverse_diffusion"] if not corrections else ["predictor_corrector"]
    for name in names:
        more = {"corrections": corrections} if corrections else {}
        found = SDE_SAMPLERS[name](
            denoise, start, times, sde, generator=torch.Generator().manual_seed(4), **more
        )
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_langevin_step_is_that_of_the_signal_to_noise_ratio() -> None:
    """On a process that stands still a correction is all that happens: its drift and noise by hand."""

    class Still:
        scale = std = sigma = staticmethod(torch.ones_like)
        rate = diffusion = staticmethod(torch.zeros_like)
        time = staticmethod(lambda sigma: sigma)

    start = torch.full((200_000, 1), 3.0)
    moved = predictor_corrector(  # data of variance 1.5 with noise of variance 1
        gaussian(0.0, 1.5**0.5),
        start,
        uniform_time(1),
        Still(),
        snr=0.3,
        generator=torch.Generator().manual_seed(0),
    )
    step = 2 * 0.3**2
    assert moved.mean().item() == pytest.approx(3.0 * (1 - step / 2.5), abs=5e-3)
    assert moved.std().item() == pytest.approx(math.sqrt(2 * step), rel=0.01)


@pytest.mark.parametrize("eta", [0.25, 0.5, 1.0])
def test_eta_keeps_the_variance_of_every_level_and_a_part_of_the_noise(eta: float) -> None:
    """Of data that are all 0 a step from 4 to 1 keeps a share 4^-eta of the noise, draws the rest again."""
    start = 4.0 * normal(200_000)
    levels = torch.tensor([4.0, 1.0])
    moved = dpmpp_2m_sde(
        lambda x, sigma: torch.zeros_like(x),
        start,
        levels,
        eta=eta,
        generator=torch.Generator().manual_seed(1),
    )
    assert moved.std().item() == pytest.approx(1.0, rel=0.01)
    kept = (moved * start).mean() / 4.0
    assert kept.item() == pytest.approx(4.0**-eta, abs=0.01)


@pytest.mark.parametrize("eta", [0.25, 0.5, 0.75])
def test_eta_between_the_ode_and_the_sde_has_the_law_too(eta: float) -> None:
    levels = geometric(60, 0.02, 20.0)
    for std in (0.3, 1.0, 3.0):
        drawn = dpmpp_2m_sde(
            gaussian(0.3, std),
            20 * normal(40_000),
            levels,
            eta=eta,
            generator=torch.Generator().manual_seed(2),
        )
        assert drawn.std().item() == pytest.approx(std, rel=0.03)


def test_callback_sees_every_step() -> None:
    """And what it is shown last is the answer, of samplers on times but for their scale."""
    times, levels = uniform_time(4), karras(4, 0.01, 5.0)
    for name, sampler in {**ODE_SAMPLERS, **LEVEL_SDE_SAMPLERS, **SDE_SAMPLERS}.items():
        seen: list[int] = []
        shown: list[Tensor] = []

        def callback(i: int, x: Tensor, seen: list[int] = seen, shown: list[Tensor] = shown) -> None:
            seen.append(i)
            shown.append(x)

        if name in SDE_SAMPLERS:
            end = sampler(gaussian(0.0, 1.0), normal(2), times, SubVP(), callback=callback)  # type: ignore[call-arg]
            torch.testing.assert_close(end, shown[-1] / SubVP().scale(times[-1]))
        else:
            end = sampler(gaussian(0.0, 1.0), normal(2), levels, callback=callback)
            assert torch.equal(end, shown[-1])
        assert seen == [0, 1, 2, 3], name


def test_ancestral_is_ddim_with_eta_one_in_its_own_variables() -> None:
    """Song et al. 2020, eqs. 12 and 16, written with the signal's shares of variance."""
    signal = 1 / (1 + cosine_levels().double() ** 2)
    visited = [999, 799, 599, 399, 199]
    denoise = gaussian(0.3, 0.5)
    start = normal(50).double()
    generator, x = torch.Generator().manual_seed(3), start
    for step, after in zip(visited, [*visited[1:], None], strict=True):
        now = signal[step]
        clean = denoise(x / now.sqrt(), ((1 - now) / now).sqrt())
        if after is None:
            x = clean
            continue
        then = signal[after]
        noise = (x - now.sqrt() * clean) / (1 - now).sqrt()
        deviation = ((1 - now / then) * (1 - then) / (1 - now)).sqrt()
        fresh = torch.randn(x.shape, generator=generator, dtype=x.dtype)
        x = then.sqrt() * clean + (1 - then - deviation**2).sqrt() * noise + deviation * fresh
    levels = torch.cat([cosine_levels().double()[visited], torch.zeros(1)])
    found = ancestral(
        denoise, start * (1 + levels[0] ** 2).sqrt(), levels, generator=torch.Generator().manual_seed(3)
    )
    torch.testing.assert_close(found, x, atol=1e-6, rtol=1e-6)


def test_ancestral_draws_the_law_given_steps_enough() -> None:
    levels = geometric(500, 0.01, 20.0)
    drawn = ancestral(
        gaussian(0.3, 0.5), 20 * normal(40_000), levels, generator=torch.Generator().manual_seed(1)
    )
    assert float(drawn.mean()) == pytest.approx(0.3, abs=0.02)
    assert float(drawn.std()) == pytest.approx(0.5, rel=0.02)


def test_the_cosine_schedule() -> None:
    """The middle of a thousand steps has the angle's cosine; the last loses 99.9 % of what is left."""
    signal = 1 / (1 + cosine_levels().double() ** 2)
    angle = (0.5 + 0.008) / 1.008 * math.pi / 2
    expected = math.cos(angle) ** 2 / math.cos(0.008 / 1.008 * math.pi / 2) ** 2
    assert float(signal[499]) == pytest.approx(expected, rel=1e-5)
    assert float(signal[999] / signal[998]) == pytest.approx(1e-3, rel=1e-4)
    assert len(signal) == 1000
    assert bool((signal.diff() < 0).all())
