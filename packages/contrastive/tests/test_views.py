"""Two views of each sample find each other: against loops over queries and candidates."""

from itertools import product

import pytest
import torch
from contrastive import info_nce, views_info_nce
from torch import Tensor
from torch.nn.functional import normalize

DIM, SAMPLES = 8, 5
NAMES = ("2d", "3d")
View = dict[str, Tensor]


def views() -> tuple[list[View], list[View]]:
    """Two views in two modalities; the second sample lacks one of them in the first view."""
    generator = torch.Generator().manual_seed(0)
    unit = [
        {name: normalize(torch.randn(SAMPLES, DIM, generator=generator), dim=1) for name in NAMES}
        for _ in range(2)
    ]
    there = [{name: torch.ones(SAMPLES, dtype=torch.bool) for name in NAMES} for _ in range(2)]
    there[0]["2d"][1] = False
    return unit, there


def naive(unit: list[View], there: list[View], near: Tensor, tau: float) -> float:
    """Every query against every candidate of the other view, in loops."""
    total = 0.0
    for one, other in product(NAMES, repeat=2):
        x, y, on_x, on_y = unit[0][one], unit[1][other], there[0][one], there[1][other]
        for queries, gallery, on_q, on_g in ((x, y, on_x, on_y), (y, x, on_y, on_x)):
            losses = []
            for i in range(SAMPLES):
                if not (on_q[i] and on_g[i]):
                    continue
                cosine = [float(torch.cosine_similarity(queries[i], other, dim=0)) for other in gallery]
                counted = [
                    j for j in range(SAMPLES) if on_g[j] and (j == i or not near[i, j])
                ]  # near samples are no negatives
                logits = torch.tensor([cosine[j] / tau for j in counted])
                losses.append(float(logits.logsumexp(0)) - cosine[i] / tau)
            total += sum(losses) / len(losses) / 2 / 4
    return total


def test_views_of_one_sample_find_each_other_among_samples_that_are_not_alike() -> None:
    unit, there = views()
    near = torch.eye(SAMPLES, dtype=torch.bool)
    near[0, 3] = near[3, 0] = True
    for mask in (near, torch.eye(SAMPLES, dtype=torch.bool)):
        found = views_info_nce(*unit, 0.1, present=(there[0], there[1]), positives=mask)
        assert float(found) == pytest.approx(naive(unit, there, mask, 0.1), rel=1e-5)
    apart = torch.eye(SAMPLES, dtype=torch.bool)
    assert naive(unit, there, near, 0.1) != pytest.approx(naive(unit, there, apart, 0.1), rel=1e-3)


def test_of_one_modality_it_is_info_nce() -> None:
    (first, second), _ = views()
    found = views_info_nce({"2d": first["2d"]}, {"3d": second["3d"]}, 0.2)
    torch.testing.assert_close(found, info_nce(first["2d"], second["3d"], 0.2))


def test_gradients_are_right() -> None:
    (first, second), _ = views()
    rows = [x.double().requires_grad_() for x in (*first.values(), *second.values())]

    def loss(*rows: Tensor) -> Tensor:
        unit = [normalize(x, dim=1) for x in rows]
        return views_info_nce({"2d": unit[0], "3d": unit[1]}, {"2d": unit[2], "3d": unit[3]}, 0.3)

    assert torch.autograd.gradcheck(loss, rows)


def test_a_view_without_a_modality_is_refused() -> None:
    (first, _), _ = views()
    with pytest.raises(ValueError, match="a view has no modality"):
        views_info_nce(first, {}, 0.1)
