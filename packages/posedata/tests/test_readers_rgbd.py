"""RGB-D folders and organised clouds: frames with intrinsics of their own, and recordings as stores."""

from __future__ import annotations

import json
from pathlib import Path

import formats_rgbd as formats
import numpy as np
import pytest
import torch
from PIL import Image
from posedata.inspection.report import inspect_store
from posedata.prepare import prepare
from posedata.readers import open_rgbd
from posedata.store import PoseStore

REAL = Path(__file__).parents[4] / "shared/data/rgbd/five_people.pcd"


def test_frames_of_a_folder(tmp_path: Path) -> None:
    """Depth and colour by name, exactly; the camera as the JSON says; slices are recordings too."""
    formats.write_rgbd(tmp_path / "clip")
    clip = open_rgbd(tmp_path / "clip")
    assert (len(clip), clip.fps, clip.size, clip.name) == (4, 15, (64, 48), "clip")
    for number, frame in enumerate(clip):
        np.testing.assert_array_equal(frame.depth, formats.rgbd_depth(number))
        np.testing.assert_array_equal(frame.rgb, formats.rgbd_colour(number))
        assert frame.camera.focal.tolist() == pytest.approx([52.5, 52.0])
        assert frame.time == pytest.approx(number / 15)
    shorter = clip[1::2]
    assert shorter.fps == 7.5
    np.testing.assert_array_equal(shorter[1].depth, formats.rgbd_depth(3))


def test_intrinsics_may_change_from_frame_to_frame(tmp_path: Path) -> None:
    formats.write_rgbd(tmp_path / "clip")
    table = tmp_path / "clip/intrinsics.json"
    table.write_text(json.dumps(formats.RGBD_CAMERA | {"frames": {"000002": {"fx": 60, "fy": 61}}}))
    clip = open_rgbd(tmp_path / "clip")
    assert clip.camera(1).focal.tolist() == pytest.approx([52.5, 52.0])
    assert clip[2].camera.focal.tolist() == pytest.approx([60, 61])
    assert clip[2].camera.centre.tolist() == pytest.approx([31.5, 23.5])


def test_names_that_are_times_are_paired_by_the_nearest(tmp_path: Path) -> None:
    """As TUM's recordings name their files; a colour image that is too far away is not taken."""
    formats.write_rgbd(tmp_path, names=["10.000000", "10.040000", "10.080000", "10.500000"])
    for old, new in (("10.000000", "10.010000"), ("10.040000", "10.046000"), ("10.500000", "11.000000")):
        (tmp_path / "rgb" / f"{old}.png").rename(tmp_path / "rgb" / f"{new}.png")
    clip = open_rgbd(tmp_path)
    assert [frame.time for frame in clip] == pytest.approx([10, 10.04, 10.08, 10.5])
    np.testing.assert_array_equal(clip[1].rgb, formats.rgbd_colour(1))
    assert clip[3].rgb is None
    assert not clip.has_colour


def test_units_of_depth(tmp_path: Path) -> None:
    """A fifth of a millimetre as TUM has it; metres as floats; millimetres as integers."""
    formats.write_rgbd(tmp_path / "tum", depth_scale=5000)
    np.testing.assert_array_equal(open_rgbd(tmp_path / "tum")[0].depth, np.rint(formats.rgbd_depth(0) / 5.0))
    metres = formats.rgbd_depth(1).astype(np.float32) / 1000
    metres[-1, -1] = np.nan
    np.save(tmp_path / "metres.npy", metres)
    np.save(tmp_path / "mm.npy", formats.rgbd_depth(1))
    (tmp_path / "intrinsics.json").write_text(json.dumps(formats.RGBD_CAMERA))
    expected = formats.rgbd_depth(1)
    np.testing.assert_array_equal(open_rgbd(tmp_path / "mm.npy")[0].depth, expected)
    expected[-1, -1] = 0
    np.testing.assert_array_equal(open_rgbd(tmp_path / "metres.npy")[0].depth, expected)


