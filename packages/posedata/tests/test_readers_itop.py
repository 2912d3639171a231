"""ITOP in the layout of its owners, written here and read back, value by value; what is wrong is named."""

from __future__ import annotations

from pathlib import Path

import formats_rgbd as formats
import h5py
import numpy as np
import pytest
import torch
from posedata.inspection.checks import compare_totals
from posedata.prepare import prepare
from posedata.readers.itop import depth_from_cloud
from posedata.store import PoseStore

Y_DOWN = np.array([1, -1, 1])


def test_side_view_round_trip(tmp_path: Path) -> None:
    """Joints, visibility, pixels, masks and depth come back exactly, in metres and millimetres."""
    frames = formats.itop_frames()
    formats.write_itop(tmp_path / "raw", frames=frames)
    store = PoseStore.open(prepare("itop", tmp_path / "raw", tmp_path / "store"), verify=True)
    kept = frames["is_valid"] == 1
    assert store.skeleton.name == "itop15"
    assert store.names("subject") == ["07", "08"]
    assert store.names("sequence") == ["side test 07", "side test 08"]
    assert store.meta["split"] == {"test": ["07", "08"]}
    np.testing.assert_array_equal(store.column("frame"), [0, 1, 3, 4, 5] * 2)
    camera = store.camera()
    joints = torch.from_numpy(np.array(store.column("joints")))
    given = frames["real_world_coordinates"][kept].astype(np.float32)
    np.testing.assert_allclose(camera.world_to_camera(joints), given * Y_DOWN, atol=1e-6)
    np.testing.assert_array_equal(store.column("joints")[..., 2], given[..., 1])  # up is up
    np.testing.assert_array_equal(store.column("visible_true"), frames["visible_joints"][kept] > 0)
    wide = frames["real_world_coordinates"][kept].astype(np.float64)
    u, v = 160 + wide[..., 0] / (0.0035 * wide[..., 2]), 120 - wide[..., 1] / (0.0035 * wide[..., 2])
    np.testing.assert_allclose(store.column("keypoints_true")[..., :2], np.stack([u, v], -1), atol=1e-3)
    np.testing.assert_array_equal(
        store.column("keypoints_itop")[..., :2], frames["image_coordinates"][kept].astype(np.float32)
    )
    depth = store.images(np.arange(len(store)), "depth")
    expected = np.rint(np.nan_to_num(frames["depth"][kept].astype(np.float64)) * 1000)
    np.testing.assert_array_equal(depth, expected)
    masks = store.images(np.arange(len(store)), "mask")
    np.testing.assert_array_equal(masks, frames["segmentation"][kept] >= 0)


def test_somebody_who_faces_the_camera_has_the_right_hand_at_the_left_of_the_image(tmp_path: Path) -> None:
    """Left and right are the person's own, and the image is not mirrored."""
    formats.write_itop(tmp_path / "raw")
    store = PoseStore.open(prepare("itop", tmp_path / "raw", tmp_path / "store", size="none"))
    pixels = store.column("keypoints_true")
    right, left = store.skeleton.index("right_shoulder"), store.skeleton.index("left_shoulder")
    assert (pixels[:, right, 0] < pixels[:, left, 0]).all()
    assert "image" not in store


def test_gzipped_files_and_point_clouds_give_the_same_store(tmp_path: Path) -> None:
    """The depth image made of the cloud's float16 points is the depth map's."""
    formats.write_itop(tmp_path / "plain")
    formats.write_itop(tmp_path / "packed", packed=True)
    formats.write_itop(tmp_path / "cloud", cloud=True)
    stores = [
        PoseStore.open(prepare("itop", tmp_path / n, tmp_path / f"{n}.store"))
        for n in ("plain", "packed", "cloud")
    ]
    assert stores[0].fingerprint == stores[1].fingerprint == stores[2].fingerprint


def test_crops_agree_with_the_cropped_camera(tmp_path: Path) -> None:
    """A pixel of the crop holds the depth that the full image has where the cropped camera says it looks."""
    frames = formats.itop_frames()
    formats.write_itop(tmp_path / "raw", frames=frames)
    store = PoseStore.open(prepare("itop", tmp_path / "raw", tmp_path / "store", size="48x64"))
    assert store.image_size == (48, 64)
    row = np.array([3])
    crop = store.images(row, "depth")[0]
    camera = store.camera(row)
    cropped = camera.crop(torch.from_numpy(np.array(store.column("boxes")[row])), (48, 64))
    y, x = np.mgrid[:64, :48]
    looks = cropped.rays(torch.from_numpy(np.stack([x, y], -1).reshape(1, -1, 2).astype(np.float32)))
    full = np.rint(camera.project_camera(looks)[0].numpy()).astype(int)
    inside = ((full >= 0) & (full < [320, 240])).all(-1)
    assert inside.any()
    given = np.nan_to_num(frames["depth"][frames["is_valid"] == 1][3].astype(np.float64))
    expected = np.zeros(64 * 48)
    expected[inside] = np.rint(given[full[inside, 1], full[inside, 0]] * 1000)
    assert (
        crop.reshape(-1) == expected
    ).mean() > 0.97  # where a place falls between two pixels, either may serve


