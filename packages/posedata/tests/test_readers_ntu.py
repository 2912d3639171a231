"""NTU RGB+D in the layout of its owners: what is read, how the camera is solved, what broken files get."""

from __future__ import annotations

from pathlib import Path

import formats_rgbd as formats
import numpy as np
import pytest
import torch
from posedata.prepare import prepare
from posedata.readers.files.kinect import solve_intrinsics
from posedata.readers.ntu import read_skeleton
from posedata.store import PoseStore

SAMPLE = Path(__file__).parents[4] / "shared/data/ntu/first_lines_of_a_skeleton_file.txt"


def _prepared(tmp_path: Path, **options: object) -> PoseStore:
    return PoseStore.open(prepare("ntu", tmp_path / "raw", tmp_path / "store", **options), verify=True)


def test_round_trip_of_two_recordings(tmp_path: Path) -> None:
    """Joints in metres, z up, right-handed; a clip a body; the subject is the file's performer."""
    formats.write_ntu(tmp_path / "raw", depth=False)
    store = _prepared(tmp_path)
    assert store.skeleton.name == "ntu25"
    assert store.names("sequence") == [
        "S001C002P003R001A008",
        "S001C002P003R002A050",
        "S001C002P003R002A050 body 2",
    ]
    assert store.names("subject") == ["P003"]
    assert store.names("action") == ["A008", "A050"]
    given = formats.ntu_body(8)
    first = store.rows(sequences=["S001C002P003R001A008"])
    np.testing.assert_array_equal(store.column("frame")[first], np.arange(8))
    expected = np.stack([-given[..., 0], given[..., 2], given[..., 1]], -1)
    np.testing.assert_allclose(store.column("joints")[first], expected, atol=1e-5)
    second = store.rows(sequences=["S001C002P003R002A050 body 2"])
    np.testing.assert_array_equal(store.column("frame")[second], np.arange(2, 7))
    assert store.meta["split"] == {"train": [], "test": ["P003"]}
    assert "image" not in store


def test_the_camera_is_solved_from_the_joints(tmp_path: Path) -> None:
    """Focal length, turned-back centre and lens come out as the writer used them; joints project exactly.

    They do not reach the corners, and k1 and k2 that fit them alone fold the image before: k3 is set.
    """
    formats.write_ntu(tmp_path / "raw", frames=40, depth=False)
    store = _prepared(tmp_path)
    assert len(store.column("camera_focal")) == 1
    np.testing.assert_allclose(store.column("camera_focal")[0], 365.5, atol=0.01)
    np.testing.assert_allclose(store.column("camera_centre")[0], [511 - 256.3, 208.5], atol=0.01)
    np.testing.assert_allclose(store.column("camera_distortion")[0], [0.0905, -0.268, 0, 0, 0.1], atol=3e-3)
    corners = torch.tensor([[0.0, 0.0], [0.0, 423.0], [511.0, 0.0], [511.0, 423.0]])
    rays = store.camera(np.array([0]))[0].rays(corners).numpy()  # all there, and where the lens has them
    square = (rays[:, :2] ** 2).sum(-1, keepdims=True)
    bent = 1 + 0.0905 * square - 0.268 * square**2 + 0.095 * square**3
    np.testing.assert_allclose(365.5 * rays[:, :2] * bent + [511 - 256.3, 208.5], corners, atol=2)
    projected = store.camera().project(torch.from_numpy(np.array(store.column("joints"))))
    np.testing.assert_allclose(projected, store.column("keypoints_true")[..., :2], atol=2e-3)


def test_left_is_left_and_the_image_is_not_mirrored(tmp_path: Path) -> None:
    """Somebody who faces the camera has the left shoulder at the right of the image."""
    formats.write_ntu(tmp_path / "raw", depth=False)
    store = _prepared(tmp_path)
    left, right = (store.skeleton.index(f"{side}_shoulder") for side in ("left", "right"))
    pixels = store.column("keypoints_true")
    assert (pixels[:, left, 0] > pixels[:, right, 0]).all()
    toes = np.array(store.column("joints")) - store.column("joints")[:, [store.skeleton.index("left_ankle")]]
    assert (toes[:, store.skeleton.index("left_foot"), 1] < 0).all()  # towards the camera