def test_colour_of_another_camera_is_registered(tmp_path: Path) -> None:
    """A colour camera 5 cm to the right, twice the focal length: each depth pixel gets what it sees there."""
    rgb = {
        "width": 128,
        "height": 96,
        "fx": 105,
        "fy": 104,
        "cx": 63.5,
        "cy": 47.5,
        "translation": [-0.05, 0, 0],
    }
    formats.write_rgbd(tmp_path, frames=1, rgb=rgb)
    colour = np.zeros((96, 128, 3), np.uint8)
    colour[..., 0] = np.arange(128)[None]
    colour[..., 1] = np.arange(96)[:, None]
    Image.fromarray(colour).save(tmp_path / "rgb/000000.png")
    frame = open_rgbd(tmp_path)[0]
    z = frame.depth / 1000
    v, u = np.mgrid[:48, :64]
    x = np.where(z > 0, (u - 31.5) / 52.5 - 0.05 / np.maximum(z, 1e-9), 0)
    expected_u, expected_v = 105 * x + 63.5, 104 * (v - 23.5) / 52.0 + 47.5
    inside = (z > 0) & (expected_u > 0) & (expected_u < 127) & (expected_v > 0) & (expected_v < 95)
    assert inside.mean() > 0.9
    assert frame.rgb is not None
    assert np.abs(frame.rgb[inside, 0] - expected_u[inside]).max() <= 0.51
    assert np.abs(frame.rgb[inside, 1] - expected_v[inside]).max() <= 0.51
    assert not frame.rgb[z == 0].any()


def test_open3d_intrinsics(tmp_path: Path) -> None:
    matrix = [52.5, 0, 0, 0, 52.0, 0, 31.5, 23.5, 1]
    formats.write_rgbd(tmp_path)
    table = {"width": 64, "height": 48, "intrinsic_matrix": matrix}
    (tmp_path / "intrinsics.json").write_text(json.dumps(table))
    camera = open_rgbd(tmp_path).camera(0)
    assert [*camera.focal.tolist(), *camera.centre.tolist()] == pytest.approx([52.5, 52.0, 31.5, 23.5])


def test_a_recording_becomes_a_store(tmp_path: Path) -> None:
    """A row a person where there are 2D keypoints; depth and colour with it; joints are not known."""
    formats.write_rgbd(tmp_path / "clip")
    store = PoseStore.open(prepare("rgbd", tmp_path / "clip", tmp_path / "store"), verify=True)
    assert (store.skeleton.name, store.meta["fps"]) == ("coco17", 15)
    np.testing.assert_array_equal(store.column("frame"), [0, 2, 2])
    assert not store.column("valid").any()
    keypoints = store.column("keypoints_detector")
    np.testing.assert_allclose(keypoints[:, 0], [[20, 10, 1], [10, 10, 1], [40, 10, 1]])
    np.testing.assert_allclose(keypoints[:, 1, 2], 0.5)
    np.testing.assert_array_equal(store.images(np.array([1]), "depth")[0], formats.rgbd_depth(2))
    np.testing.assert_array_equal(store.images(np.array([2]))[0], formats.rgbd_colour(2))
    points = torch.tensor([[[0.0, 2.0, 0.5]]])  # two metres ahead, half a metre up
    pixel = store.camera(np.array([0])).project(points)[0, 0].tolist()
    assert pixel == pytest.approx([31.5, 23.5 - 52 * 0.25])


def test_of_its_keypoints_only_people_become_rows(tmp_path: Path) -> None:
    """A horse, a crowd and somebody without a keypoint are told and left out."""
    formats.write_rgbd(tmp_path / "clip")
    file = tmp_path / "clip/keypoints.json"
    table = json.loads(file.read_text())
    table["categories"] = [{"id": 1, "name": "person"}, {"id": 2, "name": "horse"}]
    people = [person | {"category_id": 1} for person in table["annotations"]]
    horse, crowd = people[0] | {"category_id": 2}, people[0] | {"iscrowd": 1}
    table["annotations"] = [horse, crowd, *people, people[0] | {"keypoints": [0] * 51}]
    file.write_text(json.dumps(table))
    said: list[str] = []
    store = PoseStore.open(prepare("rgbd", tmp_path / "clip", tmp_path / "store", say=said.append))
    np.testing.assert_array_equal(store.column("frame"), [0, 2, 2])
    assert said == [f"{file}: 3 annotations are other categories, crowds, or have no keypoint; left out"]
    file.write_text(json.dumps(table | {"categories": table["categories"][1:]}))
    with pytest.raises(ValueError, match="no category is called 'person', there are horse; call that of"):
        prepare("rgbd", tmp_path / "clip", tmp_path / "horse")


