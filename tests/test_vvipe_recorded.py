"""V-VIPE on recorded views: what the data set's own cameras saw is what trains and tests it."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from posedata.store import PoseStore, write_store
from posedata.views.recorded import moments
from poseenc.canonical import POSE, read_keypoints
from poseenc.seen import Normalised
from vvipe.data import Data, open_data
from vvipe_tiny import camera_store, tiny


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`store`: three cameras' views of two people, of exact and of a detector's keypoints."""
    folder = tmp_path_factory.mktemp("recorded")
    exact = camera_store(folder / "exact", frames=20)
    columns = {name: np.array(exact.column(name)) for name in exact.columns}
    columns["keypoints_cpn"] = columns["keypoints_true"] + np.float32([3, -2, 0])
    columns["keypoints_cpn"][..., 2] = 0.5
    hips = [POSE.index("left_hip"), POSE.index("right_hip")]
    unseen = int(np.flatnonzero((columns["subject"] == 0) & (columns["frame"] == 7))[0])
    columns["keypoints_cpn"][unseen, hips] = 0
    meta = {
        key: exact.meta[key] for key in exact.meta if key not in ("fingerprint", "schema_version", "rows")
    }
    write_store(folder / "store", columns, meta)
    people = exact.names("subject")
    (folder / "split.json").write_text(json.dumps({"train": people[:1], "test": people[1:]}))
    return folder


def data_of(folder: Path, *more: str) -> Data:
    recipe = tiny(
        folder / "cache",
        "data.format=store",
        f"data.path={folder / 'store'}",
        f"data.split={folder / 'split.json'}",
        "data.accept_faults=true",
        "data.views=recorded",
        "data.distinct=1.0e-6",
        *more,
    )
    return open_data(recipe.data, say=lambda text: None)


@pytest.mark.parametrize(
    ("more", "column"), [((), "true"), (("data.keypoints=detector", "data.detector=cpn"), "cpn")]
)
def test_training_and_test_views_are_those_of_the_stores_cameras(
    folder: Path, more: tuple[str, ...], column: str
) -> None:
    data = data_of(folder, *more)
    store = PoseStore.open(folder / "store")
    points = torch.from_numpy(np.array(store.column(f"keypoints_{column}")))
    known = Normalised.of(read_keypoints(points, POSE))
    table, _ = moments(store, data.parts["train"])
    frames = store.column("frame")[table[:, 0]]
    if column == "cpn":
        assert 7 in frames  # where one camera's detector saw no hip, the moment is left out
        table = table[frames != 7]
    assert data.train_rows.tolist() == table[:, 0].tolist()
    torch.testing.assert_close(data.taught.views.keypoints, known.keypoints[torch.from_numpy(table)])
    torch.testing.assert_close(data.taught.views.confidence, known.confidence[torch.from_numpy(table)])
    tested, _ = moments(store, data.parts["test"])
    torch.testing.assert_close(data.test.same.keypoints, known.keypoints[torch.from_numpy(tested)])
    assert data.test.other.keypoints.shape[1] == 11  # the test rig's cameras stay virtual
