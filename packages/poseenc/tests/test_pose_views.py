"""V-VIPE's poses, their views and the protocol on them, against plain loops and what they promise."""

from typing import NamedTuple

import pytest
import torch
from posedata.geometry.canonical import bone_lengths
from posedata.scoring.metrics import hit_at_k, nearest
from posedata.skeleton import get_skeleton
from posedata.store import PoseStore
from posedata.synthetic.people.build import build_synthetic
from posedata.views.noise import DetectorNoise
from posedata.views.rigs import CHEST, CHEST_CAMERAS, STEEP, station_cameras
from poseenc import hits
from poseenc.camera_ranges import CameraAugmentation
from poseenc.canonical import KEYPOINTS, POSE, Body, normalise, read_keypoints
from poseenc.hit_rules import HitRules
from poseenc.hits import hit_rates, nearest_2d, retrieval
from poseenc.pose_views import TRAIN, PoseViews, TaughtPoses
from poseenc.seen import Normalised
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode

NONE = CameraAugmentation(share=0.0)


class Data(NamedTuple):
    taught: TaughtPoses
    test: hits.TestSet


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Data:
    """Synthetic people: 160 poses of two to learn, 30 of the third to test."""
    folder = tmp_path_factory.mktemp("poses") / "store"
    build_synthetic(folder, subjects=3, clips=2, frames=40, seed=0)
    store = PoseStore.open(folder)
    people = store.names("subject")
    train, test = store.rows(subjects=people[:2]), store.rows(subjects=people[2:])
    seen = PoseViews(store)
    joints = torch.from_numpy(store.joints(train))
    body = Body.mean_of(joints)
    taught = TaughtPoses(joints, seen.of(joints, train, 1), body, DetectorNoise())
    return Data(taught, seen.test_set(body, test, 30, 0.02))


def everything(rows: torch.Tensor) -> torch.Tensor:
    return rows


def test_a_torso_without_a_size_gives_no_scale() -> None:
    """Shoulders and hips at one place, as a detector's answer of nothing; elsewhere they are as they were."""
    points = torch.randn(2, 13, 2, generator=torch.Generator().manual_seed(0)) * 100
    whole = normalise(points, torch.ones(2, 13))
    points[1, [KEYPOINTS.index(f"{s}_{p}") for s in ("left", "right") for p in ("shoulder", "hip")]] = 500
    views = Normalised.of(torch.cat([points, torch.ones(2, 13, 1)], -1))
    assert views.valid.tolist() == [True, False]
    torch.testing.assert_close(views.keypoints[0], whole[0])


def test_hits_are_those_of_the_metric_averaged_over_ordered_pairs(data: Data) -> None:
    test = data.test
    embeddings = torch.randn(len(test), 3, 5, generator=torch.Generator().manual_seed(0))
    pairs = [(0, 1), (1, 0), (2, 1)]
    found = hit_rates(embeddings, test.hits(0.3), pairs, (1, 4))
    for k in (1, 4):
        rates = []
        for a, b in pairs:
            rows = nearest(embeddings[:, a], embeddings[:, b], k, distance="euclidean")
            rates.append(hit_at_k(rows, test.pose, test.pose, k, 0.3).float().mean())
        assert found[f"hit{k}"] == pytest.approx(100 * float(torch.stack(rates).mean()), abs=1e-4)


def test_hits_are_counted_where_the_embeddings_lie() -> None:
    """On a pretended GPU, up to the first number read from it; a tensor of the CPU among them is an error."""
    with FakeTensorMode():
        hit, embeddings = torch.zeros(9, 9, device="cuda").bool(), torch.zeros(9, 2, 5, device="cuda")
        with pytest.raises(DataDependentOutputException):
            hit_rates(embeddings, hit, [(0, 1)], (1, 4))


def test_perfect_embeddings_hit_always_and_pairs_are_counted_apart(data: Data) -> None:
    test = data.test
    n, c = test.other.confidence.shape[:2]
    assert c == 11
    told = torch.arange(n, dtype=torch.float32)[:, None, None].expand(n, c, 1).clone()
    same = told[:, :4]
    config = HitRules(hits=(1,))
    assert retrieval(same, told, test, config)["all"] == {"hit1": 100.0}
    # Steep cameras that answer with another pose spoil 60 unseen pairs; 20 + 30 others stay right.
    spoilt = told.clone()
    spoilt[:, CHEST_CAMERAS:] = told[:, CHEST_CAMERAS:].flip(0)
    metrics = retrieval(same, spoilt, test, config)
    wrong = test.hits(config.threshold).flip(1).diagonal().float().mean()
    assert metrics["unseen"]["hit1"] == pytest.approx(100 * float(wrong), abs=1e-3)
    assert metrics["all"]["hit1"] == pytest.approx((50 * 100 + 60 * 100 * float(wrong)) / 110, abs=1e-3)