def test_depth_is_turned_back_with_the_pixels(tmp_path: Path) -> None:
    """The value that the mirrored image has at depthX, depthY stands where the joint projects."""
    formats.write_ntu(tmp_path / "raw")
    store = _prepared(tmp_path, size="full")
    assert store.image_size == (512, 424)
    row = int(store.rows(sequences=["S001C002P003R001A008"])[5])
    image = store.images(np.array([row]), "depth")[0]
    u, v = np.rint(formats.ntu_pixels(formats.ntu_body(8)[5])).astype(int).T
    mirrored = np.rint(store.column("keypoints_true")[row, :, :2]).astype(int)
    inside = (v >= 0) & (v < 424) & (u > 0) & (u < 512)
    assert inside.any()
    given = 1000 + u + 512 * v % 60_000 + 5
    found = image[mirrored[inside, 1], mirrored[inside, 0]].astype(int)
    assert (abs(found - given[inside]) <= 1).all()


def test_crops_follow_the_body(tmp_path: Path) -> None:
    formats.write_ntu(tmp_path / "raw")
    store = _prepared(tmp_path, size="64x96")
    assert store.images(np.arange(len(store)), "depth").shape == (len(store), 96, 64)
    pixels, boxes = store.column("keypoints_true")[..., :2], store.column("boxes")[:, None]
    assert ((pixels >= boxes[..., :2]) & (pixels <= boxes[..., 2:])).all()


def test_listed_recordings_are_left_out(tmp_path: Path) -> None:
    formats.write_ntu(tmp_path / "raw", depth=False)
    listed = tmp_path / "missing.txt"
    listed.write_text("302 samples lack skeletons\n\nS001C002P003R001A008\n", encoding="utf-8")
    store = _prepared(tmp_path, missing=listed)
    assert store.names("action") == ["A050"]


def test_inferred_joints_are_valid_and_untracked_ones_are_not(tmp_path: Path) -> None:
    for state, valid in ((0, False), (1, True)):
        raw = tmp_path / str(state)
        bodies = {"1": (0, formats.ntu_body(4))}
        formats.write_skeleton(raw / "S001C001P001R001A001.skeleton", bodies, 4, state)
        store = PoseStore.open(prepare("ntu", raw, tmp_path / f"{state}.store"))
        assert (np.array(store.column("valid")) == valid).all()
        assert not store.column("visible_true").any()


def test_faults_of_single_files_are_told_and_the_rest_is_read(tmp_path: Path) -> None:
    """A cut file, an empty one, a missing depth image: each named; strict refuses."""
    files = formats.write_ntu(tmp_path / "raw")
    cut = files[0].with_name("S001C002P003R001A001.skeleton")
    cut.write_bytes(files[0].read_bytes()[:5000])
    nobody = files[0].with_name("S001C002P003R001A002.skeleton")
    nobody.write_text("2\n0\n0\n", encoding="utf-8")
    files[-1].unlink()
    told: list[str] = []
    store = PoseStore.open(prepare("ntu", tmp_path / "raw", tmp_path / "store", say=told.append))
    assert len(store) == 8 + 8 + 5
    assert (store.column("image") < 0).sum() == 1
    assert any("A001.skeleton: ends in frame" in note for note in told)
    assert any("A002.skeleton: tracks nobody" in note for note in told)
    assert any("lacks the depth of 1 of 8 frames" in note for note in told)
    with pytest.raises(ValueError, match="--strict"):
        prepare("ntu", tmp_path / "raw", tmp_path / "strict", strict=True)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", "ends before the number of frames"),
        ("2\n1\n", "ends before the number of joints in frame 1 of 2"),
        ("1\n1\n7 0 0 0 0 0 0 0 0 2\n24\n", "a body without 25 joints"),
        ("1\n0\n5\n", "goes on after its 1 frames"),
        ("1\n99\n", "the number of bodies in frame 1 of 1 is 99"),
        ("one\n", "not a number"),
        ("1e9\n0\n", "the number of frames is 1e"),
    ],
)
def test_broken_skeleton_files(tmp_path: Path, text: str, word: str) -> None:
    path = tmp_path / "S001C001P001R001A001.skeleton"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=r"S001C001P001R001A001\.skeleton") as raised:
        read_skeleton(path)
    assert word in str(raised.value)


