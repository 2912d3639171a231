"""The width of hypotheses: what moves it, and whether intervals hold what they say in every modality."""

from __future__ import annotations

import functools

import pytest
import torch
from posediff import PoseDecoder
from posediff.hypotheses import coverage
from torch import Tensor

JOINTS, DIMS, COND = 2, 3, 8
WIDTHS = torch.tensor([0.8, 0.4, 0.15])


def known_posterior(n: int, seed: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Conditions, modalities, poses around a linear mean in metres + 3, and their widths.

    Widths differ by modality, and the second's are twice as large in depth, half as large across.
    """
    generator = torch.Generator().manual_seed(seed)
    weights = torch.randn(COND, JOINTS * DIMS, generator=torch.Generator().manual_seed(9)) / COND**0.5
    condition = torch.randn(n, COND, generator=generator)
    centre = (condition @ weights).unflatten(-1, (JOINTS, DIMS)) + 3
    modality = torch.arange(n) % 3
    width = WIDTHS[modality][:, None, None].repeat(1, JOINTS, DIMS)
    width[modality == 1] *= torch.tensor([0.5, 0.5, 2.0])
    return condition, modality, centre + width * torch.randn(centre.shape, generator=generator), width


def small(**options: float) -> PoseDecoder:
    torch.manual_seed(0)
    return PoseDecoder(JOINTS, DIMS, condition_dim=COND, hidden=64, dropout=0.0, **options)  # type: ignore[arg-type]


@functools.cache
def of_three_widths() -> PoseDecoder:
    decoder = small()
    condition, modality, poses, _ = known_posterior(30_000, 0)
    decoder.fit_scale(poses)
    steps = 600
    optimiser = torch.optim.Adam(decoder.parameters(), 2e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    generator = torch.Generator().manual_seed(1)
    with torch.enable_grad():
        for _ in range(steps):
            rows = torch.randint(len(poses), (256,), generator=generator)
            terms = decoder.terms(poses[rows], condition[rows], modality[rows], generator=generator)
            optimiser.zero_grad()
            terms.loss.mean().backward()
            optimiser.step()
            decoder.follow(terms.residual)
            schedule.step()
    return decoder.eval()


@pytest.mark.parametrize(("sampler", "steps"), [("dpmpp_2m_sde", 7), ("dpmpp_2m", 10), ("heun", 20)])
def test_intervals_hold_what_they_say_in_every_modality(sampler: str, steps: int) -> None:
    """A known posterior: 50, 80 and 90 % intervals within 3 points, and each coordinate's own width."""
    decoder = of_three_widths()
    condition, modality, poses, width = known_posterior(1500, 5)
    levels = torch.tensor([0.5, 0.8, 0.9])
    generator = torch.Generator().manual_seed(3)
    drawn = decoder.sample(
        condition, modality, hypotheses=25, steps=steps, sampler=sampler, generator=generator
    )
    for k in range(3):
        rows = modality == k
        found = coverage(drawn[:, rows], poses[rows], levels)
        torch.testing.assert_close(found, levels, rtol=0, atol=0.03)
        ratio = (drawn[:, rows].std(0) / width[rows]).mean(0)
        torch.testing.assert_close(ratio, torch.ones(JOINTS, DIMS), rtol=0, atol=0.15)


def test_rows_of_several_modalities_are_drawn_as_each_alone() -> None:
    decoder = of_three_widths()
    condition, modality, _, _ = known_posterior(9, 5)
    together = decoder.sample(condition, modality, hypotheses=4, sampler="dpmpp_2m", generator=seeded())
    sigma = torch.tensor(0.3)
    x = torch.randn(4, 9, JOINTS * DIMS, generator=seeded())
    denoised = decoder.denoise(condition, modality)(x, sigma)
    for k in range(3):
        alone = decoder.sample(condition, k, hypotheses=4, sampler="dpmpp_2m", generator=seeded())
        torch.testing.assert_close(together[:, k::3], alone[:, k::3], rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(denoised[:, k::3], decoder.denoise(condition, k)(x, sigma)[:, k::3])
        # Twice the highest trained level: beyond it the direction of x alone is read.
        high = torch.full((9,), 320.0) * decoder.spread[modality]
        rows = decoder.denoise(condition, modality)(x, high)
        torch.testing.assert_close(rows[:, k::3], decoder.denoise(condition, k)(x, high[k])[:, k::3])


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(7)


def test_start_is_in_units_of_the_data_and_above_the_end() -> None:
    decoder = of_three_widths()
    condition = known_posterior(40, 5)[0]
    top = 20 * float(decoder.spread[1])
    usual = decoder.sample(condition, 1, sampler="dpmpp_2m", generator=seeded())
    said = decoder.sample(condition, 1, sampler="dpmpp_2m", generator=seeded(), sigma_start=top)
    torch.testing.assert_close(usual, said, rtol=1e-4, atol=1e-4)
    with pytest.raises(ValueError, match=r"sigma_start: 0\.001; it must be above the last level, 0\.0"):
        decoder.sample(condition, 1, sigma_start=0.001)


def test_loss_changes_nothing_and_follow_moves_towards_the_residual_of_the_whole_step() -> None:
    decoder = small(condition_dropout=0.3).train()
    condition, _, poses, _ = known_posterior(40, 0)
    decoder.fit_scale(poses)
    weight = torch.ones(40, JOINTS)
    weight[3, 1] = 0
    modality = torch.arange(40) % 2  # the third never comes
    before = {name: value.clone() for name, value in decoder.state_dict().items()}
    generator = torch.Generator().manual_seed(0)
    whole = decoder.terms(poses, condition, modality, generator=generator, weight=weight)
    for name, value in decoder.state_dict().items():
        assert torch.equal(value, before[name]), name
    decoder.unknown = None  # nothing hidden: the residual of all
    whole = decoder.terms(poses, condition, modality, weight=weight)
    halves = [
        decoder.terms(poses[i], condition[i], modality[i], weight=weight[i]).residual
        for i in (slice(0, 16), slice(16, 40))
    ]
    torch.testing.assert_close(halves[0] + halves[1], whole.residual)
    one = decoder.terms(poses[:1], condition[:1], 1).residual
    torch.testing.assert_close(one, decoder.terms(poses[:1], condition[:1], torch.tensor([1])).residual)
    difference = (decoder.mean(condition, modality) - poses).detach() / decoder.std
    for k in (0, 1):
        square = difference[k::2] ** 2 * weight[k::2, :, None]
        each = square.sum(0) / weight[k::2].sum(0)[:, None]
        rms = (square.sum() / (weight[k::2].sum() * DIMS)).sqrt()
        decoder.spread.fill_(1.0)
        decoder.profile.fill_(1.0)
        decoder.follow(whole.residual)
        torch.testing.assert_close(decoder.spread[k], 0.98 + 0.02 * rms)
        torch.testing.assert_close(decoder.profile[k], 0.98 + 0.02 * each.sqrt() / rms)
    assert decoder.spread[2] == 1
    assert torch.equal(decoder.profile[2], torch.ones(JOINTS, DIMS))


def test_hidden_conditions_are_not_in_the_residual_and_have_the_unit_of_poses() -> None:
    decoder = small(condition_dropout=0.999999).train()
    condition, _, poses, _ = known_posterior(64, 0)
    decoder.fit_scale(poses)
    decoder.spread.fill_(0.01)
    generator = torch.Generator().manual_seed(0)
    terms = decoder.terms(poses, condition, 0, generator=generator)
    assert not terms.residual.any()
    assert terms.loss.max() < 100  # in units of 0.01 these differences, of about 1, would square to 10,000
