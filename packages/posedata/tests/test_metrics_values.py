"""Metrics by hand: defaults, limits, joints that are not valid."""

import pytest
import torch
from posedata.scoring import metrics

PREDICTED = torch.tensor([[[3.0, 4.0], [1.0, 1.0], [0.0, 2.0]]]).double()
TRUE = torch.tensor([[[0.0, 0.0], [1.0, 1.0], [0.0, 1.0]]]).double()
SEEN = torch.tensor([[True, False, True]])


def test_distances_of_keypoints() -> None:
    assert metrics.epe_px(PREDICTED, TRUE).tolist() == [2.0]
    assert metrics.epe_px(PREDICTED, TRUE, SEEN).tolist() == [3.0]


def test_share_of_correct_keypoints_is_strict_and_of_a_twentieth() -> None:
    for side, share in ((20.1, 2 / 3), (20.0, 1 / 3), (0.5, 1 / 3), (100.1, 1.0)):
        found = metrics.pck(PREDICTED, TRUE, torch.tensor([side]).double())
        torch.testing.assert_close(found, torch.tensor([share]).double())


def off_by(millimetres: list[float]) -> tuple[torch.Tensor, torch.Tensor]:
    true = torch.ones(1, len(millimetres), 3).double()
    predicted = true.clone()
    predicted[0, :, 1] += torch.tensor(millimetres).double() / 1000
    return predicted, true


def test_shares_of_joints_within_reach() -> None:
    predicted, true = off_by([149.9, 150.1, 0.0, 99.9, 100.1])
    seen = torch.tensor([[True, True, False, False, False]])
    torch.testing.assert_close(metrics.pck3d(predicted, true).item(), 4 / 5)
    torch.testing.assert_close(metrics.pck3d(predicted, true, valid=seen).item(), 1 / 2)
    torch.testing.assert_close(metrics.joint_map(predicted, true).item(), 2 / 5)
    torch.testing.assert_close(metrics.joint_map(predicted, true, valid=seen).item(), 0.0)


def test_area_under_the_curve_counts_thirty_one_thresholds() -> None:
    predicted, true = off_by([0.0, 72.5, 200.0])
    expected = torch.tensor([30.0, 16.0, 0.0]).double() / 31  # 0 is not strictly below 0
    torch.testing.assert_close(metrics.auc3d(predicted, true)[0], expected.mean())
    seen = torch.tensor([[False, True, False]])
    torch.testing.assert_close(metrics.auc3d(predicted, true, seen)[0], expected[1])
    torch.testing.assert_close(metrics.auc3d(*off_by([149.9])).item(), 1 / 31)


def test_invalid_joints_do_not_move_the_alignment() -> None:
    generator = torch.Generator().manual_seed(0)
    true = torch.randn(2, 6, 3, generator=generator, dtype=torch.float64)
    predicted = true + 0.1 * torch.randn(2, 6, 3, generator=generator, dtype=torch.float64)
    valid = torch.ones(2, 6, dtype=torch.bool)
    valid[:, 4] = False
    spoiled = predicted.clone()
    spoiled[:, 4] = 1e6
    kept = [0, 1, 2, 3, 5]
    expected = metrics.pa_mpjpe_mm(predicted[:, kept], true[:, kept])
    torch.testing.assert_close(metrics.pa_mpjpe_mm(spoiled, true, valid=valid), expected)


def test_the_nearest_is_one_unless_more_are_asked_for() -> None:
    gallery = torch.eye(3).double() * torch.tensor([[1.0], [5.0], [0.2]]).double()
    queries = torch.tensor([[0.1, 0.9, 0.2], [0.3, 0.2, 0.9]]).double() * 7
    assert metrics.nearest(queries, gallery).tolist() == [[1], [2]]
    assert metrics.nearest(queries, gallery, k=3).tolist() == [[1, 2, 0], [2, 0, 1]]


def test_no_query_finds_nothing_and_one_row_at_a_time_finds_the_same() -> None:
    gallery = torch.randn(7, 4, generator=torch.Generator().manual_seed(0)).double()
    none = metrics.nearest(gallery[:0], gallery, k=2)
    assert none.shape == (0, 2)
    assert none.dtype == torch.long
    assert torch.equal(metrics.nearest(gallery, gallery, k=2, rows=1), metrics.nearest(gallery, gallery, k=2))


def test_a_hit_is_at_most_a_tenth_away() -> None:
    generator = torch.Generator().manual_seed(0)
    poses = torch.randn(1, 5, 3, generator=generator, dtype=torch.float64)
    gallery = torch.cat([poses + 0.3 * torch.randn(3, 5, 3, generator=generator, dtype=torch.float64)])
    errors = metrics.pa_mpjpe_mm(gallery, poses.expand(3, -1, -1)) / 1000
    found = errors.argsort()[None]
    least = errors.min().item()
    assert metrics.hit_at_k(found, poses, gallery, 1).item() is (least <= 0.1)
    assert metrics.hit_at_k(found, poses, gallery, 1, threshold=1.001 * least).item()
    assert not metrics.hit_at_k(found, poses, gallery, 3, threshold=0.999 * least).item()
    exact = metrics.hit_at_k(torch.tensor([[0]]), poses, 1.5 * poses, 1, threshold=1e-9)
    assert exact.item()


