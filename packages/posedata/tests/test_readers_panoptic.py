"""CMU Panoptic in the layout of its owners: world, cameras, synchronised depth, and what broken files get."""

from __future__ import annotations

import json
from pathlib import Path

import formats_rgbd as formats
import numpy as np
import pytest
import torch
from posedata.prepare import prepare
from posedata.store import PoseStore


def _prepared(tmp_path: Path, **options: object) -> PoseStore:
    return PoseStore.open(prepare("panoptic", tmp_path / "raw", tmp_path / "store", **options), verify=True)


def _distorted(points: np.ndarray, k: list[list[float]], d: list[float]) -> np.ndarray:
    """Pixels by the formula of the calibration's own documentation, written out."""
    a, b = points[..., 0] / points[..., 2], points[..., 1] / points[..., 2]
    k1, k2, p1, p2, k3 = d[:5]
    r = a * a + b * b
    radial = 1 + k1 * r + k2 * r**2 + k3 * r**3
    x = a * radial + 2 * p1 * a * b + p2 * (r + 2 * a * a)
    y = b * radial + p1 * (r + 2 * b * b) + 2 * p2 * a * b
    return np.stack([k[0][0] * x + k[0][2], k[1][1] * y + k[1][2]], -1)


def test_poses_become_metres_with_z_up(tmp_path: Path) -> None:
    formats.write_panoptic(tmp_path / "raw")
    store = _prepared(tmp_path, cameras="none")
    assert store.skeleton.name == "panoptic19"
    assert store.names("sequence") == ["171204_pose1 0", "171204_pose1 1"]
    rows = store.rows(sequences=["171204_pose1 0"])
    np.testing.assert_array_equal(store.column("frame")[rows], np.arange(100, 106))
    given = np.stack([formats.panoptic_pose(0, frame)[:, :3] for frame in range(6)])
    expected = np.stack([given[..., 0], given[..., 2], -given[..., 1]], -1) / 100
    np.testing.assert_allclose(store.column("joints")[rows], expected, atol=1e-6)
    heights = store.column("joints")[rows][..., 2]
    assert (heights[:, store.skeleton.index("nose")] > 1.5).all()
    valid = store.column("valid")[store.rows(sequences=["171204_pose1 1"])]
    wrists = [store.skeleton.index(f"{side}_wrist") for side in ("left", "right")]
    assert not valid[:, wrists].any()
    assert valid.sum() == 6 * 17


def test_a_tar_of_bodies_gives_the_same_store(tmp_path: Path) -> None:
    """And one whose name says it is the sequence, given as the source itself."""
    formats.write_panoptic(tmp_path / "raw")
    formats.write_panoptic(tmp_path / "packed", packed=True)
    loose = _prepared(tmp_path, cameras="none")
    packed = PoseStore.open(
        prepare("panoptic", tmp_path / "packed/171204_pose1", tmp_path / "other", cameras="none")
    )
    assert loose.fingerprint == packed.fingerprint


def test_an_hd_camera_projects_as_its_calibration_says(tmp_path: Path) -> None:
    formats.write_panoptic(tmp_path / "raw")
    store = _prepared(tmp_path, cameras="00_03")
    camera = formats.panoptic_cameras()[0]
    rows = store.rows(sequences=["171204_pose1 0"])
    points = formats.panoptic_pose(0, 3)[:, :3] @ np.array(camera["R"]).T + np.ravel(camera["t"])
    expected = _distorted(points, camera["K"], camera["distCoef"])
    np.testing.assert_allclose(store.column("keypoints_true")[rows[3], :, :2], expected, atol=2e-3)
    projected = store.camera(rows).project(torch.from_numpy(np.array(store.column("joints")[rows])))
    np.testing.assert_allclose(projected[3], expected, atol=2e-2)
    assert tuple(store.column("camera_size")[0]) == (1920, 1080)


def test_a_depth_camera_sees_through_the_kinect_calibration(tmp_path: Path) -> None:
    """World to colour camera, back by M_color to the sensor, on by M_depth, then the depth camera's lens."""
    formats.write_panoptic(tmp_path / "raw")
    store = _prepared(tmp_path, size="full")
    color = formats.panoptic_cameras()[1]
    in_color = (formats.panoptic_pose(0, 3)[:, :3] @ np.array(color["R"]).T + np.ravel(color["t"])) / 100
    local = (np.c_[in_color, np.ones(19)] @ np.linalg.inv(formats.KINECT["M_color"]).T)[:, :4]
    in_depth = (local @ np.array(formats.KINECT["M_depth"]).T)[:, :3]
    expected = _distorted(in_depth, formats.KINECT["K_depth"], formats.KINECT["distCoeffs_depth"])
    row = store.rows(sequences=["171204_pose1 0"])[2]  # frame 3: frame 2 has no depth
    assert store.column("frame")[row] == 103
    np.testing.assert_allclose(store.column("keypoints_true")[row, :, :2], expected, atol=2e-3)
    assert (in_depth[:, 1].argmin(), in_depth[:, 1].argmax()) in ((15, 8), (15, 14), (17, 8), (17, 14))


