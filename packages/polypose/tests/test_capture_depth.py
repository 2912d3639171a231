"""RGB-D: how far away joints are by the surface about them, on rendered people with a Kinect's noise."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polypose
import pytest
import torch
from capture_people import EXACT, H36M
from filmed_depth import RATE, Filmed, filmed, synthetic
from polypose.capture.depth import FLESH, Reach, measure
from polypose.capture.motion import Motion
from polypose.capture.single import solve_single
from polypose.model import Model
from posedata.geometry.camera import Camera


@pytest.fixture(scope="module")
def weights() -> Model:
    return polypose.load()


@pytest.fixture(scope="module")
def walk() -> Filmed:
    return filmed(3, synthetic(3, 20))


def in_camera(motion: Motion, film: Filmed) -> tuple[np.ndarray, np.ndarray]:
    """What was found and what is true, in the camera's frame."""
    found = motion.views[0].camera.world_to_camera(torch.from_numpy(motion.people[0].joints)).numpy()
    return found, film.camera.world_to_camera(torch.from_numpy(film.joints)).numpy()


def errors(motion: Motion, film: Filmed) -> tuple[float, float]:
    """Millimetres of the pelvis' place, and of the pose about it."""
    found, true = in_camera(motion, film)
    pose = (found - found[:, :1]) - (true - true[:, :1])
    root = np.linalg.norm(found[:, 0] - true[:, 0], axis=-1)
    return float(1000 * root.mean()), float(1000 * np.linalg.norm(pose, axis=-1).mean())


def test_joints_lie_beneath_the_surface(walk: Filmed) -> None:
    exact = filmed(0, synthetic(0, 3), detector=EXACT)
    reach = measure(
        lambda time: exact.images[round(time * RATE)],
        exact.camera,
        exact.keypoints,
        np.arange(3) / RATE,
        H36M,
    )
    true = np.linalg.norm(exact.camera.world_to_camera(torch.from_numpy(exact.joints)).numpy(), axis=-1)
    off = np.abs(reach.distance[0] - true)
    assert np.isfinite(off).mean() > 0.9
    assert np.median(off) < 0.03
    assert (off < 2 * reach.sd[0]).mean() > 0.8  # the rest is hidden by something nearer


def test_depth_tells_where_a_person_is_and_how_large(weights: Model, walk: Filmed) -> None:
    plain = solve_single(weights, walk.seen(depth=False), walk.camera, say=lambda text: None)
    deep = solve_single(weights, walk.seen(depth=True), walk.camera, say=lambda text: None)
    root, pose = errors(plain, walk)
    root_by_depth, pose_by_depth = errors(deep, walk)
    assert root_by_depth < min(45, 0.6 * root)
    assert pose_by_depth < 0.96 * pose
    found, true = in_camera(deep, walk)
    off = np.abs(found - true)[:, 0]
    covariance = deep.people[0].covariance[:, 0]
    sd = np.sqrt(np.trace(covariance, axis1=-2, axis2=-1))
    assert (off < 2.5 * sd[:, None]).mean() > 0.9
    assert deep.people[0].sd[:, 0].mean() < 0.5 * plain.people[0].sd[:, 0].mean()
    assert "kinect: distances and people's sizes are measured by its depth images" in deep.notes
    assert not any("sizes assumed" in note for note in deep.notes)


def test_what_stands_before_a_joint_is_not_its_surface() -> None:
    away = np.linspace(2.9, 3.1, 17)[None, None].repeat(2, 1)
    measured = away + 0.2
    measured[0, 0, 4], measured[0, 1, 5], measured[0, 1, 6] = 2.3, np.nan, 5.0
    kept = Reach(measured, np.full(away.shape, 0.035)).of_the_body(away, np.full(away.shape, 0.08))
    lost = np.isnan(kept.distance[0])
    assert np.argwhere(lost).tolist() == [[0, 4], [1, 5], [1, 6]]
    np.testing.assert_array_equal(kept.distance[0][~lost], measured[0][~lost])


def test_at_a_step_in_depth_the_surface_is_one_of_its_sides() -> None:
    """Of 25 pixels the nearest third is half a metre before the rest: the quantile lies in the step."""
    image = np.full((5, 5), 3000, np.uint16)
    image.flat[:8] = 2500
    eye, target = torch.tensor([0.0, -3, 1]), torch.tensor([0.0, 0, 1])
    camera = Camera.look_at(eye, target, 100.0, (5, 5))
    points = np.tile([2.0, 2, 1], (1, len(H36M), 1))
    found = measure(lambda time: image, camera, points, np.zeros(1), H36M).distance
    np.testing.assert_allclose(found[0, 0, 0], 2.5 + FLESH["pelvis"], atol=0.01)


def test_nothing_measured_is_as_without_depth(weights: Model, walk: Filmed) -> None:
    blind = Filmed(walk.camera, walk.joints, walk.keypoints, np.zeros_like(walk.images), walk.rgb, walk.masks)
    one = solve_single(weights, blind.seen(depth=True), walk.camera, say=lambda text: None)
    other = solve_single(weights, walk.seen(depth=False), walk.camera, say=lambda text: None)
    np.testing.assert_allclose(one.people[0].joints, other.people[0].joints)
    assert "kinect: its depth images are blank where people are, and tell nothing" in one.notes
    assert set(other.notes) < set(one.notes)  # that sizes are assumed, for one
    mostly = walk.images.copy()
    mostly[6:] = 0
    some = Filmed(walk.camera, walk.joints, walk.keypoints, mostly, walk.rgb, walk.masks)
    notes = solve_single(weights, some.seen(depth=True), walk.camera, say=lambda text: None).notes
    assert [note for note in notes if "of the joints alone" in note], notes


def test_a_folder_from_end_to_end(weights: Model, walk: Filmed, tmp_path: Path) -> None:
    folder = walk.write(tmp_path / "room")
    motion = polypose.capture(
        folder, model=weights, detector=tmp_path / "room.npz", every=2, say=lambda text: None
    )
    assert len(motion) == 10
    found = motion.views[0].camera.world_to_camera(torch.from_numpy(motion.people[0].joints)).numpy()
    true = walk.camera.world_to_camera(torch.from_numpy(walk.joints[::2])).numpy()
    assert 1000 * np.linalg.norm(found[:, 0] - true[:, 0], axis=-1).mean() < 60
    assert "room: distances and people's sizes are measured by its depth images" in motion.notes
