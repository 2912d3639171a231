"""What was seen, and what is made of it."""

from pathlib import Path

import numpy as np
import pytest
import torch
from posedata.keypoint_files import read_array, read_joints
from posedata.keypoints import convert_keypoints, frames_told, holds_person, take_keypoints
from posedata.readers.files.depth import read_depth
from posedata.skeleton import get_skeleton

COCO, H36M = get_skeleton("coco17"), get_skeleton("h36m17")


def some(frames: int = 4, skeleton: str = "coco17") -> np.ndarray:
    """Confidences between 0.3 and 1, places between 100 and 500."""
    rng = np.random.default_rng(0)
    joints = len(get_skeleton(skeleton))
    return np.concatenate(
        [rng.uniform(100, 500, (frames, joints, 2)), rng.uniform(0.3, 1, (frames, joints, 1))], -1
    )


def test_what_is_made_of_an_unseen_part_is_unseen() -> None:
    points = torch.from_numpy(some())
    left_hip = COCO.index("left_hip")
    points[1, left_hip] = 0
    made = convert_keypoints(points, COCO, H36M)
    gone = {name for name, sure in zip(H36M.joints, made[1, :, 2], strict=True) if sure == 0}
    assert gone == {"left_hip", "pelvis", "spine"}
    assert torch.equal(made[1, [0, 4, 7]], torch.zeros(3, 3, dtype=made.dtype))
    whole = COCO.convert(points[..., :2], H36M, lossy=True)
    seen = made[..., 2] > 0
    torch.testing.assert_close(made[..., :2][seen], whole[seen])
    assert made[0, 0, 2] == points[0, 11:13, 2].min()
    assert made[0, 7, 2] == points[0, [5, 6, 11, 12], 2].min()


def test_what_stands_where_nothing_was_seen_is_not_even_converted() -> None:
    """1e300 is no float32: a warning, if it were."""
    points = some()
    points[0, 3] = 1e300, -1e300, 0
    points[1, 4, 2] = -1
    found, notes = take_keypoints(points, COCO)
    assert found[0, 3].tolist() == found[1, 4].tolist() == [0, 0, 0]
    points[0, 3] = points[1, 4] = 0
    np.testing.assert_array_equal(found, points.astype(np.float32))
    assert notes == ["1 of 68 keypoints of confidence -1 are taken as not seen"]


def test_an_unseen_part_does_no_harm_whatever_its_place() -> None:
    points = torch.from_numpy(some())
    points[0, COCO.index("left_hip")] = torch.tensor([torch.nan, torch.inf, 0])
    made = convert_keypoints(points, COCO, H36M)
    assert made[0, 0].tolist() == [0, 0, 0]
    assert made[:, 1:4].isfinite().all()


def test_the_same_skeleton_changes_nothing_and_another_number_of_joints_is_refused() -> None:
    points = torch.from_numpy(some())
    assert torch.equal(convert_keypoints(points, COCO, COCO), points)
    with pytest.raises(ValueError, match=r"want \(\.\.\., 25, 3\) of openpose25"):
        convert_keypoints(points, get_skeleton("openpose25"), H36M)


def test_a_person_shows_a_hip_and_a_shoulder() -> None:
    hip, shoulder, other = COCO.index("right_hip"), COCO.index("left_shoulder"), COCO.index("left_hip")
    points = torch.from_numpy(some(8)).float()
    points[0, :, 2] = 0  # places without confidence
    points[1, 5:] = 0  # a face
    points[2, :11] = 0  # legs
    points[3, 11:] = 0  # above the waist
    points[4] = 0
    points[4, [hip, shoulder]] = torch.tensor([[100.0, 160.0, 0.01], [100.0, 100.0, 1.0]])
    points[5] = points[4]
    points[5, hip, :2] = points[5, shoulder, :2]  # no size
    points[6, other] = torch.tensor([torch.nan, torch.inf, 0.0])  # not seen, wherever it is
    assert holds_person(points, COCO).tolist() == [False] * 4 + [True, False, True, True]
    converted = convert_keypoints(points, COCO, H36M)
    assert holds_person(converted, H36M).tolist() == holds_person(points, COCO).tolist()


def test_marks_of_unseen_joints_are_taken_as_such_and_told() -> None:
    values = some()
    values[0, 0] = (-1, -1, -1)
    values[0, 1, 2] = -1
    values[1, 2] = 0
    values[2, 3, :2] = 0
    values[2, 4] = np.nan
    taken, notes = take_keypoints(values, COCO)
    assert notes == [
        "1 of 68 keypoints at exactly (0, 0) are taken as not seen",
        "2 of 68 keypoints of confidence -1 are taken as not seen",
        "1 of 68 keypoints that are NaN are taken as not seen",
    ]
    unseen = [(0, 0), (0, 1), (1, 2), (2, 3), (2, 4)]
    assert np.argwhere(taken[..., 2] == 0).tolist() == [list(pair) for pair in unseen]
    assert not taken[tuple(zip(*unseen, strict=True))].any()
    rest = taken[..., 2] > 0
    np.testing.assert_allclose(taken[rest], values[rest], rtol=1e-6)
    flat = some()[..., :2]
    flat[0, 0], flat[0, 1] = np.nan, 0
    taken, notes = take_keypoints(flat, COCO)
    assert len(notes) == 2
    assert taken[..., 2].sum() == 66


