"""The distribution against scipy, mpmath, closed forms and plain sums."""

import math

import mpmath
import numpy as np
import pytest
import torch
from poseenc.vmf import (
    LEAST_WIDTH,
    VonMisesFisher,
    fuse,
    kl_to_uniform,
    log_normaliser,
    mean_cosine,
)
from scipy.special import gammaln, ive
from torch import Tensor
from torch.nn.functional import normalize

K = torch.tensor([1e-3, 0.1, 1.0, 5.0, 20.0, 100.0, 1000.0, 5e4], dtype=torch.float64)


def unit(rows: int, width: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return normalize(torch.randn(rows, width, generator=generator, dtype=torch.float64), dim=1)


@pytest.mark.parametrize(("width", "digits"), [(16, 2e-7), (32, 2e-8), (64, 1e-9), (128, 1e-10)])
def test_normaliser_by_scipy(width: int, digits: float) -> None:
    v, k = width / 2 - 1, K.numpy()[1:] if width > 100 else K.numpy()
    true = v * np.log(k) - (v + 1) * math.log(2 * math.pi) - (np.log(ive(v, k)) + k)
    found = log_normaliser(torch.from_numpy(k), width).numpy()
    np.testing.assert_allclose(found, true, rtol=0, atol=digits)
    np.testing.assert_allclose(mean_cosine(torch.from_numpy(k), width), ive(v + 1, k) / ive(v, k), rtol=1e-9)


@pytest.mark.parametrize("width", [16, 256, 1024])
@pytest.mark.parametrize("k", [0.5, 300.0, 2e4])
def test_normaliser_and_slope_by_mpmath(width: int, k: float) -> None:
    v = mpmath.mpf(width) / 2 - 1
    with mpmath.workdps(40):
        bessel = mpmath.besseli(v, k)
        true = v * mpmath.log(k) - (v + 1) * mpmath.log(2 * mpmath.pi) - mpmath.log(bessel)
        ratio = mpmath.besseli(v + 1, k) / bessel
    at = torch.tensor(k, dtype=torch.float64, requires_grad=True)
    value = log_normaliser(at, width)
    value.backward()
    assert value.item() == pytest.approx(float(true), abs=2e-7 if width == 16 else 1e-9)
    assert at.grad is not None
    assert at.grad.item() == pytest.approx(-float(ratio), rel=1e-9)


@pytest.mark.parametrize("width", [LEAST_WIDTH, 100, 1024])
def test_without_concentration_it_is_the_uniform_density(width: int) -> None:
    area = math.log(2) + width / 2 * math.log(math.pi) - float(gammaln(width / 2))
    zero = torch.zeros((), dtype=torch.float64)
    assert log_normaliser(zero, width).item() == pytest.approx(-area, abs=1e-7)
    assert mean_cosine(zero, width).item() == 0
    assert kl_to_uniform(zero, width).item() == 0


def bounds(k: Tensor, width: int) -> tuple[Tensor, Tensor]:
    """Lower and upper bound of A_D(k) (Amos, 1974)."""
    lower = k / (width / 2 - 0.5 + (k * k + (width / 2 + 0.5) ** 2).sqrt())
    return lower, k / (width / 2 - 1 + (k * k + (width / 2 + 1) ** 2).sqrt())


@pytest.mark.parametrize("width", [16, 100, 1024])
def test_mean_cosine_keeps_within_its_bounds(width: int) -> None:
    k = torch.logspace(-3, 5, 60, dtype=torch.float64)
    found, (lower, upper) = mean_cosine(k, width), bounds(k, width)
    rounding = 1e-10 * found  # for small k the three are one
    assert (lower - rounding < found).all()
    assert (found < upper + rounding).all()
    assert (found.diff() > 0).all()


def test_slopes() -> None:
    k = K[1:6].clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda k: log_normaliser(k, 48), k, atol=1e-6)
    assert torch.autograd.gradcheck(lambda k: mean_cosine(k, 48), k)
    assert torch.autograd.gradcheck(lambda k: kl_to_uniform(k, 48), k, atol=1e-6)
    mean, target = unit(5, 48).requires_grad_(), unit(5, 48, 1)
    assert torch.autograd.gradcheck(lambda m, k: VonMisesFisher(m, k).nll(target), (mean, k), atol=1e-6)


def test_density_integrates_to_one() -> None:
    """The cosine t to the mean has density C_D(k) e^(k t) (1 - t²)^((D - 3) / 2), times an area."""
    width, k = 20, 13.0
    t = torch.linspace(-1, 1, 20001, dtype=torch.float64)
    circle = math.log(2) + (width - 1) / 2 * math.log(math.pi) - float(gammaln((width - 1) / 2))
    log = log_normaliser(torch.tensor(k, dtype=torch.float64), width) + k * t + circle
    density = log.exp() * (1 - t * t) ** ((width - 3) / 2)
    assert torch.trapezoid(density, t).item() == pytest.approx(1, abs=1e-6)
    assert torch.trapezoid(density * t, t).item() == pytest.approx(
        mean_cosine(torch.tensor(k, dtype=torch.float64), width).item(), abs=1e-6
    )
    gain = density * (log - circle - log_normaliser(torch.zeros((), dtype=torch.float64), width))
    assert torch.trapezoid(gain, t).item() == pytest.approx(
        kl_to_uniform(torch.tensor(k, dtype=torch.float64), width).item(), abs=1e-6
    )


