"""Prediction files scored by protocol: the published ITOP predictions, stores, and what wrong files get."""

from __future__ import annotations

from pathlib import Path

import formats_rgbd as formats
import numpy as np
import pytest
import torch
from posedata.prepare import prepare
from posedata.scoring.pose_files import evaluate_protocol, joint_rows, table_rows
from posedata.store import PoseStore

ITOP = Path(__file__).resolve().parents[3] / "../shared/data/itop"
FIXTURE = pytest.mark.skipif(not ITOP.is_dir(), reason="ITOP's fixture lies beside the repository, not in it")


@FIXTURE
def test_a2j_predictions_score_what_was_published() -> None:
    """88.018 mAP@10cm and 5.848 cm; the mean pose 27.207, at the true torso 58.203; joints as A2J's table."""
    scores = evaluate_protocol(
        "itop", ITOP / "a2j_side_predictions.mat", ITOP / "itop_side_keypoints3D_test.mat"
    )
    ours = {row["method"]: row for row in scores["rows"] if row["source"] == "computed here"}
    assert scores["frames"] == 4863
    assert ours["a2j_side_predictions"]["map_percent"] == pytest.approx(88.0184, abs=5e-4)
    assert ours["a2j_side_predictions"]["mpjpe_mm"] == pytest.approx(58.48, abs=0.01)
    assert ours["mean pose of the truth"]["map_percent"] == pytest.approx(27.2068, abs=5e-4)
    assert ours["mean pose at the true torso"]["map_percent"] == pytest.approx(58.2028, abs=5e-4)
    here, published = scores["joints"][0], next(row for row in scores["joints"] if row["method"] == "A2J")
    for name in published:
        if name != "method":
            assert here[name] == pytest.approx(published[name], abs=0.15), name
    assert ("A2J", "88.00") in {row[:2] for row in table_rows(scores)}


def _predictions(path: Path, joints: np.ndarray, skeleton: str) -> Path:
    np.savez(path, joints=joints, skeleton=np.array(skeleton))
    return path


def test_a_store_is_truth(tmp_path: Path) -> None:
    """ITOP's files prepared: the test rows, in the camera's frame; 3 cm off is within 10, 12 cm is not."""
    frames = formats.itop_frames()
    formats.write_itop(tmp_path / "raw", frames=frames)
    formats.write_itop(tmp_path / "raw", part="train", frames=formats.itop_frames(seed=5))
    store = prepare("itop", tmp_path / "raw", tmp_path / "store", size="none")
    true = frames["real_world_coordinates"][frames["is_valid"] == 1] * np.array([1, -1, 1], np.float32)
    off = true + np.array([0, 0, 0.03], np.float32)
    off[:, 6] += np.array([0.12, 0, 0], np.float32)
    scores = evaluate_protocol("itop-map", _predictions(tmp_path / "said.npz", off, "itop15"), store)
    row = scores["rows"][0]
    assert row["method"] == "said"
    assert row["map_percent"] == pytest.approx(100 * 14 / 15, abs=1e-4)
    assert row["mpjpe_mm"] == pytest.approx((14 * 30 + np.hypot(30, 120)) / 15, abs=0.05)
    header, rows = joint_rows(scores)
    assert dict(zip(header, rows[0], strict=True))["hands"] == "50.0"


@pytest.mark.parametrize(("unit", "factor"), [("millimetres", 1000), ("centimetres", 100)])
def test_people_who_are_not_in_metres_are_refused_with_the_cure(
    tmp_path: Path, unit: str, factor: int
) -> None:
    frames = formats.itop_frames()
    true = frames["real_world_coordinates"][frames["is_valid"] == 1].astype(np.float64)
    metres = _predictions(tmp_path / "metres.npz", true, "itop15")
    assert evaluate_protocol("itop", metres, metres)["rows"][0]["mpjpe_mm"] == 0
    true[0] = np.nan  # a frame without a prediction
    wrong = _predictions(tmp_path / "wrong.npz", true * factor, "itop15")
    for files in ((wrong, metres), (metres, wrong)):
        with pytest.raises(
            ValueError,
            match=rf"wrong\.npz: people are \d+ units large, which looks like {unit}; give metres: joints /"
            rf" {factor}$",
        ):
            evaluate_protocol("itop", *files)


def _in_cameras(path: Path) -> np.ndarray:
    store = PoseStore.open(path)
    joints = torch.from_numpy(np.array(store.column("joints")))
    return store.camera().world_to_camera(joints).numpy()


def test_panoptic_counts_fifteen_joints(tmp_path: Path) -> None:
    """Eyes and ears do not count, nor joints of a low score."""
    formats.write_panoptic(tmp_path / "raw", kinects=1)
    store = prepare("panoptic", tmp_path / "raw", tmp_path / "store", size="full")
    said = _in_cameras(store)
    said[:, 15:] += 1
    said[~np.array(PoseStore.open(store).column("valid"))] += 1
    scores = evaluate_protocol("panoptic", _predictions(tmp_path / "said.npz", said, "panoptic19"), store)
    assert scores["rows"][0]["map_percent"] == pytest.approx(100)
    assert scores["rows"][0]["mpjpe_mm"] < 1e-3


def test_ntu_tests_on_the_people_that_its_protocol_does_not_train_on(tmp_path: Path) -> None:
    formats.write_ntu(tmp_path / "raw", depth=False)  # performer 3, who is one of them
    bodies = {"1": (0, formats.ntu_body(5))}
    formats.write_skeleton(tmp_path / "raw/S001C001P001R001A001.skeleton", bodies, 5)
    store = prepare("ntu", tmp_path / "raw", tmp_path / "store")
    rows = PoseStore.open(store).rows(subjects=["P003"])
    said = _in_cameras(store)[rows] + np.array([0, 0.05, 0], np.float32)
    scores = evaluate_protocol("ntu", _predictions(tmp_path / "said.npz", said, "ntu25"), store)
    assert scores["frames"] == 8 + 8 + 5
    assert scores["rows"][0]["mpjpe_mm"] == pytest.approx(50, abs=1e-3)


@pytest.mark.parametrize(
    ("arrays", "word"),
    [
        ({"joints": np.zeros((4, 15, 3))}, "has 4 poses"),
        ({"joints": np.zeros((4, 14, 3))}, r"wanted floats \(N, 15, 3\)"),
        ({"poses": np.zeros((4, 15, 3))}, "no joints"),
    ],
)
def test_wrong_prediction_files_are_named(tmp_path: Path, arrays: dict[str, np.ndarray], word: str) -> None:
    np.savez(tmp_path / "truth.npz", joints=np.zeros((5, 15, 3)))
    np.savez(tmp_path / "said.npz", **arrays)
    with pytest.raises(ValueError, match=word):
        evaluate_protocol("itop", tmp_path / "said.npz", tmp_path / "truth.npz")
    with pytest.raises(ValueError, match="protocol 'mpii'"):
        evaluate_protocol("mpii", tmp_path / "said.npz", tmp_path / "truth.npz")
    with pytest.raises(FileNotFoundError, match=r"nothing\.npz: no such file"):
        evaluate_protocol("itop", tmp_path / "nothing.npz", tmp_path / "truth.npz")
