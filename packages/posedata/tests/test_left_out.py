"""What a folder-walking reader finds and does not read is told: one note each, and the rest is read."""

import shutil
from collections.abc import Callable
from pathlib import Path

import formats_photo
import formats_rgbd
import formats_sets
import numpy as np
import pytest
from formats_h36m import CAMERAS, H36mWriter
from posedata.readers.format import Context
from posedata.readers.registry import get_format

D3 = "MyPoseFeatures/D3_Positions"


def plan(name: str, source: Path, **options: object) -> tuple[list[str], list[str], list[str]]:
    """Units, notes and remarks."""
    notes: list[str] = []
    remarks: list[str] = []
    scratch = source.parent / "scratch"
    scratch.mkdir(exist_ok=True)
    found = get_format(name, **options).plan(source, Context(scratch, notes.append, remarks.append))
    return [unit.name for unit in found.units], notes, remarks


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("h36m")
    writer = H36mWriter(root)
    writer.metadata()
    poses = writer.poses(2)
    for subject in (1, 9):
        for action in ("Directions", "Directions 1"):
            writer.action(subject, action, poses)
    return root


H36M: dict[str, tuple[Callable[[Path], object], list[str], int]] = {
    "whole": (lambda root: None, [], 4),
    "a subject without positions": (
        lambda root: shutil.rmtree(root / "S9" / D3),
        ["S9: D2_Positions without D3_Positions; left out, unpack Poses_D3_Positions_S9.tgz"],
        2,
    ),
    "a missing action": (
        lambda root: (root / "S9" / D3 / "Directions.cdf").unlink(),
        ["S9 Directions: D2_Positions without D3_Positions; left out, unpack Poses_D3_Positions_S9.tgz"],
        3,
    ),
    "a lower-case folder": (
        lambda root: (root / "S1").rename(root / "s1"),
        ["{root}/s1: folders are named S1, S5, ...; its 10 files are left out, rename it"],
        2,
    ),
    "a folder of another name": (
        lambda root: (root / "S1").rename(root / "Subject1"),
        ["{root}/Subject1: folders are named S1, S5, ...; its 10 files are left out, rename it"],
        2,
    ),
    "a file of another name": (
        lambda root: (root / "S1" / D3 / "Directions (2).cdf").touch(),
        ["{root}/S1/" + D3 + "/Directions (2).cdf: is not named as D3_Positions are; left out, rename it"],
        4,
    ),
    "a camera's keypoints": (
        lambda root: (root / f"S1/MyPoseFeatures/D2_Positions/Directions.{CAMERAS[0]}.cdf").unlink(),
        [f"S1 Directions: has no D2_Positions of {CAMERAS[0]}; there positions are projected, unpack them"],
        4,
    ),
    "a folder twice": (
        lambda root: shutil.copytree(root / "S1" / D3, root / "x" / "S1" / D3),
        [
            "{root}/x/S1/" + D3 + f"/{name}.cdf: is there twice; this one is left out, remove one"
            for name in ("Directions 1", "Directions")
        ],
        4,
    ),
    "a packed subject": (
        lambda root: (root / "Poses_D3_Positions_S11.tgz").touch(),
        ["{root}/Poses_D3_Positions_S11.tgz: is packed, so S11 is left out; unpack it"],
        4,
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", H36M)
def test_h36m(whole: Path, tmp_path: Path, fault: str) -> None:
    change, notes, count = H36M[fault]
    root = tmp_path / "h36m"
    shutil.copytree(whole, root)
    change(root)
    units, told, _ = plan("h36m", root)
    assert sorted(told) == sorted(note.format(root=root) for note in notes)
    assert len(units) == count


def test_h36m_subjects_that_are_not_asked_for_are_not_missed(whole: Path, tmp_path: Path) -> None:
    shutil.copytree(whole, tmp_path / "h36m")
    shutil.rmtree(tmp_path / "h36m" / "S9" / D3)
    assert plan("h36m", tmp_path / "h36m", subjects="S1") == (["S1 Directions", "S1 Directions 1"], [], [])


def test_h36m_whole_but_for_one_action_says_which(tmp_path: Path) -> None:
    from posedata.readers.h36m import ACTIONS

    root = tmp_path / "h36m" / "S1" / D3
    root.mkdir(parents=True)
    for action in ACTIONS:
        if action != "Smoking":
            (root / f"{action} 1.cdf").touch()
    _, told, _ = plan("h36m", tmp_path / "h36m", cameras="none")
    assert told == ["S1: lacks Smoking of the 15 actions; unpack its archives again"]


def test_h36m_upper_case_files_are_files(whole: Path, tmp_path: Path) -> None:
    root = tmp_path / "h36m"
    shutil.copytree(whole, root)
    for file in root.rglob("*.cdf"):
        file.rename(file.with_suffix(".CDF"))
    assert plan("h36m", root) == (
        ["S1 Directions", "S1 Directions 1", "S9 Directions", "S9 Directions 1"],
        [],
        [],
    )


def test_h36m_npz_tells_keypoints_without_positions(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    data = formats_sets.write_h36m_npz(tmp_path / "in")
    views = [np.zeros((3, 17, 2))]
    table = {"S9": {"Walking 1": views, "Eating": views}, "S11": {"Sitting": views}}
    np.savez(data.files[1], positions_2d=np.array(table, dtype=object), metadata=np.array({}))
    _, told, _ = plan("h36m_npz", data.source, **data.options)
    assert told[1:] == [
        f"{data.files[1]}: 2 sequences of positions_2d (first S9 Eating) have no positions_3d; left out, give"
        " the matching files"
    ]


def test_3dpw_tells_files_of_other_folders(tmp_path: Path) -> None:
    root = tmp_path / "in"
    data = formats_photo.tdpw_sequence(np.random.default_rng(4), frames=2)
    for part in ("train", "valid", "._x/test"):
        formats_photo.write_tdpw(root, part, "walk_00", data)
    units, told, _ = plan("3dpw", root)
    assert units == ["train walk_00"]
    assert told == [
        f"{root}/sequenceFiles/valid/walk_00.pkl: 1 .pkl files lie in no folder train, validation or test;"
        " left out, move them there"
    ]


def test_3dhp_tells_what_lies_elsewhere(tmp_path: Path) -> None:
    root = tmp_path / "in"
    for name in (
        "S1/Seq1/annot.mat",
        "S1/Seq1/camera.calibration",
        "S2/Seq2/camera.calibration",
        "x/annot.mat",
    ):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    units, told, _ = plan("mpi_inf_3dhp", root)
    assert units == ["S1 Seq1"]
    assert told == [
        f"{root}/x/annot.mat: lies in no folder such as S1/Seq1 or TS1; left out, move it there",
        f"{root}/S2/Seq2: has a calibration but no annot.mat; left out, download it",
    ]


def test_panoptic_tells_sequences_without_poses(tmp_path: Path) -> None:
    root = tmp_path / "in"
    formats_rgbd.WRITERS["panoptic"](root / "a")
    (root / "b").mkdir()
    (root / "b" / "calibration_b.json").write_text("{}")
    (root / "__MACOSX").mkdir()
    inner = next((root / "a").rglob("hdPose3d_stage1_coco19")).parent
    inner.rename(root / inner.name)
    units, told, _ = plan("panoptic", root)
    assert units == [inner.name]
    assert told == [f"{root}/b: has no hdPose3d_stage1_coco19; left out, download it"]


def test_itop_tells_the_other_view(tmp_path: Path) -> None:
    root = tmp_path / "in"
    root.mkdir()
    formats_rgbd.write_itop(root, frames=formats_rgbd.itop_frames(1))
    (root / "ITOP_top_test_labels.h5").touch()
    _, told, remarks = plan("itop", root)
    assert (told, remarks) == (
        [],
        [f"{root}: holds the top view too, which is left out; --view top reads it"],
    )


def test_interhand_and_amass_tell_other_files(tmp_path: Path) -> None:
    root = tmp_path / "in"
    root.mkdir()
    formats_sets.write_hands(root)
    (root / "annotations" / "my_data.json").touch()
    _, told, _ = plan("interhand", root, size="none")
    assert told == [
        f"{root}/annotations/my_data.json: is not named as InterHand2.6M's; left out, give it by itself"
    ]
    raw = tmp_path / "amass"
    raw.mkdir()
    data = formats_sets.write_amass(raw)
    (data.source / "shape.npz").touch()
    units, told, remarks = plan("amass", data.source, **data.options)
    assert (len(units), told) == (1, [])
    assert remarks == [f"{data.source}: 1 files hold a body's shape and no motion; left out"]
