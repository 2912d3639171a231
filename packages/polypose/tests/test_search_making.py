"""Segments are made once, by whoever makes them; the index is the one that one process makes."""

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from libraries import embedder, files_of, quiet, write_joints
from polypose.capture.progress import Watch
from polypose.search.adding import add
from polypose.search.embedding import Embedder
from polypose.search.making import Here, Job, make
from polypose.search.manifest import Entry
from polypose.search.reading import DEFAULT, Options, how_read
from polypose.search.sources import Say, find

pytest.importorskip("pyarrow", reason="polypose[search]")


class Early(Here):
    """Makes a segment as soon as it is begun, many before the first is taken over, as a cluster does."""

    at_once = 100

    def begin(
        self, index: Path, job: Job, embedder: Embedder, options: Options, say: Say, watch: Watch
    ) -> Callable[[], Entry]:
        try:
            entry = make(index, job, embedder, options, say, watch)
        except ValueError as error:
            return _raising(error)
        return lambda: entry


def _raising(error: ValueError) -> Callable[[], Entry]:
    def wait() -> Entry:
        raise error

    return wait


@pytest.fixture(scope="module")
def models() -> Embedder:
    return embedder()


def same(folder: Path, paths: list[Path], models: Embedder) -> dict[str, bytes]:
    """The files of an index, which many at once make as one after the other."""
    for name, maker in (("here", Here()), ("early", Early())):
        told: list[str] = []
        add(folder / name, paths, models, maker=maker, say=told.append)
        (folder / f"{name}.txt").write_text("\n".join(sorted(told)))
    assert (folder / "early.txt").read_text() == (folder / "here.txt").read_text()
    here, early = files_of(folder / "here"), files_of(folder / "early")
    assert early.keys() == here.keys()
    assert [name for name in here if early[name] != here[name]] == []
    return here


def test_names_and_contents_that_meet_come_out_as_one_after_the_other(
    tmp_path: Path, models: Embedder
) -> None:
    a, b, c = (tmp_path / name for name in "abc")
    for folder in (a, b, c):
        folder.mkdir()
    (a / "walk.bvh").write_text("HIERARCHY\nnothing")  # fails, and leaves its name to the next
    shutil.copy(write_joints(b / "walk.bvh.npz", 1), c / "walk.npz")  # the same under another name
    write_joints(b / "walk.npz", 2)
    (b / "walk.bvh.npz").rename(a / "walk.npz")
    write_joints(b / "turn.npz", 3)
    paths = [a / "walk.bvh", a / "walk.npz", b / "walk.npz", b / "turn.npz", c / "walk.npz"]
    same(tmp_path, paths, models)
    # two files change places: each is new where it lies
    (a / "walk.npz").rename(c / "kept")
    (b / "walk.npz").rename(a / "walk.npz")
    (c / "kept").rename(b / "walk.npz")
    os.utime(b / "walk.npz", (1, 1))
    os.utime(a / "walk.npz", (2, 2))
    same(tmp_path, paths[1:], models)


def test_a_segment_that_was_made_is_taken_over_and_not_made_again(tmp_path: Path, models: Embedder) -> None:
    """The run was stopped after a source was written and before the index had it."""
    path, index = write_joints(tmp_path / "walk.npz", 0), tmp_path / "index"
    (source,) = find(path, say=quiet)
    how = how_read(source, DEFAULT)
    job = Job(source, "walk.npz", source.digest(how), how, source.stamp())
    make(index, job, models, DEFAULT, quiet, lambda name, done, total: None)
    made = index / "work" / job.folder / "segment"
    state = (made / "invariant.npy").stat().st_ino
    shutil.copytree(index, tmp_path / "other")
    add(index, [path], models, say=quiet)
    final = index / "segments" / job.folder / "invariant.npy"
    assert final.stat().st_ino == state
    assert not (index / "work").exists()
    add(tmp_path / "alone", [path], models, say=quiet)
    assert files_of(index) == files_of(tmp_path / "alone")
    # what other models made, or under another name, is made again
    add(tmp_path / "other", [path], replace(models, invariant=embedder(1).invariant), say=quiet)
    assert (tmp_path / "other/segments" / job.folder / "invariant.npy").read_bytes() != final.read_bytes()


def test_a_source_that_cannot_be_read_leaves_nothing(tmp_path: Path, models: Embedder) -> None:
    (tmp_path / "walk.bvh").write_text("HIERARCHY\nnothing")
    with pytest.raises(ValueError, match=r"walk\.bvh"):
        add(tmp_path / "index", [tmp_path / "walk.bvh"], models, say=quiet)
    assert {path.name for path in (tmp_path / "index").rglob("*")} == {"segments", "lock"}
