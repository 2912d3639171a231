"""Differences to a mean in units of their spread: frames, denoisers and what follows, by hand."""

from __future__ import annotations

import pytest
import torch
from posediff.denoiser import EDM, Denoiser, ScaledScore
from posediff.difference import about, followed, frame, levels_about, residual_sums, sample_about
from posediff.sampler import euler
from torch import Tensor, nn


def test_a_frame_of_unit_zero_is_that_of_poses_themselves() -> None:
    centre = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    centres, units = frame(centre, torch.tensor([0.0, 0.5]))
    assert centres.tolist() == [[0.0, 0.0], [3.0, 4.0]]
    assert units.tolist() == [1.0, 0.5]
    centres, units = frame(centre, torch.tensor(0.0))
    assert not centres.any()
    assert units == 1


def test_a_denoiser_about_a_centre_is_that_of_the_scaled_law() -> None:
    """N(3, 0.25²) is 3 + 0.25 z; above the highest known level what is asked is brought down to it."""

    def standard(z: Tensor, sigma: Tensor) -> Tensor:
        asked.append(sigma)
        return z / (1 + sigma[..., None] ** 2)

    asked: list[Tensor] = []
    unit, centre = torch.tensor([0.25, 0.5]), torch.full((2, 4), 3.0)
    found = about(standard, centre, unit, sigma_max=10.0)
    x = torch.randn(5, 2, 4, generator=torch.Generator().manual_seed(0)) + 3
    for sigma in (torch.tensor(0.4), torch.full((5, 2), 0.4), torch.full((5, 2, 1), 0.4)):
        expected = 3 + unit[:, None] ** 2 / (unit[:, None] ** 2 + 0.4**2) * (x - 3)
        torch.testing.assert_close(found(x, sigma), expected)
        torch.testing.assert_close(asked[-1].expand(5, 2), (0.4 / unit).expand(5, 2))
    high = torch.tensor(4.0)  # 16 and 8 units: the first is beyond 10
    result = found(x, high)
    assert asked[-1].tolist() == [10.0, 8.0]
    inside = 10.0 * 0.25 / 4.0
    expected = 3 + 0.25 * inside * (x[:, 0] - 3) / 0.25 / 101
    torch.testing.assert_close(result[:, 0], expected)
    each = torch.tensor([[0.1, 0.7]] * 5)[..., None]
    torch.testing.assert_close(found(x, each)[:, 1], found(x, torch.tensor(0.7))[:, 1])
    torch.testing.assert_close(found(x, each)[:, 0], found(x, torch.tensor(0.1))[:, 0])


def test_levels_are_walked_in_each_rows_unit() -> None:
    """One Euler step to no noise is the denoised value at the first level, from noise of that level."""
    unit, centre = torch.tensor([0.25, 0.5]), torch.tensor([[3.0, 1.0], [2.0, 5.0]])
    noise = torch.randn(3, 2, 2, generator=torch.Generator().manual_seed(1))

    def denoise(x: Tensor, sigma: Tensor) -> Tensor:
        return centre + (x - centre) / (1 + sigma[..., None])

    found = sample_about(euler, denoise, centre, unit, noise, torch.tensor([4.0, 0.0]))
    sigma = 4 * unit[:, None]
    torch.testing.assert_close(found, centre + sigma * noise / (1 + sigma))


def test_levels_are_in_units_and_their_start_in_that_of_the_data() -> None:
    unit = torch.tensor([0.5, 0.25, 2.0])
    whole = levels_about(4, unit, (8.0, 1.0))
    torch.testing.assert_close(whole, torch.tensor([8.0, 4.0, 2.0, 1.0, 0.0]))
    narrowest = levels_about(3, unit, (8.0, 1.0), 4.0)
    torch.testing.assert_close(narrowest, torch.tensor([16.0, 4.0, 1.0, 0.0]))
    for start in (0.25, 0.1):
        with pytest.raises(ValueError, match=rf"sigma_start: {start}; .* the last level, 0\.25$"):
            levels_about(3, unit, (8.0, 1.0), start)


