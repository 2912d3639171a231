"""Aggregation of hypotheses and calibration of their spread, against enumeration and theory."""

from __future__ import annotations

from itertools import combinations

import pytest
import torch
from posediff import hypotheses as hy


def poses(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_select_and_jpma_against_loops() -> None:
    candidates, errors = poses(6, 3, 4, 5, 3), poses(6, 3, 4, 5, seed=1).abs()
    whole = hy.select(candidates, errors.mean(-1))
    joints = hy.select_per_joint(candidates, errors)
    for a in range(3):
        for b in range(4):
            assert torch.equal(whole[a, b], candidates[errors[:, a, b].mean(-1).argmin(), a, b])
            for j in range(5):
                assert torch.equal(joints[a, b, j], candidates[errors[:, a, b, j].argmin(), a, b, j])


def test_reprojection_picks_the_hypothesis_that_fits_what_is_seen() -> None:
    truth = poses(2, 5, 3) + torch.tensor([0.0, 0.0, 5.0])

    def project(p: torch.Tensor) -> torch.Tensor:
        return p[..., :2] / p[..., 2:]

    far = truth.clone()
    far[..., 4, :2] += 3.0  # wrong at one joint only, which is not seen
    candidates = torch.stack([truth + 0.2 * poses(2, 5, 3, seed=2), far])
    confidence = torch.tensor([1.0, 1.0, 1.0, 1.0, 0.0]).double()
    errors = hy.reprojection_errors(candidates, project(truth), project, confidence)
    assert torch.equal(hy.select(candidates, errors.mean(-1)), far)
    errors = hy.reprojection_errors(candidates, project(truth), project)
    assert torch.equal(hy.select(candidates, errors.mean(-1)), candidates[0])


def test_minimum_bayes_risk_is_the_medoid() -> None:
    candidates = poses(7, 2, 4, 3)
    distances = [
        [[(a[i] - b[i]).norm(dim=-1).mean() for i in range(2)] for b in candidates] for a in candidates
    ]
    risk = torch.tensor(distances, dtype=torch.float64)
    torch.testing.assert_close(hy.pairwise(candidates), risk)
    best = risk.mean(1).argmin(0)
    found = hy.minimum_bayes_risk(candidates)
    for i in range(2):
        assert torch.equal(found[i], candidates[best[i], i])
    torch.testing.assert_close(hy.diversity(candidates), risk.sum((0, 1)) / 42)
    with pytest.raises(ValueError, match="at least two"):
        hy.diversity(candidates[:1])


@pytest.mark.parametrize("k", [1, 2, 3, 5, 6])
def test_expected_best_of_enumerates(k: int) -> None:
    errors = poses(6, 2).abs()
    every = torch.stack([errors[list(chosen)].amin(0) for chosen in combinations(range(6), k)])
    torch.testing.assert_close(hy.expected_best_of(errors, k), every.mean(0))
    with pytest.raises(ValueError, match="1 to 6"):
        hy.expected_best_of(errors, 7)


def test_coverage_tells_right_wide_and_narrow_spreads() -> None:
    levels = torch.tensor([0.2, 0.5, 0.8, 0.95])
    truth = poses(2000, 3, 3, seed=3)
    for scale, sign in ((1.0, 0), (2.0, 1), (0.5, -1)):
        found = hy.coverage(scale * poses(9, 2000, 3, 3, seed=4), truth, levels)
        if sign == 0:
            torch.testing.assert_close(found, levels, rtol=0, atol=0.02)
        else:
            assert (sign * (found - levels)[1:3] > 0.1).all()


def test_coverage_of_a_root_that_never_moves_is_full() -> None:
    """Its truth lies in the middle of its hypotheses, which is inside every interval."""
    found = hy.coverage(torch.zeros(9, 5, 1, 3), torch.zeros(5, 1, 3), torch.tensor([0.5, 0.9]))
    assert found.tolist() == [1.0, 1.0]
