"""An index: what is added is there, once; killed at any moment it is whole, and goes on."""

import json
import multiprocessing
import os
import shutil
import signal
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from libraries import embedder, movement, quiet, write_joints
from polypose.search.adding import add, remove
from polypose.search.embedding import Embedder
from polypose.search.index import PoseIndex
from polypose.search.manifest import NAME, Manifest
from polypose.search.reading import Options

pytest.importorskip("pyarrow", reason="polypose[search]")


@pytest.fixture(scope="module")
def models() -> Embedder:
    return embedder()


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """Three files of motion capture in a folder."""
    folder = tmp_path / "library"
    folder.mkdir()
    for number in range(3):
        write_joints(folder / f"take{number}.npz", 2 * number, 2 * number + 1)
    return folder


def test_every_pose_is_in_the_table_and_at_its_place(library: Path, tmp_path: Path, models: Embedder) -> None:
    add(tmp_path / "index", [library], models, say=quiet)
    index = PoseIndex.open(tmp_path / "index", verify=True)
    assert len(index) == 3 * 2 * 40
    place = index.describe([80 + 40 + 7])[0]
    assert (place.source, place.recording) == ("library/take1.npz", "library/take1.npz/walk_03")
    assert (place.person, place.action, place.frame) == ("ben", "walk", 7)
    assert place.time == pytest.approx(7 / 30)
    assert place.box is None
    alone = models.invariant.embed(pose=movement(3)[7:8]).vectors
    np.testing.assert_allclose(index.places(np.array([127])), alone, atol=1e-5)
    assert not index.has("camera")
    held = np.load(tmp_path / "index/segments" / index.segments[1].entry.folder / "invariant.npy")
    np.testing.assert_array_equal(held[47], index.places(np.array([127]))[0])


def test_rate_keeps_fewer(tmp_path: Path, models: Embedder) -> None:
    write_joints(tmp_path / "fast.npz", 0, fps=120.0)
    add(tmp_path / "index", [tmp_path / "fast.npz"], models, Options(rate=30), say=quiet)
    index = PoseIndex.open(tmp_path / "index")
    assert [p.frame for p in index.describe(range(10))] == [*range(0, 40, 4)]
    assert index.describe([9])[0].time == pytest.approx(36 / 120)


def test_virtual_cameras_see_each_pose_from_their_sides(tmp_path: Path, models: Embedder) -> None:
    write_joints(tmp_path / "walk.npz", 0)
    add(tmp_path / "index", [tmp_path / "walk.npz"], models, Options(cameras=4), say=quiet)
    index = PoseIndex.open(tmp_path / "index")
    assert len(index) == 4 * 40
    sides = index.places(np.array([5, 45, 85, 125]), "camera")
    joints = movement(0)[5]
    # the camera at 90 degrees stands at +y and looks along -y: its right is -x, its down -z
    local = np.stack([-joints[:, 0], -joints[:, 2], -joints[:, 1]], axis=-1)
    alone = models.camera.embed(pose=(local - local[:1])[None]).vectors[0]
    np.testing.assert_allclose(sides[1], alone, atol=1e-4)
    assert np.abs(sides[0] - sides[1]).max() > 1e-3
    np.testing.assert_allclose(np.linalg.norm(sides, axis=1), 1, atol=1e-5)
    same = index.places(np.array([5, 45, 85, 125]))
    np.testing.assert_array_equal(same, same[[0, 0, 0, 0]])


def test_what_is_there_is_added_once(library: Path, tmp_path: Path, models: Embedder) -> None:
    path, told = tmp_path / "index", []
    assert len(add(path, [library], models, say=quiet)) == 3
    before = (path / NAME).stat().st_mtime_ns
    assert add(path, [library, library / "take1.npz"], models, say=quiet) == []
    shutil.copy(library / "take1.npz", library / "again.npz")
    assert add(path, [library], models, say=told.append) == []
    assert any("again.npz: is library/take1.npz" in text for text in told)
    assert (path / NAME).stat().st_mtime_ns == before


def test_a_changed_file_replaces_what_it_gave_and_the_rest_is_left_alone(
    library: Path, tmp_path: Path, models: Embedder
) -> None:
    path = tmp_path / "index"
    add(path, [library], models, say=quiet)
    before = {entry.name: entry for entry in Manifest.read(path).entries}
    states = {f: f.stat().st_ino for f in (path / "segments").rglob("*") if f.is_file()}
    write_joints(library / "take1.npz", 9)
    (entry,) = add(path, [library], models, say=quiet)
    index = PoseIndex.open(path, verify=True)
    assert [e.name for e in index.manifest.entries] == [*before]
    assert entry.name == "library/take1.npz"
    assert entry.rows == 40
    assert len(index) == 200
    assert index.describe([80])[0].recording == "library/take1.npz/walk_09"
    now = {f: f.stat().st_ino for f in (path / "segments").rglob("*") if f.is_file()}
    kept = [f for f in states if before["library/take1.npz"].folder not in f.parts]
    assert all(now[f] == states[f] for f in kept)
    assert len({f.parent for f in now}) == 3


def test_sources_are_removed_by_name_or_path(library: Path, tmp_path: Path, models: Embedder) -> None:
    path = tmp_path / "index"
    add(path, [library], models, say=quiet)
    remove(path, ["library/take0.npz", str(library / "take2.npz")])
    index = PoseIndex.open(path, verify=True)
    assert [entry.name for entry in index.manifest.entries] == ["library/take1.npz"]
    assert len(list((path / "segments").iterdir())) == 1
    with pytest.raises(ValueError, match=r"holds no library/take0.npz"):
        remove(path, ["library/take0.npz"])
    assert len(add(path, [library], models, say=quiet)) == 2


