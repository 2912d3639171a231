"""Metrics against loops, closed forms and the published ITOP numbers."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from posedata.geometry.align import procrustes
from posedata.scoring import metrics
from posedata.skeleton import get_skeleton

ITOP = Path(__file__).resolve().parents[3] / "../shared/data/itop"
needs_itop = pytest.mark.skipif(not ITOP.exists(), reason="the shared ITOP files are not here")


def randn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def itop_true() -> torch.Tensor:
    io = pytest.importorskip("scipy.io")
    joints = io.loadmat(ITOP / "itop_side_keypoints3D_test.mat")["keypoints3D"].astype(np.float64)
    assert joints.shape == (4863, 15, 3)
    return torch.from_numpy(joints)


@needs_itop
def test_published_itop_predictions_score_the_published_map() -> None:
    io = pytest.importorskip("scipy.io")
    uvd = torch.from_numpy(io.loadmat(ITOP / "a2j_side_predictions.mat")["resultUVD"].astype(np.float64))
    u, v, z = uvd.unbind(-1)
    predicted = torch.stack([(u - 160) * 0.0035 * z, (120 - v) * 0.0035 * z, z], dim=-1)
    true = itop_true()
    assert metrics.joint_map(predicted, true, threshold=0.10).item() == pytest.approx(0.880184, abs=1e-6)
    assert metrics.mpjpe_mm(predicted, true).mean().item() == pytest.approx(58.48, abs=0.01)
    for threshold, share in ((0.05, 0.603), (0.15, 0.945), (0.20, 0.971)):
        assert metrics.joint_map(predicted, true, threshold).item() == pytest.approx(share, abs=6e-4)
    head = metrics.joint_map(predicted[:, :1], true[:, :1]).item()
    assert head == pytest.approx(0.9854, abs=2e-3)


@needs_itop
def test_itop_baselines_score_as_measured() -> None:
    true = itop_true()
    torso = get_skeleton("itop15").index("torso")
    constant = true.mean(0).expand_as(true)
    assert metrics.joint_map(constant, true).item() == pytest.approx(0.272068, abs=1e-6)
    relative = true - true[:, torso : torso + 1]
    placed = relative.mean(0) + true[:, torso : torso + 1]
    assert metrics.joint_map(placed, true).item() == pytest.approx(0.582028, abs=1e-6)


@needs_itop
def test_itop_neck_and_torso_are_the_midpoints_the_skeleton_declares() -> None:
    itop, true = get_skeleton("itop15"), itop_true()
    for name, parts in (("shoulder_centre", ["shoulder"]), ("torso", ["shoulder", "hip"])):
        members = [itop.index(f"{side}_{part}") for side in ("left", "right") for part in parts]
        error = metrics.per_joint_mm(true[:, members].mean(1), true[:, itop.index(name)])
        assert error.mean().item() < 1.0


def test_mpjpe_and_per_joint_by_loop_in_millimetres() -> None:
    predicted, true = randn(4, 2, 17, 3), randn(4, 2, 17, 3, seed=1)
    error = metrics.mpjpe_mm(predicted, true)
    joints = metrics.per_joint_mm(predicted, true)
    for i in range(4):
        for j in range(2):
            one = [1000 * math.dist(p, t) for p, t in zip(predicted[i, j], true[i, j], strict=True)]
            assert error[i, j].item() == pytest.approx(sum(one) / 17)
            assert joints[i, j].tolist() == pytest.approx(one)


def test_invalid_joints_do_not_count_even_when_nan() -> None:
    predicted, true = randn(3, 6, 3), randn(3, 6, 3, seed=1)
    valid = torch.ones(3, 6, dtype=torch.bool)
    valid[1, 4:] = False
    broken = true.clone()
    broken[1, 4:] = torch.nan
    error = metrics.mpjpe_mm(predicted, broken, valid)
    assert error[1].item() == pytest.approx(metrics.mpjpe_mm(predicted[1, :4], true[1, :4]).item())
    fitted = metrics.pa_mpjpe_mm(predicted, broken, valid)
    assert fitted[1].item() == pytest.approx(metrics.pa_mpjpe_mm(predicted[1, :4], true[1, :4]).item())
    assert metrics.mpjpe_mm(predicted, true, valid & False).isnan().all()


def test_pa_mpjpe_is_blind_to_similarities_but_not_to_mirroring_and_takes_any_shape() -> None:
    true = randn(2, 17, 3)
    turn = procrustes(randn(2, 17, 3, seed=2), randn(2, 17, 3, seed=3))
    assert metrics.pa_mpjpe_mm(turn.apply(true), true).max() < 1e-9
    assert metrics.pa_mpjpe_mm(true * torch.tensor([-1.0, 1, 1]), true).min() > 50
    many, truth = randn(3, 3000, 5, 3), randn(3, 3000, 5, 3, seed=4)
    whole = metrics.pa_mpjpe_mm(many, truth)
    torch.testing.assert_close(whole[2, 2990:], metrics.pa_mpjpe_mm(many[2, 2990:], truth[2, 2990:]))


def test_pa_mpjpe_never_exceeds_what_a_small_move_of_the_fit_gives() -> None:
    predicted, true = randn(50, 17, 3), randn(50, 17, 3, seed=5)
    best = procrustes(predicted, true)
    cost = (best.apply(predicted) - true).square().sum((1, 2))
    for seed in range(5):
        nearby = best.rotation @ torch.linalg.matrix_exp(0.01 * _skew(randn(50, 3, seed=seed)))
        moved = best._replace(rotation=nearby, scale=best.scale * (1 + 0.01 * randn(50, seed=seed + 9)))
        assert ((moved.apply(predicted) - true).square().sum((1, 2)) >= cost).all()


def _skew(v: torch.Tensor) -> torch.Tensor:
    x, y, z = v.unbind(-1)
    o = torch.zeros_like(x)
    return torch.stack([o, -z, y, z, o, -x, -y, x, o], -1).unflatten(-1, (3, 3))


def test_n_mpjpe_takes_the_least_squares_scale() -> None:
    true = randn(3, 17, 3)
    assert metrics.n_mpjpe_mm(0.25 * true, true).max() < 1e-9
    predicted = randn(3, 17, 3, seed=6)
    scale = (predicted * true).sum((1, 2)) / (predicted**2).sum((1, 2))
    expected = metrics.mpjpe_mm(scale[:, None, None] * predicted, true)
    torch.testing.assert_close(metrics.n_mpjpe_mm(predicted, true), expected)
    nothing = torch.zeros_like(true)
    torch.testing.assert_close(metrics.n_mpjpe_mm(nothing, true), metrics.mpjpe_mm(nothing, true))


def test_gradients_of_the_errors_are_right() -> None:
    predicted, true = randn(2, 6, 3).requires_grad_(), randn(2, 6, 3, seed=7)
    for metric in (metrics.mpjpe_mm, metrics.pa_mpjpe_mm, metrics.n_mpjpe_mm):
        assert torch.autograd.gradcheck(lambda p, m=metric: m(p, true) / 1000, predicted)


def test_pck_and_epe_by_hand() -> None:
    true = torch.zeros(2, 4, 2)
    predicted = torch.tensor([[[3.0, 4], [0, 1], [6, 8], [0, 0]]] * 2)
    reference = torch.tensor([100.0, 200.0])
    assert metrics.epe_px(predicted, true).tolist() == [4.0, 4.0]
    assert metrics.pck(predicted, true, reference, 0.05).tolist() == [0.5, 0.75]  # 5 px is not under 5 px
    valid = torch.tensor([[True, False, False, True]] * 2)
    assert metrics.pck(predicted, true, reference, 0.05, valid).tolist() == [0.5, 1.0]
    assert metrics.epe_px(predicted, true, valid).tolist() == [2.5, 2.5]


def test_pck3d_and_auc_by_the_protocol_written_out() -> None:
    predicted, true = 0.1 * randn(5, 14, 3), torch.zeros(5, 14, 3, dtype=torch.float64)
    error = 1000 * predicted.norm(dim=-1)
    thresholds = range(0, 151, 5)
    assert len(thresholds) == 31
    expected = torch.stack([(error < t).double().mean(-1) for t in thresholds]).mean(0)
    torch.testing.assert_close(metrics.auc3d(predicted, true), expected)
    torch.testing.assert_close(metrics.pck3d(predicted, true), (error < 150).double().mean(-1))
    assert metrics.auc3d(true, true).tolist() == pytest.approx([30 / 31] * 5)  # threshold 0 is never met
    assert set(metrics.MPI_INF_3DHP_14) <= set(get_skeleton("mpi_inf_3dhp28").joints)
    assert set(metrics.MPI_INF_3DHP_14) <= set(get_skeleton("h36m17").joints)


def test_joint_map_is_strict_and_masked() -> None:
    true = torch.zeros(1, 3, 3)
    predicted = torch.tensor([[[0.125, 0, 0], [0.0625, 0, 0], [9.0, 0, 0]]])
    assert metrics.joint_map(predicted, true, 0.125).item() == pytest.approx(1 / 3)
    assert metrics.joint_map(predicted, true, 0.125, torch.tensor([[True, True, False]])).item() == 0.5


def test_best_of_takes_the_least_along_the_first_axis() -> None:
    assert metrics.best_of(torch.tensor([[3.0, 1.0], [2.0, 5.0]])).tolist() == [2.0, 1.0]


@pytest.mark.parametrize("distance", ["cosine", "euclidean"])
def test_nearest_equals_sorting_every_distance(distance: str) -> None:
    queries, gallery = randn(23, 8), 3 * randn(50, 8, seed=8)
    found = metrics.nearest(queries, gallery, 5, distance=distance, rows=7)
    if distance == "euclidean":
        order = torch.cdist(queries, gallery).argsort(-1)
    else:
        cosine = torch.cosine_similarity(queries[:, None], gallery[None], dim=-1)
        order = cosine.argsort(-1, descending=True)
    assert torch.equal(found, order[:, :5])
    assert torch.equal(metrics.nearest(queries, gallery, 5, distance=distance), found)


def test_neighbours_in_time_of_the_same_sequence_are_not_found() -> None:
    embeddings = randn(30, 8)
    sequence = torch.arange(30) // 10
    frame = torch.arange(30) % 10
    out = metrics.Neighbours(sequence, frame, sequence, frame, window=2)
    mask = torch.tensor([[i // 10 == j // 10 and abs(i - j) <= 2 for j in range(30)] for i in range(30)])
    assert torch.equal(torch.cat([out.mask(slice(0, 13)), out.mask(slice(13, 30))]), mask)
    assert torch.equal(metrics.nearest(embeddings, embeddings)[:, 0], torch.arange(30))
    found = metrics.nearest(embeddings, embeddings, 3, exclude=out, rows=4)
    assert not mask.gather(1, found).any()
    assert torch.equal(found, metrics.nearest(embeddings, embeddings, 3, exclude=mask))
    with pytest.raises(ValueError, match="fewer than k=26"):
        metrics.nearest(embeddings, embeddings, 26, exclude=out)
    with pytest.raises(ValueError, match="between 1 and the gallery's size, 30"):
        metrics.nearest(embeddings, embeddings, 31)


def test_top_k_counts_the_true_index_among_the_first_k() -> None:
    found = torch.tensor([[4, 1, 2], [0, 3, 1], [2, 0, 4]])
    truth = torch.tensor([4, 1, 1])
    assert metrics.top_k(found, truth, 1).tolist() == [True, False, False]
    assert metrics.top_k(found, truth, 3).tolist() == [True, True, False]
    with pytest.raises(ValueError, match="k is 4, but nearest"):
        metrics.top_k(found, truth, 4)


def test_retrieval_error_is_that_of_the_first_found_pose() -> None:
    gallery, queries = randn(6, 17, 3), randn(2, 17, 3, seed=9)
    found = torch.tensor([[5, 0], [2, 1]])
    picked = gallery[[5, 2]]
    torch.testing.assert_close(
        metrics.retrieval_mm(found, queries, gallery), metrics.mpjpe_mm(picked, queries)
    )
    aligned = metrics.retrieval_mm(found, queries, gallery, aligned=True)
    torch.testing.assert_close(aligned, metrics.pa_mpjpe_mm(picked, queries))


def test_hit_at_k_aligns_the_found_pose_to_the_query() -> None:
    query = randn(2, 17, 3)
    turned = procrustes(randn(17, 3, seed=10), randn(17, 3, seed=11)).apply(query[0])
    gallery = torch.stack([randn(17, 3, seed=12), 5 * turned, randn(17, 3, seed=13)])
    found = torch.tensor([[0, 1, 2], [0, 2, 1]])
    assert metrics.hit_at_k(found, query, gallery, 1).tolist() == [False, False]
    assert metrics.hit_at_k(found, query, gallery, 2).tolist() == [True, False]
    error = metrics.pa_mpjpe_mm(gallery[0], query[1]).item() / 1000
    assert metrics.hit_at_k(found, query, gallery, 1, threshold=error + 1e-9)[1]
    assert not metrics.hit_at_k(found, query, gallery, 1, threshold=error - 1e-9)[1]
