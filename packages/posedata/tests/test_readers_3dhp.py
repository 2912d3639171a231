"""MPI-INF-3DHP: written by scipy and h5py, read back with exact values."""

from pathlib import Path

import numpy as np
import pytest
import scipy.io
import torch
from formats_photo import hp_cameras, hp_views, write_calibration, write_hp_test, write_hp_training
from PIL import Image
from posedata.prepare import prepare
from posedata.readers.files.mat5 import read_mat5
from posedata.readers.format import Context
from posedata.readers.mpi_inf_3dhp import SEQUENCES, TEST_JOINTS
from posedata.readers.registry import get_format
from posedata.skeleton import get_skeleton
from posedata.store import PoseStore

SIDES = ("clavicle", "shoulder", "elbow", "wrist", "hand"), ("hip", "knee", "ankle", "foot", "toe")
NAMES_28 = ["spine3", "spine4", "spine2", "spine", "pelvis", "neck", "head", "head_top"]
NAMES_28 += [f"{side}_{part}" for parts in SIDES for side in ("left", "right") for part in parts]
"""The data set's own words, in its order."""
OURS = {"neck": "thorax", "head": "neck", "head_top": "head"}


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(2)


@pytest.mark.parametrize("compressed", [True, False])
def test_training_round_trip(tmp_path: Path, rng: np.random.Generator, compressed: bool) -> None:
    cameras = hp_cameras(rng)
    world = rng.normal(size=(6, 28, 3)) * 300 + [0, 1000, 0]
    write_hp_training(tmp_path / "raw", "S2", "Seq1", world, cameras, do_compression=compressed)
    write_hp_training(tmp_path / "raw", "S1", "Seq2", world[::-1], cameras, do_compression=compressed)
    store = PoseStore.open(prepare("mpi_inf_3dhp", tmp_path / "raw", tmp_path / "out", strict=True))
    assert len(store) == 14 * (6 + 3)  # S1 Seq2 runs at 50 frames/s: every other one
    assert store.meta["fps"] == 25
    upright = np.stack([world[..., 0], -world[..., 2], world[..., 1]], -1) / 1000  # y up to z up
    for joint, name in enumerate(get_skeleton("h36m17").joints):
        theirs = {ours: name for name, ours in OURS.items()}.get(name, name)
        source = upright[:, NAMES_28.index(theirs)]
        rows = store.rows(subjects=["S2"])
        found = store.column("joints")[rows, joint].reshape(14, 6, 3)
        np.testing.assert_allclose(found, np.broadcast_to(source, found.shape), atol=1e-5)
    other = store.rows(sequences=["S1 Seq2"])
    wrist = store.column("joints")[other, get_skeleton("h36m17").index("left_wrist")].reshape(14, 3, 3)[5]
    np.testing.assert_allclose(wrist, upright[::-2][:, NAMES_28.index("left_wrist")], atol=1e-5)
    pixels = store.camera(rows).project(torch.from_numpy(store.column("joints")[rows])).numpy()
    np.testing.assert_allclose(pixels, store.column("keypoints_true")[rows, :, :2], atol=0.02)
    expected = hp_views(world, cameras[3])[1][:, NAMES_28.index("right_knee")]
    knee = get_skeleton("h36m17").index("right_knee")
    np.testing.assert_allclose(store.column("keypoints_true")[rows[18:24], knee, :2], expected, atol=1e-3)


def test_all_28_joints_cameras_and_the_universal_pose(tmp_path: Path, rng: np.random.Generator) -> None:
    cameras = hp_cameras(rng)
    world = rng.normal(size=(4, 28, 3)) * 300 + [0, 1000, 0]
    write_hp_training(tmp_path, "S8", "Seq1", world, cameras)
    skeleton = get_skeleton("mpi_inf_3dhp28")
    assert [OURS.get(name, name) for name in NAMES_28] == list(skeleton.joints)
    clips = _clips(tmp_path, joints="mpi_inf_3dhp28", cameras="chest")
    assert [clip.cameras[0].name for clip in clips] == ["0", "2", "4", "7", "8"]
    np.testing.assert_allclose(clips[4].joints[:, 9, 2], world[:, 9, 1] / 1000, atol=1e-5)
    (clip,) = _clips(tmp_path, pose="universal", cameras="3")
    assert set(clip.columns) == {"keypoints_annotated"}
    camera = cameras[3]
    place = (0.9 * hp_views(world, camera)[0] - camera["translation"]) @ camera["rotation"]
    np.testing.assert_allclose(clip.joints[:, 0, 2], place[:, 4, 1] / 1000, atol=1e-5)


