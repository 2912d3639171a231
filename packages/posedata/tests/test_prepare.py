"""The framework of `prepare`: what is told, left out, resumed and refused, always giving the same bytes."""

import errno
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import posedata.prepare.run as run_module
import pytest
from posedata.prepare import prepare
from posedata.readers.format import Clip, ClipCamera, Context, Format, Plan, Unit, inside, option
from posedata.readers.registry import FORMATS, get_format
from posedata.store import PoseStore


def camera(name: str, focal: float = 1000.0) -> ClipCamera:
    return ClipCamera(name, (focal, focal), (500, 500), np.eye(3), (0, 0, 4.0), (1000, 1000))


@dataclass(frozen=True)
class Lines(Format):
    """A folder of text files; each line is a clip: subject, action, number of frames, camera or '-'."""

    name = "lines"
    title = "for these tests"
    read_now: ClassVar[list[str]] = []

    scale: float = option(1.0, "What the joints are multiplied by.")

    def plan(self, source: Path, context: Context) -> Plan:
        files = sorted(source.glob("*.txt"))
        if not (source / "calibration").exists():
            context.note(f"{source}/calibration: is missing; get it")
        return Plan([Unit(file.stem, (file,)) for file in files], "lines", fps=50.0)

    def read(self, unit: Unit, context: Context) -> Iterator[Clip]:
        self.read_now.append(unit.name)
        for number, line in enumerate(unit.files[0].read_text().splitlines()):
            subject, action, frames, seen = line.split()
            if subject == "nobody":
                context.note(f"{unit.files[0]}: line {number} is of an unknown subject; left out")
                continue
            if frames == "x":
                raise ValueError(f"{unit.files[0]}: line {number} is damaged; mend it")
            rng = np.random.default_rng([number, len(unit.name)])
            joints = self.scale * rng.normal(size=(int(frames), 17, 3)).astype(np.float32)
            cameras = () if seen == "-" else (camera(seen),)
            yield Clip(joints, subject, f"{unit.name} {number}", action, cameras=cameras)


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setitem(FORMATS, "lines", Lines)
    Lines.read_now.clear()
    folder = tmp_path / "source"
    folder.mkdir()
    (folder / "calibration").touch()
    (folder / "a.txt").write_text("bob walk 3 one\nann sit 2 two\n")
    (folder / "b.txt").write_text("bob walk 4 two\nbob walk 0 two\n")
    (folder / "c.txt").write_text("cem sit 5 -\n")
    return folder


