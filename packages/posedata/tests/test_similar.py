"""Distances of poses to poses, against plain loops; near duplicates, against their definition."""

import math

import pytest
import torch
from posedata.scoring.metrics import mpjpe_mm, pa_mpjpe_mm
from posedata.scoring.similar import distinct, pose_distances, within


def cloud(count: int, seed: int = 0, spread: float = 0.1) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    body = torch.randn(1, 17, 3, generator=generator)
    return body + spread * torch.randn(count, 17, 3, generator=generator)


@pytest.mark.parametrize(("aligned", "metric"), [(False, mpjpe_mm), (True, pa_mpjpe_mm)])
def test_every_pair_as_the_metric_says(aligned: bool, metric: object) -> None:
    a, b = cloud(5), cloud(4, seed=1)
    found = pose_distances(a, b, aligned=aligned)
    for i in range(5):
        for j in range(4):
            assert callable(metric)
            torch.testing.assert_close(found[i, j], metric(b[j], a[i]) / 1000, atol=2e-5, rtol=1e-4)


def test_empty_sets_have_no_distances() -> None:
    for aligned in (False, True):
        assert pose_distances(cloud(3), cloud(0), aligned=aligned).shape == (3, 0)
        assert pose_distances(cloud(0), cloud(3), aligned=aligned).shape == (0, 3)


def test_within_agrees_with_all_distances() -> None:
    a, b = cloud(40), cloud(30, seed=2)
    b[:10] = a[:10] + 0.02 * torch.randn(10, 17, 3, generator=torch.Generator().manual_seed(5))
    d = pose_distances(a, b, aligned=True)
    for threshold in (0.02, 0.05, float(d.median())):
        assert torch.equal(within(a, b, threshold, beyond=math.inf), d <= threshold)


def test_distinct_keeps_all_that_differ_and_one_of_each_kind() -> None:
    few = cloud(7, spread=0.3)
    generator = torch.Generator().manual_seed(9)
    copies = few.repeat(50, 1, 1) * (1 + 0.03 * torch.rand(350, 1, 1, generator=generator))
    kept = distinct(copies, 0.02)
    assert kept.tolist() == list(range(7))
    rest = copies[kept]
    assert (pose_distances(rest, rest, aligned=True) + torch.eye(7)).min() > 0.02


def test_distinct_over_several_blocks_is_maximal_and_apart() -> None:
    poses = cloud(600, spread=0.012)
    kept = distinct(poses, 0.02)
    assert 1 < len(kept) < 600
    later, earlier = torch.tril_indices(len(kept), len(kept), -1)
    between = pa_mpjpe_mm(poses[kept][earlier], poses[kept][later]) / 1000
    assert between.min() > 0.02
    # What was dropped lies near something kept: nothing is lost without a reason.
    dropped = torch.ones(600, dtype=torch.bool)
    dropped[kept] = False
    assert (pose_distances(poses[dropped], poses[kept], aligned=True).amin(1) <= 0.02).all()


def test_nothing_is_distinct_from_nothing() -> None:
    assert distinct(cloud(0)).tolist() == []
