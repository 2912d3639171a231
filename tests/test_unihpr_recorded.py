"""UniHPR on recorded views: a store's own cameras, keypoints and pictures reach training and test."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from posedata.store import PoseStore, write_store
from posedata.synthetic.people.build import build_synthetic
from posedata.views import RIGS
from posedata.views.noise import DetectorNoise
from trainer.poses import evenly
from unihpr.data import Data, open_test, prepare_stores
from unihpr.evaluate import evaluate
from unihpr.model import UniHPR
from unihpr.recipe import Recipe
from unihpr.samples import Sample
from unihpr_tiny import tiny

KEPT = ("skeleton", "fps", "source", "licence", "subjects", "sequences", "actions")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`store`: four people before the cameras of a room, with pictures and a detector's keypoints."""
    folder = tmp_path_factory.mktemp("recorded")
    build_synthetic(
        folder / "store", subjects=4, clips=1, frames=20, rig=RIGS["h36m"], per_frame=2,
        noise=DetectorNoise(), images=(48, 64), kinds=("rgb",),
    )  # fmt: skip
    names = PoseStore.open(folder / "store").names("subject")
    split = {"test": names[-1:], "train": "all other subjects"}
    (folder / "split.json").write_text(json.dumps(split))
    return folder


def recipe(folder: Path, *more: str) -> Recipe:
    return tiny(
        folder / "cache",
        "data.format=store",
        f"data.path={folder / 'store'}",
        f"data.split={folder / 'split.json'}",
        "data.accept_faults=true",
        "data.views=recorded",
        "data.keypoints=detector",
        *more,
    )


def data_of(recipe: Recipe) -> Data:
    return Data(prepare_stores(recipe.data, lambda text: None), recipe.data)


def drawn(data: Data, noise: float) -> torch.Tensor:
    """Keypoints of a batch in pixels, with confidence."""
    everything = lambda rows: rows  # noqa: E731
    sample = data.draw_views(64, torch.Generator().manual_seed(0), everything, noise=noise, frame="pixels")
    return torch.cat([sample.keypoints, sample.confidence[..., None]], -1)


def found_in(points: torch.Tensor, column: torch.Tensor) -> torch.Tensor:
    """Which of the drawn poses stand in a column."""
    return (points[:, None] - column).abs().amax((-1, -2)).amin(1) < 1e-3


def test_batches_hold_the_keypoints_that_the_store_recorded(folder: Path) -> None:
    data = data_of(recipe(folder))
    store = PoseStore.open(folder / "store")
    train = store.split(folder / "split.json")["train"]
    columns = store.tensors(["keypoints_true", "keypoints_detector"], rows=train)
    assert found_in(drawn(data, 0.0), columns["keypoints_true"]).all()
    assert found_in(drawn(data, 1.0), columns["keypoints_detector"]).all()
    half = found_in(drawn(data, 0.5), columns["keypoints_detector"])
    assert 16 < int(half.sum()) < 48  # of 64, at 4 standard deviations
    both = data_of(recipe(folder, "data.views=both", "data.recorded=0.25"))
    assert int(found_in(drawn(both, 0.0), columns["keypoints_true"]).sum()) == 16


def test_pictures_and_poses_of_a_batch_are_of_the_same_row(folder: Path) -> None:
    data = data_of(recipe(folder, "data.frame=crop"))
    sample = data.draw_images(12, torch.Generator().manual_seed(1), lambda rows: rows)
    store = PoseStore.open(folder / "store")
    train = store.split(folder / "split.json")["train"]
    pictures = torch.from_numpy(store.images(train)).permute(0, 3, 1, 2)
    local = store.camera(train).world_to_camera(store.tensors(["joints"], rows=train)["joints"])
    local = local - local[:, :1]
    assert sample.images is not None
    for i in range(12):
        (row,) = (pictures == sample.images[i]).all(-1).all(-1).all(-1).nonzero()[:, 0].tolist()
        torch.testing.assert_close(sample.joints[i], local[row])


def test_the_test_is_as_it_was_recorded(folder: Path) -> None:
    data = data_of(recipe(folder, "data.test_images=10"))
    store = PoseStore.open(folder / "store")
    rows = evenly(store.split(folder / "split.json")["test"], 10)
    columns = store.tensors(["keypoints_true", "keypoints_detector"], rows=rows)
    for detector, name in ((False, "keypoints_true"), (True, "keypoints_detector")):
        sample = data.test_pixels(detector)
        torch.testing.assert_close(sample.keypoints, columns[name][..., :2])
        torch.testing.assert_close(sample.confidence, columns[name][..., 2])
    images = data.test().images
    assert images is not None
    assert np.array_equal(images.permute(0, 2, 3, 1).numpy(), store.images(rows))


def test_rows_that_are_not_whole_are_left_out_and_said(folder: Path, tmp_path: Path) -> None:
    store = PoseStore.open(folder / "store")
    columns = {
        name: np.array(store.column(name)) for name in store.columns if name not in ("image", "visible_true")
    }
    columns["valid"] = np.ones((len(store), 17), bool)
    columns["valid"][:6, 3] = False
    columns["keypoints_detector"][8] = 0  # nobody was found
    meta = {key: store.meta[key] for key in KEPT}
    broken = write_store(tmp_path / "broken", columns, meta)
    said: list[str] = []
    test = open_test(recipe(folder).data, broken, None, "test", "detector", say=said.append)
    assert len(test.held_out) == min(40, len(store) - 7)
    assert said[-1] == (
        f"{broken}: 7 of {len(store)} views lack a camera, picture, joint or keypoints; left out"
    )
    with pytest.raises(ValueError, match=r"broken: has no recorded pictures; prepare the data with --size"):
        prepare_stores(replace(recipe(folder).data, path=broken), lambda text: None)


def test_another_store_is_measured_as_recorded_or_by_virtual_cameras(folder: Path) -> None:
    config = recipe(folder).data
    quiet = lambda text: None  # noqa: E731
    seen = open_test(config, folder / "store", folder / "split.json", "test", "detector", say=quiet).held_out
    assert seen.source.recorded
    virtual = open_test(
        config, folder / "store", folder / "split.json", "test", views="virtual", say=quiet
    ).held_out
    one, other = seen.sample(), virtual.sample()
    assert isinstance(other, Sample)
    assert other.images is not None
    assert not torch.allclose(one.token[: len(other)], other.token[: len(one)])
    with pytest.raises(ValueError, match=r"has no part 'validation'; it has test, train"):
        open_test(config, folder / "store", folder / "split.json", "validation", say=quiet)
    model = UniHPR(recipe(folder).model).eval()
    metrics = evaluate(
        model, open_test(config, folder / "store", None, "test", say=quiet), recipe(folder).evaluation
    )
    assert set(metrics["baselines"]) == {"mean_pose", "random_retrieval"}  # no training data at hand
