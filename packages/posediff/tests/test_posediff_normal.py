"""The low-rank normal against torch's full one and closed forms; the decoder on a posterior that is known."""

from __future__ import annotations

import math

import pytest
import torch
from posediff.lowrank import LowRank
from posediff.mlp import MLPDecoder
from posediff.normal import FLOOR, NormalDecoder
from torch import Tensor
from torch.distributions import MultivariateNormal


def made(*batch: int, width: int = 6, rank: int = 2) -> tuple[LowRank, Tensor]:
    generator = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*batch, *shape, generator=generator, dtype=torch.float64)

    return LowRank(0.2 + draw(width).abs(), draw(width, rank)), draw(width)


def full(normal: LowRank) -> Tensor:
    return torch.diag_embed(normal.sd**2) + normal.factor @ normal.factor.mT


def test_the_density_is_that_of_the_full_covariance() -> None:
    normal, residual = made(5)
    twin = MultivariateNormal(torch.zeros(6).double(), full(normal))
    torch.testing.assert_close(normal.log_density(residual), twin.log_prob(residual))
    torch.testing.assert_close(full(normal.stretched(1.5)), 2.25 * full(normal))


def test_unknown_coordinates_are_marginalised() -> None:
    normal, residual = made(4)
    known = torch.tensor([True, False, True, True, False, True]).expand(4, 6)
    some = known[0].nonzero()[:, 0]
    covariance = full(normal)[:, some][:, :, some]
    expected = MultivariateNormal(torch.zeros(4).double(), covariance).log_prob(residual[:, some])
    residual = torch.where(known, residual, torch.nan)
    torch.testing.assert_close(normal.log_density(residual, known), expected)


def test_gradients_of_the_density() -> None:
    normal, residual = made(2, width=4)
    inputs = [x.requires_grad_() for x in (*normal, residual)]
    assert torch.autograd.gradcheck(lambda sd, factor, x: LowRank(sd, factor).log_density(x), inputs)


def test_draws_have_the_covariance() -> None:
    normal, _ = made()
    drawn = normal.draw(200_000, torch.Generator().manual_seed(1))
    torch.testing.assert_close(drawn.T.cov(), full(normal), atol=0.05, rtol=0.02)


