"""The joints npz and VideoPose3D's Human3.6M npz, hostile pickles among them."""

import json
import pickle
import zipfile
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from formats_h36m import write_detections
from posedata.prepare import prepare
from posedata.readers import read_h36m_npz, read_joints
from posedata.readers.files.safe_npz import load_npz_arrays, load_plain_npz
from posedata.skeleton import get_skeleton
from posedata.store import PoseStore

MOCAP = Path(__file__).resolve().parents[3] / "../shared/data/mocap"


def joints_arrays() -> dict[str, Any]:
    return {
        "joints": np.random.default_rng(0).normal(size=(9, 17, 3)).astype(np.float32),
        "seq": np.array([1, 1, 1, 1, 0, 0, 0, 2, 2]),
        "subject": np.array([0] * 7 + [1] * 2, np.int16),
        "action": np.zeros(9, np.int16),
        "seq_names": np.array(["a", "b", "c"]),
        "subject_names": np.array(["ann", "bob"]),
        "action_names": np.array(["walk"]),
        "parents": np.array(get_skeleton("h36m17").parents),
        "fps": np.float64(30),
    }


def test_joints_npz_becomes_rows_with_frame_numbers(tmp_path: Path) -> None:
    arrays = joints_arrays()
    np.savez(tmp_path / "j.npz", **arrays)
    store = PoseStore.open(prepare("joints", tmp_path / "j.npz", tmp_path / "store", licence="mine"))
    np.testing.assert_array_equal(store.column("joints"), arrays["joints"])
    assert store.column("frame").tolist() == [0, 1, 2, 3, 0, 1, 2, 0, 1]
    assert store.rows(sequences=["a"]).tolist() == [4, 5, 6]
    assert store.rows(subjects=["bob"]).tolist() == [7, 8]
    assert (store.meta["fps"], store.meta["licence"]) == (30, "mine")
    half = read_joints(tmp_path / "j.npz", fps=15)
    np.testing.assert_array_equal(half.columns["joints"], arrays["joints"][[0, 2, 4, 6, 7]])
    assert half.columns["frame"].tolist() == [0, 1, 0, 1, 0]


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("subject", None, "lacks subject;"),
        ("subject", np.full(9, 2), "subject must be integers from 0 to 1"),
        ("seq", np.array([0, 1, 0, 1, 0, 1, 0, 1, 0]), "not consecutive"),
        ("seq", np.zeros(8, int), r"seq has shape \(8,\)"),
        ("joints", np.zeros((9, 15, 3)), r"joints has shape \(9, 15, 3\)"),
        ("joints", np.zeros((9, 17, 3), complex), "joints is an array of complex128, wanted real numbers"),
        ("joints", np.zeros((9, 17, 3), bool), "joints is an array of bool, wanted real numbers"),
        ("parents", np.arange(17), "parents are not those of h36m17"),
        ("seq_names", np.array([{}, {}], dtype=object), "holds pickled objects"),
    ],
)
def test_a_broken_joints_npz_names_its_fault(tmp_path: Path, key: str, value: Any, message: str) -> None:
    arrays = joints_arrays() | {key: value}
    np.savez(tmp_path / "j.npz", **{name: array for name, array in arrays.items() if array is not None})
    with pytest.raises(ValueError, match=message) as caught:
        prepare("joints", tmp_path / "j.npz", tmp_path / "store")
    assert str(caught.value).startswith(str(tmp_path / "j.npz"))
    assert not (tmp_path / "store").exists()


def test_names_of_a_joints_npz_may_be_bytes_and_must_be_text(tmp_path: Path) -> None:
    def read(**changed: Any) -> Any:
        np.savez(tmp_path / "j.npz", **joints_arrays() | changed)
        return read_joints(tmp_path / "j.npz")

    names = np.array([b"ann", "bj\u00f6rn".encode()])
    assert read(subject_names=names).meta["subjects"] == ["ann", "bj\u00f6rn"]
    for wrong in (np.array([b"ann", b"\xff"]), np.array(["ann", "b\ud800"])):
        with pytest.raises(ValueError, match="subject_names is no list of names in UTF-8; write it as"):
            read(subject_names=wrong)
    none = {key: np.zeros(0, int) for key in ("seq", "subject", "action")}
    with pytest.raises(ValueError, match="joints has no pose; write one at least"):
        read(joints=np.zeros((0, 17, 3)), **none)


