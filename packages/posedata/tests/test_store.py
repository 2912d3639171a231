"""The pose store: what is written is what is read, and nothing broken opens or is left behind."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from posedata.store import PoseStore, StoreWriter, write_store
from posedata.store.digests import write_digests

META = {
    "skeleton": "h36m17",
    "fps": 50,
    "source": "test",
    "licence": "none",
    "subjects": ["ann", "bob", "cem"],
    "sequences": ["ann_1", "ann_2", "bob_1", "cem_1"],
    "actions": ["walk", "sit"],
}


def make_columns(rows: int = 12) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    sequence = np.arange(rows) * 4 // rows
    return {
        "joints": rng.normal(size=(rows, 17, 3)).astype(np.float32),
        "sequence": sequence,
        "subject": np.array([0, 0, 1, 2])[sequence],
        "action": np.array([0, 1, 0, 1])[sequence],
        "frame": np.arange(rows),
    }


def camera_table(cameras: int) -> dict[str, np.ndarray]:
    return {
        "camera_focal": np.full((cameras, 2), 1000.0) + np.arange(cameras)[:, None],
        "camera_centre": np.full((cameras, 2), 499.5),
        "camera_rotation": np.broadcast_to(np.diag([1.0, -1.0, -1.0]), (cameras, 3, 3)),
        "camera_translation": np.tile([0.0, 0.0, 4.0], (cameras, 1)),
        "camera_distortion": np.zeros((cameras, 5)),
        "camera_size": np.full((cameras, 2), 1000),
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_store(tmp_path / "store", make_columns(), META)


def test_what_is_written_is_read_as_the_schema_types_it(folder: Path) -> None:
    store = PoseStore.open(folder, verify=True)
    columns = make_columns()
    assert len(store) == 12
    for name, values in columns.items():
        np.testing.assert_array_equal(store.column(name), values)
    assert store.column("subject").dtype == np.int32  # int64 was given
    assert isinstance(store.column("joints"), np.memmap)
    assert store.skeleton.name == "h36m17"
    assert store.names("action") == ["walk", "sit"]


def test_rows_match_every_given_name_list(folder: Path) -> None:
    store = PoseStore.open(folder)
    np.testing.assert_array_equal(store.rows(), np.arange(12))
    np.testing.assert_array_equal(store.rows(subjects=["ann", "cem"]), [0, 1, 2, 3, 4, 5, 9, 10, 11])
    np.testing.assert_array_equal(store.rows(subjects=["ann"], actions=["sit"]), [3, 4, 5])
    np.testing.assert_array_equal(store.rows(sequences=["bob_1"]), [6, 7, 8])
    with pytest.raises(ValueError, match=r"no subject is called 'bop'; did you mean 'bob'\?"):
        store.rows(subjects=["bop"])


def test_the_split_that_a_reader_left_is_of_the_people_who_are_there(tmp_path: Path) -> None:
    left = {"train": ["ann", "zoe"], "validation": ["zoe"], "test": ["bob"]}
    store = PoseStore.open(write_store(tmp_path / "left", make_columns(), META | {"split": left}))
    rows = store.own_split()
    ann = np.flatnonzero(store.column("subject") == store.names("subject").index("ann"))
    np.testing.assert_array_equal(rows["train"], ann)
    np.testing.assert_array_equal(rows["test"], [6, 7, 8])
    assert len(rows["validation"]) == 0
    assert PoseStore.open(write_store(tmp_path / "none", make_columns(), META)).own_split() == {}
    twice = META | {"split": {"train": ["ann", "bob"], "test": ["bob"]}}
    with pytest.raises(ValueError, match="'bob' is in two parts"):
        PoseStore.open(write_store(tmp_path / "twice", make_columns(), twice)).own_split()


def test_split_by_subject_covers_all_rows_once(folder: Path, tmp_path: Path) -> None:
    store = PoseStore.open(folder)
    parts = {"test": ["bob"], "train": "all other subjects"}
    (tmp_path / "split.json").write_text(json.dumps(parts))
    for given in (parts, tmp_path / "split.json"):
        rows = store.split(given)
        np.testing.assert_array_equal(rows["test"], [6, 7, 8])
        np.testing.assert_array_equal(np.sort(np.concatenate(list(rows.values()))), np.arange(12))
    with pytest.raises(ValueError, match="'bob' is in two parts"):
        store.split({"test": ["bob"], "train": ["ann", "bob"]})
    wrong = {
        "two parts are 'all other subjects'": {"test": "all other subjects", "train": "all other subjects"},
        "part 'test' is 'bob'; give a list": {"test": "bob"},
        r"part 'test' is \[3\]; give a list": {"test": [3]},
        "part 'test' is None; give a list": {"test": None},
    }
    for message, parts in wrong.items():
        (tmp_path / "split.json").write_text(json.dumps(parts))
        with pytest.raises(ValueError, match=rf"split\.json: {message}"):
            store.split(tmp_path / "split.json")
    (tmp_path / "split.json").write_text('{\n"test": [}')
    with pytest.raises(ValueError, match=r"split\.json: is not JSON from line 2 on; mend or replace it$"):
        store.split(tmp_path / "split.json")
    (tmp_path / "split.json").write_text("[" * 100_000)
    with pytest.raises(ValueError, match=r"split\.json: is not JSON"):
        store.split(tmp_path / "split.json")
    with pytest.raises(FileNotFoundError, match="no such split file"):
        store.split(tmp_path / "absent.json")


def test_tensors_are_copies_on_the_device(folder: Path) -> None:
    store = PoseStore.open(folder)
    tensors = store.tensors(["joints", "subject"], "cpu", rows=np.array([5, 0]))
    tensors["joints"].zero_()
    assert tensors["subject"].tolist() == [0, 0]
    assert float(np.abs(store.column("joints")[5]).sum()) > 0


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([3, 12], r"there is no row 12; give numbers from 0 to 11"),
        ([-1], "there is no row -1"),
        ([0.5], r"rows are float64 \(1,\); give a list of row numbers"),
        ([[1]], r"rows are int64 \(1, 1\)"),
    ],
)
def test_rows_that_are_not_there_are_named(folder: Path, rows: object, message: str) -> None:
    with pytest.raises(ValueError, match=f"store: {message}"):
        PoseStore.open(folder).tensors(["joints"], rows=np.array(rows))


def test_a_mask_of_all_rows_serves_as_rows(folder: Path) -> None:
    store = PoseStore.open(folder)
    late = store.column("frame") > 9
    assert store.tensors(["frame"], rows=late)["frame"].tolist() == [10, 11]


def test_camera_of_rows_projects_through_the_table(tmp_path: Path) -> None:
    columns = make_columns() | camera_table(3) | {"camera": np.array([2, 0, 1] * 4)}
    store = PoseStore.open(write_store(tmp_path / "s", columns, META))
    camera = store.camera(np.array([0, 2]))
    assert camera.focal[:, 0].tolist() == [1002.0, 1001.0]
    pixels = camera.project(torch.tensor([[[0.5, 0.25, 0.0]]]).expand(2, 1, 3))
    torch.testing.assert_close(pixels[0, 0], torch.tensor([499.5 + 1002 / 8, 499.5 - 1002 / 16]))
    columns["camera"] = np.array([-1, 0, 1] * 4)
    store = PoseStore.open(write_store(tmp_path / "t", columns, META))
    with pytest.raises(ValueError, match="row 3 has no camera"):
        store.camera(np.array([1, 3]))


@pytest.mark.parametrize("chunk", [1, 3, 10])
def test_images_stream_into_shards_and_read_across_them(tmp_path: Path, chunk: int) -> None:
    rng = np.random.default_rng(1)
    rgb = rng.integers(0, 255, (10, 6, 4, 3), dtype=np.uint8)
    depth = rng.integers(0, 9000, (10, 6, 4), dtype=np.uint16)
    columns = make_columns() | {"image": np.array([9, -1, 0, 1, 2, 3, 4, 5, 6, 7, 8, -1])}
    with StoreWriter(tmp_path / "s", META, shard_images=4) as writer:
        for start in range(0, 10, chunk):
            writer.add_images(rgb[start : start + chunk], depth[start : start + chunk])
        writer.add_columns(columns)
    store = PoseStore.open(tmp_path / "s", verify=True)
    assert sorted(p.name for p in (tmp_path / "s/images").glob("rgb*")) == [
        f"rgb-0000{i}.npy" for i in range(3)
    ]
    assert store.image_size == (4, 6)
    rows = np.array([10, 0, 2, 6])
    np.testing.assert_array_equal(store.images(rows), rgb[[8, 9, 0, 4]])
    np.testing.assert_array_equal(store.images(rows, "depth"), depth[[8, 9, 0, 4]])
    with pytest.raises(ValueError, match="row 1 has no image"):
        store.images(np.array([0, 1]))
    with pytest.raises(ValueError, match="no mask images"):
        store.images(rows, "mask")


def test_fingerprint_is_of_the_content(tmp_path: Path, folder: Path) -> None:
    first = PoseStore.open(folder).fingerprint
    reordered = dict(reversed(make_columns().items()))
    assert PoseStore.open(write_store(tmp_path / "same", reordered, META)).fingerprint == first
    changed = make_columns()
    changed["joints"][11, 16, 2] += 1e-6
    assert PoseStore.open(write_store(tmp_path / "changed", changed, META)).fingerprint != first
    renamed = META | {"actions": ["walk", "stand"]}
    assert PoseStore.open(write_store(tmp_path / "named", make_columns(), renamed)).fingerprint != first


def test_fingerprint_does_not_depend_on_how_images_were_handed_over(tmp_path: Path) -> None:
    rgb = np.random.default_rng(2).integers(0, 255, (12, 2, 2, 3), dtype=np.uint8)
    prints = set()
    for chunk in (5, 12):
        with StoreWriter(tmp_path / str(chunk), META, shard_images=4) as writer:
            writer.add_columns(make_columns() | {"image": np.arange(12)})
            for start in range(0, 12, chunk):
                writer.add_images(rgb[start : start + chunk])
        prints.add(PoseStore.open(tmp_path / str(chunk), verify=True).fingerprint)
    assert len(prints) == 1


Breaks = Callable[[Path], object]


def _truncate(folder: Path) -> None:
    os.truncate(folder / "joints.npy", (folder / "joints.npy").stat().st_size - 100)
    write_digests(folder)


def _edit_meta(**changes: object) -> Breaks:
    def edit(folder: Path) -> None:
        meta = json.loads((folder / "meta.json").read_text()) | changes
        (folder / "meta.json").write_text(json.dumps({k: v for k, v in meta.items() if v is not None}))
        write_digests(folder)

    return edit


def _write_meta(folder: Path) -> None:
    (folder / "meta.json").write_text("{")
    write_digests(folder)


def _pickled(folder: Path) -> None:
    np.save(folder / "frame.npy", np.array([{}] * 12, dtype=object), allow_pickle=True)
    write_digests(folder)


def _save(name: str, values: np.ndarray) -> Breaks:
    def save(folder: Path) -> None:
        np.save(folder / name, values)
        write_digests(folder)

    return save


BROKEN_FOLDERS = {
    "truncated": (_truncate, r"joints\.npy: is damaged \(2476 bytes where 2576 are due\); delete store"),
    "pickled": (_pickled, r"frame\.npy: is damaged \(an array of objects\)"),
    "no column": (lambda f: (f / "frame.npy").unlink(), r"frame\.npy: missing though meta\.json lists it"),
    "no meta": (lambda f: (f / "meta.json").unlink(), r"meta\.json: missing"),
    "not json": (_write_meta, r"meta\.json: is not JSON; delete store and make it again"),
    "schema": (_edit_meta(schema=99), r"meta\.json: schema is 99, this version reads 1"),
    "skeleton": (_edit_meta(skeleton="h36m16"), "skeleton 'h36m16' is not known"),
    "other skeleton": (_edit_meta(skeleton="coco17", rows=3), "rows is 3, the columns have 12"),
    "fps": (_edit_meta(fps=0), "fps is 0"),
    "no licence": (_edit_meta(licence=None), "field 'licence' is missing"),
    "names": (_edit_meta(actions=["walk"]), r"'action' row 3 is 1, outside 0\.\.0 of the actions"),
    "named twice": (_edit_meta(actions=["walk", "walk"]), "actions names one twice"),
    "no list": (_edit_meta(columns="joints"), "columns, images or image_size make no sense"),
    "a path": (_edit_meta(columns=["joints", "keypoints_/../x"]), "columns, images or image_size make no"),
    "images": (_edit_meta(images={"count": "7", "per_shard": 0, "kinds": ["rgb"]}), "or image_size make no"),
    "wrong dtype": (_save("frame.npy", np.zeros(12, np.int64)), "'frame' is int64"),
}


@pytest.mark.parametrize("case", BROKEN_FOLDERS)
def test_a_broken_store_does_not_open(folder: Path, case: str) -> None:
    breaks, message = BROKEN_FOLDERS[case]
    breaks(folder)
    with pytest.raises((ValueError, FileNotFoundError), match=message) as caught:
        PoseStore.open(folder)
    assert "\n" not in str(caught.value)


def test_a_missing_store_names_the_cure(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="make one: 'posedata prepare'"):
        PoseStore.open(tmp_path / "absent")
