"""Poses refined by keypoints: closed forms, a loop, and a posterior that is known."""

from __future__ import annotations

import math

import pytest
import torch
from posediff.hypotheses import reprojection_errors, select_per_joint
from posediff.refine import fitted_sd, keypoint_log_likelihood, weighted
from torch import Tensor


def made(count: int = 6, rows: int = 4) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    hypotheses = torch.randn(count, rows, 5, 3, generator=generator, dtype=torch.float64)
    distances = torch.rand(count, rows, 5, generator=generator, dtype=torch.float64)
    return hypotheses, distances, torch.rand(rows, 5, generator=generator, dtype=torch.float64)


def test_the_hypothesis_that_is_the_truth_is_chosen() -> None:
    hypotheses, _, _ = made()
    truth = hypotheses[3]

    def project(poses: Tensor) -> Tensor:
        return poses[..., :2] / (poses[..., 2:] + 10)

    distances = reprojection_errors(hypotheses, project(truth), project)
    torch.testing.assert_close(select_per_joint(hypotheses, distances), truth)
    torch.testing.assert_close(weighted(hypotheses, keypoint_log_likelihood(distances, 1e-3)), truth)
    sd = fitted_sd(hypotheses, distances, truth)
    pose = weighted(hypotheses, keypoint_log_likelihood(distances, sd))
    torch.testing.assert_close(pose, truth, atol=1e-6, rtol=0)


def test_equal_errors_give_the_mean() -> None:
    hypotheses, _, confidence = made()
    same = torch.full(hypotheses.shape[:-1], 0.7, dtype=torch.float64)
    mean = hypotheses.mean(0)
    torch.testing.assert_close(weighted(hypotheses, keypoint_log_likelihood(same, 0.01, confidence)), mean)
    assert fitted_sd(hypotheses, same, mean) == math.inf
    assert fitted_sd(hypotheses, torch.zeros_like(same), mean) == math.inf


def test_against_a_loop() -> None:
    hypotheses, distances, confidence = made()
    found = weighted(hypotheses, keypoint_log_likelihood(distances, 0.3, confidence))
    for row in range(4):
        shares = []
        for s in range(6):
            density = 1.0
            for joint in range(5):
                c, d = float(confidence[row, joint]), float(distances[s, row, joint])
                density *= math.exp(-c * d * d / (2 * 0.3**2))
            shares.append(density)
        expected = sum(w / sum(shares) * hypotheses[s, row] for s, w in enumerate(shares))
        torch.testing.assert_close(found[row], expected)


def test_unseen_keypoints_say_nothing() -> None:
    hypotheses, distances, confidence = made()
    confidence[:, 2] = 0
    changed = distances.clone()
    changed[:, :, 2] += torch.rand(6, 4, dtype=torch.float64)
    here, there = (
        weighted(hypotheses, keypoint_log_likelihood(d, 0.2, confidence)) for d in (distances, changed)
    )
    torch.testing.assert_close(here, there)


def test_weights_are_the_posterior_and_the_keypoints_error_is_found() -> None:
    """x and y of N(0, 1), seen with an error of 0.5: the posterior mean is 0.8 of what was seen."""
    generator = torch.Generator().manual_seed(1)
    truth = torch.randn(300, 1, 2, generator=generator)
    seen = truth + 0.5 * torch.randn(truth.shape, generator=generator)
    drawn = torch.randn(3000, 300, 1, 2, generator=generator)
    distances = reprojection_errors(drawn, seen, lambda poses: poses)
    pose = weighted(drawn, keypoint_log_likelihood(distances, 0.5))
    assert float((pose - 0.8 * seen).square().mean().sqrt()) < 0.05
    assert fitted_sd(drawn, distances, truth) == pytest.approx(0.5, rel=0.45)  # half octaves, and chance