def test_bare_keypoints_find_the_pose_in_the_same_view(data: Data) -> None:
    test = data.test
    flat = test.other.keypoints[:, 0].flatten(1)
    assert (nearest(flat, flat, 1, distance="euclidean")[:, 0] == torch.arange(len(test))).all()
    metrics = nearest_2d(test, HitRules(hits=(1, 5)))
    assert 0 < metrics["all"]["hit1"] < metrics["all"]["hit5"] < 100


def test_no_two_test_poses_are_near_duplicates(data: Data) -> None:
    later, earlier = torch.tril_indices(len(data.test), len(data.test), -1)
    assert data.test.distances[later, earlier].min() > 0.02


def test_poses_have_the_universal_skeleton_and_forget_the_heading(data: Data) -> None:
    joints, body = data.taught.joints[:20], data.taught.body
    pose = body.pose(joints)
    torch.testing.assert_close(
        body.torso * bone_lengths(pose, POSE),
        body.lengths.expand(20, -1),
        atol=1e-5,
        rtol=1e-4,
    )
    turn = torch.tensor([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    moved = joints @ turn.mT * 1.3 + 2
    torch.testing.assert_close(body.pose(moved), pose, atol=1e-4, rtol=1e-3)
    assert (body.pose(moved, align=False) - body.pose(joints, align=False)).abs().max() > 0.1
    again = Body(body.lengths)
    assert again.torso == pytest.approx(float(bone_lengths(pose, POSE)[0, [7, 8]].sum()) * body.torso)


def test_cameras_stand_where_the_rigs_say(data: Data) -> None:
    joints = data.taught.joints[:200]
    cameras = station_cameras(joints, [TRAIN, CHEST, STEEP], torch.Generator().manual_seed(0))
    assert len(cameras) == 15
    middle = (joints.amax(1) + joints.amin(1)) / 2
    for i, camera in enumerate(cameras):
        away = camera.position - middle
        elevation = torch.atan2(away[:, 2], away[:, :2].norm(dim=1)).rad2deg()
        low, high = (25, 45) if i >= 9 else (2, 12)
        assert (elevation > low - 4).all()
        assert (elevation < high + 4).all()
    azimuth = torch.stack([torch.atan2(*(c.position - middle)[:, [1, 0]].T) for c in cameras])
    turned = torch.atan2(azimuth.sin().mean(1), azimuth.cos().mean(1)).rad2deg() % 360
    expected = torch.tensor([45.0, 135, 225, 315, 18, 90, 162, 234, 306, 0, 60, 120, 180, 240, 300])
    apart = (turned - expected + 180) % 360 - 180
    assert apart.abs().max() < 3


def test_a_batch_holds_recorded_views_or_fresh_ones_of_its_poses(data: Data) -> None:
    none = data.taught.draw(
        64, 2, CameraAugmentation(share=0.0), torch.Generator().manual_seed(1), everything
    )
    known = data.taught.views.keypoints.flatten(0, 1).flatten(1).double()
    apart = torch.cdist(none.views.keypoints.flatten(0, 1).flatten(1).double(), known).amin(1)
    assert apart.max() < 1e-5
    assert (none.views.keypoints[:, 0] - none.views.keypoints[:, 1]).flatten(1).norm(dim=1).min() > 1e-3
    for cameras in ("near", "real"):
        config = CameraAugmentation(share=0.5, cameras=cameras)
        drawn = data.taught.draw(400, 1, config, torch.Generator().manual_seed(1), everything)
        apart = torch.cdist(drawn.views.keypoints.flatten(0, 1).flatten(1).double(), known).amin(1)
        assert 0.4 < (apart > 1e-5).float().mean() < 0.6
        same = data.taught.draw(400, 1, config, torch.Generator().manual_seed(1), everything)
        assert torch.equal(drawn.views.keypoints, same.views.keypoints)
        half = data.taught.draw(400, 1, config, torch.Generator().manual_seed(1), lambda rows: rows[200:])
        assert torch.equal(half.pose, drawn.pose[200:])
        assert torch.equal(half.views.keypoints, drawn.views.keypoints[200:])


def test_keypoints_of_coco_and_h36m_meet(data: Data) -> None:
    coco = get_skeleton("coco17")
    assert set(KEYPOINTS.joints) - set(coco.joints) == {"neck"}
    points = torch.cat([torch.randn(2, 17, 2), torch.rand(2, 17, 1) + 0.1], dim=-1)
    made = read_keypoints(points, coco)
    torch.testing.assert_close(made[:, KEYPOINTS.index("neck")], points[:, coco.index("nose")])
    torch.testing.assert_close(made[:, KEYPOINTS.index("left_ankle")], points[:, coco.index("left_ankle")])
    assert normalise(made[..., :2], made[..., 2]).isfinite().all()


def test_hits_of_no_k_are_refused() -> None:
    with pytest.raises(ValueError, match="hits: none"):
        HitRules(hits=())
