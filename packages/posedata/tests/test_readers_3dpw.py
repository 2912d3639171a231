"""3DPW: pickles of Python 2's form, hostile ones among them."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from formats_photo import python2_pickle, tdpw_sequence, write_images, write_tdpw
from posedata.prepare import prepare
from posedata.readers.files.safe_pickle import Foreign, plain_pickle
from posedata.readers.format import Context
from posedata.readers.registry import get_format
from posedata.skeleton import get_skeleton
from posedata.store import PoseStore

SMPL = get_skeleton("smpl24").joints


@pytest.fixture
def data() -> dict[str, Any]:
    return tdpw_sequence(np.random.default_rng(4))


def test_round_trip(tmp_path: Path, data: dict[str, Any]) -> None:
    write_tdpw(tmp_path / "raw", "test", "downtown_walking_00", data)
    store = PoseStore.open(prepare("3dpw", tmp_path / "raw", tmp_path / "out", strict=True))
    valid = np.array(data["campose_valid"])
    assert len(store) == valid.sum()
    assert (store.meta["skeleton"], store.meta["fps"]) == ("smpl24", 30)
    assert store.meta["split"] == {"test": ["downtown_walking_00"]}
    assert (store.names("subject"), store.names("action")) == (["downtown_walking_00"], ["downtown_walking"])
    for person in range(2):
        rows = store.rows(sequences=[f"downtown_walking_00 person {person}"])
        frames = np.flatnonzero(valid[person])
        assert store.column("frame")[rows].tolist() == frames.tolist()
        world = data["jointPositions"][person][frames].reshape(-1, 24, 3)
        upright = np.stack([world[..., 0], -world[..., 2], world[..., 1]], -1)
        np.testing.assert_allclose(store.column("joints")[rows], upright, atol=1e-6)
        local = np.einsum("tij,tkj->tki", data["cam_poses"][frames, :3, :3], world)
        image = (local + data["cam_poses"][frames, None, :3, 3]) @ data["cam_intrinsics"].T
        seen = image[..., :2] / image[..., 2:]
        np.testing.assert_allclose(store.column("keypoints_true")[rows, :, :2], seen, atol=2e-3)
        pixels = store.camera(rows).project(torch.from_numpy(store.column("joints")[rows]))
        np.testing.assert_allclose(pixels, seen, atol=0.02)
        given = data["poses2d"][person][frames]
        found = store.column("keypoints_openpose")[rows]
        for place, joint in (
            (2, "right_shoulder"),
            (4, "right_wrist"),
            (5, "left_shoulder"),
            (13, "left_ankle"),
        ):
            known = given[:, 2, place] > 0
            expected = np.where(known[:, None], given[:, :, place], 0)
            np.testing.assert_allclose(found[:, SMPL.index(joint)], expected, rtol=1e-6)
        assert (found[:, SMPL.index("pelvis")] == 0).all()
        assert store.camera(rows[:1]).size[0].tolist() == [1080, 1920]


def test_frames_without_a_camera_and_the_vertical(tmp_path: Path, data: dict[str, Any]) -> None:
    write_tdpw(tmp_path, "train", "x_00", data)
    first, second = _clips(tmp_path, frames="all")
    assert len(first.joints) == len(second.joints) == 7
    unseen = ~np.array(data["campose_valid"][0])
    assert (first.columns["camera"][unseen] == -1).all()
    assert (first.columns["keypoints_true"][unseen] == 0).all()
    # the same world turned: x down
    turn = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
    data["jointPositions"] = [(p.reshape(-1, 3) @ turn.T).reshape(-1, 72) for p in data["jointPositions"]]
    data["cam_poses"] = data["cam_poses"].copy()
    data["cam_poses"][:, :3, :3] = data["cam_poses"][:, :3, :3] @ turn.T
    write_tdpw(tmp_path, "train", "x_00", data)
    (turned, _) = _clips(tmp_path, frames="all")
    np.testing.assert_allclose(turned.joints[..., 2], first.joints[..., 2], atol=1e-6)
    np.testing.assert_allclose(turned.columns["keypoints_true"], first.columns["keypoints_true"], atol=1e-2)
    (half, _) = _clips(tmp_path, frames="all", fps=15)
    np.testing.assert_array_equal(half.joints, turned.joints[::2])
    assert half.columns["frame"].tolist() == [0, 1, 2, 3]
    (human, _) = _clips(tmp_path, frames="all", joints="h36m17")
    names = get_skeleton("h36m17").joints
    wrist, head = names.index("left_wrist"), names.index("head")
    np.testing.assert_array_equal(human.joints[:, wrist], turned.joints[:, SMPL.index("left_wrist")])
    neck, thorax = (turned.joints[:, SMPL.index(name)] for name in ("neck", "thorax"))
    np.testing.assert_allclose(human.joints[:, head], 2 * neck - thorax, atol=1e-5)
    shoulder = turned.columns["keypoints_openpose"][:, SMPL.index("right_shoulder")]
    np.testing.assert_array_equal(
        human.columns["keypoints_openpose"][:, names.index("right_shoulder")], shoulder
    )
    with pytest.raises(ValueError, match="up 'w' is not known"):
        _clips(tmp_path, up="w")


def test_images_become_crops(tmp_path: Path, data: dict[str, Any]) -> None:
    data["campose_valid"] = [np.array([1, 1, 0, 1, 1, 1, 1])] * 2
    write_tdpw(tmp_path / "raw", "validation", "courtyard_hug_00", data)
    shades = [20, 60, 100, 140, 180]
    write_images(tmp_path / "raw" / "imageFiles" / "courtyard_hug_00", shades)
    told: list[str] = []
    store = PoseStore.open(prepare("3dpw", tmp_path / "raw", tmp_path / "out", size="16x20", say=told.append))
    assert "has images up to 5 of 7" in told[0]
    assert store.column("image").tolist() == [0, 1, 2, 3, -1, -1, 4, 5, 6, 7, -1, -1]
    red = store.images(np.arange(4))[:, 8:12, 6:10, 0].reshape(4, -1).mean(axis=1)
    np.testing.assert_allclose(red, [20, 60, 140, 180], atol=3)


class Foreigner:
    """A class that no reader knows; unpickled by the ordinary loader, it would make a file."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self) -> tuple[Any, ...]:
        return open, (self.path, "w")