def test_residuals_and_what_follows_them() -> None:
    difference = torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    weight = torch.tensor([[1.0, 0.5], [0.25, 0.0], [0.0, 0.0]])
    sums = residual_sums(difference, weight, torch.tensor([1, 1, 0]), 3)
    assert sums.tolist() == [
        [[0.0, 0.0], [0.0, 0.0]],
        [[1 + 9 * 0.25, 2.0], [1.25, 0.5]],
        [[0.0, 0.0], [0.0, 0.0]],
    ]
    spread, profile = followed(torch.tensor([1.0, 1.0, 1.0]), torch.ones(3, 2), sums)
    rms = (5.25 / 1.75) ** 0.5
    each = torch.tensor([(3.25 / 1.25) ** 0.5, 2.0]) / rms
    torch.testing.assert_close(spread, torch.tensor([1.0, 0.98 + 0.02 * rms, 1.0]))
    torch.testing.assert_close(profile[1], 0.98 + 0.02 * each)
    assert (profile[[0, 2]] == 1).all()
    spread, _ = followed(torch.tensor([0.0, 0.0, 0.0]), torch.ones(3, 2), sums)
    assert not spread.any()
    other = residual_sums(difference, torch.ones(3, 2), 2, 3)
    both, _ = followed(torch.tensor([1.0, 1.0, 1.0]), torch.ones(3, 2), sums + other)
    alone, _ = followed(torch.tensor([1.0, 1.0, 1.0]), torch.ones(3, 2), other)
    torch.testing.assert_close(both, torch.stack([alone[0], 0.98 + 0.02 * torch.tensor(rms), alone[2]]))
    small = residual_sums(1e-3 * difference, 0.1 * weight, 1, 3)
    spread, profile = followed(torch.tensor([1.0, 1.0, 1.0]), torch.ones(3, 2), small)
    assert spread[1].item() == pytest.approx(0.98 + 0.02 * 1e-3 * rms)
    torch.testing.assert_close(profile[1], 0.98 + 0.02 * each)


def test_what_never_moves_keeps_the_least_spread_and_profile() -> None:
    still = residual_sums(torch.tensor([[0.0, 1.0]]), torch.ones(1, 2), 0, 1)
    spread, profile = torch.ones(1), torch.ones(1, 2)
    for _ in range(1500):
        spread, profile = followed(spread, profile, still)
    torch.testing.assert_close(spread, torch.tensor([0.5**0.5]))
    torch.testing.assert_close(profile, torch.tensor([[0.05, 2**0.5]]))
    for _ in range(1500):
        spread, profile = followed(spread, profile, torch.stack([still[:, 0] * 0, still[:, 1]], 1))
    torch.testing.assert_close(spread, torch.tensor([1e-4]))
    assert profile.isfinite().all()


class Nothing(nn.Module):
    """A network of zeros."""

    def forward(self, x: Tensor, label: Tensor, condition: object) -> Tensor:
        self.label, self.condition = label, condition
        return torch.zeros_like(x)


def test_a_network_of_zeros_is_the_exact_denoiser_of_stds_by_coordinate() -> None:
    std = torch.tensor([[0.1, 1.0, 3.0], [1.0, 2.0, 0.5]])
    denoiser = Denoiser(Nothing(), EDM())
    x = torch.randn(4, 2, 3, generator=torch.Generator().manual_seed(0))
    for sigma in (torch.tensor(0.7), torch.full((4, 2), 0.7), torch.full((4, 2, 1), 0.7)):
        torch.testing.assert_close(denoiser(x, sigma, std=std), std**2 / (std**2 + 0.49) * x)
        torch.testing.assert_close(denoiser(x, sigma, std=std[0]), std[0] ** 2 / (std[0] ** 2 + 0.49) * x)
        label = denoiser.network.label
        assert label.shape == sigma.shape[: 2 if sigma.ndim else 0]
        torch.testing.assert_close(label, torch.full_like(label, 5 * torch.tensor(0.7).log().item()))
    noise = torch.randn(4, 2, 3, generator=torch.Generator().manual_seed(1))
    found = denoiser.loss(x, torch.full((4, 2), 0.7), noise, std=std)
    total = std**2 + 0.49
    target = (x - std**2 / total * (x + 0.7 * noise)) / (0.7 * std / total.sqrt())
    torch.testing.assert_close(found, target**2)
    with pytest.raises(TypeError, match="ScaledScore has none; use EDM"):
        Denoiser(Nothing(), ScaledScore())(x, torch.tensor(0.7), std=std)


def test_the_network_is_handed_the_condition_and_a_scaled_scores_label() -> None:
    denoiser = Denoiser(Nothing(), ScaledScore())
    x, sigma = torch.randn(3, 2, generator=torch.Generator().manual_seed(0)), torch.tensor([0.5, 1.0, 2.0])
    assert torch.equal(denoiser(x, sigma, "seen"), x)
    assert denoiser.network.condition == "seen"
    torch.testing.assert_close(denoiser.network.label, sigma.log())
    loss = denoiser.loss(x, sigma, torch.ones(3, 2), "learnt")
    assert denoiser.network.condition == "learnt"
    torch.testing.assert_close(loss, torch.ones(3, 2))  # the noise itself, over sigma
