"""Lifters of the board: their losses written out, their scale, their hypotheses of a law that is known."""

from dataclasses import replace

import pytest
import torch
from polypose.peer import JOINTS
from polypose.peer_d3dp import Diffused
from polypose.peer_vvipe import Embedded
from polypose.peers import PEERS, Denoised, Ours, Regressor, get_peer
from polypose.samples import Sample
from posediff.schedule import cosine_levels
from posediff.sde import SubVP
from torch import Tensor, nn


def views(count: int, seed: int = 0) -> Sample:
    generator = torch.Generator().manual_seed(seed)
    joints = (
        0.3 * torch.randn(count, JOINTS, 3, generator=generator) + torch.linspace(0, 0.5, JOINTS)[:, None]
    )
    joints = joints - joints[:, :1]
    token = torch.rand(count, 3, generator=generator)
    return Sample(
        2 * joints[..., :2] + 1, torch.ones(count, JOINTS), token, joints, torch.eye(3).expand(count, 3, 3)
    )


class Lifted(nn.Module):
    """From standardised keypoints, x and y in standardised joints, and no depth."""

    def forward(self, seen: Tensor) -> Tensor:
        return nn.functional.pad(seen, (0, 1))


def test_a_regressor_speaks_the_data_s_scale() -> None:
    sample = views(4000)
    lifter = Regressor(Lifted(), "mpjpe")
    lifter.fit_scale(sample)
    found = lifter(sample)
    torch.testing.assert_close(found[..., :2], sample.joints[..., :2], atol=1e-4, rtol=1e-4)
    depth = sample.joints[..., 2].mean(0)
    torch.testing.assert_close(found[..., 2], (depth - depth[0]).expand(4000, -1), atol=1e-5, rtol=0)
    away = sample.joints[..., 2] - depth
    loss = lifter.loss(sample, torch.Generator())
    torch.testing.assert_close(loss, away.abs().mean(), atol=1e-4, rtol=1e-3)
    squares = Regressor(Lifted(), "l2")
    squares.fit_scale(sample)
    # of 17 joints 16 move, and of their three coordinates the depth alone is off, by 1 in the mean of squares
    torch.testing.assert_close(
        squares.loss(sample, torch.Generator()), torch.tensor(16 / 51), atol=1e-3, rtol=0
    )


class Velocity(nn.Module):
    """The exact velocity of standard normal data, whatever the keypoints."""

    def forward(self, x: Tensor, label: Tensor, seen: Tensor) -> Tensor:
        t = label / 999
        t = t[..., None] if t.ndim else t
        return (2 * t - 1) / (t**2 + (1 - t) ** 2) * x


def test_hypotheses_of_a_known_law_in_the_data_s_scale() -> None:
    sample = views(4000)
    lifter = Denoised(Velocity(), True, 100)
    lifter.fit_scale(sample)
    drawn = lifter.draw(sample[:40], 200, torch.Generator().manual_seed(0)).flatten(0, 1)
    assert bool((drawn[:, 0] == 0).all())
    torch.testing.assert_close(drawn.mean(0), sample.joints.mean(0), atol=0.02, rtol=0)
    torch.testing.assert_close(drawn[:, 1:].std(0), sample.joints[:, 1:].std(0), atol=0.03, rtol=0)
    torch.testing.assert_close(lifter(sample[:40]).std(), drawn.std(), atol=0.5, rtol=0)
    clean = ((sample.joints - lifter.joints_mean) / lifter.joints_std).flatten(1)
    # given x_t the velocity of standard normals is off by 1 / (t² + (1 - t)²) in the mean of squares
    generator = torch.Generator().manual_seed(1)
    t = 1 / (1 + (-torch.randn(4000, generator=torch.Generator().manual_seed(1))).exp())
    expected = (1 / (t**2 + (1 - t) ** 2)).mean() * float((clean.std(0) > 0).float().mean())
    assert float(lifter.loss(sample, generator).detach()) == pytest.approx(float(expected), rel=0.1)


class Told(nn.Module):
    """The mean of joints given noisy ones at a step's level, of joints about 0 that spread by 0.2 metres."""

    def __init__(self) -> None:
        super().__init__()
        self.frame = torch.zeros(1, 1, 1)
        self.levels = cosine_levels()

    def forward(self, noisy: Tensor, step: Tensor, seen: Tensor) -> Tensor:
        level = self.levels[step][..., None, None, None] if step.ndim else self.levels[step]
        return 0.04 / (0.04 + level**2) * noisy * (1 + level**2).sqrt()


def test_d3dp_draws_and_is_taught_in_metres() -> None:
    lifter = Diffused(Told(), steps=500, mean_of=200)  # type: ignore[arg-type]
    sample = views(30)
    drawn = lifter.draw(sample, 100, torch.Generator().manual_seed(0))
    assert bool((drawn[:, :, 0] == 0).all())
    # of the difference of two joints, each of 0.2 metres; coordinates of more than 1.1 are seldom cut
    assert float(drawn[:, :, 1:].std()) == pytest.approx(0.2 * 2**0.5, rel=0.06)
    sample = replace(sample, joints=torch.zeros_like(sample.joints))
    generator = torch.Generator().manual_seed(0)
    found = torch.stack([lifter.loss(sample, generator) for _ in range(200)]).mean()
    level = cosine_levels().double()
    noisy = level / (1 + level**2).sqrt()  # what is shown of nothing but noise; its clipped length, by draws
    shown = (noisy[:, None, None] * torch.randn(1000, 500, 3, dtype=torch.float64)).clamp(-1.1, 1.1)
    kept = 0.04 / (0.04 + level**2) * (1 + level**2).sqrt()
    expected = (kept[:, None] * shown.norm(dim=-1)).mean()
    assert float(found) == pytest.approx(float(expected), rel=0.02)


