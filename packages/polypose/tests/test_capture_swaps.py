"""Exchanged sides are put back, and nothing else is changed."""

import numpy as np
import pytest
from capture_people import EXACT, H36M, JITTER, ring, walker, watched
from polypose.capture.rays import cast
from polypose.capture.swaps import unswap, unswap_views
from polypose.capture.triangulate import dlt

LEGS = [H36M.index(f"{side}_{part}") for part in ("hip", "knee", "ankle") for side in ("left", "right")]
SIDES = np.array(H36M.mirror)


def exchanged(points: np.ndarray, frames: slice, joints: list[int] | None = None) -> np.ndarray:
    out = points.copy()
    which = list(range(17)) if joints is None else joints
    out[frames, which] = points[frames][:, SIDES[which]]
    return out


def right(found: np.ndarray, truth: np.ndarray) -> float:
    """Share of sided joints nearer to their own place than to their partner's."""
    sided = np.flatnonzero(np.arange(17) != SIDES)
    own = np.linalg.norm((found - truth)[..., sided, :2], axis=-1)
    other = np.linalg.norm((found - truth[..., SIDES, :])[..., sided, :2], axis=-1)
    return float((own <= other).mean())


@pytest.mark.parametrize("joints", [None, LEGS])
def test_a_run_of_one_camera_is_put_back(joints: list[int] | None) -> None:
    (camera,) = ring(1, walker()[0, 0])
    (truth,) = watched(walker(), [camera], EXACT)
    wrong = exchanged(watched(walker(), [camera], JITTER)[0], slice(40, 47), joints)
    assert right(unswap(wrong, H36M), truth) > 0.97 > right(wrong[40:47], truth[40:47])
    assert right(unswap(wrong, H36M)[40:47], truth[40:47]) > 0.97


@pytest.mark.parametrize("seed", range(4))
def test_right_keypoints_of_one_camera_stay(seed: int) -> None:
    joints = walker(seed=seed)
    for camera in ring(4, joints[0, 0]):
        (seen,) = watched(joints, [camera], EXACT)
        np.testing.assert_array_equal(unswap(seen, H36M, np.arange(len(seen)) / 30), seen)


def test_an_arm_that_nobody_sees_is_not_made_of_the_other() -> None:
    joints = walker(40, seed=6)
    cameras = ring(2, joints[0, 0])
    keypoints = watched(joints, cameras, JITTER)
    keypoints[:, :, 11:14, 2] = 0
    keypoints[0, 10:13, 16, 2] = 0
    np.testing.assert_array_equal(unswap(keypoints[0], H36M), keypoints[0])
    found, _ = unswap_views(keypoints, cast(cameras, keypoints, H36M), H36M)
    np.testing.assert_array_equal(found[:, :, 11:], keypoints[:, :, 11:])


def test_a_film_of_two_frames_stays() -> None:
    points = np.random.default_rng(0).uniform(0, 100, (2, 17, 3))
    np.testing.assert_array_equal(unswap(points, H36M), points)


@pytest.mark.parametrize("count", [2, 3, 4, 5])
def test_cameras_that_contradict_each_other_are_put_right(count: int) -> None:
    joints = walker(40)
    cameras = ring(count, joints[0, 0])
    truth = watched(joints, cameras)
    keypoints = watched(joints, cameras, JITTER)
    keypoints[1] = exchanged(keypoints[1], slice(5, 30))
    keypoints[0] = exchanged(keypoints[0], slice(20, 34), LEGS)
    assert right(keypoints, truth) < 0.95
    found, rays = unswap_views(keypoints, cast(cameras, keypoints, H36M), H36M)
    assert right(found, truth) > 0.97
    again = cast(cameras, found, H36M)
    np.testing.assert_allclose(rays.direction, again.direction, atol=1e-12)
    place = dlt(rays)
    assert 1000 * np.linalg.norm(place - joints, axis=-1).mean() < 30


def test_most_of_the_time_exchanged_in_one_of_three_cameras_is_found_too() -> None:
    joints = walker(40)
    cameras = ring(3, joints[0, 0])
    truth = watched(joints, cameras)
    keypoints = watched(joints, cameras, JITTER)
    keypoints[2] = exchanged(keypoints[2], slice(0, 40))
    found, _ = unswap_views(keypoints, cast(cameras, keypoints, H36M), H36M)
    assert right(found, truth) > 0.97
