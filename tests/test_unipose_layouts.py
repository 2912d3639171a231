"""From a depth data set's own files to its table: prepare, steps of its recipe, the protocol's scores."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from layouts.depth import write_itop, write_ntu, write_panoptic
from pointcloud_weak.frames import Frames, predict_frames
from posedata.cli import app as posedata
from posedata.skeleton import get_skeleton
from poseenc.anchor import A2J, A2JTransformer
from typer.testing import CliRunner
from unipose.cli import app
from unipose.report import LABELS
from unipose.task import open_run
from unipose_tiny import TINY

SMALL = (
    *TINY,
    "student_model.backbone=light",
    "student_model.channels=16",
    "data.rgb=false",
    "loop.device=cpu",
)
STUDENT = LABELS["student_depth"]


def run(words: list[object]) -> str:
    which = posedata if words[0] == "prepare" else app
    done = CliRunner().invoke(which, [str(word) for word in words])
    assert done.exit_code == 0, done.output
    return done.output


def scored(
    folder: Path,
    name: str,
    write: Callable[[Path], Path],
    *more: str,
    size: str = "full",
    report: str = "--no-report",
) -> tuple[Path, dict[str, object]]:
    """The run, and what `evaluate --protocol` writes of it."""
    run(["prepare", name, write(folder / "raw"), folder / "store", "--size", size])
    sets = [*SMALL, f"data.path={folder / 'store'}", f"data.cache={folder / 'cache'}", *more]
    words = [part for option in sets for part in ("--set", option)]
    run(["train", "--recipe", name, "--runs", folder / "runs", "--name", name, report, *words])
    run(["evaluate", folder / "runs" / name, "--protocol", name, "--json", folder / "scores.json"])
    return folder / "runs" / name, json.loads((folder / "scores.json").read_text())


def by_hand(folder: Path, names: tuple[str, ...]) -> dict[str, dict[str, float]]:
    """Scores of the depth student and, if there is one, its twin, on the test clips, from what they say."""
    trained = open_run(folder)
    clips = trained.data.test
    truth = clips.truth().flatten(0, 1)
    frames = Frames.of(clips)
    found = {}
    for key in (name for name in trained.model if name.startswith("student")):
        joints = predict_frames(trained.model.get_student(key), frames, frames.middle)
        off = (joints - truth).norm(dim=-1).numpy()[:, [clips.skeleton.index(name) for name in names]]
        known = np.isfinite(off)
        found[LABELS[key]] = {
            "map_percent": 100
            * float(np.mean([np.mean(o[k] < 0.1) for o, k in zip(off, known, strict=True)])),
            "mpjpe_mm": 1000 * float(np.mean([np.mean(o[k]) for o, k in zip(off, known, strict=True)])),
        }
    return found


def test_itops_files_come_to_its_table_with_a2j_as_the_student(tmp_path: Path) -> None:
    folder, scores = scored(tmp_path, "itop", write_itop, report="--report")  # without colour
    models = open_run(folder).model
    assert isinstance(models.get_student("student_depth").net, A2J)
    assert "student_rgb" not in models
    rows = {row["method"]: row for row in scores["rows"]}
    for method, expected in by_hand(folder, get_skeleton("itop15").joints).items():
        assert rows[method]["source"] == "computed here"
        assert rows[method]["map_percent"] == pytest.approx(expected["map_percent"], abs=1e-4)
        assert rows[method]["mpjpe_mm"] == pytest.approx(expected["mpjpe_mm"], rel=1e-4)
    papers = {row["method"]: row["map_percent"] for row in scores["rows"] if row["source"] == "published"}
    assert papers["A2J"] == 88.0
    assert papers["SPiKE"] == 89.19
    joints = {row["method"]: row for row in scores["joints"]}
    upper = (98.54 + 99.2 + 2 * (96.23 + 78.92 + 68.35)) / 8
    assert joints["A2J"]["upper body"] == pytest.approx(upper)
    assert joints["A2J"]["lower body"] == pytest.approx((90.85 + 90.75 + 86.91) / 3)
    mine = joints[STUDENT]
    whole = (8 * mine["upper body"] + 6 * mine["lower body"] + mine["torso"]) / 15
    assert whole == pytest.approx(rows[STUDENT]["map_percent"], abs=1e-4)


def test_ntus_files_come_to_scores_on_the_cross_subject_test(tmp_path: Path) -> None:
    folder, scores = scored(tmp_path, "ntu", write_ntu, "twins=false")
    trained = open_run(folder)
    assert isinstance(trained.model.get_student("student_depth").net, A2JTransformer)
    assert trained.data.test.store.names("subject") == ["P001", "P003"]
    assert set(np.asarray(trained.data.test.store.column("subject")).tolist()) == {1}
    rows = {row["method"]: row for row in scores["rows"]}
    for method, expected in by_hand(folder, get_skeleton("ntu25").joints).items():
        assert rows[method]["map_percent"] == pytest.approx(expected["map_percent"], abs=1e-4)
        assert rows[method]["mpjpe_mm"] == pytest.approx(expected["mpjpe_mm"], rel=1e-4)
    assert {row["source"] for row in scores["rows"]} == {"computed here"}  # no paper has this protocol


def test_panoptics_files_come_to_scores_of_fifteen_joints(tmp_path: Path) -> None:
    split = tmp_path / "split.json"
    split.write_text('{"train": ["171204_pose1 0"], "test": ["171204_pose2 0"]}', encoding="utf-8")
    folder, scores = scored(tmp_path, "panoptic", write_panoptic, f"data.split={split}", "twins=false")
    rows = {row["method"]: row for row in scores["rows"]}
    for method, expected in by_hand(folder, get_skeleton("panoptic15").joints).items():
        assert rows[method]["map_percent"] == pytest.approx(expected["map_percent"], abs=1e-4)
        assert rows[method]["mpjpe_mm"] == pytest.approx(expected["mpjpe_mm"], rel=1e-4)
    assert scores["joints"][0].keys() >= {"neck", "nose", "wrists", "ankles"}


def test_a_store_without_colour_says_how_depth_alone_is_trained_on(tmp_path: Path) -> None:
    run(["prepare", "itop", write_itop(tmp_path / "raw"), tmp_path / "store"])
    sets = [*TINY, "data.rgb=true", f"data.path={tmp_path / 'store'}", f"data.cache={tmp_path / 'cache'}"]
    words = ["train", "--recipe", "itop", *[part for option in sets for part in ("--set", option)]]
    done = CliRunner().invoke(app, [*words, "--runs", str(tmp_path / "runs")])
    assert done.exit_code == 2
    assert "has no rgb images; of depth alone set data.rgb=false" in " ".join(done.output.split())
