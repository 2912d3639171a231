"""Keypoints that are not what they are called are found; people in odd postures are let be."""

from typing import Any

import numpy as np
import pytest
from keypoint_people import dressed, seen
from posedata.plausible import check_focal, check_keypoints, looks_like
from posedata.skeleton import get_skeleton
from posedata.synthetic.people.motion import generate_motion

SIZE = (1000, 1000)
PAIRS = [("h36m17", "coco17"), ("ntu25", "openpose25"), ("itop15", "panoptic15")]


@pytest.fixture(scope="module")
def people() -> np.ndarray:
    """400 frames of eight people, walking to jumping."""
    return generate_motion(8, 5, 10, seed=3).joints.astype(np.float64)


def called(people: np.ndarray, skeleton: str, **how: Any) -> np.ndarray:
    return seen(dressed(people, skeleton), np.random.default_rng(5), **how)


@pytest.mark.parametrize(("one", "other"), PAIRS + [(b, a) for a, b in PAIRS])
def test_the_order_of_another_skeleton_is_named(people: np.ndarray, one: str, other: str) -> None:
    points = called(people, one)
    assert looks_like(points, get_skeleton(one))[0] is None
    assert check_keypoints(points, get_skeleton(one), SIZE) == ([], [])
    found, factor = looks_like(points, get_skeleton(other))
    assert found == one
    assert factor > 2
    errors, warnings = check_keypoints(points, get_skeleton(other), SIZE)
    assert len(errors) == 1
    assert f"look like {one}, not {other}" in errors[0]
    assert f"give skeleton {one}" in errors[0]
    assert warnings == []


@pytest.mark.parametrize("name", ["h36m17", "coco17", "openpose25", "halpe26", "mediapipe33", "panoptic19"])
@pytest.mark.parametrize("turned", ["upright", "lying", "upside down", "from above", "noisy", "waist up"])
def test_nothing_is_said_of_people_in_any_posture(people: np.ndarray, name: str, turned: str) -> None:
    body = dressed(people, name)
    if turned == "lying":
        body = body[..., [2, 0, 1]]
    if turned == "upside down":
        body = body[:90] * [1, -1, -1]
    known: dict[str, dict[str, Any]] = {"from above": {"elevation": (70, 90)}, "noisy": {"noise": 0.02}}
    points = seen(body, np.random.default_rng(5), **known.get(turned, {}))
    sure = np.ones((*points.shape[:2], 1))
    if turned == "waist up":
        hidden = [i for i, j in enumerate(get_skeleton(name).joints) if j.endswith(("knee", "ankle", "toe"))]
        sure[:, hidden] = points[:, hidden] = 0
    assert check_keypoints(np.concatenate([points, sure], -1), get_skeleton(name), SIZE) == ([], [])


def test_single_frames_raise_no_false_alarm(people: np.ndarray) -> None:
    for name in ("h36m17", "coco17", "ntu25", "openpose25"):
        points = called(people, name, elevation=(-90, 90), noise=0.01)
        alarms = [
            frame for frame in range(400) if looks_like(points[frame : frame + 1], get_skeleton(name))[0]
        ]
        assert alarms == []


def test_an_unseen_joint_does_not_count(people: np.ndarray) -> None:
    points = np.concatenate([called(people, "coco17"), np.ones((400, 17, 1))], -1)
    points[:, [3, 11]] = [9e5, -9e5, 0]
    assert check_keypoints(points, get_skeleton("coco17"), SIZE) == ([], [])


def test_joints_in_no_known_order_are_warned_of(people: np.ndarray) -> None:
    order = np.random.default_rng(0).permutation(26)
    errors, warnings = check_keypoints(called(people, "halpe26")[:, order], get_skeleton("halpe26"), SIZE)
    assert errors == []
    assert len(warnings) == 1
    assert "do not hang together as halpe26" in warnings[0]


@pytest.mark.parametrize(
    ("scale", "move", "cure"),
    [(1 / 1000, 0, "x times the image's width"), (2 / 1000, -1, "(x + 1) / 2 times the image's width")],
)
def test_scaled_pixels_are_refused_with_the_figures(
    people: np.ndarray, scale: float, move: float, cure: str
) -> None:
    points = called(people, "coco17") * scale + move
    (error,), _ = check_keypoints(points, get_skeleton("coco17"))
    low, high = points.min(), points.max()
    assert f"between {low:.2g} and {high:.2g}" in error
    assert cure in error