def tree(path: Path) -> dict[str, str]:
    """Every file below, by content."""
    files = sorted(p for p in path.rglob("*") if p.is_file())
    return {str(p.relative_to(path)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def left(tmp_path: Path) -> list[str]:
    return sorted(p.name for p in tmp_path.iterdir() if p.name not in ("source", "out"))


def test_units_become_one_store_in_the_order_of_the_plan(source: Path, tmp_path: Path) -> None:
    store = PoseStore.open(prepare("lines", source, tmp_path / "out", licence="mine"), verify=True)
    assert [store.names(c) for c in ("subject", "action")] == [["ann", "bob", "cem"], ["sit", "walk"]]
    assert store.names("sequence") == ["a 0", "a 1", "b 0", "c 0"]  # the empty clip leaves no name
    assert store.column("subject").tolist() == [1] * 3 + [0] * 2 + [1] * 4 + [2] * 5
    assert store.column("frame").tolist() == [0, 1, 2, 0, 1, 0, 1, 2, 3, 0, 1, 2, 3, 4]
    assert store.meta["cameras"] == ["one", "two"]  # "two" of both files is one camera
    assert store.column("camera").tolist() == [0] * 3 + [1] * 6 + [-1] * 5  # none means -1
    assert (store.meta["fps"], store.meta["licence"], store.meta["format"]) == (50, "mine", "lines")
    expected = np.random.default_rng([1, 1]).normal(size=(2, 17, 3)).astype(np.float32)
    np.testing.assert_array_equal(store.column("joints")[3:5], expected)
    assert left(tmp_path) == []


def test_a_name_that_is_no_text_is_shown_with_the_cure(source: Path, tmp_path: Path) -> None:
    """As file systems keep the names of old archives."""
    (source / "w\udcff.txt").write_text("ann walk 2 -")
    with pytest.raises(ValueError, match=r"source: the name '.*w\\udcff' is no UTF-8; rename it"):
        prepare("lines", source, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_every_source_file_is_recorded(source: Path, tmp_path: Path) -> None:
    told = json.loads((prepare("lines", source, tmp_path / "out") / "sources.json").read_text())
    assert [entry["file"] for entry in told["files"]] == ["a.txt", "b.txt", "c.txt"]
    content = (source / "b.txt").read_bytes()
    assert told["files"][1]["bytes"] == len(content)
    assert told["files"][1]["sha256"] == hashlib.sha256(content).hexdigest()
    assert [(unit["unit"], unit["rows"], unit["clips"]) for unit in told["units"]] == [
        ("a", 5, 2), ("b", 4, 1), ("c", 5, 1)
    ]  # fmt: skip
    assert told["notes"] == []


def test_faults_are_told_and_left_out_or_with_strict_refused(source: Path, tmp_path: Path) -> None:
    (source / "b.txt").write_text("nobody walk 4 two\nbob walk 2 two\n")
    (source / "c.txt").write_text("cem sit 5 -\ncem sit x -\n")
    told: list[str] = []
    store = PoseStore.open(prepare("lines", source, tmp_path / "out", say=told.append))
    assert len(store) == 7  # nothing of c, which broke after its first clip
    assert [text.partition("source/")[2] for text in told] == [
        "b.txt: line 0 is of an unknown subject; left out",
        "c.txt: line 1 is damaged; mend it [c is left out]",
    ]
    kept = json.loads((tmp_path / "out/sources.json").read_text())["notes"]
    assert kept == [text.partition("source/")[2] for text in told]
    with pytest.raises(ValueError, match=r"unknown subject; left out \(and 1 more\); mend source, or leave"):
        prepare("lines", source, tmp_path / "strict", strict=True)
    assert not (tmp_path / "strict").exists()
    (source / "calibration").unlink()
    with pytest.raises(ValueError, match="calibration: is missing; get it; mend source, or leave --strict"):
        prepare("lines", source, tmp_path / "plan", strict=True)
    assert not (tmp_path / ".plan.prepare").exists()


def test_a_full_disk_is_no_fault_of_the_source(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full(Lines):
        def read(self, unit: Unit, context: Context) -> Iterator[Clip]:
            if unit.name == "c":
                raise OSError(errno.ENOSPC, "No space left on device")
            yield from super().read(unit, context)

    whole = tree(prepare("lines", source, tmp_path / "whole"))
    with monkeypatch.context() as patch:
        patch.setitem(FORMATS, "lines", Full)
        with pytest.raises(OSError, match="No space left"):
            prepare("lines", source, tmp_path / "out")
    Lines.read_now.clear()
    assert tree(prepare("lines", source, tmp_path / "out")) == whole
    assert Lines.read_now == ["c"]


def test_where_nothing_can_be_read_the_first_fault_is_raised(source: Path, tmp_path: Path) -> None:
    for name in "abc":
        (source / f"{name}.txt").write_text("cem sit x -\n")
    with pytest.raises(ValueError, match=r"a\.txt: line 0 is damaged; mend it$"):
        prepare("lines", source, tmp_path / "out")
    for name in "abc":
        (source / f"{name}.txt").unlink()
    with pytest.raises(ValueError, match="nothing to read there"):
        prepare("lines", source, tmp_path / "out")
    assert left(tmp_path) == []


def test_an_interrupted_run_goes_on_with_what_is_whole(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = tree(prepare("lines", source, tmp_path / "whole"))
    with monkeypatch.context() as patch:
        patch.setattr(run_module, "finish", lambda *args, **kwargs: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            prepare("lines", source, tmp_path / "out")
    parts = sorted((tmp_path / ".out.prepare/parts").iterdir())
    assert len(parts) == 3
    spoilt = next(p for p in parts if json.loads((p / "part.json").read_text())["unit"] == "b")
    content = (spoilt / "joints.npy").read_bytes()
    (spoilt / "joints.npy").write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    os.utime(source / "c.txt", ns=(1, 1))
    Lines.read_now.clear()
    assert tree(prepare("lines", source, tmp_path / "out")) == whole
    assert Lines.read_now == ["b", "c"]  # a was whole; b was damaged, c's file is another one now
    assert not (tmp_path / ".out.prepare").exists()


def test_other_options_read_anew(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(run_module, "finish", lambda *args, **kwargs: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            prepare("lines", source, tmp_path / "out")
    prepare("lines", source, tmp_path / "out", scale=2.0)
    assert Lines.read_now == ["a", "b", "c"] * 2


def test_what_cannot_be_one_store_names_the_unit(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Boxed(Lines):
        def read(self, unit: Unit, context: Context) -> Iterator[Clip]:
            for clip in super().read(unit, context):
                count = len(clip.joints)
                boxes = {"boxes": np.zeros((count, 4))} if unit.name != "b" else {}
                yield Clip(clip.joints, clip.subject, clip.sequence, columns=boxes)

    monkeypatch.setitem(FORMATS, "lines", Boxed)
    with pytest.raises(ValueError, match="unit 'b' has no column 'boxes' and others have"):
        prepare("lines", source, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_images_stream_through(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Seen(Lines):
        def read(self, unit: Unit, context: Context) -> Iterator[Clip]:
            for clip in super().read(unit, context):
                count, tag = len(clip.joints), ord(unit.name)
                pictures = (tag + np.arange(count)).astype(np.uint8)[:, None, None, None]
                batches = [{"rgb": np.tile(pictures[i : i + 2], (1, 4, 3, 3))} for i in range(0, count, 2)]
                if unit.name != "c":
                    yield Clip(clip.joints, clip.subject, clip.sequence, images=iter(batches))
                    continue
                index = np.array([0, -1, -1, 1, -1])
                kept = [{"rgb": batches[0]["rgb"]}]
                yield Clip(clip.joints, clip.subject, clip.sequence, columns={"image": index}, images=kept)

    monkeypatch.setitem(FORMATS, "lines", Seen)
    store = PoseStore.open(prepare("lines", source, tmp_path / "out"), verify=True)
    rows = np.flatnonzero(store.column("image") >= 0)
    assert rows.tolist() == [*range(10), 12]
    tones = [97, 98, 99, 97, 98, 98, 99, 100, 101, 99, 100]
    assert store.images(rows)[:, 0, 0, 0].tolist() == tones


def test_a_store_is_written_by_one_run_at_a_time(source: Path, tmp_path: Path) -> None:
    prepare("lines", source, tmp_path / "out")
    with pytest.raises(FileExistsError, match="exists already"):
        prepare("lines", source, tmp_path / "out")
    prepare("lines", source, tmp_path / "out", overwrite=True, scale=3.0)
    before = tree(tmp_path)
    Lines.read_now.clear()
    (tmp_path / "out" / "meta.json").rename(tmp_path / "meta.json")
    with pytest.raises(FileExistsError, match="out: is not a pose store, so it is not overwritten"):
        prepare("lines", source, tmp_path / "out", overwrite=True)
    for out in (tmp_path, source):  # a store that holds what is to be read
        (out / "meta.json").write_bytes((tmp_path / "meta.json").read_bytes())
        with pytest.raises(ValueError, match="source, which is to be read; choose another name"):
            prepare("lines", source, out, overwrite=True)
    assert Lines.read_now == []
    (source / "meta.json").unlink()
    (tmp_path / "meta.json").rename(tmp_path / "out" / "meta.json")
    assert tree(tmp_path) == before

    class Second(Lines):
        def read(self, unit: Unit, context: Context) -> Iterator[Clip]:
            prepare("joints", source, tmp_path / "twice")
            return iter(())

    FORMATS["lines"] = Second
    with pytest.raises(ValueError, match="twice: another prepare is writing it"):
        prepare("lines", source, tmp_path / "twice")
    assert left(tmp_path) == []


def test_options_and_names_of_formats(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FORMATS, "lines", Lines)
    with pytest.raises(ValueError, match=r"format 'lins' is not known; did you mean 'lines'\?"):
        get_format("lins")
    with pytest.raises(ValueError, match="format lines takes no --unit; it takes fps, licence, scale"):
        get_format("lines", unit="cm")


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "a/../../x", "link/x"])
def test_names_from_files_stay_inside(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "link").symlink_to(tmp_path)
    with pytest.raises(ValueError, match="leads outside"):
        inside(folder, name)
    assert inside(folder, "sub", "../image.jpg") == folder / "image.jpg"


def made_up_h36m(folder: Path, actions: int, frames: int) -> Path:
    rng = np.random.default_rng(5)
    poses: dict[str, Any] = {
        subject: {
            f"Action{i} {subject}": rng.normal(size=(frames, 32, 3)).astype(np.float32)
            for i in range(actions)
        }
        for subject in ("S1", "S9")
    }
    np.savez(folder / "data_3d_h36m.npz", positions_3d=np.array(poses, dtype=object))
    return folder


def test_processes_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = made_up_h36m(tmp_path, actions=3, frames=7)
    one = tree(prepare("h36m_npz", source, tmp_path / "one"))
    monkeypatch.setattr(run_module, "ALONE_SECONDS", 0.0)
    counts: list[tuple[int, int]] = []
    two = prepare("h36m_npz", source, tmp_path / "two", workers=2, progress=lambda *done: counts.append(done))
    assert tree(two) == one
    assert counts == [(i, 7) for i in range(1, 8)]  # six units and the file that they share


def test_killed_at_random_moments_it_ends_with_the_same_bytes(tmp_path: Path) -> None:
    source = made_up_h36m(tmp_path, actions=40, frames=400)
    whole = tree(prepare("h36m_npz", source, tmp_path / "whole"))
    script = "import sys; from posedata.prepare import prepare; prepare('h36m_npz', sys.argv[1], sys.argv[2])"
    moments, killed = random.Random(os.getpid()), 0
    parts = tmp_path / ".out.prepare/parts"
    for _ in range(2):
        process = subprocess.Popen([sys.executable, "-c", script, str(source), str(tmp_path / "out")])
        already = len(list(parts.glob("*"))) if parts.is_dir() else 0
        goal = already + moments.randrange(1, 20)
        while process.poll() is None and len(list(parts.glob("*"))) < goal:
            time.sleep(0.001)
        process.send_signal(signal.SIGKILL)
        killed += process.wait() == -signal.SIGKILL
    assert killed
    assert not (tmp_path / "out").exists()
    assert tree(prepare("h36m_npz", source, tmp_path / "out")) == whole
    assert not (tmp_path / ".out.prepare").exists()
