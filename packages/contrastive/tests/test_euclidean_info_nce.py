"""InfoNCE on distances: against a loop, against the cosine loss on the sphere, and what is left out."""

import math

import pytest
import torch
from contrastive import pairwise_info_nce
from contrastive.euclidean import distance_info_nce
from torch.nn.functional import normalize


def parties(n: int = 3, batch: int = 6, dim: int = 4) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(batch, dim, generator=generator, dtype=torch.float64) for _ in range(n)]


def naive(features: list[torch.Tensor], temperature: float, alike: torch.Tensor | None = None) -> float:
    terms = []
    for i, x in enumerate(features):
        for j, y in enumerate(features):
            if i == j:
                continue
            rows = []
            for a in range(len(x)):
                weight = [
                    0.0 if alike is not None and a != b and bool(alike[a, b] if i < j else alike[b, a])
                    else math.exp(-float((x[a] - y[b]).square().sum()) / (temperature * x.shape[1]))
                    for b in range(len(y))
                ]  # fmt: skip
                rows.append(-math.log(weight[a] / sum(weight)))
            terms.append(sum(rows) / len(rows))
    return sum(terms) / len(terms)


@pytest.mark.parametrize("n", [2, 3, 4])
def test_agrees_with_a_loop(n: int) -> None:
    features = parties(n)
    assert float(distance_info_nce(features, 0.7)) == pytest.approx(naive(features, 0.7), rel=1e-9)


def test_alike_samples_are_not_negatives_and_the_diagonal_is_not_read() -> None:
    features = parties()
    alike = torch.rand(6, 6, generator=torch.Generator().manual_seed(4)) < 0.3
    alike = alike | alike.T | torch.eye(6, dtype=torch.bool)
    found = distance_info_nce(features, 0.7, alike=alike)
    assert float(found) == pytest.approx(naive(features, 0.7, alike), rel=1e-9)
    torch.testing.assert_close(
        distance_info_nce(features, 0.7, alike=torch.ones(6, 6, dtype=torch.bool)),
        torch.zeros((), dtype=torch.float64),
    )


def test_on_the_sphere_it_is_the_cosine_loss() -> None:
    """|x - y|² = 2 - 2 cos there; `pairwise_info_nce` sums over pairs, with half of both directions."""
    unit = [normalize(x, dim=1) for x in parties()]
    found = distance_info_nce(unit, 0.3)
    cosine = pairwise_info_nce(unit, 0.3 * 4 / 2)
    torch.testing.assert_close(found, cosine / 3)


def test_gradients() -> None:
    x, y = (v.requires_grad_() for v in parties(2, 4, 3))
    assert torch.autograd.gradcheck(lambda a, b: distance_info_nce([a, b], 0.5), (x, y))


def test_one_party_is_refused() -> None:
    with pytest.raises(ValueError, match="two or more"):
        distance_info_nce(parties(1), 0.1)
