"""Sampling and grouping against pytorch3d's and against loops."""

import pytest
import torch
from pointcloud_weak.cloud import voxel_downsample
from pointcloud_weak.ops import ball_query, farthest_points, farthest_points_twin, gather, subsample, voxels

CLOUD = torch.rand(3, 80, 3, generator=torch.Generator().manual_seed(0))


def test_farthest_points_are_pytorch3ds():
    ops = pytest.importorskip("pytorch3d.ops")
    expected = ops.sample_farthest_points(CLOUD, K=20)[1]
    assert torch.equal(farthest_points_twin(CLOUD, 20), expected)
    assert torch.equal(farthest_points(CLOUD, 20), expected)


def test_farthest_points_by_a_loop():
    chosen = [0]
    while len(chosen) < 10:
        distance = torch.cdist(CLOUD[1], CLOUD[1, chosen]).amin(1)
        chosen.append(int(distance.argmax()))
    assert farthest_points(CLOUD, 10)[1].tolist() == chosen
    assert sorted(farthest_points(CLOUD, 80)[2].tolist()) == list(range(80))
    with pytest.raises(ValueError, match="count is 81; give 1 to 80"):
        farthest_points(CLOUD, 81)


def test_ball_query_takes_the_nearest_and_fills_with_the_nearest_of_all():
    centres = CLOUD[:, :5]
    index = ball_query(CLOUD, centres, 0.25, 16)
    for b in range(3):
        for m in range(5):
            order = (CLOUD[b] - centres[b, m]).norm(dim=1).argsort()
            near = [i for i in order[:16].tolist() if (CLOUD[b, i] - centres[b, m]).norm() <= 0.25]
            assert index[b, m].tolist() == near + [order[0].item()] * (16 - len(near))
    picked = gather(CLOUD, index)
    assert torch.equal(picked[2, 4, 0], CLOUD[2, index[2, 4, 0]])


def test_subsample_repeats_only_where_it_must():
    generator = torch.Generator().manual_seed(0)
    rows = torch.arange(30.0)[:, None]
    assert len(subsample(rows, 20, generator).unique()) == 20
    counts = torch.bincount(subsample(rows, 70, generator)[:, 0].long())
    assert sorted(counts.tolist()) == [2] * 20 + [3] * 10
    with pytest.raises(ValueError, match="no point"):
        subsample(rows[:0], 5)


def test_voxels_hold_means_and_give_the_way_back():
    points = CLOUD[0] + 0.013
    centres, index = voxels(points, 0.25)
    for k in range(len(centres)):
        torch.testing.assert_close(points[index == k].mean(0), centres[k])
        cells = torch.div(points[index == k] - points.amin(0), 0.25, rounding_mode="floor")
        assert len(cells.unique(dim=0)) == 1
    theirs = voxel_downsample(points, 0.25)  # whose grid begins elsewhere: as many to within a layer
    assert 0.5 < len(centres) / len(theirs) < 2
    assert voxels(points[:0], 0.25)[0].shape == (0, 3)