def test_unknown_format_and_missing_or_truncated_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="format 'joint' is not known; did you mean 'joints'"):
        prepare("joint", tmp_path / "j.npz", tmp_path / "store")
    with pytest.raises(FileNotFoundError, match="no such file"):
        read_joints(tmp_path / "j.npz")
    np.savez(tmp_path / "j.npz", **joints_arrays())
    (tmp_path / "j.npz").write_bytes((tmp_path / "j.npz").read_bytes()[:-300])
    with pytest.raises(ValueError, match="cannot be read as plain data"):
        read_joints(tmp_path / "j.npz")


@pytest.mark.skipif(not MOCAP.is_dir(), reason="needs ../shared/data")
def test_the_real_mocap_file_has_the_counts_its_readme_states() -> None:
    data = read_joints(MOCAP / "open_joints.npz")
    assert data.columns["joints"].shape == (149_135, 17, 3)
    assert [len(data.meta[k]) for k in ("subjects", "sequences", "actions")] == [24, 1_556, 33]
    assert data.columns["frame"].max() + 1 == np.bincount(data.columns["sequence"]).max()
    counts = np.bincount(data.columns["sequence"])
    assert (data.columns["frame"] == 0).sum() == len(counts)


QUATERNION = [0.5, 0.5, 0.5, 0.5]
"""A third of a turn about (1, 1, 1): takes x to y, y to z, z to x."""
CAMERAS = {
    "S9": [
        {
            "orientation": QUATERNION,
            "translation": [1000.0, 2000.0, 3000.0],
            "focal_length": [1145.0, 1143.5],
            "center": [512.5, 515.5],
            "radial_distortion": [-0.2, 0.24, -0.002],
            "tangential_distortion": [-0.0009, -0.0016],
            "res_w": 1000,
            "res_h": 1002,
        },
        {
            "orientation": [1.0, 0.0, 0.0, 0.0],
            "translation": [0.0, 0.0, -5000.0],
            "focal_length": [1000.0, 1000.0],
            "center": [500.0, 500.0],
            "radial_distortion": [0.0, 0.0, 0.0],
            "tangential_distortion": [0.0, 0.0],
            "res_w": 1000,
            "res_h": 1000,
        },
    ]
}


COCO_SYMMETRY = [[1, 3, 5, 7, 9, 11, 13, 15], [2, 4, 6, 8, 10, 12, 14, 16]]
"""As VideoPose3D's files have it."""


def tell(path: Path, **metadata: Any) -> None:
    """Another metadata for a file of keypoints."""
    seen = np.load(path, allow_pickle=True)["positions_2d"]
    np.savez(path, positions_2d=seen, metadata=np.array(metadata, dtype=object))


@pytest.fixture
def h36m(tmp_path: Path) -> Path:
    rng = np.random.default_rng(3)
    walk, sit = rng.normal(size=(6, 32, 3)), rng.normal(size=(5, 32, 3)).astype(np.float32)
    positions = {"S9": {"Walking 1": walk, "Sitting": sit}}
    np.savez(tmp_path / "data_3d_h36m.npz", positions_3d=np.array(positions, dtype=object))
    seen = {
        "S9": {
            "Walking 1": [rng.uniform(0, 1000, (7, 17, 2)) for _ in range(2)],
            "Sitting": [rng.uniform(0, 1000, (5, 17, 2)) for _ in range(2)],
        }
    }
    write_detections(tmp_path / "data_2d_h36m_cpn.npz", seen)
    (tmp_path / "cameras.json").write_text(json.dumps(CAMERAS))
    return tmp_path


