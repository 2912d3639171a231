"""InterHand2.6M as a format: four real frames where they are at hand, and a layout made here."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from posedata.prepare import prepare
from posedata.store import PoseStore

REAL = Path(__file__).resolve().parents[3] / "../shared/data/interhand"
TURN = [[0.0, 1, 0], [0, 0, -1], [-1, 0, 0]]


def write_interhand(root: Path, frames: int = 3) -> np.ndarray:
    """One capture by one camera; frame 1 has no valid joint. Returns the joints in millimetres."""
    joints = np.random.default_rng(1).normal(size=(frames, 42, 3)) * 60 + [1000, 0, 0]
    images, notes, truth = [], [], {}
    folder = root / "images" / "train"
    for i in range(frames):
        name = f"Capture0/ROM01/cam400262/image{10 * i}.jpg"
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (334, 512), (60 * i + 40,) * 3).save(folder / name)
        images.append({"id": i, "file_name": name, "width": 334, "height": 512, "capture": 0, "subject": 7,
                       "seq_name": "ROM01", "camera": "400262", "frame_idx": 10 * i})  # fmt: skip
        valid = [0 if i == 1 else 1] * 21 + [0] * 21
        notes.append({"id": i, "image_id": i, "bbox": [100.0, 150, 80, 120], "joint_valid": valid,
                      "hand_type": "right", "hand_type_valid": 1})  # fmt: skip
        truth[str(10 * i)] = {"world_coord": joints[i].tolist(), "joint_valid": [[v] for v in valid]}
    camera = {"campos": {"400262": [200.0, 10, 20]}, "camrot": {"400262": TURN},
              "focal": {"400262": [1270.0, 1271]}, "princpt": {"400262": [160.0, 250]}}  # fmt: skip
    place = root / "annotations" / "train"
    place.mkdir(parents=True)
    for end, value in (("data", {"images": images, "annotations": notes}), ("camera", {"0": camera}),
                       ("joint_3d", {"0": truth})):  # fmt: skip
        (place / f"InterHand2.6M_train_{end}.json").write_text(json.dumps(value))
    return joints


def test_round_trip(tmp_path: Path) -> None:
    joints = write_interhand(tmp_path / "raw")
    store = PoseStore.open(
        prepare("interhand", tmp_path / "raw", tmp_path / "out", size="32x32", strict=True)
    )
    assert (len(store), store.meta["skeleton"]) == (2, "interhand42")  # one picture has no valid joint
    assert (store.names("subject"), store.names("sequence")) == (["subject 7"], ["ROM01"])
    assert (store.names("action"), store.meta["cameras"]) == (["right"], ["cam400262"])
    assert store.column("frame").tolist() == [0, 20]
    assert store.column("valid")[:, :21].all()
    assert not store.column("valid")[:, 21:].any()
    np.testing.assert_allclose(store.column("joints")[:, :21], joints[[0, 2], :21] / 1000, atol=1e-6)
    x, y, z = np.moveaxis((joints[[0, 2], :21] - [200, 10, 20]) @ np.array(TURN).T, -1, 0)
    seen = np.stack([1270 * x / z + 160, 1271 * y / z + 250], -1)
    pixels = store.camera(np.arange(2)).project(torch.from_numpy(np.array(store.column("joints"))))
    np.testing.assert_allclose(pixels[:, :21].numpy()[z > 0], seen[z > 0], rtol=1e-4, atol=0.02)
    np.testing.assert_allclose(store.column("boxes")[0], [65, 135, 215, 285])  # 1.25 x 120 about (140, 210)
    np.testing.assert_allclose(store.images(np.arange(2))[:, 16, 16, 0], [40, 160], atol=3)


@pytest.mark.parametrize(
    ("end", "change", "message"),
    [
        ("data", lambda d: d["images"][0].update(file_name="../../../../x.jpg"), "leads outside"),
        ("data", lambda d: d["images"][0].pop("subject"), "no entry 'subject'"),
        ("data", lambda d: d["annotations"][0].update(joint_valid=[1] * 41), "data.json: "),
        ("data", lambda d: d["annotations"][0].update(bbox=[0, 0, 1e300, -1e300]), "boxes holds numbers"),
        ("camera", lambda d: d["0"]["focal"].update({"400262": "x"}), "data.json: "),
        (
            "joint_3d",
            lambda d: d["0"]["0"].update(world_coord=[[1e300] * 3] * 42),
            "data.json: joints holds numbers",
        ),
        ("joint_3d", lambda d: d.clear(), "no entry '0'"),
    ],
)
def test_faults_are_named(tmp_path: Path, end: str, change, message: str) -> None:  # type: ignore[no-untyped-def]
    write_interhand(tmp_path / "raw")
    file = tmp_path / "raw" / "annotations" / "train" / f"InterHand2.6M_train_{end}.json"
    data = json.loads(file.read_text())
    change(data)
    file.write_text(json.dumps(data))
    with pytest.raises(ValueError, match=message) as caught:
        prepare("interhand", tmp_path / "raw", tmp_path / "out")
    assert str(caught.value).startswith(str(tmp_path / "raw"))
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(not REAL.is_dir(), reason="needs ../shared/data")
def test_four_real_frames(tmp_path: Path) -> None:
    store = PoseStore.open(prepare("interhand", REAL, tmp_path / "out", size="128x128", strict=True))
    assert len(store) == 4
    valid, keypoints = store.column("valid"), store.column("keypoints_true")
    boxes = store.column("boxes")[:, None]
    inside = ((keypoints[..., :2] > boxes[..., :2]) & (keypoints[..., :2] < boxes[..., 2:])).all(-1)
    assert inside[valid].mean() > 0.99  # the annotated boxes hold the projected joints
    hand = (
        store.column("joints")[:, 20] - store.column("joints")[:, 11]
    )  # right wrist and middle finger's root
    length = np.linalg.norm(hand, axis=-1)[valid[:, 20] & valid[:, 11]]
    assert ((length > 0.07) & (length < 0.12)).all()
    assert store.images(np.arange(4)).std() > 20