def posterior(count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Poses about their condition: x of both joints moves together by 0.4, all else by 0.1."""
    condition = torch.randn(count, 4, generator=generator)
    own = 0.1 * torch.randn(count, 4, generator=generator)
    own[:, ::2] += 0.4 * torch.randn(count, 1, generator=generator)
    return (condition + own).unflatten(1, (2, 2)), condition


def test_the_decoder_learns_a_covariance() -> None:
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(0)
    decoder = NormalDecoder(2, 2, 4, 32, 1, ("2d",), False, 0.0, rank=1)
    decoder.fit_scale(posterior(4000, generator)[0])
    optimiser = torch.optim.Adam(decoder.parameters(), 3e-3)
    for _ in range(400):
        optimiser.zero_grad()
        decoder.loss(*posterior(128, generator), 0).mean().backward()
        optimiser.step()
    decoder.eval()
    condition = posterior(2000, generator)[1]
    found = full(decoder.distribution(condition, 0)).mean(0)
    expected = 0.01 * torch.eye(4) + 0.16 * torch.tensor([[1.0, 0, 1, 0], [0] * 4, [1, 0, 1, 0], [0] * 4])
    torch.testing.assert_close(found, expected, atol=0.03, rtol=0)
    drawn = decoder.sample(condition, 0, hypotheses=50, generator=generator)
    away = (drawn - decoder.mean(condition, 0)).flatten(2).flatten(0, 1)
    torch.testing.assert_close(away.T.cov(), expected, atol=0.03, rtol=0)
    decoder.spread.fill_(2.0)
    torch.testing.assert_close(full(decoder.distribution(condition, 0)).mean(0), 4 * found)


def test_the_covariance_teaches_nothing_but_itself() -> None:
    torch.manual_seed(0)
    decoder = NormalDecoder(2, 2, 4, 8, 1, ("2d",), False, 0.0, rank=1)
    poses, condition = posterior(16, torch.Generator().manual_seed(0))
    condition.requires_grad_()
    decoder.loss(poses, condition, 0).mean().backward()
    own = [x.grad.clone() for x in (*decoder.network.parameters(), condition)]  # type: ignore[union-attr]
    decoder.zero_grad()
    condition.grad = None
    predicted = decoder.network(condition)
    (predicted - poses.flatten(1)).abs().mean().backward()
    for x, grad in zip((*decoder.network.parameters(), condition), own, strict=True):
        torch.testing.assert_close(x.grad, grad)
    assert float(decoder.distribution(condition.detach(), 0).sd.detach().min()) > FLOOR


def skewed(count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Poses off their condition by an exponential law of 0.3, whose median is 0.3 ln 2."""
    condition = torch.randn(count, 4, generator=generator)
    own = -0.3 * torch.log1p(-torch.rand(count, 4, generator=generator))
    return (condition + own).unflatten(1, (2, 2)), condition


def test_the_mean_is_the_plain_regression_s_to_the_digit() -> None:
    """Trained with the likelihood or without, clipped apart; of a skewed law both are the median, and the
    covariance is about it."""
    torch.manual_seed(0)
    decoder, plain = (
        NormalDecoder(2, 2, 4, 32, 1, ("2d",), False, 0.0, rank=1),
        MLPDecoder(2, 2, 4, 32, 1, ("2d",), False, 0.0, mean_loss="l1"),
    )
    plain.network.load_state_dict(decoder.network.state_dict())
    for one in (decoder, plain):
        generator = torch.Generator().manual_seed(0)
        one.fit_scale(skewed(4000, generator)[0])
        optimiser = torch.optim.Adam(one.parameters(), 3e-3)
        fall = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, 500)
        for _ in range(500):
            optimiser.zero_grad()
            one.loss(*skewed(256, generator), 0).mean().backward()
            torch.nn.utils.clip_grad_norm_(one.network.parameters(), 0.1)
            if isinstance(one, NormalDecoder):
                torch.nn.utils.clip_grad_norm_(one.covariance.parameters(), 0.1)
            optimiser.step()
            fall.step()
    condition = skewed(4000, torch.Generator().manual_seed(1))[1]
    mean = decoder.eval().mean(condition, 0)
    assert torch.equal(mean, plain.eval().mean(condition, 0))
    median = 0.3 * math.log(2)
    off = (mean.flatten(1) - condition).mean(0).detach()
    torch.testing.assert_close(off, torch.full((4,), median), atol=0.03, rtol=0)
    moment = 0.09 * (1 + (1 - math.log(2)) ** 2)
    found = full(decoder.distribution(condition, 0)).diagonal(dim1=-2, dim2=-1).mean(0).detach()
    torch.testing.assert_close(found, torch.full((4,), moment), atol=0.02, rtol=0)


def test_missing_joints_and_bad_arguments() -> None:
    torch.manual_seed(0)
    decoder = NormalDecoder(2, 2, 4, 8, 1, ("2d",), False, 0.0, rank=1)
    poses, condition = posterior(3, torch.Generator().manual_seed(0))
    poses[0, 1] = torch.nan
    weight = torch.tensor([[1.0, 0.0], [1, 1], [1, 1]])
    assert bool(decoder.loss(poses, condition, 0, weight=weight).isfinite().all())
    with pytest.raises(ValueError, match="row 0, joint 1 is not finite"):
        decoder.loss(poses, condition, 0)
    with pytest.raises(ValueError, match="hypotheses: 0"):
        decoder.sample(condition, 0, hypotheses=0)
    with pytest.raises(ValueError, match="rank: 0"):
        NormalDecoder(2, 2, 4, rank=0)