def test_h36m_poses_are_the_17_of_32(h36m: Path) -> None:
    data = read_h36m_npz(h36m)
    walk = load_plain_npz(h36m / "data_3d_h36m.npz")["positions_3d"]["S9"]["Walking 1"]
    kept = [0, 1, 2, 3, 6, 7, 8, 12, 13, 14, 15, 17, 18, 19, 25, 26, 27]
    np.testing.assert_allclose(data.columns["joints"][:6], walk[:, kept], rtol=1e-6)
    assert data.meta["actions"] == ["Sitting", "Walking"]
    assert data.meta["sequences"] == ["S9 Sitting", "S9 Walking 1"]
    assert len(data.columns["joints"]) == 11
    assert len(read_h36m_npz(h36m, fps=10).columns["joints"]) == 3


def test_h36m_views_have_their_cameras_and_keypoints(h36m: Path) -> None:
    options = {"cameras": h36m / "cameras.json", "keypoints": h36m / "data_2d_h36m_cpn.npz"}
    store = PoseStore.open(prepare("h36m_npz", h36m, h36m / "store", **options))
    assert len(store) == 22
    seen = load_plain_npz(options["keypoints"])["positions_2d"]["S9"]
    rows = store.rows(sequences=["S9 Walking 1"])
    assert store.column("camera")[rows].tolist() == [0] * 6 + [1] * 6
    found = store.column("keypoints_cpn")[rows[6:]]
    np.testing.assert_allclose(found[..., :2], seen["Walking 1"][1][:6], rtol=1e-6)
    assert (found[..., 2] == 1).all()
    # camera 0: the camera's z axis lies along the world's x (z to x), its place is (1, 2, 3)
    point = torch.tensor([[[6.0, 2.0, 3.0], [6.0, 2.1, 3.2]]])
    camera = store.camera(rows[:1])
    local = camera.world_to_camera(point)[0]
    torch.testing.assert_close(local, torch.tensor([[0.0, 0, 5], [0.1, 0.2, 5]]), atol=1e-5, rtol=0)
    x, y, r2 = 0.02, 0.04, 0.02**2 + 0.04**2
    radial = 1 - 0.2 * r2 + 0.24 * r2**2 - 0.002 * r2**3
    # VideoPose3D's order and formula: first the one that goes with x, and half of Brown's products
    tangential = -0.0009 * x - 0.0016 * y
    u = x * (radial + tangential) - 0.0009 * r2
    v = y * (radial + tangential) - 0.0016 * r2
    pixels = camera.project(point)[0, 1]
    torch.testing.assert_close(
        pixels, torch.tensor([u * 1145 + 512.5, v * 1143.5 + 515.5]), atol=2e-3, rtol=0
    )


def test_h36m_keypoints_in_cocos_order_are_converted_by_name(h36m: Path) -> None:
    """nose, eyes, ears, shoulders, elbows, wrists, hips, knees, ankles; left before right."""
    file = h36m / "data_2d_h36m_cpn.npz"
    given = load_plain_npz(file)["positions_2d"]["S9"]["Sitting"][1]
    tell(file, layout_name="coco", num_joints=17, keypoints_symmetry=COCO_SYMMETRY)
    data = read_h36m_npz(h36m, cameras=h36m / "cameras.json", keypoints=file)
    rows = np.flatnonzero(data.columns["sequence"] == data.meta["sequences"].index("S9 Sitting"))[5:]
    seen = np.moveaxis(data.columns["keypoints_cpn"][rows], 1, 0)
    found = dict(zip(get_skeleton("h36m17").joints, seen, strict=True))
    shoulders, hips = given[:, [5, 6]].mean(1), given[:, [11, 12]].mean(1)
    expected = {
        "right_ankle": given[:, 16], "left_ankle": given[:, 15], "left_wrist": given[:, 9],
        "right_elbow": given[:, 8], "pelvis": hips, "thorax": shoulders, "spine": (hips + shoulders) / 2,
        "neck": given[:, 0], "head": given[:, [1, 2]].mean(1),
    }  # fmt: skip
    for joint, pixels in expected.items():
        np.testing.assert_allclose(found[joint][:, :2], pixels, rtol=1e-6)
        assert (found[joint][:, 2] == 1).all()