def test_keypoints_that_are_no_pixels_are_refused(tmp_path: Path) -> None:
    formats.write_rgbd(tmp_path / "clip")
    file = tmp_path / "clip/keypoints.json"
    table = json.loads(file.read_text())
    for person in table["annotations"]:
        points = np.array(person["keypoints"], float).reshape(17, 3) / (64, 48, 1)
        person["keypoints"] = points.ravel().tolist()
    file.write_text(json.dumps(table))
    with pytest.raises(ValueError, match=r"keypoints\.json: all keypoints lie between .* they look scaled"):
        prepare("rgbd", tmp_path / "clip", tmp_path / "store")
    table["images"][0]["id"] = table["images"][1]["id"]
    file.write_text(json.dumps(table))
    with pytest.raises(ValueError, match="images 1 has the id of another; number them anew"):
        prepare("rgbd", tmp_path / "clip", tmp_path / "store")


def test_numbers_in_names_tell_the_order(tmp_path: Path) -> None:
    names = ["frame9", "frame10", "frame100"]
    formats.write_rgbd(tmp_path / "a", names=names)
    assert open_rgbd(tmp_path / "a").names() == names
    times = ["9.500000", "10.250000", "10.5"]
    formats.write_rgbd(tmp_path / "b", names=times)
    clip = open_rgbd(tmp_path / "b")
    assert clip.names() == times
    np.testing.assert_array_equal(clip[1].rgb, formats.rgbd_colour(1))


def test_a_frame_without_colour_is_told_and_left_out(tmp_path: Path) -> None:
    for name in ("a", "b"):
        formats.write_rgbd(tmp_path / "raw" / name)
        (tmp_path / "raw" / name / "keypoints.json").unlink()
    (tmp_path / "raw/a/rgb/000002.png").unlink()
    told: list[str] = []
    store = PoseStore.open(prepare("rgbd", tmp_path / "raw", tmp_path / "store", say=told.append))
    assert len(told) == 1
    assert "a/depth/000002.png: has no colour image, as 1 of 4 frames of a; their rows are left" in told[0]
    np.testing.assert_array_equal(store.column("frame"), [0, 1, 3, 0, 1, 2, 3])
    for row, number in enumerate([0, 1, 3, 0, 1, 2, 3]):
        np.testing.assert_array_equal(store.images(np.array([row]))[0], formats.rgbd_colour(number))
        np.testing.assert_array_equal(store.images(np.array([row]), "depth")[0], formats.rgbd_depth(number))
    with pytest.raises(ValueError, match="has no colour image"):
        prepare("rgbd", tmp_path / "raw", tmp_path / "strict", strict=True)


def test_recordings_in_a_folder_without_keypoints(tmp_path: Path) -> None:
    for name in ("a", "b"):
        formats.write_rgbd(tmp_path / "raw" / name)
        (tmp_path / "raw" / name / "keypoints.json").unlink()
    store = PoseStore.open(prepare("rgbd", tmp_path / "raw", tmp_path / "store", fps=7.5))
    assert store.names("sequence") == ["a", "b"]
    np.testing.assert_array_equal(store.column("frame"), [0, 1, 0, 1])
    np.testing.assert_array_equal(store.images(np.arange(4), "depth")[1], formats.rgbd_depth(2))


