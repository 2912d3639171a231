"""The network's shortcuts against doing everything in full, and the denoiser's coefficients."""

from __future__ import annotations

import math

import pytest
import torch
from posediff.denoiser import EDM, Denoiser, NoisePrediction, ScaledScore
from posediff.network import ChannelNorm, ResidualMLP, sinusoidal
from posediff.sde import VP, SubVP, score
from torch import nn


def test_channel_norm_is_group_norm() -> None:
    x = torch.randn(6, 64, generator=torch.Generator().manual_seed(0))
    for groups in (1, 4, 32):
        mine, theirs = ChannelNorm(64, groups), nn.GroupNorm(groups, 64)
        with torch.no_grad():
            for norm in (mine, theirs):
                norm.weight.copy_(torch.linspace(0.5, 2, 64))
                norm.bias.copy_(torch.linspace(-1, 1, 64))
        torch.testing.assert_close(mine(x), theirs(x), rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(mine(x.view(2, 3, 64)).view(6, 64), mine(x), rtol=1e-4, atol=1e-4)


def test_features_once_for_all_hypotheses() -> None:
    """(S, B, D) with features of B and one level, against every row by itself with its own features."""
    torch.manual_seed(0)
    network = ResidualMLP(6, 5, hidden=32, time_dim=16, groups=4).eval()
    x, condition = torch.randn(4, 3, 6), torch.randn(3, 5)
    together = network(x, torch.tensor(0.7), network.project(condition))
    for s in range(4):
        for b in range(3):
            row = network(x[s, b][None], torch.tensor([0.7]), network.project(condition[b][None]))
            torch.testing.assert_close(together[s, b], row[0], rtol=1e-4, atol=1e-5)


def test_a_level_shared_by_neighbours_is_that_of_each() -> None:
    """(groups, share, D) with one label a group, as the decoder's loss has it, against row by row."""
    torch.manual_seed(0)
    network = ResidualMLP(6, 5, hidden=32, time_dim=16)
    x, condition, label = torch.randn(4, 3, 6), torch.randn(4, 3, 5), torch.randn(4, 1)
    shared = network.eval()(x, label, network.project(condition))
    apart = network(x.flatten(0, 1), label.repeat_interleave(3), network.project(condition.flatten(0, 1)))
    torch.testing.assert_close(shared.flatten(0, 1), apart, rtol=1e-4, atol=1e-5)


def test_sinusoidal_by_hand() -> None:
    found = sinusoidal(torch.tensor(2.0), 4)
    expected = [math.sin(2), math.sin(2e-4), math.cos(2), math.cos(2e-4)]
    assert found.tolist() == pytest.approx(expected, abs=1e-6)


def test_a_level_for_every_row_in_either_shape_is_that_of_each() -> None:
    """(B,) as in training and (B, 1) as scores of a process give it, against row by row."""
    torch.manual_seed(0)
    denoiser = Denoiser(ResidualMLP(6, 0, hidden=32, time_dim=16), EDM()).eval()
    x, t = torch.randn(5, 6), torch.rand(5) * 0.9 + 0.05
    found = score(SubVP(), denoiser, x, t[:, None])
    for row in range(5):
        alone = score(SubVP(), denoiser, x[row, None], t[row])
        torch.testing.assert_close(found[row], alone[0], rtol=1e-4, atol=1e-5)
    sigma = SubVP().sigma(t)
    torch.testing.assert_close(denoiser(x, sigma), denoiser(x, sigma[:, None]))


def test_network_refuses_what_it_cannot_use() -> None:
    with pytest.raises(ValueError, match="condition_dim=0"):
        ResidualMLP(6, 0, hidden=32, time_dim=16).project(torch.zeros(1, 3))
    with pytest.raises(ValueError, match="groups=7"):
        ResidualMLP(6, 0, hidden=32, time_dim=16, groups=7)


class Perfect(nn.Module):
    """The network that makes a denoiser exact on N(0, 1) data, whatever its coefficients."""

    def __init__(self, preconditioning: EDM | NoisePrediction | ScaledScore, sigma: torch.Tensor) -> None:
        super().__init__()
        self.c, self.sigma = preconditioning(sigma), sigma

    def forward(self, scaled: torch.Tensor, label: torch.Tensor, condition: None) -> torch.Tensor:
        x = scaled / self.c.input[:, None]
        ideal = x / (1 + self.sigma[:, None] ** 2)
        return (ideal - self.c.skip[:, None] * x) / self.c.out[:, None]


@pytest.mark.parametrize(
    "preconditioning", [EDM(), NoisePrediction(SubVP()), NoisePrediction(VP()), ScaledScore()]
)
def test_every_parametrisation_can_express_the_exact_denoiser(
    preconditioning: EDM | NoisePrediction | ScaledScore,
) -> None:
    sigma = torch.tensor([0.05, 0.5, 3.0], dtype=torch.float64)
    x = torch.randn(3, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    denoised = Denoiser(Perfect(preconditioning, sigma), preconditioning)(x, sigma)
    torch.testing.assert_close(denoised, x / (1 + sigma[:, None] ** 2))


def test_edm_keeps_input_and_target_at_unit_variance() -> None:
    generator = torch.Generator().manual_seed(0)
    clean, noise = torch.randn(2, 200_000, generator=generator, dtype=torch.float64)
    for level in (0.01, 0.3, 1.0, 20.0):
        c = EDM()(torch.tensor(level, dtype=torch.float64))
        noisy = clean + level * noise
        assert (c.input * noisy).std().item() == pytest.approx(1, abs=0.01)
        assert ((clean - c.skip * noisy) / c.out).std().item() == pytest.approx(1, abs=0.01)


def test_noise_prediction_loss_is_that_of_gfpose() -> None:
    """|F(x_t, 999 t) - n|² with x_t = scale x_0 + std n, and the label 999 t."""
    seen: list[torch.Tensor] = []

    class Linear(nn.Module):
        def forward(self, x: torch.Tensor, label: torch.Tensor, condition: None) -> torch.Tensor:
            seen.extend([x, label])
            return 0.3 * x

    generator = torch.Generator().manual_seed(0)
    clean, noise = torch.randn(2, 5, 4, generator=generator, dtype=torch.float64)
    t, sde = torch.tensor([0.1, 0.3, 0.5, 0.7, 0.9], dtype=torch.float64), SubVP()
    found = Denoiser(Linear(), NoisePrediction(sde)).loss(clean, sde.sigma(t), noise)
    noisy = sde.scale(t)[:, None] * clean + sde.std(t)[:, None] * noise
    torch.testing.assert_close(seen[0], noisy)
    torch.testing.assert_close(seen[1], 999 * t)
    torch.testing.assert_close(found, (0.3 * noisy - noise) ** 2)


def test_what_infinite_noise_adds_is_computed_once_and_forgotten_in_training() -> None:
    torch.manual_seed(0)
    network = ResidualMLP(6, 4, hidden=16, blocks=1, time_dim=8).eval()
    torch.nn.init.normal_(network.gain.weight)
    x, condition = torch.randn(5, 6), torch.randn(5, 4)
    level = torch.tensor(0.3)
    features = network.project(condition)
    before, other = network(x, None, features), network(x, level, features)
    keys = list(network.state_dict())
    network.settle()
    assert list(network.state_dict()) == keys
    assert torch.equal(network(x, None, features), before)
    assert torch.equal(network(x, level, features), other)
    network.no_signal.data.add_(1.0)
    assert torch.equal(network(x, None, features), before), "it does not look again"
    network.train().eval()
    after = network(x, None, features)
    assert not torch.allclose(after, before)
    network.settle()
    double = network.double()
    torch.testing.assert_close(double(x.double(), None, features.double()).float(), after, atol=1e-5, rtol=0)
