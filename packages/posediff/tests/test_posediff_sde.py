"""The processes: marginals against their differential equations, clocks against their inverses."""

from __future__ import annotations

import pytest
import torch
from posediff.schedule import draw_levels, geometric, karras, uniform_time
from posediff.sde import VE, VP, SubVP, score

SDES = [VP(), SubVP(), VE(0.01, 50.0)]
TIMES = torch.linspace(1e-3, 1.0, 50, dtype=torch.float64)


@pytest.mark.parametrize("sde", SDES)
def test_marginal_solves_the_moment_equations(sde: SubVP) -> None:
    """d scale / dt = -rate scale / 2 and d std² / dt = -rate std² + diffusion²."""
    t = TIMES.clone().requires_grad_()
    (scale_slope,) = torch.autograd.grad((sde.scale(t) + 0 * t).sum(), t)
    (variance_slope,) = torch.autograd.grad((sde.std(t) ** 2).sum(), t)
    torch.testing.assert_close(scale_slope, -0.5 * sde.rate(TIMES) * sde.scale(TIMES))
    expected = -sde.rate(TIMES) * sde.std(TIMES) ** 2 + sde.diffusion(TIMES) ** 2
    torch.testing.assert_close(variance_slope, expected)


@pytest.mark.parametrize("sde", SDES)
def test_clock_and_inverse(sde: SubVP) -> None:
    torch.testing.assert_close(sde.sigma(TIMES), sde.std(TIMES) / sde.scale(TIMES))
    torch.testing.assert_close(sde.time(sde.sigma(TIMES)), TIMES, rtol=1e-6, atol=1e-9)


def test_sub_vp_published_form() -> None:
    """std = 1 - exp(2 log-mean-coefficient), and at t = 1 the log-mean-coefficient is -5.025."""
    one = torch.ones((), dtype=torch.float64)
    assert float(SubVP().scale(one)) == pytest.approx(0.0065716, rel=1e-4)
    assert float(SubVP().std(one)) == pytest.approx(1 - 0.0065716**2, rel=1e-9)


@pytest.mark.parametrize("sde", SDES)
def test_score_of_a_gaussian(sde: SubVP) -> None:
    t = torch.tensor(0.4, dtype=torch.float64)
    x = torch.linspace(-2, 2, 9, dtype=torch.float64)
    std, mean = 0.7, 0.3
    found = score(sde, lambda y, s: mean + std**2 / (std**2 + s**2) * (y - mean), x, t)
    scale = sde.scale(t)
    torch.testing.assert_close(found, -(x - scale * mean) / (scale**2 * std**2 + sde.std(t) ** 2))


def test_schedules() -> None:
    levels = karras(5, 0.002, 80.0)
    # Karras et al. 2022, eq. 5 at i = 2 of N = 5, by hand: ((80^(1/7) + 0.002^(1/7)) / 2)^7.
    assert levels[2].item() == pytest.approx(((80 ** (1 / 7) + 0.002 ** (1 / 7)) / 2) ** 7, rel=1e-5)
    assert levels[0].item() == pytest.approx(80, rel=1e-6)
    assert levels[-2].item() == pytest.approx(0.002, rel=1e-5)
    assert levels[-1] == 0
    even = geometric(4, 0.01, 10.0)
    torch.testing.assert_close(even[:4], torch.tensor([10.0, 1.0, 0.1, 0.01]))
    torch.testing.assert_close(SubVP().sigma(SubVP().time(even[:4])), even[:4])
    assert uniform_time(1000)[1].item() == pytest.approx(1 - 0.999 / 1000, rel=1e-6)
    for wrong in ((0, 0.1, 1.0), (3, 1.0, 0.1), (3, 0.0, 1.0)):
        with pytest.raises(ValueError, match="sigma_min"):
            karras(*wrong)


def test_training_levels_have_the_stated_mixture() -> None:
    levels = draw_levels(100_000, 0.002, 160.0, generator=torch.Generator().manual_seed(0)).log()
    low, high = torch.log(torch.tensor([0.002, 160.0]))
    normal = torch.distributions.Normal(-1.0, 1.5)
    for point in (-4.0, -1.0, 1.0, 3.0, 4.5):
        expected = 0.8 * normal.cdf(torch.tensor(point)) + 0.2 * (point - low) / (high - low)
        assert (levels < point).float().mean().item() == pytest.approx(float(expected), abs=0.006)
