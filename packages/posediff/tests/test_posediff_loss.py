"""The decoder's loss and its guided denoiser, written out: every draw, unit and term by hand."""

from __future__ import annotations

import math

import pytest
import torch
from posediff import PoseDecoder, Whole
from posediff.decoder import Terms
from posediff.likelihood import log_likelihood
from posediff.schedule import draw_levels, draw_times
from posediff.sde import VE, VP, SubVP
from torch import Tensor

JOINTS, DIMS, COND, WIDTH = 3, 2, 5, 6


def ready(**options: object) -> PoseDecoder:
    """A decoder in training mode whose scale, spread and profile are none of the defaults."""
    torch.manual_seed(0)
    settings: dict[str, object] = {"condition_dim": COND, "hidden": 16, "dropout": 0.0, **options}
    decoder = PoseDecoder(JOINTS, DIMS, **settings)  # type: ignore[arg-type]
    torch.nn.init.normal_(decoder.network.gain.weight, std=0.1)
    decoder.fit_scale(poses(50) * 0.3 + 2)
    if decoder.centred:
        decoder.spread.copy_(torch.tensor([0.5, 0.0, 0.2]))
        decoder.profile.copy_(0.5 + torch.rand(3, JOINTS, DIMS))
    if decoder.unknown is not None:
        decoder.spread_unknown.fill_(0.9)
    return decoder


def poses(count: int, seed: int = 0) -> Tensor:
    return torch.randn(count, JOINTS, DIMS, generator=torch.Generator().manual_seed(seed))


def denoised(decoder: PoseDecoder, x: Tensor, sigma: Tensor, features: Tensor, std: Tensor) -> Tensor:
    """EDM's denoiser of data of these stds, by its formula. x: (..., D); sigma: (..., 1)."""
    total = std**2 + sigma**2
    label = 5 * sigma[..., 0].log()
    out = decoder.network(x / total.sqrt(), label, features)
    return std**2 / total * x + sigma * std / total.sqrt() * out


