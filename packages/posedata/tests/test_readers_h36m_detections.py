"""Human3.6M's own archives with detected 2D as VideoPose3D publishes it: joined, told, or refused by name."""

import json
from pathlib import Path

import numpy as np
import pytest
from formats_h36m import CAMERAS, H36mWriter, write_detections
from posedata.cli import app
from posedata.prepare import prepare
from posedata.skeleton import get_skeleton
from posedata.store import PoseStore
from typer.testing import CliRunner

Views = dict[str, dict[str, list[np.ndarray]]]
COCO = [[1, 3, 5, 7, 9, 11, 13, 15], [2, 4, 6, 8, 10, 12, 14, 16]]
FRAMES = {"S1 Photo 1": 12, "S9 Walking": 60}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    root = tmp_path / "h36m"
    root.mkdir()
    writer = H36mWriter(root)
    writer.metadata()
    writer.action(1, "TakingPhoto 1", writer.poses(12))  # the npz calls it Photo 1
    writer.action(9, "Walking", writer.poses(60))
    return root


@pytest.fixture
def seen() -> Views:
    """Four views of each action, every number of them another; one frame more than there are poses."""
    rng = np.random.default_rng(7)
    out: Views = {}
    for name, frames in FRAMES.items():
        subject, _, action = name.partition(" ")
        out[subject] = {action: [rng.uniform(0, 1000, (frames + 1, 17, 2)) for _ in CAMERAS]}
    return out


def read(source: Path, *files: str, **options: object) -> tuple[PoseStore, list[str]]:
    told: list[str] = []
    out = prepare(
        "h36m", source, source.parent / "out", keypoints=files, say=told.append, overwrite=True, **options
    )
    return PoseStore.open(out), [text.replace(f"{source.parent}/", "") for text in told]


def view(store: PoseStore, sequence: str, camera: str, name: str = "cpn") -> np.ndarray:
    names = np.array(store.meta["cameras"])[store.column("camera")]
    rows = store.rows(sequences=[sequence])
    return store.column(f"keypoints_{name}")[rows[names[rows] == camera]]


def test_each_view_gets_its_own_detections(source: Path, tmp_path: Path, seen: Views) -> None:
    write_detections(tmp_path / "a.npz", seen)
    write_detections(tmp_path / "data_2d_h36m_sh.npz", {s: {a: [v + 1 for v in vs] for a, vs in t.items()}
                                                        for s, t in seen.items()})  # fmt: skip
    store, told = read(
        source, f"cpn={tmp_path / 'a.npz'}", str(tmp_path / "data_2d_h36m_sh.npz"), strict=True
    )
    assert told == []
    for sequence, frames in FRAMES.items():
        subject, _, action = sequence.partition(" ")
        for number, camera in enumerate(CAMERAS):
            expected = seen[subject][action][number][:frames]
            for name, shift in (("cpn", 0), ("sh", 1)):
                found = view(store, sequence, camera, name)
                np.testing.assert_allclose(found[..., :2], expected + shift, rtol=1e-6)
                assert (found[..., 2] == 1).all()
    slow, _ = read(source, f"cpn={tmp_path / 'a.npz'}", fps=10, cameras=CAMERAS[2])
    np.testing.assert_allclose(
        view(slow, "S9 Walking", CAMERAS[2])[..., :2], seen["S9"]["Walking"][2][:60:5], rtol=1e-6
    )


def test_what_the_file_lacks_has_no_confidence_and_is_told(source: Path, tmp_path: Path, seen: Views) -> None:
    del seen["S1"]
    seen["S9"]["Walking"][1] = seen["S9"]["Walking"][1][:55]
    seen["S9"]["Eating"] = seen["S9"]["Walking"]
    write_detections(tmp_path / "a.npz", seen)
    store, told = read(source, f"cpn={tmp_path / 'a.npz'}")
    assert told == [
        "a.npz: has no views of 1 sequences (first S1 Photo 1); there keypoints_cpn has confidence 0,"
        " give the matching file",
        "a.npz: 1 sequences of positions_2d (first S9 Eating) have no poses;"
        " left out, give the matching files",
        "a.npz: S9 Walking: view 1 has 55 frames for 60 poses; beyond, keypoints_cpn has confidence 0",
    ]
    assert (view(store, "S1 Photo 1", CAMERAS[0]) == 0).all()
    found = view(store, "S9 Walking", CAMERAS[1])
    assert found[..., 2].all(axis=1).tolist() == [True] * 55 + [False] * 5
    assert (found[55:] == 0).all()
    with pytest.raises(ValueError, match="has no views of 1 sequences"):
        read(source, f"cpn={tmp_path / 'a.npz'}", strict=True)
    _, told = read(source, f"cpn={tmp_path / 'a.npz'}", subjects="S9")  # S1 is not missed
    assert len(told) == 2


