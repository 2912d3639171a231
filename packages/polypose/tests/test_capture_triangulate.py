"""Triangulation against closed forms, a whole system and known places."""

import numpy as np
import pytest
import torch
from capture_people import EXACT, H36M, JITTER, ring, walker, watched
from polypose.capture.rays import Rays, box_size, cast, with_standing
from polypose.capture.triangulate import Prior, _solve, dlt, noise_factors, solve_naive, triangulate
from posedata.geometry.camera import Camera


def errors_mm(found: np.ndarray, truth: np.ndarray) -> np.ndarray:
    return 1000 * np.linalg.norm(found - truth, axis=-1)


def random_spd(rng: np.random.Generator, *shape: int) -> np.ndarray:
    half = rng.normal(size=(*shape, 3, 4))
    return half @ np.swapaxes(half, -1, -2)


def wrong_prior(joints: np.ndarray, sd: float, rng: np.random.Generator) -> Prior:
    relative = joints - joints[:, :1]
    noisy = relative + rng.normal(scale=sd, size=(2, *joints.shape))
    noisy[:, :, 0] = 0
    return Prior(noisy, np.broadcast_to(np.eye(3) * sd**2, (2, *joints.shape, 3)), alike=0.0)


def test_exact_rays_meet_in_the_joints_lens_and_all() -> None:
    joints = walker(20)
    bent = torch.tensor([-0.1, 0.05, 0.001, -0.002, 0.0]).double()
    cameras = [camera.replace(distortion=bent) for camera in ring(3, joints[0, 0])]
    rays = cast(cameras, watched(joints, cameras), H36M)
    assert errors_mm(dlt(rays), joints).max() < 1e-3
    found = triangulate(rays)
    assert errors_mm(found.joints, joints).max() < 1e-3
    assert np.nanmax(rays.misses(joints)) < 1e-3
    assert found.weights.min() > 0.999


def test_a_ray_is_as_unsure_as_pixels_and_focal_length_say() -> None:
    camera = Camera.look_at(torch.zeros(3).double(), torch.tensor([5.0, 0, 0]).double(), 1000.0, (1000, 1000))
    points = np.zeros((1, 1, 17, 3))
    points[..., :2] = 499.5
    points[..., 2] = 1.0
    points[0, 0, 0, :2], points[0, 0, 1, :2] = (399.5, 399.5), (599.5, 599.5)  # a box of 200 pixels
    points[0, 0, 5, 2] = 0.25
    points[0, 0, 6, 2] = 0
    rays = cast([camera], points, H36M)
    spine, ankle = H36M.index("spine"), H36M.index("right_ankle")
    assert rays.sd[0, 0, spine] == pytest.approx(2.0 / 1000)
    assert rays.sd[0, 0, ankle] == pytest.approx(1.5 * 2.0 / 1000)
    assert rays.sd[0, 0, 5] == pytest.approx(2 * 1.2 * 2.0 / 1000)
    assert np.isinf(rays.sd[0, 0, 6])
    np.testing.assert_allclose(rays.direction[0, 0, spine], [1, 0, 0], atol=1e-12)
    beside = np.tile([4.0, 0.012, 0.0], (1, 17, 1))
    assert rays.misses(beside)[0, 0, spine] == pytest.approx(0.003 / 0.002, rel=1e-4)
    behind = -beside
    assert rays.misses(behind)[0, 0, spine] > 1000
    assert box_size(np.zeros((1, 3, 3)))[0] == 8.0


def test_joint_by_joint_is_the_whole_system() -> None:
    rng = np.random.default_rng(0)
    information, pull = random_spd(rng, 3, 5), random_spd(rng, 3, 5)
    information[0, 2] = 0  # seen by nobody
    pull[1, 4] = 0
    pull[:, 1] = 0  # the root's own says nothing
    vector, pulled = rng.normal(size=(3, 5, 3)), rng.normal(size=(3, 5, 3))
    pulled[1, 4] = 0
    for mine, naive in zip(
        _solve(information, vector, pull, pulled, 1),
        solve_naive(information, vector, pull, pulled, 1),
        strict=True,
    ):
        np.testing.assert_allclose(mine, naive, rtol=1e-5, atol=1e-6)


def test_the_covariance_of_two_perpendicular_rays() -> None:
    origin = np.array([[-4.0, 0, 0], [0, -4.0, 0]])
    direction = np.array([[1.0, 0, 0], [0, 1.0, 0]])[:, None, None]
    rays = Rays(origin, np.broadcast_to(direction, (2, 1, 17, 3)), np.full((2, 1, 17), 0.005))
    found = triangulate(rays)
    np.testing.assert_allclose(found.joints, 0, atol=1e-9)
    sd = 4 * 0.005
    np.testing.assert_allclose(found.covariance[0, 3], np.diag([sd**2, sd**2, sd**2 / 2]), atol=1e-9)
    np.testing.assert_allclose(found.leverage, 1.5, atol=1e-5)  # its own dimension, and half of the shared


def test_errors_are_as_large_as_the_covariance_says() -> None:
    joints = walker(60)
    cameras = ring(3, joints[0, 0])
    exact = cast(cameras, watched(joints, cameras), H36M)
    noise = np.random.default_rng(0).normal(size=exact.direction.shape) * exact.sd[..., None]
    noisy = exact.direction + noise
    rays = Rays(exact.origin, noisy / np.linalg.norm(noisy, axis=-1, keepdims=True), exact.sd)
    assert np.nanmean(rays.misses(joints) ** 2) == pytest.approx(2, rel=0.1)  # two dimensions each
    found = triangulate(rays)
    off = found.joints - joints
    square = (off * np.linalg.solve(found.covariance, off[..., None])[..., 0]).sum(-1)
    assert square.mean() == pytest.approx(3, rel=0.15)
    factors = noise_factors(rays.scaled(np.array([0.5, 1, 1])), found)
    assert factors[0] == pytest.approx(2 * factors[1], rel=0.3)
    assert factors[1:] == pytest.approx(1, rel=0.2)


