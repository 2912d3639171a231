"""Decoders: learning a known conditional law, the promises of ``mean``, masks, tokens, scale."""

from __future__ import annotations

import functools

import pytest
import torch
from posediff import MLPDecoder, PoseDecoder
from torch import Tensor

JOINTS, DIMS, COND = 2, 3, 8
SPREAD = 0.5


def law(n: int, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Conditions, the mean pose each of them implies, and poses drawn around it with std 0.5; metres + 3."""
    generator = torch.Generator().manual_seed(seed)
    weights = torch.randn(COND, JOINTS * DIMS, generator=torch.Generator().manual_seed(9)) / COND**0.5
    condition = torch.randn(n, COND, generator=generator)
    centre = (condition @ weights).unflatten(-1, (JOINTS, DIMS)) + 3
    return condition, centre, centre + SPREAD * torch.randn(centre.shape, generator=generator)


def train(decoder: PoseDecoder | MLPDecoder, steps: int) -> None:
    condition, _, poses = law(20_000, 0)
    decoder.fit_scale(poses)
    optimiser = torch.optim.Adam(decoder.parameters(), 2e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    generator = torch.Generator().manual_seed(1)
    for _ in range(steps):
        rows = torch.randint(len(poses), (256,), generator=generator)
        optimiser.zero_grad()
        if isinstance(decoder, PoseDecoder):
            terms = decoder.terms(poses[rows], condition[rows], rows % 3, generator=generator)
            terms.loss.mean().backward()
            decoder.follow(terms.residual)
        else:
            decoder.loss(poses[rows], condition[rows], rows % 3, generator=generator).mean().backward()
        optimiser.step()
        schedule.step()
    decoder.eval()


def small(**options: object) -> PoseDecoder:
    torch.manual_seed(0)
    settings: dict[str, object] = {"condition_dim": COND, "hidden": 64, "dropout": 0.0, **options}
    return PoseDecoder(JOINTS, DIMS, **settings)  # type: ignore[arg-type]


@functools.cache
def trained(regression: bool = False) -> PoseDecoder:
    decoder = small(regression=regression)
    with torch.enable_grad():
        train(decoder, 600)
    return decoder


@pytest.mark.parametrize("regression", [False, True])
def test_mean_is_as_good_as_regression(regression: bool) -> None:
    torch.manual_seed(0)
    plain = MLPDecoder(JOINTS, DIMS, condition_dim=COND, hidden=64, dropout=0.0)
    train(plain, 600)
    condition, centre, _ = law(500, 5)
    with torch.no_grad():
        ours = (trained(regression).mean(condition, 0) - centre).norm(dim=-1).mean().item()
        theirs = (plain.mean(condition, 0) - centre).norm(dim=-1).mean().item()
    baseline = (centre - centre.mean(0)).norm(dim=-1).mean().item()
    assert theirs < 0.1 * baseline
    assert ours < 0.1 * baseline


@pytest.mark.parametrize("regression", [False, True])
@pytest.mark.parametrize(("sampler", "steps"), [("dpmpp_2m", 10), ("heun", 10), ("euler_maruyama", 100)])
def test_samples_have_the_mean_and_spread_of_the_law(sampler: str, steps: int, regression: bool) -> None:
    condition, centre, _ = law(60, 5)
    generator = torch.Generator().manual_seed(2)
    drawn = trained(regression).sample(
        condition, 1, hypotheses=60, steps=steps, sampler=sampler, generator=generator
    )
    assert drawn.shape == (60, 60, JOINTS, DIMS)
    assert (drawn.mean(0) - centre).abs().mean().item() < 0.2 * SPREAD
    assert drawn.std(0).mean().item() == pytest.approx(SPREAD, rel=0.1)


def test_denoising_teaches_neither_a_regression_nor_the_condition() -> None:
    """Their gradients are those of the mean's term alone; the denoiser has its own."""
    decoder = small(regression=True)
    condition, _, poses = law(16, 7)
    decoder.fit_scale(poses)
    taught = [condition.requires_grad_(), *decoder.regression.parameters(), decoder.token.weight]
    loss = decoder.loss(poses, condition, 1, generator=torch.Generator().manual_seed(0)).sum()
    found = torch.autograd.grad(loss, taught, retain_graph=True)
    flat = decoder.regression(condition + decoder.token.weight[1])
    mean_term = 2.0 * ((flat - (poses - decoder.mean_pose).flatten(1) / decoder.std) ** 2).mean(-1)
    for ours, alone in zip(found, torch.autograd.grad(mean_term.sum(), taught), strict=True):
        torch.testing.assert_close(ours, alone)
    assert all(
        g.abs().sum() > 0 for g in torch.autograd.grad(loss, list(decoder.network.linears.parameters()))
    )


@pytest.mark.parametrize("nothing", [{"mean_weight": 0.0}, {"condition_dim": 0}])
def test_a_regression_needs_something_to_learn(nothing: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="give mean_weight and condition_dim above 0"):
        small(regression=True, **nothing)


def test_likelihood_is_that_of_the_law() -> None:
    condition, centre, poses = law(40, 6)
    found = trained().log_likelihood(poses, condition, 0, steps=40)
    expected = torch.distributions.Normal(centre, SPREAD).log_prob(poses).sum((-1, -2))
    assert (found - expected).mean().abs().item() < 0.5
    assert torch.corrcoef(torch.stack([found, expected]))[0, 1].item() > 0.9


def test_spread_is_that_around_the_mean() -> None:
    """The law's std is 0.5 around its mean; the decoder's unit is the std of all poses."""
    decoder = trained()
    torch.testing.assert_close(decoder.spread * decoder.std, torch.full((3,), SPREAD), rtol=0.05, atol=0)
    torch.testing.assert_close(decoder.profile, torch.ones(3, JOINTS, DIMS), rtol=0.1, atol=0)


def test_weights_without_a_spread_load_and_mean_poses_not_differences() -> None:
    decoder = trained()
    old = {n: value for n, value in decoder.state_dict().items() if n not in ("spread", "profile")}
    other = small()
    other.load_state_dict(old)
    assert other.spread.tolist() == [0, 0, 0]
    x, sigma, condition = torch.randn(3, 6), torch.tensor(0.7), law(3, 5)[0]
    expected = other.denoiser(x, sigma, other.features(condition, 0))
    torch.testing.assert_close(other.eval().denoise(condition, 0)(x, sigma), expected)
    residual = other.terms(law(3, 5)[2], condition, 0).residual
    other.follow(residual)
    assert other.spread.tolist() == [0, 0, 0]


def test_weights_with_one_spread_for_all_load() -> None:
    decoder = small()
    old = {n: value for n, value in decoder.state_dict().items() if n not in ("spread", "profile")}
    decoder.load_state_dict({**old, "spread": torch.tensor(0.25)})
    assert decoder.spread.tolist() == [0.25, 0.25, 0.25]
    hidden = small(condition_dropout=0.2)
    old = {n: v for n, v in hidden.state_dict().items() if n not in ("spread", "profile", "spread_unknown")}
    hidden.load_state_dict({**old, "spread": torch.tensor(0.25)})
    assert hidden.spread_unknown == 0.25  # hidden conditions were noised in the same unit


@pytest.mark.parametrize("dropout", [0.0, 0.2])
def test_old_weights_load_inside_another_module(dropout: float) -> None:
    """Strictly: nothing that is missing is given by accident, nothing stands under a wrong name."""
    buffers = ("0.spread", "0.profile", "0.spread_unknown")
    holder = torch.nn.Sequential(small(condition_dropout=dropout))
    whole = {name: value.clone() for name, value in holder.state_dict().items()}
    old = {name: value for name, value in whole.items() if name not in buffers}
    for spread, weights in ((0.0, old), (0.25, {**old, "0.spread": torch.tensor(0.25)})):
        for name in set(buffers) & set(whole):
            holder.get_buffer(name).fill_(7)
        holder.load_state_dict(weights)
        assert holder.get_buffer("0.spread").tolist() == [spread] * 3
        assert torch.equal(holder.get_buffer("0.profile"), torch.ones(3, JOINTS, DIMS))
        if dropout:
            assert holder.get_buffer("0.spread_unknown") == spread
    new = {**whole, "0.spread": torch.tensor([0.1, 0.2, 0.3]), "0.profile": torch.rand(3, JOINTS, DIMS)}
    if dropout:
        new["0.spread_unknown"] = torch.tensor(0.4)
    holder.load_state_dict(new)
    for name, value in holder.state_dict().items():
        assert torch.equal(value, new[name]), name
    if dropout:
        del new["0.spread_unknown"]
        with pytest.raises(RuntimeError, match="spread_unknown"):
            holder.load_state_dict(new)


def test_guidance_pushes_away_from_the_prior() -> None:
    decoder = small(condition_dropout=0.2)
    train(decoder, 200)
    condition, centre, _ = law(60, 7)
    generator = torch.Generator().manual_seed(2)
    drawn = decoder.sample(condition, 0, hypotheses=20, generator=generator, guidance=1.0).mean(0)
    shift = ((drawn - 3) * (centre - 3)).sum() / ((centre - 3) ** 2).sum()
    assert shift.item() > 1.1
    with pytest.raises(ValueError, match="condition_dropout"):
        small().sample(condition, 0, guidance=1.0)


def test_loss_is_unreduced_repeats_by_generator_and_ignores_unknown_joints() -> None:
    decoder = small()
    condition, _, poses = law(5, 0)
    weight = torch.ones(5, JOINTS)
    weight[2, 1] = 0

    def loss(target: Tensor) -> Tensor:
        generator = torch.Generator().manual_seed(0)
        return decoder.loss(target, condition, 0, generator=generator, weight=weight)

    changed = poses.clone()
    changed[2, 1] = float("nan")
    first = loss(poses)
    assert first.shape == (5,)
    torch.testing.assert_close(first, loss(changed))
    loss(changed).sum().backward()
    gradients = [p.grad for p in decoder.parameters() if p.grad is not None]
    assert all(torch.isfinite(g).all() for g in gradients)
    moved = poses.clone()
    moved[3] += 1.0
    assert ((loss(moved) - first).abs() > 1e-6).tolist() == [False, False, False, True, False]


@pytest.mark.parametrize("kind", ["l2", "l1", "mpjpe"])
def test_regression_term_by_hand(kind: str) -> None:
    torch.manual_seed(0)
    decoder = MLPDecoder(JOINTS, DIMS, condition_dim=COND, hidden=32, dropout=0.0, mean_loss=kind)
    condition, _, poses = law(50, 0)
    decoder.fit_scale(poses)
    difference = (decoder.mean(condition, 2) - poses) / poses.sub(poses.mean(0)).square().mean().sqrt()
    expected = {
        "l2": difference.square().mean((1, 2)),
        "l1": difference.abs().mean((1, 2)),
        "mpjpe": difference.norm(dim=-1).mean(1),
    }[kind]
    torch.testing.assert_close(decoder.loss(poses, condition, 2), expected)


def test_tokens_tell_modalities_apart_and_can_be_left_out() -> None:
    condition = torch.randn(3, COND)
    with_token, without = small(), small(modality_token=False)
    assert not torch.equal(with_token.mean(condition, 0), with_token.mean(condition, 1))
    assert torch.equal(without.mean(condition, 0), without.mean(condition, 1))
    mixed = with_token.mean(condition, torch.tensor([0, 1, 2]))
    torch.testing.assert_close(mixed[1], with_token.mean(condition, 1)[1])


def test_scale_comes_from_data_and_travels_with_the_state() -> None:
    generator = torch.Generator().manual_seed(0)
    poses = torch.randn(4000, JOINTS, DIMS, generator=generator) * 0.25 + 7
    decoder = small()
    decoder.fit_scale(poses)
    assert decoder.std.item() == pytest.approx(0.25, rel=0.03)
    other = small()
    other.load_state_dict(decoder.state_dict())
    torch.testing.assert_close(other.mean_pose, poses.mean(0))
    hidden = poses.clone()
    hidden[::2, 0] = float("nan")
    weight = torch.ones(4000, JOINTS)
    weight[::2, 0] = 0
    other.fit_scale(hidden, weight)
    torch.testing.assert_close(other.mean_pose[0], poses[1::2, 0].mean(0))
    for wrong, message in ((poses[:1].expand(9, -1, -1), "spread"), (poses[:, :1], r"\(N, 2, 3\)")):
        with pytest.raises(ValueError, match=message):
            decoder.fit_scale(wrong)


def test_prior_takes_empty_conditions() -> None:
    prior = small(condition_dim=0)
    mean = prior.mean(torch.zeros(4, 0), 0)
    assert mean.shape == (4, JOINTS, DIMS)
    assert torch.equal(mean, mean[:1].expand_as(mean))
    generator = torch.Generator().manual_seed(0)
    assert prior.sample(torch.zeros(4, 0), 0, hypotheses=2, steps=3, generator=generator).isfinite().all()


def test_wrong_choices_list_the_right_ones() -> None:
    for options in ({"parametrisation": "edn"}, {"mean_loss": "huber"}):
        with pytest.raises(ValueError, match="choose one of"):
            small(**options)
    with pytest.raises(ValueError, match="mode_seeking"):
        small().sample(torch.zeros(1, COND), 0, sampler="ddim")
    with pytest.raises(ValueError, match="mean_weight"):
        small(mean_weight=0.0).mean(torch.zeros(1, COND), 0)


def test_wrong_input_is_refused_by_name() -> None:
    decoder = small()
    condition, _, poses = law(5, 0)
    nan = poses.clone()
    nan[2, 1, 0] = float("nan")
    for target, given, modality, weight, message in (
        (nan, condition, 0, None, "target: row 2, joint 1 is not finite; give it weight 0"),
        (nan, condition, 0, torch.ones(5), "target: row 2, joint 1 is not finite"),
        (poses[:0], condition[:0], 0, None, "not empty"),
        (poses[:4], condition, 0, None, r"target must be \(5, 2, 3\)"),
        (poses, condition[:, :7], 0, None, r"condition must be \(B, 8\), got \(5, 7\)"),
        (poses, condition[0], 0, None, r"condition must be \(B, 8\)"),
        (poses, condition, 3, None, "modality 3 is none of 0 to 2"),
        (poses, condition, -1, None, "modality -1 is none of 0 to 2"),
        (poses, condition, torch.tensor([0, 1, 2, 3, 0]), None, "modality 3 is none of 0 to 2"),
        (poses, condition, torch.zeros(4, dtype=torch.long), None, r"\(5,\) long"),
        (poses, condition, torch.zeros(5), None, r"\(5,\) long"),
        (poses, condition, 0, torch.ones(4), r"weight must be \(5,\) or \(5, 2\)"),
    ):
        for kind in (decoder, MLPDecoder(JOINTS, DIMS, condition_dim=COND, hidden=32)):
            with pytest.raises(ValueError, match=message):
                kind.loss(target, given, modality, weight=weight)
    for options, message in (
        ({"steps": 0}, "steps: 0; take a whole number, 1 or more"),
        ({"steps": 2.5}, "steps: 2.5"),
        ({"hypotheses": 0}, "hypotheses: 0; take a whole number, 1 or more"),
        ({"hypotheses": True}, "hypotheses: True"),
    ):
        for sampler in ("dpmpp_2m_sde", "euler_maruyama"):
            with pytest.raises(ValueError, match=message):
                decoder.sample(condition, 0, sampler=sampler, **options)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"condition must be \(B, 8\)"):
        decoder.sample(condition[:, :7], 0)
    with pytest.raises(ValueError, match="modality 3"):
        decoder.mean(condition, 3)
    assert decoder.sample(condition[:0], 0).shape == (1, 0, JOINTS, DIMS)  # nobody asked, no answer


