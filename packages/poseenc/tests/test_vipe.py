"""V-VIPE's autoencoder and PR-VIPE's matching: closed forms, plain loops, and that both can learn."""

import math

import pytest
import torch
from poseenc import Gaussian, GaussianPoseEncoder, MatchingProbability, PoseVAE
from poseenc.probabilistic import matching_distance, matching_terms, semi_hard, triplet_ratio
from torch.distributions import Normal, kl_divergence


def gaussian(batch: int = 3, dim: int = 4) -> Gaussian:
    generator = torch.Generator().manual_seed(0)
    mean = torch.randn(batch, dim, generator=generator)
    return Gaussian(mean, torch.rand(batch, dim, generator=generator) + 0.1)


def test_divergence_is_that_of_torch() -> None:
    g = gaussian()
    expected = kl_divergence(Normal(g.mean, g.std), Normal(0.0, 1.0)).sum(-1)
    torch.testing.assert_close(g.kl_to_normal(), expected)
    assert Gaussian(torch.zeros(1, 5), torch.ones(1, 5)).kl_to_normal() == 0


def test_draws_have_the_mean_and_deviation_and_carry_gradients() -> None:
    g = gaussian()
    drawn = g.sample(40_000, torch.Generator().manual_seed(1))
    torch.testing.assert_close(drawn.mean(1), g.mean, atol=0.02, rtol=0)
    torch.testing.assert_close(drawn.std(1), g.std, atol=0.02, rtol=0)
    std = g.std.clone().requires_grad_()
    Gaussian(g.mean, std).sample(8, torch.Generator().manual_seed(1)).sum().backward()
    assert std.grad is not None
    assert std.grad.abs().min() > 0


def test_the_autoencoder_has_the_papers_size_and_learns_poses() -> None:
    def linear(a: int, b: int) -> int:
        return a * b + b

    norms, trunk = 5 * 2 * 1024, 4 * linear(1024, 1024)
    encoder = linear(51, 1024) + trunk + norms + 2 * linear(1024, 32)
    decoder = linear(32, 1024) + trunk + norms + linear(1024, 51)
    assert sum(p.numel() for p in PoseVAE().parameters()) == encoder + decoder

    torch.manual_seed(0)
    vae = PoseVAE(5, 4, 64, 1, dropout=0.0)
    directions = torch.randn(2, 15)
    poses = (torch.randn(256, 2) @ directions).unflatten(1, (5, 3))
    optimizer = torch.optim.Adam(vae.parameters(), lr=3e-3)
    for _ in range(150):
        loss = (vae.decode(vae.encode(poses).mean) - poses).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    vae.eval()
    with torch.no_grad():
        error = (vae.decode(vae.encode(poses).mean) - poses).square().mean()
    assert error < 0.02 * poses.square().mean()


def test_under_autocast_poses_come_in_full_precision() -> None:
    torch.manual_seed(0)
    vae = PoseVAE(5, 4, 64, 1).eval()
    with torch.autocast("cpu", torch.bfloat16):
        posterior = vae.encode(torch.randn(6, 5, 3))
        decoded = vae.decode(posterior.mean)
    assert posterior.mean.dtype == posterior.std.dtype == decoded.dtype == torch.float32


def test_other_joints_are_refused() -> None:
    with pytest.raises(ValueError, match="built for"):
        PoseVAE(5, 4, 16).encode(torch.zeros(2, 6, 3))


def test_matching_distance_is_a_plain_mean_over_pairs() -> None:
    generator = torch.Generator().manual_seed(2)
    x, y = torch.randn(3, 5, 4, generator=generator), torch.randn(3, 5, 4, generator=generator)
    matching = MatchingProbability()
    slope = math.exp(-0.65) - 1 + 1
    for row, found in enumerate(matching_distance(x, y, matching)):
        pairs = [torch.sigmoid(-slope * (a - b).norm() - 0.5) for a in x[row] for b in y[row]]
        torch.testing.assert_close(found, -torch.stack(pairs).mean().log())