def test_h36m_keypoints_that_were_not_seen_have_no_confidence(h36m: Path) -> None:
    """COCO's left hip at (0, 0) in one frame, the nose NaN in another, an ankle at -1 in a third."""
    file = h36m / "data_2d_h36m_cpn.npz"
    entries = load_plain_npz(file)["positions_2d"]
    view = entries["S9"]["Sitting"][0] = entries["S9"]["Sitting"][0].copy()
    view[1, 11], view[2, 0], view[3, 16] = 0, np.nan, -1
    np.savez(file, positions_2d=np.array(entries, dtype=object))
    tell(file, layout_name="coco", num_joints=17, keypoints_symmetry=COCO_SYMMETRY)
    options = {"cameras": h36m / "cameras.json", "keypoints": file}
    told: list[str] = []
    store = PoseStore.open(prepare("h36m_npz", h36m, h36m / "store", say=told.append, **options))
    rows = store.rows(sequences=["S9 Sitting"])[:5]
    found = store.column("keypoints_cpn")[rows]
    names = get_skeleton("h36m17").joints
    lost = {(1, "left_hip"), (1, "pelvis"), (1, "spine"), (2, "neck"), (3, "right_ankle")}
    assert {(i, names[j]) for i, j in np.argwhere(found[..., 2] == 0).tolist()} == lost
    assert (found[found[..., 2] == 0] == 0).all()
    np.testing.assert_allclose(found[1, names.index("right_hip"), :2], view[1, 12], rtol=1e-6)
    assert f"{file}: 3 keypoints are NaN, (0, 0) or (-1, -1), so were not seen" in told
    view[4, 3, 1] = np.nan
    np.savez(file, positions_2d=np.array(entries, dtype=object))
    tell(file, layout_name="coco", num_joints=17, keypoints_symmetry=COCO_SYMMETRY)
    with pytest.raises(ValueError, match=r"S9 Sitting view 0: .*frame 4.*left_ear.*not seen"):
        read_h36m_npz(h36m, **options)


def test_h36m_keypoints_of_an_order_that_is_not_known_are_refused(h36m: Path, tmp_path: Path) -> None:
    file = h36m / "data_2d_h36m_cpn.npz"
    options = {"cameras": h36m / "cameras.json", "keypoints": file}
    for metadata in (
        {"layout_name": "mpii", "keypoints_symmetry": [[3, 4, 5, 13, 14, 15], [0, 1, 2, 10, 11, 12]]},
        {"layout_name": "h36m", "keypoints_symmetry": COCO_SYMMETRY},
        {"layout_name": "coco", "keypoints_symmetry": COCO_SYMMETRY[::-1]},
        {"keypoints_symmetry": [[1, 2], [3]]},
        {"keypoints_symmetry": "x"},
    ):
        tell(file, **metadata)
        with pytest.raises(
            ValueError, match=r"cpn\.npz: metadata: layout .* neither Human3\.6M's nor COCO's"
        ):
            read_h36m_npz(h36m, **options)
    tell(file)
    told: list[str] = []
    prepare("h36m_npz", h36m, tmp_path / "store", say=told.append, **options)
    assert told == [f"{file}: has no metadata, so its joints are taken for Human3.6M's 17; check their order"]