def test_procrustes_means_over_valid_joints() -> None:
    generator = torch.Generator().manual_seed(0)
    true = torch.randn(1, 6, 3, generator=generator, dtype=torch.float64)
    predicted = true.clone()
    predicted[:, 5] += 3.0
    valid = torch.tensor([[True, True, True, True, True, False]])
    assert metrics.pa_mpjpe_mm(predicted, true, valid=valid).item() < 1e-6
    assert metrics.pa_mpjpe_mm(predicted, true).item() > 10


def test_batches_of_any_shape_are_scored_as_their_poses_each() -> None:
    generator = torch.Generator().manual_seed(0)
    true = torch.randn(2, 4, 3, 3, generator=generator, dtype=torch.float64)
    predicted = true + 0.1 * torch.randn(2, 4, 3, 3, generator=generator, dtype=torch.float64)
    valid = torch.rand(2, 4, 3, generator=generator) < 0.7
    valid[..., 0] = True
    flat, flat_true, sides = predicted[..., :2], true[..., :2], 1 + torch.rand(2, 4).double()
    for i in range(2):
        for j in range(4):
            at = (i, j)
            for metric in (metrics.mpjpe_mm, metrics.pa_mpjpe_mm, metrics.auc3d):
                one = metric(predicted[at], true[at], valid[at])
                torch.testing.assert_close(metric(predicted, true, valid)[at], one)
            share = metrics.pck3d(predicted[at], true[at], valid=valid[at])
            torch.testing.assert_close(metrics.pck3d(predicted, true, valid=valid)[at], share)
            off = metrics.epe_px(flat[at], flat_true[at], valid[at])
            torch.testing.assert_close(metrics.epe_px(flat, flat_true, valid)[at], off)
            right = metrics.pck(flat[at], flat_true[at], sides[at], 0.1, valid[at])
            torch.testing.assert_close(metrics.pck(flat, flat_true, sides, 0.1, valid)[at], right)
            scaled = metrics.n_mpjpe_mm(predicted[at], true[at])
            torch.testing.assert_close(metrics.n_mpjpe_mm(predicted, true)[at], scaled)


def test_masks_go_with_their_poses_where_there_are_many() -> None:
    generator = torch.Generator().manual_seed(0)
    true = torch.randn(3, 3000, 5, 3, generator=generator)
    predicted = true + 0.1 * torch.randn(3, 3000, 5, 3, generator=generator)
    valid = torch.rand(3, 3000, 5, generator=generator) < 0.8
    valid[..., :3] = True
    whole = metrics.pa_mpjpe_mm(predicted, true, valid)
    for part in (slice(0, 5), slice(2995, 3000)):
        each = metrics.pa_mpjpe_mm(predicted[:, part], true[:, part], valid[:, part])
        torch.testing.assert_close(whole[:, part], each, rtol=1e-3, atol=1e-2)


def test_limits_are_met_exactly() -> None:
    errors = torch.tensor([[1.0, float("nan")], [2.0, 0.5]])
    assert metrics.best_of(errors)[0] == 1
    assert metrics.best_of(errors)[1].isnan()
    gallery = torch.eye(3).double()
    found = metrics.nearest(gallery, gallery, k=3)
    for wrong in (0, 4):
        with pytest.raises(
            ValueError, match=f"^k is {wrong}: it must lie between 1 and the gallery's size, 3$"
        ):
            metrics.nearest(gallery, gallery, k=wrong)
        with pytest.raises(ValueError, match=rf"^k is {wrong}, but nearest\(\) was asked for 3"):
            metrics.top_k(found, torch.arange(3), wrong)
    assert metrics.top_k(found, torch.arange(3), 3).all()
    sequence, frame = torch.zeros(3).long(), torch.arange(3)
    own = metrics.Neighbours(sequence, frame, sequence, frame, window=0)
    assert torch.equal(own.mask(slice(1, 3)), torch.eye(3).bool()[1:])
    two = metrics.nearest(gallery + 0.1, gallery, k=2, exclude=own)
    assert not (two == torch.arange(3)[:, None]).any()
    with pytest.raises(ValueError, match=r"^exclude leaves fewer than k=3 gallery poses to some query"):
        metrics.nearest(gallery, gallery, k=3, exclude=own)


def test_one_of_several_found_poses_decides_and_a_query_of_nan_is_named() -> None:
    generator = torch.Generator().manual_seed(0)
    poses = torch.randn(3, 5, 3, generator=generator, dtype=torch.float64)
    gallery = torch.cat([torch.randn(3, 5, 3, generator=generator, dtype=torch.float64), 2 * poses])
    found = torch.tensor([[0, 3], [1, 2], [5, 0]])
    assert metrics.hit_at_k(found, poses, gallery, 2).tolist() == [True, False, True]
    assert metrics.hit_at_k(found, poses, gallery, 1).tolist() == [False, False, True]
    gallery[1, 0, 0] = float("nan")
    gallery[0, 4, 2] = float("nan")
    found[0, 0] = 3
    with pytest.raises(ValueError, match=r"^query 1: its pose, or one found for it, holds NaN"):
        metrics.hit_at_k(found, poses, gallery, 2)