def test_far_apart_draws_keep_a_finite_distance_and_gradient() -> None:
    x = torch.zeros(1, 2, 3, requires_grad=True)
    far = matching_distance(x, torch.full((1, 2, 3), 1e4), MatchingProbability())
    far.sum().backward()
    assert x.grad is not None
    assert far.isfinite().all()
    assert x.grad.isfinite().all()
    assert (x.grad < 0).all()


def test_the_negative_is_the_nearest_allowed_beyond_the_positive() -> None:
    distances = torch.tensor([[0.0, 1.0, 3.0, 2.0], [5.0, 0.0, 1.0, 9.0], [1.0, 1.0, 0.0, 1.0]])
    allowed = torch.tensor([[0, 1, 1, 1], [1, 0, 0, 1], [1, 1, 0, 1]], dtype=torch.bool)
    found = semi_hard(distances, torch.tensor([1.5, 0.5, 1.0]), allowed)
    assert found.row[:2].tolist() == [3, 0]
    assert found.found.tolist() == [True, True, False]


def test_triplet_ratio_by_hand() -> None:
    p = lambda *values: -torch.tensor(values).log()  # noqa: E731
    found = torch.tensor([True, True, False])
    loss = triplet_ratio(p(0.8, 0.5, 0.1), p(0.4, 0.4, 0.9), found)
    # The first matches exactly twice as probably; the second 1.25 times; the third has no negative.
    torch.testing.assert_close(loss, torch.tensor((0.0 + math.log(2 / 1.25) + 0.0) / 3), atol=1e-6, rtol=0)


@torch.no_grad()
def test_terms_of_a_batch_are_those_of_its_triplets_one_by_one() -> None:
    generator = torch.Generator().manual_seed(3)
    mean = torch.randn(8, 2, generator=generator)  # two views each of four poses
    found = Gaussian(mean, torch.full((8, 2), 0.2))
    allowed = ~torch.eye(4, dtype=torch.bool)
    allowed[0, 1] = allowed[1, 0] = False  # poses too alike
    allowed[3] = False  # one without a negative
    matching = MatchingProbability()
    said = matching_terms(found, allowed, matching, 6, 2.0, torch.Generator().manual_seed(4))
    drawn = found.sample(6, torch.Generator().manual_seed(4))
    losses, own, chosen = [], [], []
    for i in range(4):
        anchor, other = drawn[[2 * i]], drawn[[2 * i + 1]]
        own.append(float(matching_distance(anchor, other, matching)))
        away = [float((mean[2 * i] - mean[2 * j + 1]).norm()) for j in range(4)]
        farther = [j for j in range(4) if allowed[i, j] and away[j] > away[i]]
        loss = 0.0
        if farther:
            nearest = min(farther, key=away.__getitem__)
            beside = float(matching_distance(anchor, drawn[[2 * nearest + 1]], matching))
            loss = max(0.0, math.log(2) + own[-1] - beside)
            chosen.append(i)
        losses.append(loss)
    assert chosen
    assert 3 not in chosen
    assert float(said["triplet"]) == pytest.approx(sum(losses) / 4, rel=1e-5)
    assert sum(losses) > 0
    assert float(said["positive"]) == pytest.approx(sum(own) / 4, rel=1e-5)
    assert float(said["kl"]) == pytest.approx(float(found.kl_to_normal().mean()), rel=1e-6)


def test_the_encoder_says_a_positive_deviation() -> None:
    torch.manual_seed(0)
    encoder = GaussianPoseEncoder(13, dim=6, hidden=32)
    with torch.no_grad():
        encoder.features.out.bias[6:] = -40.0
    found = encoder.eval()(torch.randn(9, 13, 2))
    assert found.mean.shape == found.std.shape == (9, 6)
    assert (found.std > 0).all()
    assert found.kl_to_normal().isfinite().all()


def test_missing_keypoints_do_not_matter() -> None:
    torch.manual_seed(0)
    encoder = GaussianPoseEncoder(13, dim=6, hidden=32).eval()
    keypoints = torch.randn(4, 13, 2)
    present = torch.rand(4, 13) > 0.3
    other = torch.where(present[..., None], keypoints, torch.nan)
    torch.testing.assert_close(encoder(keypoints, present), encoder(other, present))
