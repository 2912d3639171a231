"""Values by hand and against plain twins, where a small change of the code would not show elsewhere."""

from __future__ import annotations

import math

import pytest
import torch
from posediff import hypotheses as hy
from posediff.guidance import guided, onto_rays, place
from posediff.likelihood import log_likelihood
from posediff.sampler import dpmpp_2m, dpmpp_2m_sde, randn_like
from posediff.schedule import draw_levels, draw_times, geometric, karras, levels_of, uniform_time
from posediff.sde import VE, Denoise
from torch import Tensor


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def gaussian(mean: float, std: float) -> Denoise:
    return lambda x, sigma: mean + std**2 / (std**2 + sigma**2) * (x - mean)


@pytest.mark.parametrize("eta", [0.0, 0.4, 1.0])
def test_second_order_steps_of_uneven_levels_by_their_formula(eta: float) -> None:
    """Lu et al. 2022, algorithms 2 and 4, in log-SNR λ = -ln σ, with the draws taken in order."""
    levels, denoise = [5.0, 3.0, 0.7, 0.5, 0.0], gaussian(0.3, 0.8)
    x, generator = 5 * normal(30), torch.Generator().manual_seed(2)
    start, before = x, None
    for i in range(4):
        here, there = torch.tensor(levels[i]).double(), torch.tensor(levels[i + 1]).double()
        x0 = denoise(x, here)
        target = x0
        if before is not None and there > 0:
            r = math.log(levels[i - 1] / levels[i]) / math.log(levels[i] / levels[i + 1])
            target = (1 + 1 / (2 * r)) * x0 - 1 / (2 * r) * before
        fraction = there / here
        x = target + fraction ** (1 + eta) * (x - target)
        if eta and there > 0:
            noise = torch.randn(x.shape, generator=generator, dtype=x.dtype)
            x = x + there * (1 - fraction ** (2 * eta)) ** 0.5 * noise
        before = x0
    sigmas, own = torch.tensor(levels, dtype=torch.float64), torch.Generator().manual_seed(2)
    torch.testing.assert_close(dpmpp_2m_sde(denoise, start, sigmas, eta=eta, generator=own), x)
    assert torch.equal(own.get_state(), generator.get_state())  # no draw more, at no noise or no eta either
    if not eta:
        torch.testing.assert_close(dpmpp_2m(denoise, start, sigmas), x)


def test_draws_have_the_precision_of_what_they_are_for() -> None:
    assert randn_like(torch.zeros(3, dtype=torch.float64), torch.Generator()).dtype == torch.float64
    assert randn_like(torch.zeros(3, dtype=torch.bfloat16), None).dtype == torch.bfloat16


def test_schedules_of_one_step_and_of_wrong_ranges() -> None:
    assert karras(1, 0.1, 3.0).tolist() == [3.0, 0.0]
    assert geometric(1, 0.1, 3.0).tolist() == [3.0, 0.0]
    assert uniform_time(1, end=0.0).tolist() == [1.0, 0.0]
    assert len(uniform_time(4)) == 5
    for schedule in (karras, geometric):
        for wrong in ((0, 0.1, 1.0), (2, 1.0, 1.0), (2, 0.0, 1.0)):
            with pytest.raises(ValueError, match=r"need n >= 1 and 0 < sigma_min < sigma_max, got n="):
                schedule(*wrong)
    for n, start, end in ((0, 1.0, 0.1), (2, 0.5, 0.5), (2, 1.0, -0.1)):
        with pytest.raises(ValueError, match=r"need n >= 1 and start > end >= 0, got n="):
            uniform_time(n, start=start, end=end)
    times = torch.tensor([1.0, 0.5])
    assert levels_of(VE(0.01, 1.0), times).tolist() == pytest.approx([1.0, 0.1, 0.0])


def test_levels_and_times_to_train_at_lie_in_their_range_and_come_from_the_generator() -> None:
    torch.manual_seed(0)
    state = torch.get_rng_state()
    levels = draw_levels(20_000, 0.3, 0.5, generator=torch.Generator().manual_seed(1))
    assert levels.min().item() == pytest.approx(0.3)
    assert levels.max().item() == pytest.approx(0.5)
    assert torch.equal(levels, draw_levels(20_000, 0.3, 0.5, generator=torch.Generator().manual_seed(1)))
    times = draw_times(200_000, generator=torch.Generator().manual_seed(1))
    assert torch.equal(times, draw_times(200_000, generator=torch.Generator().manual_seed(1)))
    assert 0.001 <= times.min() < 0.0011
    assert 0.9999 < times.max() <= 1
    for share in (0.25, 0.5, 0.75):
        expected = (share - 0.001) / 0.999
        assert (times < share).double().mean().item() == pytest.approx(expected, abs=0.005)
    assert draw_times(5000, end=0.5, generator=torch.Generator()).min() >= 0.5
    assert torch.equal(torch.get_rng_state(), state)
    assert not torch.equal(draw_times(4), draw_times(4))
    assert not torch.equal(draw_levels(4, 0.1, 9.0), draw_levels(4, 0.1, 9.0))


def test_guided_moves_all_the_way_or_a_share_of_it() -> None:
    x, sigma = normal(4), torch.tensor(0.5)
    half = guided(gaussian(0.0, 1.0), lambda e: torch.full_like(e, 3.0), strength=0.5)
    whole = guided(gaussian(0.0, 1.0), lambda e: torch.full_like(e, 3.0))
    torch.testing.assert_close(half(x, sigma), 0.5 * gaussian(0.0, 1.0)(x, sigma) + 1.5)
    assert (whole(x, sigma) == 3).all()


