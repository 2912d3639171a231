"""Writing a store: whole or not at all, nothing overwritten unasked, nothing taken that is not a number."""

import json
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
from posedata.store import PoseStore, StoreWriter, write_store
from test_store import META, make_columns


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_store(tmp_path / "store", make_columns(), META)


@pytest.mark.parametrize("chunk", [1, 5, 12])
def test_columns_that_grow_are_the_same_store(tmp_path: Path, folder: Path, chunk: int) -> None:
    columns = make_columns()
    with StoreWriter(tmp_path / "grown", META, scratch=tmp_path) as writer:
        for start in range(0, 12, chunk):
            writer.append_columns({name: values[start : start + chunk] for name, values in columns.items()})
        writer.add_json("sources.json", {"from": "a test"})
    grown = PoseStore.open(tmp_path / "grown", verify=True)
    assert (
        grown.fingerprint == PoseStore.open(folder).fingerprint
    )  # what lies beside the columns is no part of it
    assert json.loads((tmp_path / "grown/sources.json").read_text()) == {"from": "a test"}
    assert sorted(p.name for p in tmp_path.iterdir()) == ["grown", "store"]


def test_a_growing_column_keeps_its_shape_and_is_given_once(tmp_path: Path) -> None:
    joints = make_columns()["joints"]
    with StoreWriter(tmp_path / "s", META) as writer:
        writer.append_columns({"joints": joints})
        with pytest.raises(ValueError, match="'joints' is given twice"):
            writer.add_columns({"joints": joints})
        with pytest.raises(ValueError, match=r"joints: float32 \(16, 3\) does not go with float32 \(17, 3\)"):
            writer.append_columns({"joints": joints[:, :16]})
    assert len(PoseStore.open(tmp_path / "s")) == 12


def test_a_number_that_is_none_is_found_far_down_a_column(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("posedata.store.writer._CHECKED_ROWS", 5)
    columns = make_columns()
    columns["joints"][11, 2, 1] = np.inf
    with pytest.raises(ValueError, match=r"not finite in row 11 \(sequence 'cem_1', frame 11\), joint "):
        write_store(tmp_path / "s", columns, META)


def test_an_error_leaves_nothing_behind(tmp_path: Path) -> None:
    def fail() -> None:
        with StoreWriter(tmp_path / "s", META) as writer:
            writer.add_columns(make_columns())
            writer.add_images(np.zeros((2, 4, 4, 3), np.uint8))
            raise RuntimeError("half-way")

    with pytest.raises(RuntimeError, match="half-way"):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_a_kill_leaves_nothing_under_the_final_name(tmp_path: Path) -> None:
    script = """
        import os, signal, sys
        import numpy as np
        from posedata.store import StoreWriter
        meta = {"skeleton": "h36m17", "fps": 30, "source": "t", "licence": "t"}
        with StoreWriter(sys.argv[1], meta) as writer:
            writer.add_columns({"joints": np.zeros((4, 17, 3))})
            os.kill(os.getpid(), signal.SIGKILL)
    """
    run = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), str(tmp_path / "store")], check=False
    )
    assert run.returncode == -signal.SIGKILL
    assert not (tmp_path / "store").exists()
    assert [p.suffix for p in tmp_path.iterdir()] == [".partial"]


