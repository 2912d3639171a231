"""UniHPR on recorded views: a store's own cameras, keypoints and pictures reach training and test."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from polypose.network import UniHPR
from posedata.splits import Elsewhere, evenly
from posedata.store import PoseStore, write_store
from posedata.synthetic.people.build import build_synthetic
from posedata.views import RIGS
from posedata.views.noise import DetectorNoise
from typer.testing import CliRunner
from unihpr.cli import app
from unihpr.data import TrainingData, open_test, prepare_stores
from unihpr.evaluate import evaluate
from unihpr.recipe import Recipe
from unihpr_tiny import TINY, tiny

KEPT = ("skeleton", "fps", "source", "licence", "subjects", "sequences", "actions")

RECORDED = ("data.format=store", "data.accept_faults=true", "data.views=recorded", "data.keypoints=detector")


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
    paths = (f"data.path={folder / 'store'}", f"data.split={folder / 'split.json'}")
    return tiny(folder / "cache", *RECORDED, *paths, *more)


def data_of(recipe: Recipe) -> TrainingData:
    return TrainingData(prepare_stores(recipe.data, lambda text: None), recipe.data)


def drawn(data: TrainingData, noise: float) -> torch.Tensor:
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
        sample = data.test(detector, frame="pixels", images=False)
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
    test = open_test(recipe(folder).data, Elsewhere(broken, keypoints="detector"), "test", said.append)
    assert len(test.held_out) == min(40, len(store) - 7)
    assert said[-1] == (
        f"{broken}: 7 of {len(store)} views lack a camera, picture, joint or keypoints; left out"
    )
    with pytest.raises(ValueError, match=r"broken: has no recorded pictures; prepare the data with --size"):
        prepare_stores(replace(recipe(folder).data, path=broken), lambda text: None)


def test_another_store_is_measured_as_recorded_or_by_virtual_cameras(folder: Path) -> None:
    config, quiet = recipe(folder).data, lambda text: None
    place = Elsewhere(folder / "store", folder / "split.json", "detector")
    seen = open_test(config, place, "test", quiet)
    assert seen.source.recorded
    virtual = open_test(config, replace(place, views="virtual", keypoints=""), "test", quiet)
    one, other = seen.test(), virtual.test()
    assert other.images is not None
    assert not torch.allclose(one.token[: len(other)], other.token[: len(one)])
    with pytest.raises(ValueError, match=r"has no part 'validation'; it has test, train"):
        open_test(config, place, "validation", quiet)
    model = UniHPR(recipe(folder).model).eval()
    metrics = evaluate(
        model, open_test(config, Elsewhere(folder / "store"), "test", quiet), recipe(folder).evaluation
    )
    assert set(metrics["baselines"]) == {"mean_pose", "random_retrieval"}  # no training data at hand


def test_a_run_is_measured_on_any_labelled_store_from_any_folder(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Trained where its paths are relative to; its own recorded test is what `--data` measures there."""
    monkeypatch.chdir(folder)
    relative = ("data.path=store", "data.split=split.json", "data.cache=cache")
    options = [*TINY, *RECORDED, *relative, "data.test_images=40"]
    said = ["train", "--runs", "runs", "--name", "own", "--no-report"]
    invoke(*said, *(word for option in options for word in ("--set", option)))
    monkeypatch.chdir(tmp_path)
    run = folder / "runs" / "own"
    invoke("evaluate", run, "--json", tmp_path / "own.json")
    invoke(
        *("evaluate", run, "--data", folder / "store", "--split", folder / "split.json"),
        *("--keypoints", "detector", "--json", tmp_path / "there.json"),
    )
    own, there = (json.loads((tmp_path / f"{n}.json").read_text())["rows"][0] for n in ("own", "there"))
    for key in ("lift.mpjpe_mm", "lift_detector.mpjpe_mm", "image.mpjpe_mm", "retrieval.2d_to_3d.mpjpe_mm"):
        assert there[key] == pytest.approx(own[key], rel=1e-5)
    assert "baselines.nearest_2d.mpjpe_mm" in own
    said = invoke("evaluate", run, "--keypoints", "detector", code=2)
    assert "--keypoints is of what --data names; give both" in said
    assert json.loads((run / "metrics.json").read_text())["lift"]["mpjpe_mm"] == pytest.approx(
        own["lift.mpjpe_mm"]
    )


def invoke(*words: object, code: int = 0) -> str:
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == code, result.output
    return result.output
