"""A store that was damaged after it was written: one flipped bit in any file is noticed before it is used."""

import hashlib
import json
import os
import stat
from pathlib import Path

import numpy as np
import pytest
from posedata.store import PoseStore, StoreWriter
from posedata.store.digests import is_sound, read_digests, write_digests
from test_store import META, camera_table, make_columns

PICTURES = np.random.default_rng(3).integers(0, 255, (6, 4, 4, 3), dtype=np.uint8)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A store with every kind of file: columns, a camera table, two shards of two kinds, sources."""
    columns = make_columns() | camera_table(2) | {"camera": np.arange(12) % 2, "image": np.arange(12) % 6}
    columns |= {"valid": np.ones((12, 17), bool), "keypoints_true": np.ones((12, 17, 3))}
    with StoreWriter(tmp_path / "store", META | {"render": {}}, shard_images=4) as writer:
        writer.add_columns(columns)
        writer.add_images(PICTURES, mask=PICTURES[..., 0])
        writer.add_json("sources.json", {"notes": []})
    return tmp_path / "store"


def use(folder: Path) -> None:
    """Read everything as an app does."""
    store = PoseStore.open(folder)
    for kind in ("rgb", "mask"):
        store.images(np.arange(len(store)), kind)


def flip(file: Path, bit: int) -> None:
    content = bytearray(file.read_bytes())
    content[bit // 8] ^= 1 << bit % 8
    file.write_bytes(content)


def test_one_flipped_bit_in_any_file_is_noticed(folder: Path) -> None:
    use(folder)
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    assert len(files) == 22  # 15 columns, 4 shards, 3 of JSON
    rng = np.random.default_rng(0)
    for file in files:
        kept, bits = file.read_bytes(), 8 * file.stat().st_size
        for bit in (0, bits - 1, *rng.integers(0, bits, 5).tolist()):  # header, last of the data, anywhere
            flip(file, bit)
            with pytest.raises(ValueError, match="is damaged") as caught:
                use(folder)
            assert str(file) in str(caught.value)
            assert "\n" not in str(caught.value)
            file.write_bytes(kept)
    use(folder)


def test_what_is_damaged_tells_how_to_make_it_anew(folder: Path) -> None:
    flip(folder / "images/rgb-00001.npy", 1500)
    store = PoseStore.open(folder)
    np.testing.assert_array_equal(store.images(np.arange(4)), PICTURES[:4])  # of the other shard
    cure = r"rgb-00001\.npy: is damaged .*; delete store and make it again: 'posedata render', or the recipe"
    for read in (lambda: store.images(np.array([5])), lambda: PoseStore.open(folder, verify=True)):
        with pytest.raises(ValueError, match=cure):
            read()


@pytest.mark.parametrize(
    ("made", "command"),
    [
        ({"synthetic": {}}, "synth"),
        ({"synthetic": {}, "views": {}}, "views"),
        ({"format": "bvh"}, "prepare bvh"),
    ],
)
def test_the_last_command_is_the_cure(tmp_path: Path, made: dict[str, object], command: str) -> None:
    with StoreWriter(tmp_path / "s", META | made) as writer:
        writer.add_columns(make_columns())
    flip(tmp_path / "s/frame.npy", 1100)
    with pytest.raises(ValueError, match=f"make it again: 'posedata {command}'"):
        PoseStore.open(tmp_path / "s")


def test_digests_are_those_of_sha256sum(folder: Path) -> None:
    told = json.loads((folder / "digests.json").read_text())["files"]
    files = {p.relative_to(folder).as_posix(): p for p in folder.rglob("*") if p.is_file()}
    del files["digests.json"]
    assert told == {name: hashlib.sha256(p.read_bytes()).hexdigest() for name, p in files.items()}


def test_a_store_of_an_earlier_version_opens_with_a_note(folder: Path) -> None:
    meta = json.loads((folder / "meta.json").read_text())
    (folder / "digests.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"digests\.json: missing"):  # this one was written with them
        PoseStore.open(folder)
    (folder / "meta.json").write_text(json.dumps({k: v for k, v in meta.items() if k != "digests"}))
    with pytest.warns(
        UserWarning, match=r"store: has no digests\.json, so a damaged file would go unnoticed"
    ):
        assert len(PoseStore.open(folder, verify=True)) == 12
    flip(folder / "images/mask-00000.npy", 8 * 130)
    with (
        pytest.warns(UserWarning, match="has no digests"),
        pytest.raises(ValueError, match=r"fingerprint is .* the content was changed after writing"),
    ):
        PoseStore.open(folder, verify=True)


def test_a_listed_file_may_not_be_missing(folder: Path) -> None:
    (folder / "sources.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"sources\.json: missing though digests\.json lists it"):
        PoseStore.open(folder)
    write_digests(folder)
    assert len(PoseStore.open(folder)) == 12
    del (files := read_digests(folder) or {})["joints.npy"]
    (folder / "joints.npy").rename(folder / "elsewhere")
    write_digests(folder)
    (folder / "elsewhere").rename(folder / "joints.npy")
    with pytest.raises(FileNotFoundError, match="elsewhere: missing"):
        PoseStore.open(folder)
    assert files


def test_a_file_is_read_once_a_process_unless_it_changes() -> None:
    calls: list[int] = []

    def sha256() -> str:
        calls.append(1)
        return "aa"

    first, written = (1, 2, 3, 4, 5), (1, 2, 3, 4, 6)
    assert [is_sound(first, "aa", sha256) for _ in range(3)] == [True] * 3
    assert len(calls) == 1
    assert is_sound(written, "aa", sha256)
    assert not is_sound(first, "bb", sha256)
    assert not is_sound(first, "bb", sha256)  # what was found damaged is not remembered as sound
    assert len(calls) == 4


def test_files_have_the_usual_mode(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        with StoreWriter(tmp_path / "s", META) as writer:
            writer.add_columns(make_columns() | {"image": np.arange(12) % 6})
            writer.add_images(PICTURES)
    finally:
        os.umask(before)
    modes = {
        p.is_dir(): stat.S_IMODE(p.stat().st_mode) for p in [tmp_path / "s", *(tmp_path / "s").rglob("*")]
    }
    assert modes == {True: 0o750, False: 0o640}