def test_h36m_keypoints_need_cameras_and_must_fit(h36m: Path) -> None:
    keypoints = h36m / "data_2d_h36m_cpn.npz"
    with pytest.raises(ValueError, match="keypoints need the cameras"):
        read_h36m_npz(h36m, keypoints=keypoints)
    (h36m / "one.json").write_text(json.dumps({"S9": CAMERAS["S9"][:1]}))
    with pytest.raises(ValueError, match="S9 Walking 1: has 2 views for 1 cameras"):
        read_h36m_npz(h36m, keypoints=keypoints, cameras=h36m / "one.json")
    (h36m / "flat.json").write_text(json.dumps({"S9": [{**CAMERAS["S9"][0], "orientation": [0, 0, 0, 0]}]}))
    with pytest.raises(ValueError, match=r"flat\.json: S9 camera 0: .*not a quaternion"):
        read_h36m_npz(h36m, keypoints=keypoints, cameras=h36m / "flat.json")
    (h36m / "none.json").write_text("{}")
    with pytest.raises(ValueError, match="has no cameras for 'S9'"):
        read_h36m_npz(h36m, cameras=h36m / "none.json")
    with pytest.raises(ValueError, match="has no dict 'positions_3d'"):
        read_h36m_npz(keypoints)


class Hostile:
    """Unpickled by the ordinary loader, it would make a file."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self) -> tuple[Any, ...]:
        return open, (self.path, "w")


def write_object_npz(path: Path, payload: bytes) -> None:
    """An npz whose only entry is an object array that consists of this pickle."""
    entry = BytesIO()
    np.lib.format.write_array_header_1_0(entry, {"descr": "|O", "fortran_order": False, "shape": ()})
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("positions_3d.npy", entry.getvalue() + payload)


def test_a_hostile_pickle_is_refused_and_runs_nothing(tmp_path: Path) -> None:
    made, bad = tmp_path / "made", tmp_path / "data_3d_h36m.npz"
    np.savez(bad, positions_3d=np.array({"S9": Hostile(made)}, dtype=object))
    with pytest.raises(ValueError, match=r"data_3d_h36m\.npz: .*cannot be read as plain data .*open"):
        read_h36m_npz(bad)
    assert not made.exists()


@pytest.mark.parametrize(
    "payload",
    [
        b"cos\nsystem\n(S'true'\ntR.",
        b"cbuiltins\neval\n(S'1'\ntR.",
        b"cnumpy\nload\n(S'x'\ntR.",
        b"c_codecs\nencode\n(S'x'\nS'rot13'\ntR.",
        b"Pelsewhere\n.",
        pickle.dumps({1, 2}),
        pickle.dumps(Path("x")),
    ],
)
def test_anything_but_plain_data_is_refused(tmp_path: Path, payload: bytes) -> None:
    write_object_npz(tmp_path / "x.npz", payload)
    with pytest.raises(ValueError, match="plain data"):
        load_plain_npz(tmp_path / "x.npz")


def test_plain_data_survives(tmp_path: Path) -> None:
    content = {"a": [1, 2.5, True, None, "é", b"\xff"], "b": (np.arange(3), np.float32(0.5)), 3: {}}
    for protocol in (2, 3, 4):
        inner = np.empty((), dtype=object)
        inner[()] = content
        write_object_npz(tmp_path / "x.npz", pickle.dumps(inner, protocol=protocol))
        found = load_plain_npz(tmp_path / "x.npz")["positions_3d"]
        assert found["a"] == content["a"]
        np.testing.assert_array_equal(found["b"][0], [0, 1, 2])
        assert found["b"][1] == np.float32(0.5)
        assert found[3] == {}


@pytest.mark.parametrize("order", ["<", ">"])
def test_characters_that_do_not_exist_are_refused(tmp_path, order):
    names = np.array(["one", "two"], dtype=f"{order}U3")
    np.savez(tmp_path / "good.npz", names=names)
    assert list(load_npz_arrays(tmp_path / "good.npz")["names"]) == ["one", "two"]
    names.view(f"{order}u4")[2] = 0x110000
    np.savez(tmp_path / "bad.npz", names=names)
    with pytest.raises(ValueError, match=r"bad\.npz: .*characters that do not exist"):
        load_npz_arrays(tmp_path / "bad.npz")