@pytest.mark.parametrize("regression", [False, True])
def test_without_denoising_the_mean_is_taught_alone(regression: bool) -> None:
    decoder = ready(mean_weight=1.5, regression=regression)
    condition, target, weight = torch.randn(8, COND), poses(8, 2) * 0.3 + 2, torch.rand(8, JOINTS)
    found = decoder.terms(target, condition, 2, weight=weight, denoise=False)
    away = ((decoder.mean(condition, 2) - target) / decoder.std) ** 2
    torch.testing.assert_close(found.loss, 1.5 * (away.mean(-1) * weight).mean(-1))
    both = decoder.terms(target, condition, 2, weight=weight, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(found.residual, both.residual)
    assert (both.loss > found.loss).all()


@pytest.mark.parametrize("batch", [16, 12, 7])
@pytest.mark.parametrize("dropout", [0.0, 0.4])
@pytest.mark.parametrize("kind", ["l2", "mpjpe"])
def test_edm_loss_by_hand(batch: int, dropout: float, kind: str) -> None:
    decoder = ready(condition_dropout=dropout, mean_loss=kind, mean_weight=1.5)
    condition = torch.randn(batch, COND, generator=torch.Generator().manual_seed(1))
    modality = torch.arange(batch) % 3
    target, weight = poses(batch, 2) * 0.3 + 2, torch.rand(batch, JOINTS)
    torch.manual_seed(9)
    state = torch.get_rng_state()
    found = decoder.terms(
        target, condition, modality, generator=torch.Generator().manual_seed(3), weight=weight
    )
    assert torch.equal(torch.get_rng_state(), state)

    generator = torch.Generator().manual_seed(3)
    clean = ((target - decoder.mean_pose) / decoder.std).flatten(1)
    assert decoder.token is not None
    given = condition + decoder.token.weight[modality]
    hidden = torch.zeros(batch, dtype=torch.bool)
    if dropout:
        hidden = torch.rand(batch, 1, generator=generator)[:, 0] < dropout
        given[hidden] = decoder.unknown
    features = decoder.network.project(given)
    mean = decoder.network(torch.zeros(batch, WIDTH), None, features)
    off = (mean - clean).unflatten(1, (JOINTS, DIMS))
    each = {"l2": off.square().mean(-1), "mpjpe": off.norm(dim=-1)}[kind]
    regression = (each * weight).mean(-1)
    unit = torch.where(hidden, 0.9, decoder.spread[modality])[:, None]
    std = torch.where(hidden[:, None], 1.0, decoder.profile[modality].flatten(1))
    centred = unit > 0
    z = torch.where(centred, (clean - mean.detach()) / torch.where(centred, unit, 1), clean)
    share = math.gcd(batch, 8)
    sigma = draw_levels(batch // share, 0.002, 160.0, generator=generator).repeat_interleave(share)[:, None]
    noise = torch.randn(batch, WIDTH, generator=generator)
    out = sigma * std / (std**2 + sigma**2).sqrt()
    error = ((denoised(decoder, z + sigma * noise, sigma, features, std) - z) / out).square()
    score = (error.unflatten(1, (JOINTS, DIMS)).mean(-1) * weight).mean(-1)
    torch.testing.assert_close(found.loss, 1.5 * regression + score, rtol=2e-4, atol=2e-4)
    seen = ~hidden
    for k in range(3):
        rows = seen & (modality == k)
        heavy = weight[rows].repeat_interleave(DIMS, 1)
        sums = torch.stack([((clean - mean)[rows] ** 2 * heavy).sum(0), heavy.sum(0)])
        torch.testing.assert_close(found.residual[k], sums, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "options", [{"condition_dropout": 0.4}, {"parametrisation": "vp"}, {"mean_weight": 0.0}]
)
def test_parts_of_a_batch_have_the_terms_of_the_whole(options: dict[str, object]) -> None:
    decoder, condition = ready(**options), torch.randn(24, COND)
    target, weight, modality = poses(24, 2) * 0.3 + 2, torch.rand(24, JOINTS), torch.arange(24) % 3

    def terms(rows: tuple[int, ...], whole: Whole | None) -> Terms:
        i, generator = list(rows), torch.Generator().manual_seed(3)
        return decoder.terms(
            target[i], condition[i], modality[i], generator=generator, weight=weight[i], whole=whole
        )

    whole = terms(tuple(range(24)), None)
    residual = torch.zeros_like(whole.residual)
    for rows in ((16, 17, 18, 19, 0, 1, 2, 3), (8, 9, 22, 23, 20, 21), (4, 10, 5, 11, 6, 12, 7, 13, 14, 15)):
        part = terms(rows, Whole(24, rows))
        torch.testing.assert_close(part.loss, whole.loss[list(rows)], rtol=1e-4, atol=1e-4)
        residual += part.residual
    torch.testing.assert_close(residual, whole.residual)


def test_nothing_is_hidden_in_evaluation() -> None:
    decoder, condition, target = ready(condition_dropout=0.999999), torch.randn(16, COND), poses(16)
    for training, seen in ((True, 0), (False, 16)):
        residual = decoder.train(training).terms(target, condition, 1).residual
        assert residual[1, 1].tolist() == [seen] * WIDTH


@pytest.mark.parametrize(("name", "sde"), [("subvp", SubVP()), ("vp", VP()), ("ve", VE())])
@pytest.mark.parametrize("mean_weight", [0.0, 2.0])
def test_losses_of_other_processes_are_of_poses_at_uniform_times(
    name: str, sde: SubVP, mean_weight: float
) -> None:
    decoder = ready(parametrisation=name, mean_weight=mean_weight)
    condition, target = torch.randn(16, COND), poses(16, 2) * 0.3 + 2
    found = decoder.terms(target, condition, 1, generator=torch.Generator().manual_seed(3))
    generator = torch.Generator().manual_seed(3)
    clean = ((target - decoder.mean_pose) / decoder.std).flatten(1)
    features = decoder.features(condition, 1)
    assert features is not None
    sigma = sde.sigma(draw_times(2, generator=generator)).repeat_interleave(8)
    noise = torch.randn(16, WIDTH, generator=generator)
    expected = decoder.denoiser.loss(clean, sigma, noise, features).mean(1)
    if mean_weight:
        mean = decoder.network(torch.zeros(16, WIDTH), None, features)
        expected = expected + mean_weight * (mean - clean).square().mean(1)
    torch.testing.assert_close(found.loss, expected, rtol=1e-4, atol=1e-4)
    assert found.residual.shape == (3, 2, WIDTH)
    assert not found.residual.any()
    decoder.follow(found.residual)
    assert not decoder.spread.any()


def test_the_loss_of_a_prior_has_no_condition() -> None:
    prior, target = ready(condition_dim=0), poses(16, 2) * 0.3 + 2
    found = prior.loss(target, torch.zeros(16, 0), 0, generator=torch.Generator().manual_seed(3))
    generator = torch.Generator().manual_seed(3)
    clean = ((target - prior.mean_pose) / prior.std).flatten(1)
    sigma = draw_levels(2, 0.002, 160.0, generator=generator).repeat_interleave(8)
    noise = torch.randn(16, WIDTH, generator=generator)
    expected = prior.denoiser.loss(clean, sigma, noise).mean(1)
    expected = expected + 2 * (prior.network(torch.zeros(16, WIDTH), None) - clean).square().mean(1)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_guided_denoiser_by_hand() -> None:
    decoder = ready(condition_dropout=0.3).eval()
    assert decoder.token is not None
    assert decoder.unknown is not None
    condition, x = torch.randn(4, COND), torch.randn(5, 4, WIDTH)
    sigma = torch.full((5, 4, 1), 0.3)

    def about(given: Tensor, unit: float, std: Tensor) -> Tensor:
        features = decoder.network.project(given)
        mean = decoder.network(torch.zeros(len(given), WIDTH), None, features)
        return mean + unit * denoised(decoder, (x - mean) / unit, sigma / unit, features, std)

    own = about(condition + decoder.token.weight[2], 0.2, decoder.profile[2].flatten())
    nothing = about(decoder.unknown[None], 0.9, torch.ones(WIDTH))
    torch.testing.assert_close(decoder.denoise(condition, 2)(x, sigma), own, rtol=1e-4, atol=1e-5)
    guided = decoder.denoise(condition, 2, guidance=1.5)(x, torch.tensor(0.3))
    torch.testing.assert_close(guided, own + 1.5 * (own - nothing), rtol=1e-4, atol=1e-5)
    nats = decoder.log_likelihood(poses(4), condition, 2, steps=6, sigma_min=0.1)
    flat = ((poses(4) - decoder.mean_pose) / decoder.std).flatten(1)
    expected = log_likelihood(decoder.denoise(condition, 2), flat, steps=6, sigma_min=0.1)
    torch.testing.assert_close(nats, expected - WIDTH * decoder.std.log())


def test_defaults_are_those_of_the_paper() -> None:
    decoder = PoseDecoder(2, 3)
    assert (decoder.condition_dim, decoder.mean_weight, decoder.mean_loss) == (1024, 2.0, "l2")
    assert decoder.network.linears[0].weight.shape == (1024, 1024)
    assert (len(decoder.network.linears), decoder.network.dropout.p) == (4, 0.1)
    linears = PoseDecoder(2, 3, condition_dim=4, hidden=8, blocks=3).network.linears
    assert [tuple(linear.weight.shape) for linear in linears] == [(8, 8)] * 6
    assert PoseDecoder(2, 3, condition_dim=1, hidden=8).centred
    assert decoder.unknown is None
    assert decoder.spread.tolist() == [1, 1, 1]
    hiding = PoseDecoder(2, 3, condition_dim=4, hidden=8, condition_dropout=0.1)
    assert hiding.unknown is not None
    assert (hiding.unknown.shape, hiding.spread_unknown.tolist()) == ((4,), 1)
    for options in ({"mean_weight": 0.0}, {"parametrisation": "vp"}, {"condition_dim": 0}):
        other = PoseDecoder(2, 3, **{"condition_dim": 4, "hidden": 8, **options})  # type: ignore[arg-type]
        assert not other.centred
        assert other.spread.tolist() == [0, 0, 0]
    for field in ("parametrisation", "mean_loss"):
        with pytest.raises(ValueError, match=f"unknown {field} 'x'; choose one of"):
            PoseDecoder(2, 3, **{field: "x"})  # type: ignore[arg-type]
