"""Flow matching: its path is a variance-exploding one in other units, checked against the velocity's own."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from posediff import PoseDecoder
from posediff.denoiser import Denoiser, Velocity
from posediff.sampler import ODE_SAMPLERS, euler
from posediff.schedule import draw_straight, straight
from torch import Tensor, nn

MEAN, STD = 0.4, 0.7


def velocity(x: Tensor, t: Tensor) -> Tensor:
    """E[n - x_0 | x_t = x] of normal data: n and x_0 given x by the rule for joint normals."""
    spread = t**2 + (1 - t) ** 2 * STD**2
    away = (x - (1 - t) * MEAN) / spread
    return t * away - (MEAN + (1 - t) * STD**2 * away)


class Exact(nn.Module):
    """The exact velocity of normal data, as a network."""

    def forward(self, x: Tensor, label: Tensor, condition: None = None) -> Tensor:
        return velocity(x, (label / 999)[..., None] if label.ndim else label / 999)


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_the_exact_velocity_is_the_exact_denoiser() -> None:
    denoise = Denoiser(Exact(), Velocity())
    x = normal(50, 3)
    for level in (0.01, 0.5, 1.0, 8.0):
        sigma = torch.tensor(level, dtype=torch.float64)
        expected = MEAN + STD**2 / (STD**2 + sigma**2) * (x - MEAN)
        torch.testing.assert_close(denoise(x, sigma), expected)


def test_the_loss_is_the_velocity_s_squared_error() -> None:
    network = nn.Linear(3, 3).double()
    denoise = Denoiser(_Plain(network), Velocity())
    clean, noise, t = normal(6, 3), normal(6, 3, seed=1), torch.linspace(0.1, 0.9, 6).double()
    on_path = (1 - t[:, None]) * clean + t[:, None] * noise
    expected = (network(on_path) - (noise - clean)) ** 2
    torch.testing.assert_close(denoise.loss(clean, t / (1 - t), noise), expected)


class _Plain(nn.Module):
    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor, label: Tensor, condition: None = None) -> Tensor:
        return self.network(x)


@pytest.mark.parametrize("steps", [1, 3, 10])
def test_euler_on_its_levels_is_euler_along_the_path(steps: int) -> None:
    levels = straight(steps, 9.0).double()
    t = torch.linspace(0.9, 0, steps + 1, dtype=torch.float64)
    torch.testing.assert_close(levels / (1 + levels), t)
    noise = normal(20, 3)
    x = t[0] * noise + (1 - t[0]) * MEAN  # on the path
    start = x / (1 - t[0])
    for here, there in pairwise(t):
        x = x + (there - here) * velocity(x, here)
    found = euler(Denoiser(Exact(), Velocity()), start, levels)
    torch.testing.assert_close(found, x, rtol=1e-5, atol=1e-6)
    assert ODE_SAMPLERS["flow"] is euler


def test_levels_refuse_what_is_none() -> None:
    for n, top in ((0, 1.0), (3, 0.0)):
        with pytest.raises(ValueError, match="n >= 1 and top > 0"):
            straight(n, top)


def test_training_times_are_logit_normal() -> None:
    drawn = draw_straight(200_000, 0.002, 160.0, generator=torch.Generator().manual_seed(0)).log()
    assert abs(float(drawn.mean())) < 0.01
    assert abs(float(drawn.std()) - 1) < 0.01
    few = draw_straight(1000, 0.9, 1.1, generator=torch.Generator().manual_seed(0))
    assert float(few.min()) == pytest.approx(0.9)
    assert float(few.max()) == pytest.approx(1.1)


def trained(steps: int = 400) -> PoseDecoder:
    """Poses whose mean is the condition and whose joints move together, by 0.5 along one direction."""
    torch.manual_seed(0)
    decoder = PoseDecoder(2, 2, 4, 48, 1, ("2d",), False, "flow", 0.0)
    generator = torch.Generator().manual_seed(0)
    along = torch.tensor([1.0, 0.0, 1.0, 0.0])

    def draw(count: int) -> tuple[Tensor, Tensor]:
        condition = torch.randn(count, 4, generator=generator)
        moved = 0.5 * torch.randn(count, 1, generator=generator) * along
        return (condition + moved).unflatten(1, (2, 2)), condition

    decoder.fit_scale(draw(4000)[0])
    optimiser = torch.optim.Adam(decoder.parameters(), 3e-3)
    for _ in range(steps):
        terms = decoder.terms(*draw(128), 0, generator=generator)
        optimiser.zero_grad()
        terms.loss.mean().backward()
        optimiser.step()
        decoder.follow(terms.residual)
    return decoder.eval()


def test_a_decoder_learns_a_posterior_whose_joints_move_together() -> None:
    decoder = trained()
    condition = torch.randn(8, 4, generator=torch.Generator().manual_seed(3))
    generator = torch.Generator().manual_seed(1)
    many = decoder.sample(condition, 0, hypotheses=500, steps=20, sampler="flow", generator=generator)
    few = decoder.sample(condition, 0, hypotheses=500, steps=3, sampler="flow", generator=generator)
    for drawn in (many, few):
        away = drawn - condition.unflatten(1, (2, 2))
        x, y = away[..., 0], away[..., 1]
        both = torch.corrcoef(torch.stack([x[..., 0].flatten(), x[..., 1].flatten()]))[0, 1]
        assert float(both) > 0.75  # of what is drawn alone, 0
        assert float(y.std()) < 0.6 * float(x.std())
        assert abs(float(away.mean())) < 0.06
    sd = (many - condition.unflatten(1, (2, 2)))[..., 0].std()
    assert float(sd) == pytest.approx(0.5, abs=0.08)


def test_flow_starts_where_the_mean_s_step_ends() -> None:
    torch.manual_seed(0)
    decoder = PoseDecoder(2, 2, 4, 16, 1, ("2d",), False, "flow").eval()
    decoder.spread.fill_(0.3)
    nn.init.normal_(decoder.network.gain.weight, std=0.1)
    condition = torch.randn(5, 4)
    given = {"hypotheses": 1, "sampler": "flow"}
    found = decoder.sample(condition, 0, steps=2, generator=torch.Generator().manual_seed(2), **given)
    noise = torch.randn(1, 5, 4, generator=torch.Generator().manual_seed(2))
    centre = decoder.mean(condition, 0).flatten(1)
    levels = 0.3 * torch.tensor([2.0, 0.5, 0.0])  # t of 2/3, 1/3 and 0: a third each, the first at 1
    expected = euler(decoder.denoise(condition, 0), centre + levels[0] * noise, levels)
    torch.testing.assert_close(found.flatten(2), expected, rtol=1e-4, atol=1e-5)