def test_depth_is_synchronised_and_turned_back(tmp_path: Path) -> None:
    """Poses without a depth image within 17 ms are left out; the others get theirs, as the sensor saw it."""
    formats.write_panoptic(tmp_path / "raw")
    store = _prepared(tmp_path, size="full")
    assert store.meta["cameras"] == ["KINECTNODE1", "KINECTNODE2"]
    rows = store.rows(sequences=["171204_pose1 0"])
    np.testing.assert_array_equal(store.column("frame")[rows], [100, 101, 103, 104, 105] * 2)
    depth = store.images(rows[:5], "depth")
    np.testing.assert_array_equal(depth, np.stack([formats.panoptic_depth(index) for index in range(5)]))


def test_times_come_from_the_table_where_body_files_lack_them(tmp_path: Path) -> None:
    """HD frame f is entry f + 2, counted from 1."""
    files = formats.write_panoptic(tmp_path / "raw")
    timed = _prepared(tmp_path)
    for file in files[:6]:
        scene = json.loads(file.read_text())
        del scene["univTime"]
        file.write_text(json.dumps(scene))
    untimed = PoseStore.open(prepare("panoptic", tmp_path / "raw", tmp_path / "untimed"))
    assert timed.fingerprint == untimed.fingerprint


def test_depth_that_cannot_be_a_body_is_told(tmp_path: Path) -> None:
    """A Kinect that is off by a metre is named; one whose depth lies on the skin is not."""
    files = formats.write_panoptic(tmp_path / "raw")
    told: list[str] = []
    prepare("panoptic", tmp_path / "raw", tmp_path / "store", say=told.append)
    assert not [note for note in told if "KINECTNODE1" in note and "171204_pose1 0 " in note]
    depth = next(file for file in files if "KINECTNODE1" in str(file))
    depth.write_bytes((np.frombuffer(depth.read_bytes(), "<u2") + 1000).astype("<u2").tobytes())
    prepare("panoptic", tmp_path / "raw", tmp_path / "far", say=told.append)
    assert [note for note in told if "KINECTNODE1" in note and "behind the skin" in note]


def test_colour_lies_on_the_pixels_of_depth(tmp_path: Path) -> None:
    """Each depth pixel has the colour that the colour camera has where the point projects, at that moment."""
    formats.write_panoptic(tmp_path / "raw", frames=4, kinects=1)
    formats.write_panoptic_colour(tmp_path / "raw", images=3)
    store = _prepared(tmp_path, size="full")
    rows = store.rows(sequences=["171204_pose1 0"])
    np.testing.assert_array_equal(store.column("frame")[rows], [100, 101, 103])
    rgb = store.images(rows[2:], "rgb")[0].astype(int)
    assert np.abs(rgb[..., 2][rgb[..., 0] > 0] - 80).max() <= 3  # the third image, of frame 103
    v, u = 200, 300
    z = formats.panoptic_depth(2)[v, u] / 1000
    kinect = formats.KINECT
    ray = np.array([(u - kinect["K_depth"][0][2]) / 364.73, (v - kinect["K_depth"][1][2]) / 364.73])
    plane = ray.copy()
    for _ in range(30):  # the lens undone by fixed point iteration
        bent = (
            _distorted(np.array([*plane, 1.0]), kinect["K_depth"], kinect["distCoeffs_depth"])
            - [255.8, 209.5]
        ) / 364.73
        plane += ray - bent
    in_depth = np.array([plane[0] * z, plane[1] * z, z, 1])
    in_color = np.array(kinect["M_color"]) @ np.linalg.inv(np.array(kinect["M_depth"], float)) @ in_depth
    place = _distorted(in_color[:3], kinect["K_color"], np.ravel(kinect["distCoeffs_color"]))
    assert abs(rgb[v, u, 0] - place[0] / 8) <= 3
    assert abs(rgb[v, u, 1] - place[1] / 5) <= 3