def test_all_frames_keep_what_has_no_true_joints(tmp_path: Path) -> None:
    formats.write_itop(tmp_path / "raw")
    store = PoseStore.open(prepare("itop", tmp_path / "raw", tmp_path / "store", frames="all"))
    assert len(store) == 12
    assert not store.column("valid")[store.column("frame") == 2].any()
    assert store.column("valid")[store.column("frame") != 2].all()


def test_top_view_looks_straight_down(tmp_path: Path) -> None:
    formats.write_itop(tmp_path / "raw", view="top", part="train")
    store = PoseStore.open(prepare("itop", tmp_path / "raw", tmp_path / "store", view="top"))
    given = formats.itop_frames()
    wide = given["real_world_coordinates"][given["is_valid"] == 1].astype(np.float32)
    np.testing.assert_allclose(store.column("joints")[..., 2], -wide[..., 2], atol=1e-6)
    np.testing.assert_allclose(np.linalg.det(store.camera().rotation.numpy()), 1, atol=1e-6)


def test_every_second_frame(tmp_path: Path) -> None:
    formats.write_itop(tmp_path / "raw")
    store = PoseStore.open(prepare("itop", tmp_path / "raw", tmp_path / "store", fps=15, size="none"))
    np.testing.assert_array_equal(store.column("frame"), [0, 2] * 2)  # frames 0 and 4; 2 is not valid
    assert store.meta["fps"] == 15
    assert {total["verdict"] for total in compare_totals(store)} == {
        "not judged: at 15 frames/s, published at 30"
    }


def _broken(path: Path, change: str) -> str:
    """Damage one file of a data set; the word that the error must hold."""
    labels, depth = formats.write_itop(path)
    if change == "cut":
        labels.write_bytes(labels.read_bytes()[:3000])
        return "copy it again"
    with h5py.File(depth, "r+") as file:
        if change == "no depth rows":
            del file["data"]
            file["data"] = np.zeros((3, 240, 320), np.float16)
            return "data has shape (3, 240, 320), wanted (12, 240, 320)"
    with h5py.File(labels if change != "other ids" else depth, "r+") as file:
        if change == "missing":
            del file["is_valid"]
            return "is_valid is missing"
        if change == "link":
            del file["is_valid"]
            file["is_valid"] = h5py.ExternalLink("/etc/hostname", "/x")
            return "is_valid is a link"
        if change == "text":
            del file["real_world_coordinates"]
            file["real_world_coordinates"] = np.full((12, 15, 3), b"x")
            return "real_world_coordinates is"
        if change == "id":
            file["id"][0] = b"seven"
            return "is not PP_FFFFF"
        file["id"][0] = b"09_00000"
        return "id differs"


@pytest.mark.parametrize("change", ["cut", "no depth rows", "missing", "link", "text", "id", "other ids"])
def test_what_is_wrong_is_named_with_file_and_field(tmp_path: Path, change: str) -> None:
    word = _broken(tmp_path / "raw", change)
    with pytest.raises((ValueError, FileNotFoundError), match=r"ITOP_side_test_\w+\.h5") as raised:
        prepare("itop", tmp_path / "raw", tmp_path / "store")
    assert word in str(raised.value)
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"view": "front"}, "view 'front'"),
        ({"size": "12"}, "size '12'"),
        ({"part": "train"}, "has no ITOP_side_train"),
    ],
)
def test_options_that_make_no_sense(tmp_path: Path, options: dict[str, str], word: str) -> None:
    formats.write_itop(tmp_path / "raw")
    with pytest.raises((ValueError, FileNotFoundError), match=word):
        prepare("itop", tmp_path / "raw", tmp_path / "store", **options)


def test_depth_of_a_cloud_drops_what_the_camera_cannot_see() -> None:
    cloud = np.array([[0, 0, 2.0], [0, 0, -2], [np.nan, 0, 1], [9, 0, 1], [-160 * 0.0035, 120 * 0.0035, 1]])
    depth = depth_from_cloud(cloud)
    assert depth[120, 160] == 2000
    assert depth[0, 0] == 1000
    assert (depth > 0).sum() == 2
