"""Spreads by what a pose was estimated from: a known law is learnt, and scaled to other people."""

import pytest
import torch
from polypose.spread import Estimates, Spread, fit
from torch import Tensor
from torch.nn.functional import normalize

DIM, JOINTS = 16, 3
USUAL = torch.tensor([[0.0, 0.0, 0.0], [0.02, 0.03, 0.08], [0.01, 0.01, 0.04]])


def law(n: int, seed: int, worse: float = 1.0) -> tuple[Estimates, Tensor]:
    """Residuals, and their sd: it falls with confidence and rises along one direction of the embedding."""
    generator = torch.Generator().manual_seed(seed)
    embedding = normalize(torch.randn(n, DIM, generator=generator), dim=-1)
    confidence = torch.rand(n, JOINTS, generator=generator)
    log = 1.5 * embedding[:, :1] * DIM**0.5 * 0.4 - confidence[:, 1:2] + 0.5
    sd = worse * USUAL * log[..., None].exp()
    residual = sd * torch.randn(n, JOINTS, 3, generator=generator)
    return Estimates(embedding, confidence, residual), sd


@pytest.fixture(scope="module")
def spread() -> Spread:
    found = Spread(("2d",), DIM, JOINTS)
    fit(found, {"2d": law(20_000, 0)[0]}, {"2d": law(4000, 1, worse=2.0)[0]}, steps=600)
    return found


def test_a_known_law_is_learnt_and_scaled_to_people_who_were_not_seen(spread: Spread) -> None:
    estimates, sd = law(4000, 2, worse=2.0)
    with torch.no_grad():
        found = spread(estimates.embedding, estimates.confidence, "2d")
    assert torch.equal(found[:, 0], torch.zeros(4000, 3))
    ratio = (found / sd)[:, 1:].log()
    assert ratio.abs().mean() < 0.12
    assert ratio.mean().abs() < 0.05
    inside = (estimates.residual.abs() < 1.2816 * found)[:, 1:].float().mean()
    assert 0.78 < inside < 0.82


def test_the_power_is_the_one_that_shrinks_what_was_learnt_too_well() -> None:
    """Of people for whom the differences count half, the power is half."""
    spread = Spread(("2d",), DIM, JOINTS)
    trained, sd = law(20_000, 0)
    half = Estimates(
        trained.embedding, trained.confidence, trained.residual * (USUAL / sd.clamp(min=1e-9)) ** 0.5
    )
    fit(spread, {"2d": trained}, {"2d": half}, steps=600)
    assert float(spread.slope[0]) == pytest.approx(0.5, abs=0.07)


def test_what_a_new_body_costs_is_added_whatever_was_seen() -> None:
    """People whose residuals have a further part, of 30 mm along each axis and alike in all poses."""
    spread, more = Spread(("2d",), DIM, JOINTS), 0.03
    trained, _ = law(20_000, 0)
    others = [law(4000, seed) for seed in (1, 2)]
    for (other, sd), seed in zip(others, (3, 4), strict=True):
        noise = torch.randn(sd.shape, generator=torch.Generator().manual_seed(seed))
        other.residual.add_(torch.where(sd > 0, more * noise, 0))
    (held_out, _), (test, sd) = others
    fit(spread, {"2d": trained}, {"2d": held_out}, steps=600)
    assert spread.gap[0, 1:].mean().item() == pytest.approx(more, rel=0.1)
    with torch.no_grad():
        found = spread(test.embedding, test.confidence, "2d")[:, 1:]
    true = torch.hypot(sd, torch.tensor(more))[:, 1:]
    sure = true < true.quantile(0.2, dim=0)
    for some in (sure, ~sure):
        inside = (test.residual[:, 1:].abs() < 1.6449 * found)[some].float().mean()
        assert 0.88 < inside < 0.92


def test_the_seed_decides_and_nothing_else() -> None:
    trained, held_out = {"2d": law(2000, 0)[0]}, {"2d": law(500, 1)[0]}
    first, second = Spread(("2d",), DIM, JOINTS), Spread(("2d",), DIM, JOINTS)
    second.load_state_dict(first.state_dict())
    torch.manual_seed(7)
    state = torch.get_rng_state()
    for one in (first, second):
        fit(one, trained, held_out, steps=20)
        assert torch.equal(torch.get_rng_state(), state)
    for name, value in first.state_dict().items():
        assert torch.equal(second.state_dict()[name], value), name