def test_likelihood_is_highest_where_the_mean_cosine_is_right() -> None:
    target, mean = unit(1, 64), unit(1, 64, 1)
    mean = normalize(mean + 2 * target, dim=1)
    k = torch.linspace(1, 400, 4000, dtype=torch.float64)
    nll = VonMisesFisher(mean.expand(4000, 64), k).nll(target.expand(4000, 64))
    best = VonMisesFisher(mean, k[nll.argmin()][None])
    assert best.mean_cosine().item() == pytest.approx((mean * target).sum().item(), abs=1e-3)


def naive(parts: list[VonMisesFisher], row: int) -> tuple[Tensor, float]:
    total = torch.zeros_like(parts[0].mean[row])
    for part in parts:
        total = total + part.concentration[row] * part.mean[row]
    return total / total.norm(), float(total.norm())


def test_fusion_is_the_product_of_the_densities() -> None:
    parts = [VonMisesFisher(unit(6, 24, seed), torch.rand(6, dtype=torch.float64) * 30) for seed in range(3)]
    fused, at = fuse(parts), unit(6, 24, 9)
    for row in range(6):
        direction, length = naive(parts, row)
        torch.testing.assert_close(fused.mean[row], direction)
        assert fused.concentration[row].item() == pytest.approx(length)
    exponents = torch.stack([part.concentration * (part.mean * at).sum(1) for part in parts]).sum(0)
    torch.testing.assert_close(fused.concentration * (fused.mean * at).sum(1), exponents)


def test_agreement_adds_contradiction_cancels_and_silence_changes_nothing() -> None:
    m, k = unit(4, 16), torch.tensor([1.0, 5.0, 0.5, 8.0], dtype=torch.float64)
    one = VonMisesFisher(m, k)
    silent = VonMisesFisher(torch.zeros_like(m), torch.zeros_like(k))
    for fused in (fuse([one]), fuse([one, silent]), fuse([silent, one])):
        torch.testing.assert_close(fused.mean, m)
        torch.testing.assert_close(fused.concentration, k)
    torch.testing.assert_close(fuse([one, one]).concentration, 2 * k)
    against = fuse([one, VonMisesFisher(-m, k / 4)])
    torch.testing.assert_close(against.mean, m)
    torch.testing.assert_close(against.concentration, 0.75 * k)
    across = fuse(
        [
            VonMisesFisher(torch.eye(16)[:1], torch.tensor([3.0])),
            VonMisesFisher(torch.eye(16)[1:2], torch.tensor([4.0])),
        ]
    )
    assert across.concentration.item() == 5
    assert across.mean[0, :2].tolist() == pytest.approx([0.6, 0.8])
    with pytest.raises(ValueError, match="parts: none"):
        fuse([])


def test_nothing_left_is_zero_with_finite_slopes() -> None:
    m = unit(3, 16).requires_grad_()
    k = torch.tensor([1.0, 2.0, 0.0], dtype=torch.float64, requires_grad=True)
    fused = fuse([VonMisesFisher(m, k), VonMisesFisher(-m, k)])
    assert fused.concentration.tolist() == [0, 0, 0]
    assert (fused.mean == 0).all()
    for grad in torch.autograd.grad(fused.mean.sum() + fused.concentration.sum(), (m, k)):
        assert grad.isfinite().all()


def test_fusion_slopes() -> None:
    means = [unit(3, 5, seed).requires_grad_() for seed in range(2)]
    ks = [torch.rand(3, dtype=torch.float64).add(0.5).requires_grad_() for _ in range(2)]

    def both(a: Tensor, b: Tensor, k: Tensor, l: Tensor) -> tuple[Tensor, Tensor]:  # noqa: E741
        return tuple(fuse([VonMisesFisher(a, k), VonMisesFisher(b, l)]))  # type: ignore[return-value]

    assert torch.autograd.gradcheck(both, (*means, *ks))


def test_narrow_spheres_are_refused() -> None:
    with pytest.raises(ValueError, match="width 15: the expansion needs 16"):
        log_normaliser(torch.ones(1), 15)


def test_float32_in_float32_out() -> None:
    k = torch.tensor([10.0, 5000.0], requires_grad=True)
    value = log_normaliser(k, 512)
    assert value.dtype == torch.float32
    (slope,) = torch.autograd.grad(value.sum(), k)
    torch.testing.assert_close(slope, -mean_cosine(k.detach().double(), 512).float())


def test_what_is_not_a_number_does_not_fall_silent_in_a_fusion() -> None:
    mean = normalize(torch.ones(2, 16), dim=1)
    sound, broken = VonMisesFisher(mean, torch.ones(2)), VonMisesFisher(mean, torch.tensor([math.nan, 1.0]))
    direction, concentration = fuse([sound, broken])
    assert direction[0].isnan().all()
    assert concentration[0].isnan()
    assert concentration[1] == pytest.approx(2.0)