def test_frames_beyond_the_official_count_are_cut(
    tmp_path: Path, rng: np.random.Generator, monkeypatch
) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setitem(SEQUENCES, "S3", ((25, 3), (25, 9)))
    world = rng.normal(size=(5, 28, 3)) * 300 + [0, 1000, 0]
    write_hp_training(tmp_path, "S3", "Seq1", world, hp_cameras(rng))
    assert {len(clip.joints) for clip in _clips(tmp_path)} == {3}


def test_the_test_set_round_trip(tmp_path: Path, rng: np.random.Generator) -> None:
    local = rng.normal(size=(9, 17, 3)) * 400 + [0, 0, 3500]
    lens = np.array([[1683.5, 0, 939.9], [0, 1672.0, 560.2], [0, 0, 1]])
    valid = np.array([0, 1, 1, 1, 0, 1, 1, 1, 0], bool)
    activity = np.array([1, 1, 1, 2, 2, 2, 7, 7, 7])
    write_hp_test(tmp_path / "raw", "TS5", local, lens, valid, activity)
    folder = tmp_path / "raw" / "TS5" / "imageSequence"
    folder.mkdir()
    for number in range(9):
        Image.new("RGB", (1920, 1080), (25 * number,) * 3).save(folder / f"img_{number + 1:06d}.jpg")
    store = PoseStore.open(
        prepare("mpi_inf_3dhp", tmp_path / "raw", tmp_path / "out", strict=True, size="16x20")
    )
    assert store.column("frame").tolist() == [1, 2, 3, 5, 6, 7]
    assert [store.names("action")[i] for i in store.column("action")] == [
        "Stand-Walk", "Stand-Walk", "Exercise", "Exercise", "Misc", "Misc"
    ]  # fmt: skip
    for joint, name in enumerate(get_skeleton("h36m17").joints):
        x, y, z = local[valid][:, TEST_JOINTS.index(name)].T / 1000
        np.testing.assert_allclose(store.column("joints")[:, joint], np.stack([x, z, -y], -1), atol=1e-5)
    camera = store.camera(np.array([0]))
    np.testing.assert_allclose(camera.focal[0], [1683.5, 1672.0], rtol=1e-5)
    np.testing.assert_allclose(camera.centre[0], [939.9, 560.2], rtol=1e-5)
    assert camera.size[0].tolist() == [1920, 1080]
    # the crop shows the frame's own picture; joints far outside it leave black
    shade = store.images(np.arange(6)).reshape(6, -1).max(axis=1)
    np.testing.assert_allclose(shade, 25 * np.array([1, 2, 3, 5, 6, 7]), atol=3)
    halved = _clips(tmp_path / "raw", fps=12.5)  # of frames 1, 2, 3, 5, 6, 7
    assert [clip.columns["frame"].tolist() for clip in halved] == [[1], [3]]
    np.testing.assert_array_equal(halved[1].joints[0], store.column("joints")[4])
    assert get_format("mpi_inf_3dhp", pose="universal").read  # the evaluated one
    (first, *_) = _clips(tmp_path / "raw", pose="universal")
    np.testing.assert_allclose(
        first.joints[0, 0, 1], 1.1 * local[1, TEST_JOINTS.index("pelvis"), 2] / 1000, atol=1e-5
    )


