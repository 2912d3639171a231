"""PR-VIPE's protocol on a data set's own cameras: which rows belong together, and what is scored."""

from pathlib import Path

import numpy as np
import pytest
import torch
from polypose.hit_protocols import hit_protocol, whole
from posedata.scoring.protocols import get_protocol
from posedata.store import PoseStore, write_store
from posedata.views.recorded import moments
from vvipe_tiny import H36M_CAMERAS, camera_store

FRAMES, NAMES = 5, list(H36M_CAMERAS)


@pytest.fixture
def store(tmp_path: Path) -> PoseStore:
    return camera_store(tmp_path / "store", FRAMES)


def test_moments_are_joined_across_cameras_and_incomplete_ones_left_out(store: PoseStore) -> None:
    table, names = moments(store, np.arange(len(store)))
    assert sorted(names) == NAMES
    assert table.shape == (2 * FRAMES - 1, 3)
    for column, name in zip(table.T, names, strict=True):
        assert (store.column("camera")[column] == NAMES.index(name)).all()
        np.testing.assert_array_equal(store.column("joints")[column], store.column("joints")[table[:, 0]])
    two, _ = moments(store, np.arange(len(store)), ("54138969", "55011271"))
    assert two.shape == (2 * FRAMES, 2)


def test_embeddings_that_tell_the_pose_always_hit(store: PoseStore) -> None:
    protocol = hit_protocol("prvipe-hit")
    table, names = moments(store, protocol.test.rows(store), protocol.cameras)
    joints = torch.from_numpy(np.array(store.column("joints")[table[:, 0]]))
    kept = protocol.subset(joints, store.skeleton)
    hits = protocol.hits(joints[kept], store.skeleton)
    perfect = joints[kept].flatten(1)[:, None].expand(-1, len(names), -1)
    assert protocol.score(perfect, hits, protocol.pairs(names))["hit1"] == 100.0


def test_poses_that_are_not_whole_are_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = camera_store(tmp_path / "made", FRAMES)
    columns = {name: np.array(made.column(name)) for name in made.columns}
    valid = np.ones((len(made), 17), bool)
    valid[[3, 7], 16] = False
    meta = {
        k: made.meta[k] for k in made.meta if k not in ("columns", "rows", "schema", "fingerprint", "digests")
    }
    write_store(tmp_path / "store", columns | {"valid": valid}, meta)
    store = PoseStore.open(tmp_path / "store")
    assert whole(store, np.arange(1, 9)).tolist() == [1, 2, 4, 5, 6, 8]
    assert "2 of 8 poses have a joint that is not valid; left out" in capsys.readouterr().out


def test_what_cannot_be_scored_is_named(store: PoseStore) -> None:
    with pytest.raises(ValueError, match="h36m-p1 scores poses"):
        hit_protocol("h36m-p1")
    with pytest.raises(ValueError, match="no frame was seen by all of 1 cameras"):
        moments(store, np.arange(len(store)), ("54138969",))
    assert get_protocol("prvipe-hit").applies_to(store)