def test_place_is_weighted_least_squares_in_any_leading_shape_and_of_rays_of_any_length() -> None:
    pose = normal(2, 3, 9, 3) * 0.3
    rays = torch.cat([normal(2, 3, 9, 2, seed=1) * 0.2, torch.ones(2, 3, 9, 1).double()], -1)
    rays[..., :2] += 0.3
    confidence = normal(2, 3, 9, seed=2).abs()
    found = place(pose, 2.5 * rays, confidence)
    for at in ((0, 0), (1, 2)):
        rows, right = [], []
        for j in range(9):
            u, v, _ = rays[(*at, j)].tolist()
            x, y, z = pose[(*at, j)].tolist()
            weight = confidence[(*at, j)].item() ** 2
            rows += [[weight, 0, -u * weight], [0, weight, -v * weight]]
            right += [[weight * (u * z - x)], [weight * (v * z - y)]]
        solved = torch.linalg.lstsq(torch.tensor(rows).double(), torch.tensor(right).double()).solution[:, 0]
        expected = -solved if solved[2] < 0 else solved
        torch.testing.assert_close(found[at], expected, rtol=1e-5, atol=1e-6)


def test_onto_rays_moves_by_confidence_and_places_by_it_too() -> None:
    pose = normal(5, 8, 3) * 0.3
    rays = (pose + torch.tensor([0.1, 0.2, 4.0], dtype=torch.float64)) * 1.0
    wrong = pose.clone()
    wrong[:, 3] += 1.0  # a joint that is far off and not seen must not pull the others
    confidence = torch.ones(5, 8, dtype=torch.float64)
    confidence[:, 3] = 0
    torch.testing.assert_close(onto_rays(wrong, rays, confidence), wrong, rtol=0, atol=1e-6)
    half = torch.full((5, 8), 0.5, dtype=torch.float64)
    off = pose + 0.02 * normal(5, 8, 3, seed=3)
    torch.testing.assert_close(onto_rays(off, rays, half), (off + onto_rays(off, rays)) / 2)


def test_means_and_distances_of_hypotheses_by_hand() -> None:
    candidates = normal(2, 4, 5, 3)
    assert torch.equal(hy.mean(candidates), (candidates[0] + candidates[1]) / 2)
    distance = (candidates[0] - candidates[1]).norm(dim=-1).mean(-1)
    torch.testing.assert_close(hy.diversity(candidates), distance)
    observed, confidence = normal(4, 5, 2, seed=1), normal(4, 5, seed=2).abs()
    found = hy.reprojection_errors(candidates, observed, lambda p: 2 * p[..., :2], confidence)
    for s in range(2):
        expected = confidence * (2 * candidates[s, ..., :2] - observed).square().sum(-1).sqrt()
        torch.testing.assert_close(found[s], expected)


def test_expected_best_of_keeps_the_errors_precision() -> None:
    errors = normal(7, 3).abs()
    ordered = errors.sort(0).values
    # C(6 - r, 2) / C(7, 3) for the r-th smallest of seven, taken three at a time.
    chances = torch.tensor([15, 10, 6, 3, 1, 0, 0]).double() / 35
    torch.testing.assert_close(hy.expected_best_of(errors, 3), chances @ ordered, rtol=1e-14, atol=0)
    assert hy.expected_best_of(errors.float(), 3).dtype == torch.float32


def test_coverage_by_hand_of_few_hypotheses() -> None:
    """Three hypotheses make four cells; below all of them the truth's cell is the central 50 to 100 %."""
    drawn = torch.tensor([0.0, 1.0, 2.0])[:, None, None, None]
    levels = torch.tensor([0.4, 0.5, 0.7, 0.8, 0.9])
    outside = hy.coverage(drawn, torch.full((1, 1, 1), -5.0), levels)
    torch.testing.assert_close(outside, torch.tensor([0.0, 0.0, 0.4, 0.6, 0.8]))
    inside = hy.coverage(drawn, torch.full((1, 1, 1), 0.5), levels)
    torch.testing.assert_close(inside, torch.tensor([0.8, 1.0, 1.0, 1.0, 1.0]))
    both = hy.coverage(drawn, torch.tensor([[[-5.0]], [[0.5]]]), levels)
    torch.testing.assert_close(both, (outside + inside) / 2)


def test_likelihood_of_any_leading_shape_with_its_defaults() -> None:
    denoise, x = gaussian(0.2, 0.7), normal(2, 3, 4)
    found = log_likelihood(denoise, x)
    assert found.shape == (2, 3)
    flat = log_likelihood(denoise, x.flatten(0, 1), sigma_min=0.002, sigma_max=160.0, steps=50, probes=None)
    assert torch.equal(found.flatten(), flat)
    alone = log_likelihood(denoise, x[1, 2])
    torch.testing.assert_close(alone, found[1, 2])


def test_probes_are_unbiased_signs_from_the_generator() -> None:
    matrix = normal(4, 4, seed=5) / 4

    def denoise(x: Tensor, sigma: Tensor) -> Tensor:
        return x @ matrix / (1 + sigma**2)

    torch.manual_seed(0)
    x, state = normal(6, 4), torch.get_rng_state()

    def probed(count: int | None, seed: int) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        return log_likelihood(denoise, x, sigma_min=0.1, steps=20, probes=count, generator=generator)

    assert torch.equal(probed(3, 1), probed(3, 1))
    assert not torch.equal(probed(3, 1), probed(3, 2))
    assert torch.equal(torch.get_rng_state(), state)
    exact = probed(None, 0)
    assert not torch.allclose(probed(3, 1), exact, atol=1e-3)
    torch.testing.assert_close(probed(3000, 1), exact, rtol=0, atol=0.1)