def test_foreign_objects_in_texture_maps_are_stepped_over(tmp_path: Path, data: dict[str, Any]) -> None:
    made = tmp_path / "made"
    texture = pickle.dumps([Foreigner(made), {"a": Foreigner(made)}], protocol=2)[2:-1]
    write_tdpw(tmp_path, "test", "a_00", data, texture)
    assert len(_clips(tmp_path)) == 2
    assert not made.exists()
    data["jointPositions"][1] = Foreigner(made)
    write_tdpw(tmp_path, "test", "a_00", data)
    with pytest.raises(ValueError, match=r"a_00\.pkl: jointPositions\[1\] is not an array of numbers"):
        _clips(tmp_path)
    assert not made.exists()


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("jointPositions", None, "jointPositions is not a list of people"),
        ("jointPositions", [np.zeros((7, 71))], r"jointPositions\[0\] has shape \(7, 71\), wanted \(T, 72\)"),
        ("jointPositions", [np.full((7, 72), np.nan)] * 2, "holds numbers that none of these is"),
        ("cam_poses", np.zeros((6, 4, 4)), r"cam_poses has shape \(6, 4, 4\), wanted \(7, 4, 4\)"),
        ("cam_poses", np.zeros((7, 4, 4)), "cam_poses holds what is not a rotation"),
        ("cam_intrinsics", -np.eye(3), "cam_intrinsics is of no camera"),
        ("cam_intrinsics", "x", "cam_intrinsics is not an array"),
        ("campose_valid", [np.ones(7)], "campose_valid has 1 entries for 2 people"),
        ("poses2d", [np.ones((7, 3, 17))] * 2, r"poses2d\[0\] has shape"),
    ],
)
def test_faults_are_named(tmp_path: Path, data: dict[str, Any], field: str, value: Any, message: str) -> None:
    path = write_tdpw(tmp_path, "test", "a_00", data | {field: value})
    with pytest.raises(ValueError, match=message) as caught:
        _clips(tmp_path)
    assert str(caught.value).startswith(str(path))


HOSTILE = {
    "memo": b"\x80\x02]r\xff\xff\xff\x7f.",
    "bytearray": b"\x80\x05\x96" + (1 << 40).to_bytes(8, "little") + b".",
    "reduce": b"cos\nsystem\n(S'true'\ntR.",
    "nested": b"\x80\x02" + b"]" * 50 + b"a" * 49 + b".",
    "deep": b"\x80\x02" + b"(" * 100_000 + b"t" * 100_000 + b".",
    "laughs": b"\x80\x02]q\x00"
    + b"".join(b"](" + b"h\x00" * 9 + b"e" + bytes([0x71, 0]) for _ in range(12))
    + b".",
    "persistent": b"Pelsewhere\n.",
    "extension": b"\x80\x02\x82\x01.",
    "no bytes": b"\x80\x02cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nJ\xff\xff\xff\x7f\x85NtR.",
    "huge shape": python2_pickle(np.zeros(3)).replace(b"K\x03\x85", b"J\xff\xff\xff\x7f\x85"),
    "structured": python2_pickle(np.zeros(2, dtype=[("a", "f8")])),
    "set": pickle.dumps({1, 2}),
    "cut": python2_pickle([np.zeros(3)])[:-8],
    "circle": b"\x80\x02]q\x00h\x00a.",
}


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("foreign", [False, True])
def test_hostile_pickles_are_refused(name: str, foreign: bool) -> None:
    if foreign and name == "reduce":
        assert isinstance(plain_pickle(HOSTILE[name], "here", foreign=True), Foreign)  # which holds nothing
        return
    cures = "get it again|save numbers, text, lists, dicts and arrays alone"
    with pytest.raises(ValueError, match=rf"^here: cannot be read as plain data \(.+\); ({cures})$"):
        plain_pickle(HOSTILE[name], "here", foreign=foreign)


def test_plain_values_of_either_python_survive() -> None:
    value = {
        "a": [1, 2.5, True, None, "é", 10**30], "b": (np.arange(6).reshape(2, 3), np.float32(0.5)), 3: {},
        "f": np.asfortranarray(np.arange(6.0).reshape(2, 3)), "big": np.arange(3, dtype=">i4"),
        "o": np.array([np.arange(2), "x"], dtype=object), "s": np.array(["ab", "c"]), "n": np.zeros((0, 3)),
    }  # fmt: skip
    for protocol in range(5):
        found = plain_pickle(pickle.dumps(value, protocol=protocol), "here")
        assert list(found) == list(value)
        assert found["a"] == value["a"]
        for key in ("f", "big", "s", "n"):
            np.testing.assert_array_equal(found[key], value[key])
            assert found[key].dtype == value[key].dtype
        np.testing.assert_array_equal(found["b"][0], value["b"][0])
        assert found["b"][1] == np.float32(0.5)
        np.testing.assert_array_equal(found["o"][0], [0, 1])


def _clips(root: Path, **options: object) -> list:  # type: ignore[type-arg]
    form, context = get_format("3dpw", **options), Context(Path("unused"), lambda text: None)
    return [clip for unit in form.plan(root, context).units for clip in form.read(unit, context)]