@pytest.mark.skipif(not SAMPLE.is_file(), reason="the sample lies beside the repository, not in it")
def test_a_published_sample_agrees_with_a_solved_camera() -> None:
    """Two joints of a real file lie where the camera that this reader solved from other real files puts them:
    f = 365.520, centre (256.348, 208.496), k1 = 0.0933, k2 = -0.2600."""
    lines = [line.split() for line in SAMPLE.read_text(encoding="utf-8").splitlines()]
    numbers = np.array([line for line in lines if len(line) == 12], float)
    plane = numbers[:, :2] / numbers[:, 2:3] * [1, -1]
    square = (plane**2).sum(-1, keepdims=True)
    placed = 365.520 * plane * (1 + 0.0933 * square - 0.26 * square**2) + [256.348, 208.496]
    np.testing.assert_allclose(placed, numbers[:, 3:5], atol=2e-3)


def test_twelve_points_without_a_lens_need_no_lens() -> None:
    rng = np.random.default_rng(3)
    points = rng.uniform([-1, -1, 2], [1, 1, 4], (12, 3))
    pixels = points[:, :2] / points[:, 2:] * [365.434, 365.411] + [262.535, 209.739]
    solved = solve_intrinsics(points, pixels)
    np.testing.assert_allclose(
        np.concatenate([solved.focal, solved.centre]), [365.434, 365.411, 262.535, 209.739]
    )
    with pytest.raises(ValueError, match="focal length"):
        solve_intrinsics(points[:1], pixels[:1])


def test_a_lens_that_folds_within_the_image_loses_coefficients() -> None:
    """Barrel so strong that no k3 helps: within the joints' reach it is one, beyond it turns back."""
    rng = np.random.default_rng(3)
    points = rng.uniform([-1, -1, 2], [1, 1, 2.1], (400, 3))
    plane = points[:, :2] / points[:, 2:]
    square = (plane**2).sum(-1, keepdims=True)
    pixels = 365.5 * plane * (1 - 0.2 * square - 0.9 * square**2) + [256, 212]
    free, kept = solve_intrinsics(points, pixels), solve_intrinsics(points, pixels, size=(512, 424))
    np.testing.assert_allclose(free.distortion, [-0.2, -0.9, 0, 0, 0], atol=1e-9)
    k1, k2, _, _, k3 = kept.distortion
    radii = np.linspace(0, 3, 500)
    seen = radii * (1 + k1 * radii**2 + k2 * radii**4 + k3 * radii**6)
    corner = np.hypot(256.5, 212.5) / kept.focal[0]
    assert (np.diff(seen[: np.argmax(seen > corner) + 1]) > 0).all()
    assert seen.max() > corner


@pytest.mark.parametrize("count", [12, 400])
def test_pixels_that_no_camera_gives_are_refused(count: int) -> None:
    """All at one place, so the focal length is 0; or mirrored, so it is negative."""
    points = np.random.default_rng(3).uniform([-2, -2, 2], [2, 2, 3], (count, 3))
    for scale in (0.0, -365.0):
        pixels = points[:, :2] / points[:, 2:] * scale + 200
        with pytest.raises(ValueError, match="the focal lengths that fit the points are"):
            solve_intrinsics(points, pixels)