def _add(path: Path, folder: Path, last: int | None = None) -> None:
    """Add, in a process of its own that dies at what it does to the index's files the `last` time.

    Not after some seconds: how much is done by then depends on the machine.
    """
    torch.set_num_threads(1)
    done = 0

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal done
        if event in ("open", "os.mkdir", "os.rename", "os.remove", "os.rmdir"):
            done += str(arguments[0]).startswith(str(path))
            if done == last:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)
    add(path, [folder], embedder(), say=quiet)
    path.with_suffix(".done").write_text(str(done))


def test_killed_at_random_moments_it_is_whole_and_the_same_command_finishes_it(tmp_path: Path) -> None:
    folder, path = tmp_path / "library", tmp_path / "index"
    folder.mkdir()
    for number in range(6):
        write_joints(folder / f"take{number}.npz", number)
    context, generator = multiprocessing.get_context("fork"), np.random.default_rng(0)
    whole = tmp_path / "whole"
    child = context.Process(target=_add, args=(whole, folder))
    child.start()
    child.join()
    steps = int(whole.with_suffix(".done").read_text())
    kills = entries = most = 0
    while kills < 12:
        child = context.Process(target=_add, args=(path, folder, int(generator.integers(1, steps // 2))))
        child.start()
        child.join()
        assert child.exitcode in (0, -signal.SIGKILL)
        kills += child.exitcode != 0
        if (path / NAME).exists():
            index = PoseIndex.open(path, verify=True)
            assert len(index.manifest.entries) >= entries
            assert len(index) == 40 * len(index.manifest.entries)
            entries = len(index.manifest.entries)
            most = max(most, entries)
        if entries == 6:
            shutil.rmtree(path)
            entries = 0
    assert most == 6
    add(path, [folder], embedder(), say=quiet)
    once, often = (sorted(Manifest.read(p).entries, key=lambda e: e.name) for p in (whole, path))
    assert [e.files for e in often] == [e.files for e in once]
    assert {f.name for f in (path / "segments").iterdir()} == {entry.folder for entry in often}


def test_an_index_of_other_models_is_refused(library: Path, tmp_path: Path, models: Embedder) -> None:
    add(tmp_path / "index", [library / "take0.npz"], models, say=quiet)
    with pytest.raises(ValueError, match=r"was made by somewhere .* name that model, or make a new index"):
        add(tmp_path / "index", [library], embedder(1), say=quiet)
    with pytest.raises(ValueError, match=r"name that model, or make a new index"):
        add(tmp_path / "index", [library], say=quiet)  # the package's
    assert len(Manifest.read(tmp_path / "index").entries) == 1


def test_nothing_is_indexed_into_a_folder_of_other_things(
    tmp_path: Path, models: Embedder, tmp_path_factory: pytest.TempPathFactory
) -> None:
    write_joints(tmp_path / "walk.npz", 0)
    with pytest.raises(ValueError, match="holds other things than an index"):
        add(tmp_path, [write_joints(tmp_path_factory.mktemp("other") / "walk.npz", 0)], models, say=quiet)
    with pytest.raises(ValueError, match=r"walk.npz: lies in the index itself"):
        add(tmp_path, [tmp_path / "walk.npz"], models, say=quiet)
    with pytest.raises(FileNotFoundError, match="no such file or folder"):
        add(tmp_path / "index", [tmp_path / "none"], models, say=quiet)
    with pytest.raises(FileNotFoundError, match="no index; make one"):
        PoseIndex.open(tmp_path / "index")


def test_one_file_that_cannot_be_read_is_left_out_and_told(
    library: Path, tmp_path: Path, models: Embedder
) -> None:
    (library / "broken.bvh").write_text("HIERARCHY\nnothing")
    (library / "notes.txt").write_text("some")
    told: list[str] = []
    assert len(add(tmp_path / "index", [library], models, say=told.append)) == 3
    assert any("broken.bvh" in text and "is left out" in text for text in told)
    assert any("1 files of other kinds are passed over, notes.txt" in text for text in told)
    with pytest.raises(ValueError, match=r"broken.bvh"):
        add(tmp_path / "other", [library / "broken.bvh"], models, say=quiet)


@pytest.mark.parametrize("name", ["invariant.npy", "table.parquet"])
def test_damage_is_found_and_named(library: Path, tmp_path: Path, models: Embedder, name: str) -> None:
    path = tmp_path / "index"
    add(path, [library / "take0.npz"], models, say=quiet)
    file = path / "segments" / Manifest.read(path).entries[0].folder / name
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    with pytest.raises(ValueError, match=f"{name}: was changed .* remove take0.npz from the index"):
        PoseIndex.open(path, verify=True)
    file.write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match=f"{name}: .*; remove take0.npz from the index"):
        PoseIndex.open(path).segments[0].words("person")


@pytest.mark.parametrize(
    "wrong", ["", "{", "[]", '{"version": 1}', '{"version": 7, "body": {}, "sha256": ""}']
)
def test_a_damaged_manifest_is_an_error_of_one_line(tmp_path: Path, wrong: str) -> None:
    (tmp_path / NAME).write_text(wrong)
    with pytest.raises(ValueError, match=r"is damaged|is of version 7"):
        Manifest.read(tmp_path)


def test_a_manifest_cannot_lead_out_of_its_index(library: Path, tmp_path: Path, models: Embedder) -> None:
    path = tmp_path / "index"
    add(path, [library / "take0.npz"], models, say=quiet)
    told = json.loads((path / NAME).read_text())
    told["body"]["entries"][0]["folder"] = "../../library"
    from polypose.search.manifest import digest_of

    told["sha256"] = digest_of(told["body"])
    (path / NAME).write_text(json.dumps(told))
    with pytest.raises(ValueError, match="is damaged"):
        PoseIndex.open(path)