def test_without_colour_on_request(tmp_path: Path) -> None:
    formats.write_panoptic(tmp_path / "raw", frames=2, kinects=1)
    formats.write_panoptic_colour(tmp_path / "raw", images=1)
    store = _prepared(tmp_path, colour=False, size="32x32")
    assert store.meta["images"]["kinds"] == ["depth"]


def test_a_truncated_depth_file_is_told_and_read_as_far_as_it_goes(tmp_path: Path) -> None:
    files = formats.write_panoptic(tmp_path / "raw", kinects=1)
    files[-1].write_bytes(files[-1].read_bytes()[: 3 * 434_176 + 99])
    told: list[str] = []
    store = PoseStore.open(prepare("panoptic", tmp_path / "raw", tmp_path / "store", say=told.append))
    assert set(store.column("frame")) == {100, 101, 103}
    assert any("ends within a frame" in note for note in told)
    assert any("holds 3 frames, 2 poses need later ones" in note for note in told)


def test_crops_hold_the_person(tmp_path: Path) -> None:
    formats.write_panoptic(tmp_path / "raw", kinects=1)
    store = _prepared(tmp_path, size="64x96")
    assert store.image_size == (64, 96)
    pixels, boxes = store.column("keypoints_true"), store.column("boxes")[:, None]
    inside = (pixels[..., :2] >= boxes[..., :2]) & (pixels[..., :2] <= boxes[..., 2:])
    assert inside[pixels[..., 2] > 0].all()


def test_every_third_frame(tmp_path: Path) -> None:
    formats.write_panoptic(tmp_path / "raw")
    store = _prepared(tmp_path, cameras="none", fps=9.99)
    np.testing.assert_array_equal(np.unique(store.column("frame")), [34, 35])  # frames 102 and 105
    assert store.meta["fps"] == pytest.approx(9.99)


def _change(path: Path, change: str) -> str:
    """Damage a sequence; what the error must say."""
    files = {
        file.name.split("_")[0] if file.suffix == ".json" else "dat": file
        for file in formats.write_panoptic(path)
    }
    name, _, what = change.partition(" ")
    file = files[name]
    if what == "cut":
        file.write_bytes(file.read_bytes()[:-40])
        return "is not JSON"
    if what == "gone":
        file.unlink()
        return "no such file"
    content = json.loads(file.read_text())
    if what == "mirrored":
        content["cameras"][1]["R"] = np.diag([1, 1, -1]).tolist()
        word = "is not a rotation"
    elif what == "few":
        content["sensors"] = content["sensors"][:1]
        word = "KINECTNODE2 is not among them"
    elif what == "matrix":
        content["sensors"][0]["K_depth"] = [[1, 2], [3, 4]]
        word = "K_depth has shape"
    else:
        del content["kinect"]
        word = "has no kinect.depth.KINECTNODE1.univ_time"
    file.write_text(json.dumps(content))
    return word


@pytest.mark.parametrize(
    "change",
    [
        "calibration cut",
        "calibration mirrored",
        "kcalibration gone",
        "kcalibration few",
        "kcalibration matrix",
        "ksynctables empty",
    ],
)
def test_broken_tables_are_named(tmp_path: Path, change: str) -> None:
    word = _change(tmp_path / "raw", change)
    with pytest.raises((ValueError, FileNotFoundError), match=change.split()[0]) as raised:
        prepare("panoptic", tmp_path / "raw", tmp_path / "store")
    assert word in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_broken_body_file_is_told_and_left_out(tmp_path: Path) -> None:
    files = formats.write_panoptic(tmp_path / "raw")
    files[1].write_text("{", encoding="utf-8")
    scene = json.loads(files[2].read_text())
    scene["bodies"][0]["joints15"] = scene["bodies"][0].pop("joints19")
    files[2].write_text(json.dumps(scene))
    told: list[str] = []
    store = PoseStore.open(
        prepare("panoptic", tmp_path / "raw", tmp_path / "store", cameras="none", say=told.append)
    )
    assert set(store.column("frame")) == {100, 103, 104, 105}
    assert any("body3DScene_00000101.json: is not JSON" in note for note in told)
    assert any("body3DScene_00000102.json" in note and "mpi15" in note for note in told)


def test_a_camera_that_is_not_there(tmp_path: Path) -> None:
    formats.write_panoptic(tmp_path / "raw")
    with pytest.raises(ValueError, match="has no camera '00_99'"):
        _prepared(tmp_path, cameras="00_99")
