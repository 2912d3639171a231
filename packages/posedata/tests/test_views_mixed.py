"""Views to train on: which come from a store and which from cameras drawn anew, and what a process keeps."""

from pathlib import Path

import numpy as np
import pytest
import torch
from posedata.skeleton import get_skeleton
from posedata.store import PoseStore, write_store
from posedata.views import RIGS, Bodies, MixedViews, RecordedViews, VirtualViews, add_views
from posedata.views.batch import DETECTED, MIXED, TRUE
from posedata.views.clips import clips_about
from posedata.views.noise import DetectorNoise
from posedata.views.order import StreamOrder
from posedata.views.rows import by_detector

H36M = get_skeleton("h36m17")
META = {"skeleton": "h36m17", "fps": 50.0, "source": "made", "licence": "none", "subjects": ["a"]}


def everything(rows: torch.Tensor) -> torch.Tensor:
    return rows


def draws(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def poses(tmp_path_factory: pytest.TempPathFactory) -> PoseStore:
    """Two sequences, of 5 and of 3 frames."""
    columns = {
        "joints": np.random.default_rng(0).random((8, 17, 3), dtype=np.float32),
        "subject": np.zeros(8, np.int32),
        "sequence": np.array([0] * 5 + [1] * 3, np.int32),
        "frame": np.array([0, 1, 2, 3, 4, 0, 1, 2], np.int32),
    }
    meta = META | {"sequences": ["x", "y"]}
    return PoseStore.open(write_store(tmp_path_factory.mktemp("mixed") / "poses", columns, meta))


@pytest.fixture(scope="module")
def store(poses: PoseStore) -> PoseStore:
    """Three of them by four cameras of a rig, which stand on one side: where y is below -2."""
    rows = np.array([1, 5, 7])
    folder = add_views(
        poses.path, poses.path.parent / "views", RIGS["h36m"], 4, DetectorNoise(), 3, rows=rows
    )
    return PoseStore.open(folder)


def mixed(store: PoseStore, **more: object) -> MixedViews:
    joints = torch.full((5, 17, 3), 9.0) + torch.rand(5, 17, 3, generator=draws())
    virtual = VirtualViews(joints, H36M, (RIGS["mocap"],), DetectorNoise(), Bodies(mirror=0.5))
    return MixedViews(RecordedViews(store, H36M, detectors=[DETECTED]), virtual, **more)  # type: ignore[arg-type]


def test_the_stores_share_comes_first_and_the_rest_is_virtual(store: PoseStore) -> None:
    views = mixed(store, recorded=0.25).draw(12, draws())
    assert views.joints is not None
    far = views.joints.amax((1, 2)) > 2
    assert far.tolist() == [False] * 3 + [True] * 9
    assert mixed(store, recorded=1.0).draw(6, draws()).joints.amax() < 2  # type: ignore[union-attr]
    assert torch.equal(views.keypoints[MIXED], views.keypoints[TRUE])  # no noise was asked for


def test_a_detectors_keypoints_are_recorded_ones_or_the_noise_models(store: PoseStore) -> None:
    views = mixed(store, recorded=1.0, detector=DETECTED).draw(8, draws(), noise=1.0)
    assert torch.equal(views.keypoints[MIXED], views.keypoints[DETECTED])
    found = {tuple(row) for row in store.column("keypoints_detector")[:, 0].tolist()}
    assert {tuple(row) for row in views.keypoints[MIXED][:, 0].tolist()} <= found
    drawn = mixed(store, recorded=1.0).draw(8, draws(), noise=1.0)
    assert not {tuple(row) for row in drawn.keypoints[MIXED][:, 0].tolist()} & found

    seen = mixed(store).rows.views()
    assert by_detector(seen, DETECTED, DetectorNoise(), 1) == (seen, DETECTED)
    noisy, name = by_detector(seen, "", DetectorNoise(), 1)
    expected = seen.detected(DetectorNoise(), draws(1))
    assert torch.equal(noisy.keypoints[name], expected.keypoints[DETECTED])


def test_poses_are_changed_only_where_training_asks(store: PoseStore) -> None:
    source = mixed(store, recorded=1.0)
    plain, changed = source.draw(40, draws()), source.draw(40, draws(), augment=True)
    turned = (plain.box != changed.box).any(1)
    assert 8 < int(turned.sum()) < 32
    torch.testing.assert_close(changed.joints[turned], plain.mirrored(turned).joints[turned])  # type: ignore[index]
    assert torch.equal(changed.joints[~turned], plain.joints[~turned])  # type: ignore[index]


@pytest.mark.parametrize("stream", [None, 7])
def test_processes_keep_rows_of_the_one_batch(
    store: PoseStore, monkeypatch: pytest.MonkeyPatch, stream: int | None
) -> None:
    shards = np.arange(12) // 5
    monkeypatch.setattr(PoseStore, "shards", lambda store, rows: shards[rows])
    source = mixed(store, pictures=(), stream=stream)
    whole = source.draw_pictured(6, draws(), everything, 2, noise=0.5)
    second = source.draw_pictured(6, draws(), lambda rows: rows[3:], 2, noise=0.5)
    assert torch.equal(whole.keypoints[MIXED][3:], second.keypoints[MIXED])
    assert torch.equal(whole.box[3:], second.box)
    if stream is not None:
        rows = torch.from_numpy(StreamOrder(shards, 6, stream).rows(2))
        assert torch.equal(whole.track.frame, source.rows.views(rows).track.frame)  # type: ignore[union-attr]


def test_clips_about_the_moments_of_another_store(poses: PoseStore, store: PoseStore, tmp_path: Path) -> None:
    """Rows 0, 4 and 8 of the views show rows 1, 5 and 7 of the poses; ends of a sequence repeat."""
    rows = np.array([8, 0, 4])
    assert clips_about(poses, store, rows, 3).tolist() == [[6, 7, 7], [0, 1, 2], [5, 5, 6]]
