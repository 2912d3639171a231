"""Keypoints handed in as (y, x), and people whose left is called right: told where the data decide it."""

import numpy as np
import pytest
from keypoint_people import dressed, seen
from posedata.plausible import check_keypoints
from posedata.skeleton import get_skeleton
from posedata.synthetic.people.motion import generate_motion

SIZE = (1000, 1000)
NAMES = ("h36m17", "coco17", "openpose25", "halpe26")
FACE = ("nose", "left_eye", "right_eye")


@pytest.fixture(scope="module")
def people() -> np.ndarray:
    """400 frames of eight people, walking to jumping."""
    return generate_motion(8, 5, 10, seed=3).joints.astype(np.float64)


def called(people: np.ndarray, name: str, **how: float) -> np.ndarray:
    return seen(dressed(people, name), np.random.default_rng(5), **how)  # type: ignore[arg-type]


def told(points: np.ndarray, name: str) -> list[str]:
    errors, warnings = check_keypoints(points, get_skeleton(name), SIZE)
    assert errors == []
    return warnings


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("noise", [0.0, 0.02])
def test_y_before_x_is_warned_of_with_the_cure(people: np.ndarray, name: str, noise: float) -> None:
    points = called(people, name, noise=noise)
    (warning,) = told(points[..., ::-1], name)
    assert "of frames: are these (y, x)? give x, then y" in warning
    share = int(warning.split("% of frames")[0].split()[-1])
    assert 80 <= share <= 100
    assert told(points, name) == []


def test_a_short_clip_in_which_a_person_walks_decides_it_and_one_of_a_person_lying_does_not(
    people: np.ndarray,
) -> None:
    tallest = int(np.ptp(people[..., 2], axis=1).argmax())
    still = called(people[[tallest]], "coco17").repeat(20, 0)
    lying = still[..., ::-1] * [1, -1] + [0, 1000]  # turned by a quarter, head to the left
    assert told(still, "coco17") == told(lying, "coco17") == []
    walk = still + np.linspace(-400, 400, 20)[:, None, None] * [1, 0]
    assert told(walk, "coco17") == []
    assert "(y, x)" in told(walk[..., ::-1], "coco17")[0]
    assert told(walk[:4, :, ::-1], "coco17") == []


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("noise", [0.0, 0.02])
def test_a_mirrored_body_is_warned_of_with_the_cure(people: np.ndarray, name: str, noise: float) -> None:
    mirror = list(get_skeleton(name).mirror)
    points = called(people, name, noise=noise)
    (warning,) = told(points[:, mirror], name)
    assert "the foot on the far side is the lower one in" in warning
    assert f"exchange them: points[:, get_skeleton('{name}').mirror]" in warning
    (warning,) = told(points * [-1, 1] + [1000, 0], name)  # a mirrored picture
    assert "as in a mirrored picture" in warning
    assert told(points, name) == []


def test_a_leg_that_is_lifted_all_the_time_decides_nothing(people: np.ndarray) -> None:
    points = called(people, "coco17")
    for side in ("left", "right"):
        lifted = points.copy()
        lifted[:, get_skeleton("coco17").index(f"{side}_ankle"), 1] -= 60
        assert told(lifted, "coco17") == []


def test_few_frames_decide_nothing(people: np.ndarray) -> None:
    mirror = list(get_skeleton("coco17").mirror)
    assert told(called(people, "coco17")[:30][:, mirror], "coco17") == []


def test_a_face_seen_on_a_back_is_warned_of(people: np.ndarray) -> None:
    """Cameras at eye level, where feet decide nothing; who turns away hides the face."""
    coco = get_skeleton("coco17")
    points = called(people, "coco17")
    points[:, [coco.index("left_ankle"), coco.index("right_ankle")]] = 0
    sure = np.ones((400, 17))
    sure[:, [coco.index("left_ankle"), coco.index("right_ankle")]] = 0
    across = points[:, coco.index("left_shoulder"), 0] - points[:, coco.index("right_shoulder"), 0]
    for part in FACE:
        sure[across < 0, coco.index(part)] = 0.1
    assert told(np.dstack([points, sure]), "coco17") == []
    exchanged = list(coco.mirror)
    (warning,) = told(np.dstack([points, sure])[:, exchanged], "coco17")
    assert "faces are seen on people seen from behind in 100% of frames" in warning
    sure[:, [coco.index(part) for part in FACE]] = 1  # labels that know every joint
    assert told(np.dstack([points, sure])[:, exchanged], "coco17") == []
