"""Scores of hypotheses against plain loops and against what they should be for draws of the truth's own."""

from __future__ import annotations

from itertools import permutations

import pytest
import torch
from posediff.scores import ellipsoid_coverage, energy_score, scores_mm, sharpness


def poses(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("count", [2, 3, 4, 7])
def test_energy_score_against_loops(count: int) -> None:
    drawn, truth = poses(count, 3, 4, 3), poses(3, 4, 3, seed=1)
    found = energy_score(drawn, truth)
    for a in range(3):
        for b in range(4):
            near = sum((x[a, b] - truth[a, b]).norm() for x in drawn) / count
            apart = sum((x[a, b] - y[a, b]).norm() for x, y in permutations(drawn, 2))
            torch.testing.assert_close(found[a, b], near - apart / (2 * count * (count - 1)))
    with pytest.raises(ValueError, match="at least two"):
        energy_score(drawn[:1], truth)


def test_energy_score_is_unbiased_and_proper() -> None:
    """Of standard normals in one dimension E|X - y| is 2 / √π, so that half of it is left."""
    truth = poses(40_000, 1)
    fair = [energy_score(s * poses(2, 40_000, 1, seed=1), truth).mean() for s in (0.5, 1.0, 2.0)]
    assert float(fair[1]) == pytest.approx(torch.pi**-0.5, abs=0.01)
    assert fair[1] < min(fair[0], fair[2])
    assert float(energy_score(poses(1, 1, 1).expand(5, 1, 1), poses(1, 1))) == pytest.approx(0.0)


def test_ellipsoids_hold_what_they_say_of_draws_alike_and_not_of_others() -> None:
    levels = torch.tensor([0.5, 0.8, 0.9]).double()
    mix = poses(3, 3, seed=5)
    drawn, truth = poses(9, 6000, 2, 3) @ mix, poses(6000, 2, 3, seed=1) @ mix
    right = ellipsoid_coverage(drawn, truth, levels)
    torch.testing.assert_close(right, levels.expand(2, 3), atol=0.02, rtol=0)
    cubed = ellipsoid_coverage(drawn**3, truth**3, levels)  # no normal
    torch.testing.assert_close(cubed, levels.expand(2, 3), atol=0.02, rtol=0)
    narrow = ellipsoid_coverage(0.5 * drawn, truth, levels)
    assert float(narrow.max(0).values[0]) < 0.3
    with pytest.raises(ValueError, match="more than 3 hypotheses"):
        ellipsoid_coverage(drawn[:3], truth, levels)


def test_ellipsoid_coverage_against_a_loop() -> None:
    drawn, truth = poses(5, 7, 1, 3), poses(7, 1, 3, seed=2)
    total = 0.0
    for b in range(7):
        points = torch.cat([drawn[:, b, 0], truth[b]])
        away = points - points.mean(0)
        inverse = torch.linalg.inv(away.T @ away / 5)
        distance = torch.stack([a @ inverse @ a for a in away])
        rank = int((distance[:-1] < distance[-1]).sum())
        total += min(max(0.8 * 6 - rank, 0.0), 1.0)
    found = ellipsoid_coverage(drawn, truth, torch.tensor([0.8]).double())
    assert float(found) == pytest.approx(total / 7)


def test_sharpness_is_the_interval_s_width() -> None:
    drawn = torch.linspace(0, 1, 101)[:, None].expand(101, 4) * torch.tensor([1.0, 2, 0, 5])
    torch.testing.assert_close(sharpness(drawn), 0.9 * torch.tensor([1.0, 2, 0, 5]))


def test_all_scores_of_poses() -> None:
    truth, drawn = 0.1 * poses(300, 5, 3), 0.1 * poses(20, 300, 5, 3, seed=1)
    truth[:, 0], drawn[:, :, 0] = 0, 0
    found = scores_mm(drawn, truth)
    errors = 1000 * (drawn - truth).norm(dim=-1).mean(-1)
    assert found["best_of_1_mpjpe_mm"] == pytest.approx(float(errors.mean()))
    assert found["best_of_5_mpjpe_mm"] < found["best_of_1_mpjpe_mm"]
    assert "best_of_50_mpjpe_mm" not in found
    assert found["inside_90"] == pytest.approx(0.9, abs=0.02)
    assert found["joint_inside_90_least"] < found["inside_90"] < found["joint_inside_90_most"]
    assert found["ellipsoids_50"] == pytest.approx(0.5, abs=0.04)
    assert found["sharpness_mm"] == pytest.approx(1000 * float(sharpness(drawn[..., 1:, :]).mean()))
    flat = 1000 * float(energy_score(drawn.flatten(2), truth.flatten(1)).mean()) / 5**0.5
    assert found["pose_energy_score_mm"] == pytest.approx(flat)
    assert found["energy_score_mm"] == pytest.approx(1000 * float(energy_score(drawn, truth).mean()))
