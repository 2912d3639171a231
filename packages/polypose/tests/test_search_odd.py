"""Odd files, names, times and filters: each is told by name, and the rest is indexed and found."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from libraries import embedder, movement, quiet, write_joints
from people import people
from polypose.search.adding import add, remove
from polypose.search.asking import ask, ask_index
from polypose.search.embedding import Embedder
from polypose.search.finding import search
from polypose.search.index import PoseIndex
from polypose.search.ivf import build
from polypose.search.manifest import Manifest
from polypose.search.where import Where

pytest.importorskip("pyarrow", reason="polypose[search]")


@pytest.fixture(scope="module")
def models() -> Embedder:
    return embedder()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """With one file that is as it should be."""
    made = tmp_path / "library"
    made.mkdir()
    write_joints(made / "whole.npz", 0)
    return made


def test_what_is_no_file_leaves_the_others_alone(folder: Path, tmp_path: Path, models: Embedder) -> None:
    (folder / "gone.mp4").symlink_to(tmp_path / "nowhere.mp4")
    os.mkfifo(folder / "pipe.mp4")
    np.save(folder / "array.npy", movement(1))
    (folder / "array.npy").rename(folder / "array.npz")
    write_joints(tmp_path / "other.npz", 3)
    (tmp_path / "elsewhere").mkdir()
    (folder / "linked").symlink_to(tmp_path / "elsewhere")
    told: list[str] = []
    add(tmp_path / "index", [folder], models, say=told.append)
    assert [e.name for e in Manifest.read(tmp_path / "index").entries] == ["library/whole.npz"]
    assert f"{folder}: 3 files of other kinds are passed over, array.npz for one" in told
    assert f"{folder}/linked: is a link to a folder, and is passed over; name that folder itself" in told


def test_an_index_among_what_it_indexes_is_no_source(folder: Path, models: Embedder) -> None:
    index = folder / "index"
    add(index, [folder], models, say=quiet)
    seen = index / "work/killed/seen/film"
    seen.mkdir(parents=True)
    np.savez(seen / "so far.npz", keypoints=np.zeros((1, 17, 3)))
    (index / ".DS_Store").write_bytes(b"what a file manager leaves")
    write_joints(folder / "later.npz", 1)
    told: list[str] = []
    (entry,) = add(index, [folder], models, say=told.append)
    assert entry.name == "library/later.npz"
    assert told == ["library/later.npz: 40 poses"]


def test_a_name_that_is_no_text_is_left_out_by_name(folder: Path, tmp_path: Path, models: Embedder) -> None:
    write_joints(tmp_path / "a.npz", 1)
    try:
        (tmp_path / "a.npz").rename(folder / "a\udcff.npz")
    except (OSError, UnicodeEncodeError):
        pytest.skip("names are text on this file system")
    told: list[str] = []
    add(tmp_path / "index", [folder], models, say=told.append)
    assert any(
        r"a\xff.npz: its name is not UTF-8; rename it [" in ascii(t).replace(r"\udcff", r"\xff") for t in told
    )
    assert len(PoseIndex.open(tmp_path / "index")) == 40


def test_capitals_do_not_count(folder: Path, tmp_path: Path, models: Embedder) -> None:
    np.savez(tmp_path / "seen.npz", keypoints=people().pixels, skeleton=np.array("h36m17"))
    (tmp_path / "seen.npz").rename(folder / "SEEN.NPZ")
    np.save(tmp_path / "pose.npy", movement(0)[3])
    (tmp_path / "pose.npy").rename(tmp_path / "POSE.NPY")
    add(tmp_path / "index", [folder], models, say=quiet)
    index = PoseIndex.open(tmp_path / "index")
    assert len(index) == 40 + len(people().pixels)
    place = ask(tmp_path / "POSE.NPY", models, say=quiet).place("invariant")
    assert search(index, place, 1)[0].place.row == len(people().pixels) + 3


def test_a_file_that_becomes_a_copy_of_another_takes_its_old_poses_along(
    folder: Path, tmp_path: Path, models: Embedder
) -> None:
    index = tmp_path / "index"
    write_joints(folder / "b.npz", 1)
    add(index, [folder], models, say=quiet)
    shutil.copy(folder / "whole.npz", folder / "b.npz")
    add(index, [folder], models, say=quiet)
    opened = PoseIndex.open(index, verify=True)
    assert [(e.name, e.rows) for e in opened.manifest.entries] == [("library/whole.npz", 40)]
    assert len(list((index / "segments").iterdir())) == 1


def test_a_file_that_was_touched_or_moved_is_known_where_it_is(
    folder: Path, tmp_path: Path, models: Embedder
) -> None:
    index, file = tmp_path / "index", folder / "whole.npz"
    add(index, [folder], models, say=quiet)
    os.utime(file, (7, 7))
    assert add(index, [folder], models, say=quiet) == []
    (entry,) = Manifest.read(index).entries
    assert (entry.path, entry.stamp) == (str(file), (file.stat().st_size, 7 * 10**9))
    moved = folder.rename(tmp_path / "moved")
    assert add(index, [moved], models, say=quiet) == []
    (entry,) = Manifest.read(index).entries
    assert (entry.name, entry.path) == ("library/whole.npz", str(moved / "whole.npz"))
    assert len(PoseIndex.open(index, verify=True)) == 40


def test_of_a_name_and_a_path_that_are_alike_one_goes(
    folder: Path, tmp_path: Path, models: Embedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_joints(tmp_path / "whole.npz", 1)
    add(tmp_path / "index", [folder / "whole.npz", tmp_path / "whole.npz"], models, say=quiet)
    monkeypatch.chdir(tmp_path)
    (gone,) = remove(tmp_path / "index", ["whole.npz"])
    assert gone.path == str(folder / "whole.npz")
    (gone,) = remove(tmp_path / "index", ["whole.npz"])  # which none is called any more
    assert gone.path == str(tmp_path / "whole.npz")


def test_filters_take_names_with_brackets_and_ranges_that_hold_something(
    folder: Path, tmp_path: Path, models: Embedder
) -> None:
    write_joints(folder / "take [2].npz", 1)
    add(tmp_path / "index", [folder], models, say=quiet)
    index = PoseIndex.open(tmp_path / "index")
    place = index.places(np.array([3]))[0]
    hits = search(index, place, 100, where=Where.parse(["source=Library/take [2].npz"]), gap=0)
    assert {hit.place.source for hit in hits} == {"library/take [2].npz"}
    either = Where.parse(["frame=3", "frame=30..31"])
    assert [np.flatnonzero(either.rows(s)).tolist() for s in index.segments] == [[3, 30, 31]] * 2
    for wrong in ("time=20..10", "time=nan", "frame=", "time=inf..-inf"):
        with pytest.raises(ValueError, match=f"--where {wrong}: give a range of numbers"):
            Where.parse([wrong])


def test_times_and_shapes_that_are_none_are_refused(folder: Path, tmp_path: Path, models: Embedder) -> None:
    add(tmp_path / "index", [folder], models, say=quiet)
    index, nan = PoseIndex.open(tmp_path / "index"), float("nan")
    for at in (nan, -1.0, float("inf")):
        with pytest.raises(ValueError, match=f"--at {at:g}: give seconds, from 0 on"):
            ask(folder / "whole.npz", models, at=at, say=quiet)
    with pytest.raises(ValueError, match="--until nan: give a time after 0 s"):
        ask(folder / "whole.npz", models, until=nan, say=quiet)
    for around in (-1.0, nan):
        with pytest.raises(ValueError, match=f"--until {around:g}: with --like give seconds"):
            ask_index(index, 0, around)
    with pytest.raises(ValueError, match="--gap nan: give seconds, 0 or more"):
        search(index, index.places(np.array([0]))[0], gap=nan)
    np.save(tmp_path / "one.npy", np.array(3.0))
    with pytest.raises(ValueError, match=r"one.npy: shape is \(\); give poses \(N, 17, 3\)"):
        ask(tmp_path / "one.npy", models, say=quiet)


def test_a_factory_without_lists_is_refused(tmp_path: Path, models: Embedder) -> None:
    pytest.importorskip("faiss", reason="polypose[search]")
    add(tmp_path / "index", [write_joints(tmp_path / "many.npz", *range(26))], models, say=quiet)
    for factory in ("Flat", "HNSW32", "PCA4,IVF8,Flat", "IVF0,Flat", "nonsense"):
        with pytest.raises(ValueError, match=f"--factory {factory}: FAISS makes no index of lists"):
            build(PoseIndex.open(tmp_path / "index"), factory=factory)
    assert not (tmp_path / "index/engine").exists()
