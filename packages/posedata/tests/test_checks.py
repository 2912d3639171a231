"""The checks of `inspect`: on a walker made of known lengths, right, and then wrong in one way each."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from posedata.cli import app
from posedata.inspection.checks import compare_totals, left_and_right, reprojection, stature
from posedata.inspection.report import contact_sheet, inspect_store
from posedata.readers.format import Total, option
from posedata.readers.joints import Joints
from posedata.readers.registry import FORMATS
from posedata.skeleton import SKELETONS
from posedata.store import PoseStore, StoreWriter, write_store
from typer.testing import CliRunner

H36M = SKELETONS["h36m17"]
META = {
    "skeleton": "h36m17",
    "fps": 50,
    "source": "test",
    "licence": "none",
    "subjects": ["ann", "bob"],
    "sequences": ["ann 1", "bob 1"],
}
PLACES = {
    "pelvis": (0, 0, 0.9),
    "spine": (0, 0, 1.15),
    "thorax": (0, 0, 1.4),
    "neck": (0, 0, 1.5),
    "head": (0, 0, 1.7),
    **{f"{side}_{joint}": (sign * x, 0, z)
       for side, sign in (("left", -1), ("right", 1))
       for joint, x, z in (("hip", 0.1, 0.9), ("knee", 0.1, 0.5), ("ankle", 0.1, 0.08),
                           ("shoulder", 0.2, 1.4), ("elbow", 0.2, 1.1), ("wrist", 0.2, 0.85))},
}  # fmt: skip


def walker(frames: int = 200) -> np.ndarray:
    """Upright along +y at 1 m/s, left to -x; 1.7 m to the top of the head but 8 cm."""
    standing = np.array([PLACES[name] for name in H36M.joints], dtype=np.float32)
    way = np.arange(frames)[:, None, None] / 50 * np.array([0, 1, 0])
    return (standing + way).astype(np.float32)


def columns(joints: np.ndarray) -> dict[str, Any]:
    count = len(joints)
    whose = np.repeat([0, 1], [count // 2, count - count // 2])
    return {"joints": joints, "subject": whose, "sequence": whose, "frame": np.arange(count)}


def seen(joints: np.ndarray) -> dict[str, Any]:
    """With two cameras 6 m away, of f = 1000: x right, z up turned to y down."""
    rotation = np.array([[1, 0, 0], [0, 0, -1], [0, 1, 0]], dtype=np.float32)
    made: dict[str, Any] = columns(joints) | {
        "camera": np.arange(len(joints)) % 2,
        "camera_focal": np.full((2, 2), 1000.0),
        "camera_centre": np.full((2, 2), 500.0),
        "camera_rotation": np.tile(rotation, (2, 1, 1)),
        "camera_translation": np.array([[0, 0.9, 6.0]] * 2),
        "camera_distortion": np.zeros((2, 5)),
        "camera_size": np.full((2, 2), 1000),
    }
    local = joints @ rotation.T + np.array([0, 0.9, 6.0])
    pixels = 1000 * local[..., :2] / local[..., 2:] + 500
    made["keypoints_true"] = np.concatenate([pixels, np.ones((*pixels.shape[:2], 1))], axis=-1)
    return made


def store(folder: Path, content: dict[str, Any], **meta: Any) -> PoseStore:
    return PoseStore.open(write_store(folder / "store", content, META | meta))


def test_stature_is_the_sum_of_the_bones(tmp_path: Path) -> None:
    found = stature(store(tmp_path, columns(walker())))
    assert found == {"height_m": {"ann": 1.7, "bob": 1.7}, "verdict": "ok"}


def test_stature_names_whose_unit_is_wrong(tmp_path: Path) -> None:
    joints = walker()
    joints[100:] *= 0.5
    verdict = stature(store(tmp_path, columns(joints)))["verdict"]
    assert verdict == "nobody is so tall: bob 0.89 m; check the unit"  # half of 1.62, and 8 cm


def test_left_is_left_of_the_way_whichever_it_leads(tmp_path: Path) -> None:
    turn = np.array([[np.cos(2), -np.sin(2), 0], [np.sin(2), np.cos(2), 0], [0, 0, 1]])
    turned = (walker() @ turn.T).astype(np.float32)
    found = left_and_right(store(tmp_path, columns(turned)))
    assert found == {"frames": 150, "share": 1.0, "verdict": "ok"}  # the last half second of each leads out


def test_swapped_sides_are_found(tmp_path: Path) -> None:
    found = left_and_right(store(tmp_path, columns(walker()[:, list(H36M.mirror)])))
    assert found["share"] == 0
    assert found["verdict"] == "left feet are on the right of 100% of walks: sides are swapped"


def test_who_stands_is_not_judged(tmp_path: Path) -> None:
    joints = np.repeat(walker(1), 200, axis=0)
    assert left_and_right(store(tmp_path, columns(joints)))["verdict"] == "not judged: hardly anybody walks"


def test_reprojection_is_the_distance_in_pixels(tmp_path: Path) -> None:
    content = seen(walker())
    content["keypoints_cpn"] = content["keypoints_true"] + [3.0, -4.0, 0]
    content["keypoints_far"] = content["keypoints_true"] + [60.0, 80.0, 0]
    found = reprojection(store(tmp_path, content))
    assert found["keypoints_true"]["largest_px"] < 1e-3
    assert found["keypoints_true"]["verdict"] == found["keypoints_cpn"]["verdict"] == "ok"
    assert found["keypoints_cpn"]["median_px"] == pytest.approx(5, abs=1e-3)
    assert found["keypoints_far"]["verdict"].startswith("100.0 px off: cameras, joints and keypoints do not")


def test_cameras_in_another_order_are_found(tmp_path: Path) -> None:
    content = seen(walker())
    content["camera_translation"][1] = [1.0, 0.9, 6.0]
    assert "px off" in reprojection(store(tmp_path, content))["keypoints_true"]["verdict"]


TOTALS = (
    Total("ann's frames", 100, "a paper", subjects=("ann",)),
    Total("bob's frames", 120, "a paper", subjects=("bob",), at_least=110),
    Total("first camera", 100, "a paper", cameras=("one",)),
    Total("carl's frames", 7, "a paper", subjects=("carl",)),
    Total("all views", 400, "a paper", views=2),
)


def verdicts(opened: PoseStore) -> list[str]:
    return [row["verdict"] for row in compare_totals(opened)]


def test_counts_are_held_against_the_published_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Known(Joints):
        totals = TOTALS
        reference_fps = 50

    monkeypatch.setitem(FORMATS, "known", Known)
    content = seen(walker())
    opened = store(tmp_path, content, format="known", cameras=["one", "two"])
    assert verdicts(opened) == [
        "ok",
        "100 rows where 120 are published; see the notes in sources.json",
        "ok",
        "not judged: the store has none of it",
        "200 rows where 400 are published; see the notes in sources.json",
    ]
    poses = {name: content[name] for name in ("joints", "subject", "sequence", "frame")}
    without = PoseStore.open(write_store(tmp_path / "poses", poses, META | {"format": "known"}))
    assert verdicts(without)[4] == "ok"  # 200 poses, each seen by two
    assert verdicts(without)[2] == "not judged: the store has none of it"
    slower = PoseStore.open(write_store(tmp_path / "slow", poses, META | {"format": "known", "fps": 10}))
    assert set(verdicts(slower)) == {"not judged: at 10 frames/s, published at 50"}
    assert compare_totals(store(tmp_path / "none", poses)) == []


def test_a_part_that_was_asked_for_is_not_judged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    @dataclass(frozen=True)
    class Known(Joints):
        totals = TOTALS[1:2]

        subjects: str = option("all", "", whole=("all", "everybody"))
        size: str = option("none", "")

    monkeypatch.setitem(FORMATS, "known", Known)
    wrong = "100 rows where 120 are published; see the notes in sources.json"
    for number, (options, verdict) in enumerate(
        (
            ({"subjects": "all", "size": "8x8", "fps": None}, wrong),
            ({"subjects": "everybody"}, wrong),
            ({}, wrong),
            ({"subjects": "bob", "fps": 25}, "not judged: only part was prepared (--subjects bob, --fps 25)"),
        )
    ):
        with StoreWriter(tmp_path / str(number), META | {"format": "known"}) as writer:
            writer.add_columns(columns(walker()))
            writer.add_json("sources.json", {"options": options, "notes": []})
        assert verdicts(PoseStore.open(tmp_path / str(number))) == [verdict]
    monkeypatch.setattr(Known, "reference_fps", 50)
    views = store(tmp_path, columns(walker()), format="known", views={})
    assert verdicts(views) == ["not judged: the store was made of another"]


def swap(content: dict[str, Any]) -> None:
    content["joints"] = content["joints"][:, list(H36M.mirror)]
    content["keypoints_true"] = content["keypoints_true"][:, list(H36M.mirror)]


def jitter(content: dict[str, Any]) -> None:
    content["joints"] += np.random.default_rng(0).normal(0, 0.2, content["joints"].shape)
    del content["keypoints_true"]


BROKEN: dict[str, tuple[Callable[[dict[str, Any]], None], str]] = {
    "sides": (swap, "left and right: left feet are on the right"),
    "joints": (jitter, "bone lengths: they vary by"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_inspect_says_what_is_wrong_and_exits_with_1(tmp_path: Path, case: str) -> None:
    content = seen(walker())
    breaks, message = BROKEN[case]
    breaks(content)
    opened = store(tmp_path, content)
    result = CliRunner().invoke(app, ["inspect", str(opened.path), "--json", str(tmp_path / "report.json")])
    assert result.exit_code == 1
    assert "wrong" in result.stdout
    faults = json.loads((tmp_path / "report.json").read_text())["faults"]
    assert any(fault.startswith(message) for fault in faults), faults


def test_inspect_finds_nothing_wrong_with_what_is_right(tmp_path: Path) -> None:
    opened = store(tmp_path, seen(walker()), cameras=["one", "two"])
    report = inspect_store(opened)
    assert report["faults"] == []
    assert report["cameras"]["by_name"] == {"one": 100, "two": 100}
    assert CliRunner().invoke(app, ["inspect", str(opened.path)]).exit_code == 0


def test_the_contact_sheet_shows_depth_near_in_bright(tmp_path: Path) -> None:
    content = seen(walker(2)) | {"image": np.arange(2), "boxes": np.tile([-5e3, -5e3, -4e3, -4e3], (2, 1))}
    depth = np.full((2, 8, 6), 2000, np.uint16)
    depth[:, 4:], depth[:, :2] = 3000, 0
    with StoreWriter(tmp_path / "store", META) as writer:
        writer.add_images(depth=depth)
        writer.add_columns(content)
    sheet = np.asarray(contact_sheet(PoseStore.open(tmp_path / "store"), columns=2, lines=1))
    assert [sheet[y, 96].tolist() for y in (10, 96, 240)] == [[0] * 3, [250] * 3, [70] * 3]  # none, near, far