def test_what_stands_is_no_jitter_that_frames_average_away() -> None:
    points, bare = np.ones((1, 1, 17, 3)), Rays(np.zeros((1, 3)), np.ones((1, 1, 17, 3)), np.ones((1, 1, 17)))
    rays, share = with_standing(bare, points, H36M)
    chest, hip, wrist = (H36M.index(name) for name in ("thorax", "left_hip", "left_wrist"))
    assert share[0, 0, [chest, hip, wrist]] == pytest.approx([0.8, 9 / (9 + 1.21), 4 / (4 + 2.56)])
    assert rays.sd[0, 0, chest] == pytest.approx(np.sqrt(5))
    points[..., 2] = 0.25  # less sure: the jitter's variance is fourfold
    assert with_standing(bare, points, H36M)[1][0, 0, chest] == pytest.approx(0.5)


def test_one_camera_in_four_that_is_wrong_does_no_harm() -> None:
    joints = walker(30)
    cameras = ring(4, joints[0, 0])
    keypoints = watched(joints, cameras, JITTER)
    keypoints[2, :, 13, :2] += 150.0
    rays = cast(cameras, keypoints, H36M)
    found = triangulate(rays)
    assert errors_mm(dlt(rays, keypoints[..., 2]), joints)[:, 13].mean() > 60
    assert errors_mm(found.joints, joints)[:, 13].mean() < 30
    assert found.weights[2, :, 13].max() < 0.1
    assert found.weights[2, :, 8].mean() > 0.7


def test_two_cameras_and_a_prior_tell_which_is_wrong() -> None:
    joints = walker(30)
    cameras = ring(2, joints[0, 0])
    keypoints = watched(joints, cameras, JITTER)
    keypoints[1, :, 13, :2] += 120.0
    rays = cast(cameras, keypoints, H36M)
    found = triangulate(rays, wrong_prior(joints, 0.05, np.random.default_rng(0)))
    assert found.weights[1, :, 13].mean() < 0.2 < found.weights[0, :, 13].mean()
    assert errors_mm(found.joints, joints)[:, 13].mean() < 0.6 * errors_mm(dlt(rays), joints)[:, 13].mean()


def test_what_no_camera_saw_the_prior_completes_with_its_own_sd() -> None:
    joints = walker(40)
    cameras = ring(2, joints[0, 0])
    keypoints = watched(joints, cameras)
    keypoints[:, :, 11:14, 2] = 0
    rays = cast(cameras, keypoints, H36M)
    alone = triangulate(rays)
    assert np.isnan(alone.joints[:, 11:14]).all()
    assert np.isfinite(np.delete(alone.joints, [11, 12, 13], axis=1)).all()
    prior = wrong_prior(joints, 0.05, np.random.default_rng(0))
    found = triangulate(rays, prior)
    assert np.isfinite(found.joints).all()
    sd = np.sqrt(np.trace(found.covariance[:, 13], axis1=-2, axis2=-1) / 3)
    assert np.median(sd) == pytest.approx(0.05 / np.sqrt(2), rel=0.15)
    off = (found.joints - joints)[:, 11:14]
    assert np.sqrt((off**2).mean()) == pytest.approx(0.05 / np.sqrt(2), rel=0.2)


def test_a_pelvis_that_no_ray_shows_is_as_unsure_as_the_poses_err_together() -> None:
    joints = walker(10)
    cameras = ring(2, joints[0, 0])
    keypoints = watched(joints, cameras, EXACT)
    keypoints[:, :, 0, 2] = 0
    rays = cast(cameras, keypoints, H36M).scaled(np.full(2, 1e-3))
    exact = wrong_prior(joints, 1e-4, np.random.default_rng(0))
    for beside in (0.0, 0.03):
        prior = Prior(exact.joints, exact.covariance, 1.0, beside)
        found = triangulate(rays, prior)
        assert np.median(found.covariance[:, 0, 0, 0]) == pytest.approx(beside**2, abs=2e-8)
        assert errors_mm(found.joints, joints).max() < 1


def test_sources_that_err_alike_are_worth_less() -> None:
    joints = walker(5)
    cameras = ring(2, joints[0, 0])
    keypoints = watched(joints, cameras)
    keypoints[:, :, 13, 2] = 0
    rays = cast(cameras, keypoints, H36M)
    prior = wrong_prior(joints, 0.05, np.random.default_rng(0))
    for alike in (0.0, 0.5, 1.0):
        found = triangulate(rays, Prior(prior.joints, prior.covariance, alike))
        wanted = 0.05**2 * (1 + alike) / 2
        assert np.median(found.covariance[:, 13, 0, 0]) == pytest.approx(wanted, rel=0.3)


def test_one_camera_and_a_prior_place_a_whole_person() -> None:
    joints = walker(20)
    (camera,) = ring(1, joints[0, 0])
    rays = cast([camera], watched(joints, [camera], EXACT), H36M)
    prior = wrong_prior(joints, 0.02, np.random.default_rng(0))
    found = triangulate(rays, prior)
    assert errors_mm(found.joints, joints).mean() < 80
    ray = rays.direction[0, :, 0]
    away = np.einsum("tx,txy,ty->t", ray, found.covariance[:, 0], ray)
    assert (away > 3 * (np.trace(found.covariance[:, 0], axis1=-2, axis2=-1) - away)).all()