def test_a_view_of_another_length_joints_or_order_is_refused(
    source: Path, tmp_path: Path, seen: Views
) -> None:
    file = tmp_path / "a.npz"
    given = f"cpn={file}"
    whole = seen["S9"]["Walking"]
    for wrong, message in (
        (whole[:3], r"a\.npz: S9 Walking: has 3 views for 4 cameras"),
        ([v[:, :16] for v in whole], r"a\.npz: S9 Walking: a view is not an array \(T, 17, 2\)"),
        ([v * 1e9 for v in whole], r"a\.npz: S9 Walking: holds numbers that no position has"),
    ):
        write_detections(file, {**seen, "S9": {"Walking": wrong}})
        with pytest.raises(ValueError, match=message):
            read(source, given)
    write_detections(file, {**seen, "S9": {"Walking": [v[:5] for v in whole]}})
    store, told = read(source, given)
    assert told == [
        "a.npz: S9 Walking: view 0 has 5 frames for 60 poses; give the matching file [S9 Walking is left out]"
    ]
    assert store.names("sequence") == ["S1 Photo 1"]
    for layout, symmetry in (("mpii", COCO), ("h36m", COCO)):
        write_detections(file, seen, layout, keypoints_symmetry=symmetry)
        with pytest.raises(ValueError, match=r"a\.npz: metadata: layout .* neither Human3.6M's nor COCO's"):
            read(source, given)
    write_detections(file, {"S5": seen["S9"]})
    with pytest.raises(ValueError, match=r"a\.npz: has none of the sequences that have poses"):
        read(source, given)


def test_cocos_order_is_converted_by_name(source: Path, tmp_path: Path, seen: Views) -> None:
    write_detections(tmp_path / "a.npz", seen, "coco", keypoints_symmetry=COCO)
    store, _ = read(source, f"detectron={tmp_path / 'a.npz'}")
    found, expected = view(store, "S1 Photo 1", CAMERAS[3], "detectron"), seen["S1"]["Photo 1"][3][:12]
    for joint, place in (("left_wrist", 9), ("right_wrist", 10), ("left_knee", 13), ("neck", 0)):
        index = get_skeleton("h36m17").index(joint)
        np.testing.assert_allclose(found[:, index, :2], expected[:, place], rtol=1e-6)


def test_names_files_and_cameras_that_cannot_be_are_refused(
    source: Path, tmp_path: Path, seen: Views
) -> None:
    file = tmp_path / "data_2d_h36m_gt.npz"
    write_detections(file, seen)
    for files, message in (
        ([str(file)], r"'true' cannot be a detector's name; give NAME=FILE"),
        ([f"a b={file}"], r"'a b' cannot be a detector's name"),
        ([f"={file}"], r"'' cannot be a detector's name"),
        ([f"cpn={file}", f"cpn={file}"], r"'cpn' is given twice"),
    ):
        with pytest.raises(ValueError, match=message):
            read(source, *files)
    with pytest.raises(FileNotFoundError, match=r"no\.npz: no such file"):
        read(source, f"cpn={tmp_path / 'no.npz'}")
    with pytest.raises(ValueError, match="keypoints need the cameras that saw them"):
        read(source, f"cpn={file}", cameras="none")


def test_the_command_writes_no_folder_into_the_store(source: Path, tmp_path: Path, seen: Views) -> None:
    file = tmp_path / "a.npz"
    write_detections(file, seen)
    words = ["prepare", "h36m", str(source), str(tmp_path / "out"), "--keypoints", f"cpn={file}", "--strict"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    told = json.loads((tmp_path / "out" / "sources.json").read_text())
    assert told["options"]["keypoints"] == ["cpn=a.npz"]
    assert "a.npz" in [entry["file"] for entry in told["files"]]
    assert str(tmp_path) not in (tmp_path / "out" / "sources.json").read_text()