def test_an_organised_cloud_tells_its_camera(tmp_path: Path) -> None:
    path = formats.write_pcd(tmp_path / "cloud.pcd")
    frame = open_rgbd(path)[0]
    assert frame.camera.focal.tolist() == pytest.approx([30, 30], abs=1e-3)
    assert frame.camera.centre.tolist() == pytest.approx([11.5, 8.5], abs=1e-3)
    assert not frame.depth[:, 0].any()
    v, u = np.mgrid[:18, 1:24]
    np.testing.assert_allclose(frame.depth[:, 1:], 1500 + 10 * u + 20 * v, atol=1)
    assert frame.rgb is None


@pytest.mark.skipif(not REAL.is_file(), reason="the real frame lies beside the repository, not in it")
def test_a_real_frame_becomes_a_store(tmp_path: Path) -> None:
    """Depth, colour and camera of the cloud, whole, and inspect has nothing against them."""
    store = PoseStore.open(prepare("rgbd", REAL, tmp_path / "store", strict=True), verify=True)
    frame = open_rgbd(REAL)[0]
    np.testing.assert_array_equal(store.images(np.array([0]), "depth")[0], frame.depth)
    np.testing.assert_array_equal(store.images(np.array([0]))[0], frame.rgb)
    assert store.column("camera_focal")[0].tolist() == pytest.approx([525, 525], abs=1e-2)
    assert inspect_store(store)["not_finite"] == {}


@pytest.mark.skipif(not REAL.is_file(), reason="the real frame lies beside the repository, not in it")
def test_a_real_kinect_frame() -> None:
    """Five people, 640x480, f = 525, centre (319.5, 239.5), as its publishers say."""
    clip = open_rgbd(REAL)
    frame = clip[0]
    assert frame.depth.shape == (480, 640)
    assert frame.camera.focal.tolist() == pytest.approx([525, 525], abs=1e-2)
    assert frame.camera.centre.tolist() == pytest.approx([319.5, 239.5], abs=1e-2)
    assert (frame.depth > 0).mean() == pytest.approx(0.778, abs=1e-3)
    assert frame.rgb is not None
    assert frame.rgb.std() > 20


def _change(folder: Path, change: str) -> None:
    table = folder / "intrinsics.json"
    if change == "no table":
        table.unlink()
    elif change == "no depth":
        for file in (folder / "depth").iterdir():
            file.unlink()
    elif change == "cut":
        file = folder / "depth/000000.png"
        file.write_bytes(file.read_bytes()[:100])
    elif change == "eight bits":
        Image.fromarray(np.zeros((48, 64), np.uint8)).save(folder / "depth/000000.png")
    elif change == "small":
        formats.write_depth_png(folder / "depth/000000.png", np.ones((4, 4)))
    elif change == "wide colour":
        Image.fromarray(np.zeros((9, 9, 3), np.uint8)).save(folder / "rgb/000000.png")
    else:
        told = json.loads(table.read_text())
        told[change] = "wide"
        table.write_text(json.dumps(told))


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ("no table", "intrinsics.json: no such file"),
        ("no depth", "has no depth/"),
        ("cut", "000000.png: is not a depth image"),
        ("eight bits", "wanted 16-bit grey"),
        ("small", "is 4x4, the intrinsics say 64x48"),
        ("wide colour", "describe the colour camera"),
        ("fx", "fx is wide"),
        ("distortion", "distortion is not an array of numbers"),
        ("rgb", "rgb is not an object"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, change: str, word: str) -> None:
    formats.write_rgbd(tmp_path)
    _change(tmp_path, change)
    with pytest.raises((ValueError, FileNotFoundError)) as raised:
        open_rgbd(tmp_path)[0]
    assert word in str(raised.value)
    assert "\n" not in str(raised.value)


def test_clouds_that_are_none(tmp_path: Path) -> None:
    path = formats.write_pcd(tmp_path / "cloud.pcd")
    whole = path.read_bytes()
    damaged = {
        "no PCD header": b"ply",
        "unorganised": whole.replace(b"HEIGHT 18", b"HEIGHT 1"),
        "its header says": whole[:-2000],
        "from their places": whole.replace(b"WIDTH 24", b"WIDTH 18").replace(b"HEIGHT 18", b"HEIGHT 24"),
    }
    for word, content in damaged.items():
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"cloud\.pcd") as raised:
            open_rgbd(path)
        assert word in str(raised.value)
