"""Clocks, cameras, floors and who is who, against scenes whose truth is known."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from capture_people import EXACT, H36M, JITTER, SIZE, ring, walker, watched
from polypose.capture.bones import bone_lengths, height_of
from polypose.capture.extrinsics import find_extrinsics
from polypose.capture.floor import find_floor, turn_between
from polypose.capture.intrinsics import lens_of
from polypose.capture.matching import Sighting, gap_of, match, passing
from polypose.capture.placing import size_of, standing_place, widened
from polypose.capture.rays import Rays, cast, with_standing
from polypose.capture.synchronise import offset_between, offset_by, offsets, speeds
from posedata.geometry.camera import Camera
from posedata.stature import standing


def turned(angle: float, axis: int = 0) -> np.ndarray:
    c, s = np.cos(angle), np.sin(angle)
    out = np.eye(3)
    a, b = [i for i in range(3) if i != axis]
    out[a, a], out[a, b], out[b, a], out[b, b] = c, -s, s, c
    return out


@pytest.mark.parametrize("shift", [0.0, 0.1, -0.25, 0.05])
def test_films_that_start_apart(shift: float) -> None:
    joints = walker(150)
    joints = joints - joints[:, :1]
    times = np.arange(150) / 30
    late = np.stack([np.interp(times + shift, times, x) for x in joints.reshape(150, -1).T], 1)
    noisy = late.reshape(joints.shape) + np.random.default_rng(0).normal(scale=0.01, size=joints.shape)
    ahead, best, none = offset_between(
        speeds(joints, times), times, speeds(noisy @ turned(1.0, 2), times), times
    )
    assert ahead == pytest.approx(-shift, abs=0.012)
    assert best > 0.7
    assert best >= none
    found, notes = offsets([speeds(joints, times), speeds(noisy, times)], [times, times])
    assert found[1] == pytest.approx(-shift, abs=0.012)
    assert len(notes) == (abs(shift) > 0)


@pytest.mark.parametrize(("least", "wanted"), [(0.1, 0.1), (-0.234, -0.234), (0.0, 0.0)])
def test_an_offset_of_least_gap(least: float, wanted: float) -> None:
    found = offset_by(lambda ahead: 0.01 + (ahead - least) ** 2 + (np.nan if ahead > 0.8 else 0), 1 / 30)
    assert found == pytest.approx(wanted, abs=1e-6)
    assert offset_by(lambda ahead: 0.02 + 1e-3 * (ahead - least) ** 2, 1 / 30) == 0
    assert offset_by(lambda ahead: np.nan, 1 / 30) == 0


def test_films_that_say_nothing_stay_as_they_are() -> None:
    times = np.arange(60) / 30
    still = np.zeros((60, 17, 3))
    found, notes = offsets([speeds(still, times), speeds(walker(60), times)], [times, times])
    assert found.tolist() == [0, 0]
    assert notes == []
    assert np.isnan(speeds(still[:2], times[:2])).all()


def test_speeds_are_metres_a_second() -> None:
    times = np.arange(30) / 30
    joints = np.zeros((30, 17, 3))
    joints[:, 3, 0] = 1.5 * times
    found = speeds(joints, times)
    np.testing.assert_allclose(found[6:-6, 3], 1.5)
    np.testing.assert_allclose(found[6:-6, 4], 0, atol=1e-12)
    assert np.isnan(found[:6]).all()


@pytest.mark.parametrize("count", [2, 3])
def test_cameras_are_found_from_a_person(count: int) -> None:
    joints = walker(60)
    cameras = ring(count, joints[:, 0].mean(0))
    keypoints = watched(joints, cameras, JITTER)
    local = np.stack([camera.world_to_camera(torch.from_numpy(joints)).numpy() for camera in cameras])
    rng = np.random.default_rng(0)
    poses = local - local[:, :, :1]
    poses = poses + rng.normal(scale=0.05, size=poses.shape)  # as a lifter errs
    places = local[:, :, 0] * rng.normal(1.05, 0.02, (count, 60, 1))
    eye, zero = torch.eye(3).double(), torch.zeros(3).double()
    lenses = [cameras[0], *(camera.replace(rotation=eye, translation=zero) for camera in cameras[1:])]
    exact = bone_lengths(joints, np.ones((60, 17, 1, 1)) * np.eye(3), H36M)
    found = find_extrinsics(lenses, keypoints, poses, places, H36M, height_of(exact, H36M))
    for mine, true in zip(found, cameras, strict=True):
        turn = mine.rotation @ true.rotation.mT
        assert float(torch.arccos(((turn.trace() - 1) / 2).clamp(-1, 1))) < np.radians(2.5)
        base = float((true.position - cameras[0].position).norm())
        assert float((mine.position - true.position).norm()) < 0.05 * base + 1e-9


def test_films_of_different_moments_have_no_cameras() -> None:
    joints = walker(60)
    cameras = ring(2, joints[0, 0])
    keypoints = watched(joints, cameras)
    poses = np.full((2, 60, 17, 3), np.nan)
    poses[0, :30], poses[1, 30:] = 0, 0
    with pytest.raises(ValueError, match="show nobody at the same time: give a calibration"):
        find_extrinsics(cameras, keypoints, poses, poses[:, :, 0], H36M)
    rng = np.random.default_rng(0)
    keypoints[1, ..., :2] = rng.uniform(0, 900, keypoints[1, ..., :2].shape)
    local = np.stack([camera.world_to_camera(torch.from_numpy(joints)).numpy() for camera in cameras])
    with pytest.raises(ValueError, match="do not show one person at the same time"):
        find_extrinsics(cameras, keypoints, local - local[:, :, :1], local[:, :, 0], H36M)


@pytest.mark.parametrize("tilt", [0.0, 0.3])
def test_the_floor_is_under_who_walks_on_it(tilt: float) -> None:
    people = [walker(150, seed) for seed in (0, 1, 2)]
    times = [np.arange(150) / 30] * 3
    way = turned(tilt)
    found = find_floor([x @ way.T + [0, 0, 0.7] for x in people], times, H36M)
    assert found.sure
    assert found.tilt == pytest.approx(tilt, abs=0.09)
    up = found.rotation @ way @ np.array([0, 0, 1.0])
    assert np.degrees(np.arccos(up[2])) < 5
    feet = np.concatenate([x[:, [3, 6]].reshape(-1, 3) for x in people]) @ way.T + [0, 0, 0.7]
    heights = (feet @ found.rotation.T + found.translation)[:, 2]
    assert np.percentile(heights, 10) == pytest.approx(standing("left_ankle")[2], abs=0.06)  # type: ignore[index]


def test_nobody_upright_leaves_the_camera_level() -> None:
    joints = np.zeros((20, 17, 3))
    joints[:, :, 0] = np.arange(17)
    joints[:, [2, 5]] = joints[:, [3, 6]] + [0, 3.0, 0]  # legs bent away
    found = find_floor([joints], [np.arange(20) / 30], H36M)
    assert not found.sure
    np.testing.assert_allclose(found.rotation, np.eye(3), atol=1e-6)
    assert find_floor([], [], H36M).translation.tolist() == [0, 0, 0]


def test_the_least_turn_takes_one_direction_to_the_other() -> None:
    a, b = np.array([0.2, 0.3, 2.0]), np.array([0, 0, 1.0])
    turn = turn_between(a, b)
    np.testing.assert_allclose(turn @ a, b * np.linalg.norm(a), atol=1e-12)
    np.testing.assert_allclose(turn @ np.cross(a, b), np.cross(a, b), atol=1e-12)
    assert np.linalg.det(turn) == pytest.approx(1)


def sightings(people: list[np.ndarray], cameras: list[Camera]) -> list[Sighting]:
    return [
        Sighting(view, 0, points)
        for person in people
        for view, points in enumerate(watched(person, cameras, JITTER))
    ]


@pytest.mark.parametrize("count", [2, 3])
def test_three_people_are_told_apart(count: int) -> None:
    people = [walker(40, seed) + np.array([1.2 * seed, 0.4 * seed, 0]) for seed in (0, 1, 2)]
    cameras = ring(count, np.mean(people, (0, 1, 2)), 5.0)
    seen = sightings(people, cameras)
    order = np.random.default_rng(0).permutation(len(seen))
    groups = match([seen[i] for i in order], cameras, H36M)
    mine = sorted(sorted(int(order[i]) for i in group) for group in groups)
    assert mine == [list(range(count * p, count * p + count)) for p in range(3)]


def test_a_track_in_two_parts_is_one_person_and_a_poster_nobodys() -> None:
    joints = walker(60)
    cameras = ring(2, joints[:, 0].mean(0))
    first, second = watched(joints, cameras, JITTER)
    poster = np.zeros((60, 17, 3))
    poster[..., :2] = 100 + 3 * np.arange(17)[:, None]
    poster[..., 2] = 1
    seen = [
        Sighting(0, 0, first),
        Sighting(1, 0, second[:25]),
        Sighting(1, 30, second[30:]),
        Sighting(1, 0, poster),
    ]
    assert match(seen, cameras, H36M) == [[0, 1, 2], [3]]


def test_rays_pass_each_other_as_far_as_lines_do() -> None:
    direction = np.array([[1.0, 0, 0], [0, 1.0, 0]])[:, None, None] * np.ones((2, 1, 2, 1))
    origin = np.array([[-4.0, 0, 0], [0, -3.0, 0.02]])
    rays = Rays(origin, direction, np.array([[[0.01, np.inf]], [[0.01, 0.01]]]))
    found = passing(rays)
    assert abs(found[0, 0]) == pytest.approx(0.02)
    above = Rays(origin * (1, 1, -1), direction, rays.sd)
    assert passing(above)[0, 0] == pytest.approx(-found[0, 0])
    assert np.isnan(found[0, 1])
    assert np.isinf(passing(Rays(-origin, direction, rays.sd))[0, 0])


def test_what_stands_in_all_frames_is_no_gap_but_within_its_bound() -> None:
    """Two perpendicular rays pass each other by 0.02 m, and by 0.01 m more in every other frame."""
    frames = np.arange(12)
    direction = np.broadcast_to(np.array([[1.0, 0, 0], [0, 1.0, 0]])[:, None, None], (2, 12, 5, 3)).copy()
    tilt = np.where(frames % 2, 0.01, 0.0) / 3
    direction[1, ..., 2] = tilt[:, None]
    rays = Rays(np.array([[-4.0, 0, 0], [0, -3.0, 0.02]]), direction, np.full((2, 12, 5), 0.01))
    assert gap_of(rays) == pytest.approx(0.025, abs=1e-4)
    assert gap_of(rays, standing=0.1) == pytest.approx(0.005, abs=1e-4)
    assert gap_of(rays, standing=0.01) == pytest.approx(0.015, abs=1e-4)


def test_a_lens_is_given_told_or_assumed() -> None:
    assumed = lens_of("a", (1080, 1920), None, None)
    assert float(assumed.camera.focal[0]) == pytest.approx(960 / np.tan(np.pi / 6))
    assert "60 degrees across the longer side" in assumed.note
    told = lens_of("a", (4000, 3000), None, 27.0)
    assert float(told.camera.focal[1]) == pytest.approx(3000.0)
    assert told.focal_sd < assumed.focal_sd
    assert "27 mm" in told.note
    (camera,) = ring(1, np.zeros(3))
    given = lens_of("a", SIZE, camera, 27.0)
    assert given.note == ""
    assert given.focal_sd < told.focal_sd
    with pytest.raises(ValueError, match="a: the camera is of 1280x960 pixels, the film has 640x480"):
        lens_of("a", (640, 480), camera, None)


def test_a_person_of_known_height_is_scaled_to_it() -> None:
    lengths = np.array(
        [np.linalg.norm(np.subtract(*(standing(H36M.joints[i]) for i in e))) for e in H36M.edges]  # type: ignore[arg-type]
    )
    factor, sd = size_of(lengths * 0.9, H36M, 1.73)
    assert factor == pytest.approx(1 / 0.9)
    assert sd < size_of(lengths, H36M, None)[1]
    assert size_of(lengths, H36M, None)[0] == 1
    with pytest.raises(ValueError, match=r"height is 178 m; give metres"):
        size_of(lengths, H36M, 178.0)


def test_what_is_as_wrong_as_its_distance() -> None:
    places = np.array([[3.0, 0, 0], [0, 4.0, 1.0]])
    stands = np.array([0.0, 4e-4])
    wide = widened(places, np.tile(np.eye(3) * 1e-4, (2, 1, 1)), np.array([0, 0, 1.0]), 0.1, stands)
    np.testing.assert_allclose(wide[1], np.diag([5e-4, 1e-4 + 0.16, 5e-4]))
    ray = np.array([3.0, 0, -1]) / np.sqrt(10)
    assert ray @ wide[0] @ ray == pytest.approx(1e-4 + 0.01 * 10)


def test_what_stands_comes_through_by_what_each_ray_counts() -> None:
    """Of J rays that are as good a J-th of the variance; of the pelvis' alone all of its own."""
    joints = walker(2)
    cameras = ring(1, joints[0, 0])
    points = watched(joints, cameras, EXACT)
    rays, lasting = with_standing(cast(cameras, points, H36M), points, H36M)
    alike = replace(rays, sd=np.full_like(rays.sd, 0.02))
    away = joints[:, 0] - rays.origin[0]
    square = (away**2).sum(-1)
    sure, unsure = (np.tile(np.eye(3) * sd**2, (2, 17, 1, 1)) for sd in (1e-9, 1e3))
    half = np.full_like(lasting, 0.5)
    np.testing.assert_allclose(standing_place(alike, half, away, sure, 0), 0.5 * 0.02**2 * square / 17)
    own = rays.sd[0, :, 0] ** 2 * lasting[0, :, 0] * square
    np.testing.assert_allclose(standing_place(rays, lasting, away, unsure, 0), own, rtol=1e-5)


def test_one_exact_camera_needs_no_lens() -> None:
    joints = walker(5)
    cameras = ring(1, joints[0, 0])
    rays = cast(cameras, watched(joints, cameras, EXACT), H36M)
    assert np.nanmax(rays.misses(joints)) < 1e-3