def test_faults_are_named(tmp_path: Path, rng: np.random.Generator) -> None:
    with pytest.raises(FileNotFoundError, match=r"has no S\*/Seq\*/annot.mat"):
        _clips(tmp_path)
    cameras = hp_cameras(rng)
    world = rng.normal(size=(3, 28, 3)) * 300
    write_hp_training(tmp_path, "S9", "Seq1", world, cameras)
    write_hp_training(tmp_path, "S1", "Seq1", world, cameras)
    notes: list[str] = []
    assert len(_clips(tmp_path, notes)) == 14
    assert "S9 Seq1 is not of this data set" in notes[0]
    write_calibration(tmp_path / "S1/Seq1/camera.calibration", cameras[:13])
    notes.clear()
    assert len(_clips(tmp_path, notes)) == 13
    assert "camera.calibration: has no camera 13" in notes[1]
    text = (tmp_path / "S1/Seq1/camera.calibration").read_text()
    for old, new, message in (
        ("extrinsic", "extrinsik", "camera 0 has no extrinsic"),
        ("size        2048", "size        x", "line 4: size needs 2 numbers"),
        ("name          0", "name          ../x", "line 2: name is no camera's number"),
        ("Skeletool", "Skelet", "does not begin as"),
    ):
        (tmp_path / "S1/Seq1/camera.calibration").write_text(text.replace(old, new))
        with pytest.raises(ValueError, match=message):
            _clips(tmp_path)
    (tmp_path / "S1/Seq1/camera.calibration").write_text(text)
    scipy.io.savemat(
        tmp_path / "S1/Seq1/annot.mat", {"annot2": np.zeros((3, 56)), "annot3": np.zeros((3, 84))}
    )
    with pytest.raises(ValueError, match="annot3 is not a cell array of 14 cameras"):
        _clips(tmp_path)
    for options in ({"cameras": "14"}, {"joints": "coco17"}, {"pose": "x"}, {"size": "full"}):
        with pytest.raises(ValueError, match=f"^{next(iter(options))} "):
            _clips(tmp_path, **options)


def test_mat5_reads_what_scipy_writes(tmp_path: Path, rng: np.random.Generator) -> None:
    cells = np.empty((2, 3), dtype=object)
    for index in np.ndindex(2, 3):
        cells[index] = rng.normal(size=(1 + index[0], 2 + index[1]))
    written = {
        "cells": cells, "double": rng.normal(size=(3, 4, 2)), "single": np.float32([[1.5, 2]]),
        "small": np.uint8([[1, 2, 3]]), "word": np.int16([[-5]]), "long": np.int64([[-(2**40)]]),
        "whole": np.array([[1.0, 2.0]]), "text": "left alone", "struct": {"a": 1},
    }  # fmt: skip
    numbers = [name for name in written if name not in ("text", "struct")]
    for compressed in (False, True):
        scipy.io.savemat(tmp_path / "x.mat", written, do_compression=compressed)
        found, known = read_mat5(tmp_path / "x.mat", numbers), scipy.io.loadmat(tmp_path / "x.mat")
        assert sorted(found) == sorted(numbers)
        for name in numbers[1:]:
            np.testing.assert_array_equal(found[name], known[name])
            assert found[name].dtype == known[name].dtype
        for index in np.ndindex(2, 3):
            np.testing.assert_array_equal(found["cells"][index], cells[index])
        with pytest.raises(ValueError, match="struct is not an array of real numbers"):
            read_mat5(tmp_path / "x.mat", ["struct"])
    (tmp_path / "x.mat").write_bytes((tmp_path / "x.mat").read_bytes()[:-40])
    with pytest.raises(ValueError, match=r"x\.mat: is not a whole MATLAB 5 file"):
        read_mat5(tmp_path / "x.mat", ["struct"])


def _clips(root: Path, notes: list[str] | None = None, **options: object) -> list:  # type: ignore[type-arg]
    form = get_format("mpi_inf_3dhp", **options)
    context = Context(Path("unused"), ([] if notes is None else notes).append)
    return [clip for unit in form.plan(root, context).units for clip in form.read(unit, context)]