def test_a_weight_a_row_or_a_joint_multiplies_every_kind_of_error() -> None:
    condition, _, poses = law(7, 0)
    row, joint = torch.arange(7.0), torch.rand(7, JOINTS, generator=torch.Generator().manual_seed(0))
    for kind in ("l2", "l1", "mpjpe"):
        decoder = MLPDecoder(JOINTS, DIMS, condition_dim=COND, hidden=32, dropout=0.0, mean_loss=kind)
        whole = decoder.loss(poses, condition, 0)
        torch.testing.assert_close(decoder.loss(poses, condition, 0, weight=row), row * whole)
        doubled = decoder.loss(poses.double(), condition, 0, weight=row)
        torch.testing.assert_close(doubled, (row * whole).double(), rtol=1e-5, atol=1e-6)
        only = [decoder.loss(poses, condition, 0, weight=torch.eye(JOINTS)[j].expand(7, -1)) for j in (0, 1)]
        expected = joint[:, 0] * only[0] + joint[:, 1] * only[1]
        torch.testing.assert_close(decoder.loss(poses, condition, 0, weight=joint), expected)


def test_tokens_start_at_unit_length_and_an_index_may_be_any_tensor_of_one() -> None:
    torch.manual_seed(0)
    wide = PoseDecoder(1, 2, condition_dim=4096, hidden=8)
    assert wide.token is not None
    torch.testing.assert_close(wide.token.weight.norm(dim=1), torch.ones(3), rtol=0, atol=0.05)
    condition = torch.randn(3, COND)
    decoder = small()
    for one in (torch.tensor(1), torch.tensor([1])):
        torch.testing.assert_close(decoder.mean(condition, one), decoder.mean(condition, 1))
    with pytest.raises(ValueError, match="modality -2 is none of 0 to 2"):
        decoder.mean(condition, torch.tensor([0, -2, 1]))
    nobody = torch.zeros(0, dtype=torch.long)
    assert decoder.mean(condition[:0], nobody).shape == (0, JOINTS, DIMS)