def changed(index: tuple, value: float) -> np.ndarray:
    values = some()
    values[index] = value
    return values


def standing() -> np.ndarray:
    """(3, 17, 3) metres before a camera."""
    places = np.linspace(0, 1, 3 * 17).reshape(3, 17)
    return np.stack([places - 0.5, 1.7 * places[:, ::-1] - 0.9, 3.5 + 0.8 * places**2], -1)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (changed((2, 7, 0), 1e30), r"frame 2, left_elbow: is at \(1e\+30, .*give it confidence 0"),
        (changed((1, 0, 1), np.inf), "frame 1, nose: is at .*inf"),
        (changed((1, 0, 1), np.nan), "frame 1, nose: is at .*nan"),
        (changed((1, 0, slice(0, 2)), np.nan), "frame 1, nose: is at .*nan"),
        (changed((1, 0, 1), np.nan)[..., :2], r"frame 1, nose: is at .*give \(NaN, NaN\)"),
        (changed((0, 5, 2), -0.5), "frame 0, left_shoulder: has confidence -0.5; give 0"),
        (changed((0, 5, 2), np.nan), "frame 0, left_shoulder: has confidence nan; give 0"),
        (some() * [1, 1, 100], "confidence reaches 9.*; divide it by 100"),
        (some() * [1, 1, 255], "confidence reaches 2.*; divide it by 255"),
        (changed((0, 5, 2), 1.25), "confidence reaches 1.25, want 0 to 1; clip it to 1"),
        (changed((..., 2), 2), "confidence reaches 2.*visibility 0, 1, 2"),
        (
            standing(),
            r"third numbers run from 3\.5 to 4\.3\d*, as z of 3D joints does",
        ),
        (1000 * standing(), "as z of 3D joints does"),
        (standing() - standing().mean(1, keepdims=True), "as z of 3D joints does"),
        (some()[:0], "has no frame; give one at least"),
        (some()[0], r"want \(N, 17, 2 or 3\) for coco17; of one frame give array\[None\]"),
        (some()[:, None], "of several people give one at a time"),
        (np.zeros((3, 17, 4)), r"leave out depth: array\[\.\.\., \[0, 1, 3\]\]"),
        (some(3, "ntu25"), "25 joints have ntu25 and openpose25: name the skeleton"),
        (some(3, "mediapipe33"), "33 joints have mediapipe33: name the skeleton"),
        (np.zeros((3, 16, 2)), "skeletons that are known: h36m17, coco17"),
        (np.ones((3, 17, 2), bool), "holds bool values, want numbers"),
        (np.ones((3, 17, 2), complex), "holds complex128 values, want numbers"),
        (np.full((3, 17, 2), "a"), "want numbers"),
    ],
)
def test_anything_else_is_refused_by_name_with_a_cure(values: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match="^k.npy: .*" + message):
        take_keypoints(values, COCO, "k.npy")


def test_the_cure_of_a_wrong_place_works() -> None:
    for bad in (1e30, np.nan, np.inf):
        values = changed((2, 7, 0), bad)
        values[2, 7, 2] = 0
        taken, _ = take_keypoints(values, COCO)
        assert np.argwhere(taken[..., 2] == 0).tolist() == [[2, 7]]
        assert np.isfinite(taken).all()


def test_rounding_above_one_is_no_fault() -> None:
    assert take_keypoints(changed((0, 0, 2), 1.0000001), COCO)[0][..., 2].max() == 1


def test_frames_are_told_in_words() -> None:
    assert frames_told(np.array([3])) == "frame 3"
    assert frames_told(np.arange(7)) == "frames 0, 1, 2, 3, 4 and 2 more"


@pytest.mark.parametrize("header", [b"{'descr': '<f4', 'shape': (", b"{'descr': 3}", b"(" * 90, b"\xff" * 60])
def test_an_array_whose_header_is_damaged_is_refused_in_our_words(tmp_path: Path, header: bytes) -> None:
    path = tmp_path / "k.npy"
    path.write_bytes(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + bytes(99))
    for read in (lambda: read_array(path, "keypoints"), lambda: read_depth(path, 1000.0, (4, 4))):
        with pytest.raises(ValueError, match=r"k\.npy: is not an? (whole )?\.npy"):
            read()


def test_keypoints_with_confidence_are_no_joints(tmp_path: Path) -> None:
    np.save(tmp_path / "k.npy", some())
    with pytest.raises(ValueError, match=r"poses are 3\d\d.* wide.*look like keypoints with confidence"):
        read_joints(tmp_path / "k.npy", COCO)
    metres, millimetres = some() / [250, 250, 1], some() * [1, 1, 900]
    for joints in (metres, millimetres):
        np.save(tmp_path / "j.npy", joints)
        np.testing.assert_allclose(read_joints(tmp_path / "j.npy", COCO), joints, rtol=1e-6)