def test_an_existing_store_is_kept_unless_overwriting(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(FileExistsError, match="exists already"):
        write_store(folder, make_columns(), META)
    write_store(folder, make_columns(8), META, overwrite=True)
    assert len(PoseStore.open(folder)) == 8
    assert [p.name for p in tmp_path.iterdir()] == ["store"]


@pytest.mark.parametrize("content", ["[]", '{"fps": 30}', "{", None])
def test_overwriting_spares_what_is_no_store(tmp_path: Path, content: str | None) -> None:
    kept = tmp_path / "thesis" / ("notes.txt" if content is None else "meta.json")
    kept.parent.mkdir()
    kept.write_text(content or "years of work")
    for out in (kept.parent, kept):
        with pytest.raises(FileExistsError, match="is not a pose store, so it is not overwritten; choose"):
            StoreWriter(out, META, overwrite=True)
    assert kept.read_text() == (content or "years of work")
    (tmp_path / "empty").mkdir()
    assert len(PoseStore.open(write_store(tmp_path / "empty", make_columns(), META, overwrite=True))) == 12


def test_what_appears_while_a_store_is_written_is_spared(tmp_path: Path) -> None:
    def write() -> None:
        with StoreWriter(tmp_path / "store", META, overwrite=True) as writer:
            writer.add_columns(make_columns())
            (tmp_path / "store").mkdir()
            (tmp_path / "store" / "notes.txt").touch()

    with pytest.raises(FileExistsError, match="is not a pose store"):
        write()
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["notes.txt", "store"]


BROKEN_COLUMNS = {
    "joints": (None, "column 'joints' is missing"),
    "subject": (np.full(12, 3), r"column 'subject' row 0 is 3, outside 0\.\.2 of the subjects"),
    "frame": (np.arange(11), "column 'frame' has 11 rows where 12 are due"),
    "boxes": (np.zeros((12, 3)), r"column 'boxes' has shape \(12, 3\)"),
    "action": (np.zeros(12), "column 'action' is float64, the schema wants int32"),
    "camera": (np.zeros(12, int), "column 'camera' row 0 is 0"),
    "camera_focal": (np.ones((2, 2)), "the camera table lacks camera_centre"),
    "keypoint_true": (np.zeros((12, 17, 3)), "column 'keypoint_true' is not in the store's schema"),
    "keypoints_a/b": (np.zeros((12, 17, 3)), "column 'keypoints_a/b' is not in the store's schema"),
    "keypoints_true": (np.full((12, 17, 3), np.nan), "frame 0\\), joint pelvis; .*confidence 0 and any"),
    "boxes of nothing": (
        {"boxes": np.full((12, 4), np.inf)},
        r"row 0 \(sequence 'ann_1', frame 0\); give",
    ),
    "complex": (
        {"joints": np.zeros((12, 17, 3), complex)},
        "'joints' is complex128, the schema wants",
    ),
    "bool": ({"keypoints_true": np.zeros((12, 17, 3), bool)}, "'keypoints_true' is bool, the schema wants"),
    "text": ({"joints": np.full((12, 17, 3), "1")}, "'joints' is <U1, the schema wants float32"),
    "objects": ({"frame": np.full(12, None)}, "'frame' is object, the schema wants int32"),
    "too large": ({"frame": np.full(12, 2**31)}, "'frame' has 2147483648; int32 cannot hold that"),
    "overflow": ({"joints": np.full((12, 17, 3), 1e300)}, "'joints' is not finite in row 0"),
}


@pytest.mark.parametrize("name", BROKEN_COLUMNS)
def test_a_broken_column_is_refused_when_writing(tmp_path: Path, name: str) -> None:
    values, message = BROKEN_COLUMNS[name]
    columns = make_columns() | (values if isinstance(values, dict) else {name: values})
    columns = {key: value for key, value in columns.items() if value is not None}
    with pytest.raises(ValueError, match=message):
        write_store(tmp_path / "s", columns, META)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_joint_must_be_marked_invalid(tmp_path: Path) -> None:
    columns = make_columns()
    columns["joints"][3, 5] = np.nan
    where = r"'joints' is not finite in row 3 \(sequence 'ann_2', frame 3\), joint left_knee; leave"
    with pytest.raises(ValueError, match=where):
        write_store(tmp_path / "s", columns, META)
    columns["valid"] = np.isfinite(columns["joints"]).all(-1)
    assert PoseStore.open(write_store(tmp_path / "s", columns, META)).column("valid").sum() == 12 * 17 - 1


def test_what_json_cannot_hold_is_refused(tmp_path: Path) -> None:
    for value in (float("nan"), {1, 2}, np.float32(1)):
        with pytest.raises(ValueError, match=r"s: meta\.json is given what JSON cannot hold; give text"):
            write_store(tmp_path / "s", make_columns(), META | {"extra": value})
    with pytest.raises(ValueError, match="fps is True; give frames per second"):
        write_store(tmp_path / "s", make_columns(), META | {"fps": True})
    assert list(tmp_path.iterdir()) == []