def test_people_outside_the_image_are_refused_and_a_far_keypoint_named(people: np.ndarray) -> None:
    coco, points = get_skeleton("coco17"), called(people, "coco17")
    moved = points + np.array([900, 0])
    (error,), _ = check_keypoints(moved, coco, SIZE)
    assert "outside an image of 1000x1000: x 1" in error
    assert check_keypoints(moved, coco, (1920, 1080)) == ([], [])
    assert check_keypoints(moved, coco) == ([], [])
    points[7, 9] = (4200, 300)
    errors, (warning,) = check_keypoints(points, coco, SIZE)
    assert errors == []
    assert "frame 7, left_wrist at (4200, 300)" in warning
    assert "0.0% of keypoints" in warning
    sizes = np.full((400, 2), 1000)
    sizes[7] = 8000
    assert check_keypoints(points, coco, sizes) == ([], [])


def test_y_pointing_up_is_warned_of(people: np.ndarray) -> None:
    points = called(people, "h36m17")
    points[..., 1] = 999 - points[..., 1]
    errors, (warning,) = check_keypoints(points, get_skeleton("h36m17"), SIZE)
    assert errors == []
    assert "heads are below knees in 100% of frames" in warning


@pytest.mark.parametrize("parts", [("hip", "knee", "ankle"), ("shoulder", "elbow", "wrist")])
def test_sides_exchanged_in_half_the_body_are_warned_of(people: np.ndarray, parts: tuple[str, ...]) -> None:
    h36m = get_skeleton("h36m17")
    points = called(people, "h36m17")
    for part in parts:
        pair = [h36m.index(f"{side}_{part}") for side in ("left", "right")]
        points[:, pair] = points[:, pair[::-1]]
    errors, (warning,) = check_keypoints(points, h36m, SIZE)
    assert errors == []
    assert "left and right of hips and shoulders are opposite in 100% of frames" in warning


def test_frames_without_a_person_are_nothing_to_judge() -> None:
    assert check_keypoints(np.zeros((5, 17, 3)), get_skeleton("coco17"), SIZE) == ([], [])
    assert check_keypoints(np.zeros((0, 17, 3)), get_skeleton("coco17"), SIZE) == ([], [])


@pytest.mark.parametrize("focal", [float("nan"), float("inf"), 0.0, -5.0])
def test_a_focal_length_is_a_number_above_zero(focal: float) -> None:
    with pytest.raises(ValueError, match=f"focal length is {focal}; give pixels above 0"):
        check_focal(focal, SIZE)


def test_a_lens_in_millimetres_is_refused_and_odd_views_are_told() -> None:
    with pytest.raises(ValueError, match=r"sees 174 degrees across 1000 pixels.*lens in millimetres.*x 1000"):
        check_focal(26, SIZE)
    assert [check_focal(f, (1000, 800)) for f in (300, 866, 30_000)] == [[], [], []]
    (told,) = check_focal(200, SIZE)
    assert "136 degrees across" in told
    assert len(check_focal(50_000, SIZE)) == 1
    with pytest.raises(ValueError, match=r"1e\+30 pixels is over 1000 images long; of a lens in millimetres"):
        check_focal(1e30, SIZE)


def test_a_mark_of_what_was_not_seen_is_no_place(people: np.ndarray) -> None:
    coco = get_skeleton("coco17")
    points = np.concatenate([called(people, "coco17"), np.ones((len(people), 17, 1))], axis=-1)
    points[5:9, 3, :2] = -999
    errors, _ = check_keypoints(points, coco)
    assert errors == [
        "4 keypoints lie at exactly (-999, -999), which marks what was not seen; give those confidence 0,"
        " or (NaN, NaN) without confidences"
    ]
    points[5:9, 3, 2] = 0
    assert check_keypoints(points, coco) == ([], [])


@pytest.mark.parametrize("share", [0.1, 0.064])
def test_percent_and_places_in_a_map_are_told(people: np.ndarray, share: float) -> None:
    points, coco = called(people, "coco17"), get_skeleton("coco17")
    points[..., :2] *= share
    errors, warnings = check_keypoints(points, coco, SIZE)
    assert errors == []
    assert len(warnings) == 1
    assert "in an image of 1000x1000, people are" in warnings[0]
    assert check_keypoints(points, coco, (100, 100))[1] == []