def test_gfpose_s_thousand_steps_are_the_reverse_sde() -> None:
    sample = views(4000)
    lifter = Denoised(Noise(), False, 1000, few=60)
    lifter.fit_scale(sample)
    assert lifter.most == 60
    drawn = lifter.draw(sample[:16], 60, torch.Generator().manual_seed(0)).flatten(0, 1)
    torch.testing.assert_close(drawn.mean(0), sample.joints.mean(0), atol=0.05, rtol=0)
    torch.testing.assert_close(drawn[:, 1:].std(0), sample.joints[:, 1:].std(0), atol=0.04, rtol=0)


class Noise(nn.Module):
    """The noise expected in standard normal data under sub-VP."""

    def forward(self, x: Tensor, label: Tensor, seen: Tensor) -> Tensor:
        t, process = label / 999, SubVP()
        return process.std(t) / (process.scale(t) ** 2 + process.std(t) ** 2) * x


def test_gfpose_is_told_x_and_y() -> None:
    lifter = get_peer("gfpose").make()
    assert isinstance(lifter, Denoised)
    observed, known = lifter.given(torch.arange(2.0 * JOINTS).view(1, JOINTS, 2))
    assert observed[0, :6].tolist() == [0, 1, 0, 2, 3, 0]
    assert known[:6].tolist() == [1, 1, 0, 1, 1, 0]
    assert len(known) == 3 * JOINTS


@pytest.mark.parametrize("name", PEERS)
def test_every_lifter_learns_and_speaks_alike(name: str) -> None:
    torch.manual_seed(0)
    entry = get_peer(name)
    lifter, sample = entry.make(), views(12 if entry.frames == 1 else 2 * entry.frames)
    assert lifter.frames == entry.frames
    if isinstance(lifter, Denoised):
        lifter.steps = min(lifter.steps, 10)
    if isinstance(lifter, Diffused):
        lifter.steps, lifter.mean_of = 2, 1
    lifter.fit_scale(views(300, 1))
    generator = torch.Generator().manual_seed(0)
    lifter.loss(sample, generator).backward()
    lifter.after_step()
    unused = {n for n, p in lifter.named_parameters() if p.grad is None and not n.endswith(".0.bias")}
    # infinite noise has no part where the mean is regressed; batch statistics take biases off again
    assert {n for n in unused if "no_signal" not in n and "trunk" not in n} == set()
    lifter.eval()
    sample = sample[: 2 * entry.frames]
    with torch.no_grad():
        found, drawn = lifter(sample), lifter.draw(sample, 3, generator)
        assert found.shape == lifter.truth(sample).shape == (2, JOINTS, 3)
        assert bool(found.isfinite().all())
        assert bool((found[:, 0] == 0).all())
        if drawn is not None:
            assert drawn.shape == (3, *found.shape)
            assert bool((drawn[:, :, 0] == 0).all())
            assert float((drawn[0] - drawn[1]).abs().max()) > 0.01
        torch.testing.assert_close(lifter(sample), found, atol=0, rtol=0)


def test_v_vipe_s_losses_written_out() -> None:
    torch.manual_seed(0)
    lifter = Embedded().eval()
    sample = views(50)
    lifter.fit_scale(views(300, 1))
    pose = (sample.joints - lifter.joints_mean) / lifter.joints_std
    mean, std = lifter.vae.encode(pose)
    noise = torch.randn(mean.shape, generator=torch.Generator().manual_seed(2))
    from_pose = lifter.vae.decode(mean + std * noise)
    from_keypoints = lifter.vae.decode(lifter.encoder(lifter.seen(sample)))
    divergence = (0.5 * (mean**2 + std**2) - std.log() - 0.5).sum(-1).mean()
    expected = (
        (from_pose - pose).square().mean() + (from_keypoints - pose).square().mean() + 1e-3 * divergence
    )
    torch.testing.assert_close(lifter.loss(sample, torch.Generator().manual_seed(2)), expected)
    metres = from_keypoints * lifter.joints_std + lifter.joints_mean
    torch.testing.assert_close(lifter(sample), metres - metres[:, :1])


def test_sizes_in_the_table() -> None:
    """SimpleBaseline's is SemGCN's README's for 16 joints, and a 17th's; the others' are of their layers."""
    sizes = {name: sum(p.numel() for p in get_peer(name).make().parameters()) for name in PEERS}
    assert sizes["simple_baseline"] == sizes["poseaug"] == 4_291_632 + 5 * 1024 + 3
    assert sizes["gfpose"] == sizes["gfpose_1000"]
    assert sizes["d3dp"] == 34_711_555
    # a linear of 1024 with its batch norm counts 1024 (n + 3); a trunk has two blocks of two such
    blocks, norm = 4 * 1024 * (1024 + 3), 3 * 1024
    encoder = 34 * 1024 + norm + blocks + 32 * 1025
    vae = 51 * 1024 + norm + blocks + 2 * 32 * 1025 + 32 * 1024 + norm + blocks + 51 * 1025
    assert sizes["vvipe"] == pytest.approx(encoder + vae, rel=0.01)


def test_the_table_of_lifters() -> None:
    assert isinstance(get_peer("normal").make(), Ours)
    with pytest.raises(ValueError, match=r"lifter 'nosuch' is not known; use one of simple_baseline, "):
        get_peer("nosuch")
