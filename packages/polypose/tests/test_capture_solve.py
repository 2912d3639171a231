"""One camera and several, from tracks to a motion, with the weights that come with the package."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import polypose
import pytest
import torch
from capture_people import H36M, JITTER, SIZE, Detector, ring, walker, watched
from polypose.capture.bones import bone_lengths, height_of
from polypose.capture.detecting import Seen
from polypose.capture.motion import Motion
from polypose.capture.multi import solve_multi
from polypose.capture.single import solve_single
from polypose.capture.solving import BRIDGED, solve_person
from polypose.capture.tracks import Track
from polypose.model import Model
from posedata.geometry.camera import Camera
from posedata.skeleton import get_skeleton

RATE = 30.0
JOINTS = walker(60, seed=6)
CAMERAS = ring(3, JOINTS[:, 0].mean(0))


@pytest.fixture(scope="module")
def weights() -> Model:
    return polypose.load()


def seen(
    name: str, people: Sequence[np.ndarray], start: float = 0.0, skeleton: str = "h36m17", first: int = 0
) -> Seen:
    frames = max(len(x) for x in people) + first if people else 10
    tracks = tuple(Track(i, first, x, np.full((len(x), 4), np.nan)) for i, x in enumerate(people, 1))
    return Seen(name, None, SIZE, start + np.arange(frames) / RATE, skeleton, tracks)


def films(detector: Detector, cameras: Sequence[Camera] = CAMERAS) -> list[Seen]:
    keypoints = watched(JOINTS, cameras, detector)
    return [seen(f"cam{i}", [points]) for i, points in enumerate(keypoints)]


def pose_mm(motion: Motion, camera: Camera, joints: np.ndarray = JOINTS) -> float:
    """About the pelvis, in the camera's axes."""
    person, view = motion.people[0], motion.views[0]
    mine = view.camera.world_to_camera(torch.from_numpy(person.joints)).numpy()
    true = camera.world_to_camera(torch.from_numpy(joints)).numpy()
    off = (mine - mine[:, :1]) - (true - true[:, :1])
    return float(1000 * np.linalg.norm(off, axis=-1).mean())


def test_one_camera_gives_a_motion_with_a_floor(weights: Model) -> None:
    (film, *_) = films(Detector())
    told: list[str] = []
    motion = solve_single(weights, film, CAMERAS[0], say=told.append)
    (person,), (view,) = motion.people, motion.views
    assert pose_mm(motion, CAMERAS[0]) < 120
    assert person.joints.shape == (60, 17, 3)
    assert np.isfinite(person.joints).all()
    assert (person.sd > 0.005).all()
    assert person.covariance is not None
    assert (np.trace(person.covariance, axis1=-2, axis2=-1) >= 0).all()
    lowest = person.joints[:, [3, 6], 2].min(1)
    assert np.median(lowest) == pytest.approx(0.09, abs=0.06)
    head, pelvis = H36M.index("head"), H36M.root
    assert (person.joints[:, head, 2] - person.joints[:, pelvis, 2]).mean() > 0.4
    (points,) = person.keypoints.values()
    pixels = view.camera.project(torch.from_numpy(person.joints)).numpy()
    assert np.median(np.linalg.norm(pixels - points[..., :2], axis=-1)) < 12
    assert "people's sizes assumed" in motion.notes[0]
    assert told == [f"note: {note}" for note in motion.notes]


def test_who_walks_across_a_film_of_no_known_lens_stays_on_it(weights: Model) -> None:
    """Distances are unknown by a tenth, one for all frames: that is not smoothed into the bearings."""
    joints = walker(120, seed=6)
    (camera,) = ring(1, joints[0, 0], radius=7.0)
    across = camera.rotation[0].double().numpy()
    joints = joints - joints[:, :1] + joints[0, 0] + np.linspace(-2.5, 2.5, 120)[:, None, None] * across
    (points,) = watched(joints, [camera], Detector())
    motion = solve_single(weights, seen("a", [points]), say=lambda text: None)
    (person,), (view,) = motion.people, motion.views
    pixels = view.camera.project(torch.from_numpy(person.joints)).numpy()
    off = np.where(points[..., 2:] > 0.5, pixels - points[..., :2], np.nan)
    side = np.nanmedian(off[..., 0], axis=1)
    assert np.abs(side).max() < 6, side.round(1)
    assert np.nanmedian(np.abs(off)) < 6


def test_bones_of_a_person_keep_their_lengths(weights: Model) -> None:
    motion = solve_single(weights, films(Detector())[0], CAMERAS[0], say=lambda text: None)
    joints = motion.people[0].joints
    lengths = np.stack([np.linalg.norm(joints[:, c] - joints[:, p], axis=-1) for c, p in H36M.edges])
    np.testing.assert_allclose(lengths, np.tile(lengths[:, :1], (1, 60)), atol=1e-9)
    named = {(H36M.joints[c], H36M.joints[p]): v[0] for (c, p), v in zip(H36M.edges, lengths, strict=True)}
    assert named["left_knee", "left_hip"] == pytest.approx(named["right_knee", "right_hip"])


def test_smoothing_takes_the_shaking_out(weights: Model) -> None:
    film = films(Detector())[0]
    rough, smooth = (
        solve_single(weights, film, CAMERAS[0], smooth=on, say=lambda text: None) for on in (False, True)
    )
    shaking = [
        np.linalg.norm(np.diff(m.people[0].joints, 2, axis=0), axis=-1).mean() for m in (rough, smooth)
    ]
    assert shaking[1] < 0.4 * shaking[0]
    assert pose_mm(smooth, CAMERAS[0]) < pose_mm(rough, CAMERAS[0]) + 1


def test_the_way_of_who_walks_is_smooth_and_who_jumps_leaves_the_floor(weights: Model) -> None:
    joints = walker(90, seed=6)
    (points,) = watched(joints, CAMERAS[:1], JITTER)
    times = np.arange(90) / RATE
    found = solve_person(weights, CAMERAS[:1], points[None], times)
    off = np.diff((found.joints - joints)[:, H36M.root], 2, axis=0) * RATE**2
    assert np.linalg.norm(off, axis=-1).mean() < 5
    since = times - 1.2
    height = np.maximum(2.8 * since - 9.81 / 2 * since**2, 0)  # 0.4 m, 0.57 s
    jumping = joints + height[:, None, None] * np.array([0.0, 0, 1])
    (points,) = watched(jumping, CAMERAS[:1], JITTER)
    found = solve_person(weights, CAMERAS[:1], points[None], times)
    above = (found.joints - joints)[:, H36M.root, 2]
    assert 0.35 < above[44:46].mean() - above[:20].mean() < 0.5


def test_height_sets_size_and_distance(weights: Model) -> None:
    film = films(Detector())[0]
    depths, sds = [], []
    for height in (1.5, 1.8):
        motion = solve_single(weights, film, CAMERAS[0], height, say=lambda text: None)
        person, camera = motion.people[0], motion.views[0].camera
        depths.append(camera.world_to_camera(torch.from_numpy(person.joints))[:, 0, 2].mean())
        sds.append(person.sd[:, 0].mean())
        assert not any("sizes assumed" in note for note in motion.notes)
    assert float(depths[1] / depths[0]) == pytest.approx(1.2, rel=0.02)
    unknown = solve_single(weights, film, CAMERAS[0], say=lambda text: None)
    assert unknown.people[0].sd[:, 0].mean() > 1.5 * max(sds)
    with pytest.raises(ValueError, match="height is 180 m"):
        solve_single(weights, film, CAMERAS[0], 180.0)


def test_a_film_without_a_lens_says_so_and_is_less_sure(weights: Model) -> None:
    film = films(Detector())[0]
    known = solve_single(weights, film, CAMERAS[0], say=lambda text: None)
    assumed = solve_single(weights, film, say=lambda text: None)
    assert any("focal length assumed (60 degrees" in note for note in assumed.notes)
    assert assumed.people[0].sd[:, 0].mean() > 1.5 * known.people[0].sd[:, 0].mean()


def test_short_gaps_are_bridged_and_long_ones_are_not(weights: Model) -> None:
    points = watched(np.concatenate([JOINTS, JOINTS[::-1], JOINTS]), [CAMERAS[0]])[0]
    points[20:30, :, 2] = 0
    points[60:150, :, 2] = 0
    times = np.arange(len(points)) / RATE
    found = solve_person(weights, [CAMERAS[0]], points[None], times)
    known = np.isfinite(found.joints).all((1, 2))
    assert known[:60].all()
    bridged = round(BRIDGED * RATE)
    assert known[60 : 60 + bridged - 2].all()
    assert not known[60 + bridged + 2 : 150 - bridged - 2].any()
    sd = np.trace(found.covariance, axis1=-2, axis2=-1)[:, 13]
    assert sd[25] > 1.2 * sd[10]
    rough = solve_person(weights, [CAMERAS[0]], points[None], times, smoothed=False)
    assert not np.isfinite(rough.joints[20:30]).any()


def test_films_without_people_photos_and_poor_tracks(weights: Model) -> None:
    empty = solve_single(weights, seen("a", []), say=lambda text: None)
    assert empty.people == ()
    assert len(empty.times) == 10
    photo = solve_single(weights, seen("a", [watched(JOINTS[:1], [CAMERAS[0]])[0]]), say=lambda text: None)
    assert np.isfinite(photo.people[0].joints).all()
    eyes = np.zeros((5, 17, 3))
    eyes[:, 9] = (500, 400, 0.9)  # a neck alone is nobody
    assert solve_single(weights, seen("a", [eyes]), say=lambda text: None).people == ()


def test_keypoints_of_another_skeleton_are_converted(weights: Model) -> None:
    coco = get_skeleton("coco17")
    points = watched(JOINTS, [CAMERAS[0]])[0]
    place = {name: points[:, i] for i, name in enumerate(H36M.joints)}
    as_coco = np.stack([place.get(name, place["neck"]) for name in coco.joints], 1)
    motion = solve_single(weights, seen("a", [as_coco], skeleton="coco17"), CAMERAS[0], say=lambda text: None)
    assert motion.people[0].keypoints["a"].shape == (60, 17, 3)
    assert pose_mm(motion, CAMERAS[0]) < 130


@pytest.mark.parametrize(("count", "least"), [(2, 35.0), (3, 28.0)])
def test_several_cameras_give_the_joints_themselves(count: int, least: float, weights: Model) -> None:
    motion = solve_multi(
        weights, films(Detector())[:count], CAMERAS[:count], offset=[0.0] * count, say=lambda text: None
    )
    (person,) = motion.people
    off = np.linalg.norm(person.joints - JOINTS, axis=-1)
    assert 1000 * off.mean() < least
    assert set(person.keypoints) == {f"cam{i}" for i in range(count)}
    square = ((off / person.sd) ** 2)[off < 0.1].mean()
    assert 0.4 < square / 3 < 2  # these cameras stand where their calibration says, which the sd doubts
    for view, camera in zip(motion.views, CAMERAS, strict=False):
        torch.testing.assert_close(view.camera.position, camera.position)


@pytest.mark.parametrize("aside", [0.0, 1.0])
def test_what_each_camera_sees_elsewhere_all_the_time_is_inside(weights: Model, aside: float) -> None:
    """Errors that stand, of six detectors and calibrations: no number of frames makes them less."""
    held, sd = [], []
    detector = Detector(outlier=0, flip=0, inversion=0, miss=0, aside=aside)
    for seed in range(6):
        keypoints = watched(JOINTS, CAMERAS[:2], detector, seed=seed)
        found = solve_person(weights, CAMERAS[:2], keypoints, np.arange(60) / RATE)
        spread = np.sqrt(np.diagonal(found.covariance, axis1=-2, axis2=-1))
        held.append(np.abs(found.joints - JOINTS) < 1.645 * spread)
        sd.append(np.sqrt((spread**2).mean()))
    assert 0.82 < np.mean(held) < 0.97
    assert np.mean(np.array(held)[:, :, H36M.root]) > 0.75
    assert 0.012 < np.mean(sd) < 0.03


def test_what_one_camera_hides_and_both_do_not_see(weights: Model) -> None:
    given = films(Detector(outlier=0, flip=0, inversion=0, miss=0))[:2]
    for film in given:
        film.tracks[0].keypoints[:, 11:14, 2] = 0  # the left arm
    motion = solve_multi(weights, given, CAMERAS[:2], offset=[0.0, 0.0], say=lambda text: None)
    (person,) = motion.people
    assert np.isfinite(person.joints).all()
    assert 1000 * np.linalg.norm((person.joints - JOINTS)[:, 13], axis=-1).mean() < 700
    assert (person.sd[:, 13] > 2 * person.sd[:, 16]).all()


def test_films_that_start_apart_are_put_right(weights: Model) -> None:
    joints = walker(120, seed=6)
    keypoints = watched(joints, CAMERAS, Detector())
    late = seen("b", [keypoints[1, 5:]])
    motion = solve_multi(weights, [seen("a", [keypoints[0]]), late], CAMERAS[:2], say=lambda text: None)
    assert motion.views[1].times[0] == pytest.approx(5 / RATE, abs=0.3 / RATE)
    assert motion.views[1].begins == motion.views[1].times[0]
    assert any(note.startswith("film 2 begins 0.1") and "s after the first" in note for note in motion.notes)
    off = np.linalg.norm(motion.people[0].joints[10:] - joints[10:], axis=-1)
    assert 1000 * off.mean() < 45


def test_of_every_third_frame_from_the_fourth_second_on_too(weights: Model) -> None:
    joints = walker(240, seed=8)
    keypoints = watched(joints, CAMERAS, Detector())
    a, b = np.arange(120, 240, 3), np.arange(120, 233, 3)
    first = replace(seen("a", [keypoints[0, a]]), times=a / RATE)
    late = replace(seen("b", [keypoints[1, b + 7]]), times=b / RATE)
    motion = solve_multi(weights, [first, late], CAMERAS[:2], say=lambda text: None)
    assert motion.views[1].begins == pytest.approx(7 / RATE, abs=0.5 / RATE)
    assert motion.views[1].times[0] == pytest.approx(127 / RATE, abs=0.5 / RATE)
    off = np.linalg.norm(motion.people[0].joints[4:-4] - joints[a[4:-4]], axis=-1)
    assert 1000 * off.mean() < 50


def test_two_people_two_cameras_and_a_false_track(weights: Model) -> None:
    people = [JOINTS, walker(60, seed=2) + np.array([1.4, -0.5, 0])]
    cameras = ring(2, np.mean(people, (0, 1, 2)), 5.0)
    keypoints = [watched(x, cameras, Detector(flip=0), seed=i) for i, x in enumerate(people)]
    false = keypoints[0][0][:8] + np.array([300.0, 100, 0])
    given = [seen("a", [keypoints[1][0], false, keypoints[0][0]]), seen("b", [k[1] for k in keypoints])]
    motion = solve_multi(weights, given, cameras, offset=[0, 0], say=lambda text: None)
    assert [person.id for person in motion.people] == [1, 2]
    places = [person.joints[:, 0].mean(0) for person in motion.people]
    for x in people:
        assert min(np.linalg.norm(place - x[:, 0].mean(0)) for place in places) < 0.05
    assert "1 brief tracks of one camera alone left out" in motion.notes


def test_cameras_without_a_place_are_told_from_people(weights: Model) -> None:
    given = films(Detector(flip=0))
    eye, zero = torch.eye(3).double(), torch.zeros(3).double()
    lenses = [camera.replace(rotation=eye, translation=zero) for camera in CAMERAS]
    exact = bone_lengths(JOINTS, np.ones((60, 17, 1, 1)) * np.eye(3), H36M)
    tall = height_of(exact, H36M)
    motion = solve_multi(weights, given, lenses, tall, offset=[0, 0, 0], say=lambda text: None)
    mine = torch.stack([view.camera.position for view in motion.views])
    true = torch.stack([camera.position for camera in CAMERAS])
    for a, b in ((0, 1), (1, 2), (0, 2)):
        assert float((mine[a] - mine[b]).norm() / (true[a] - true[b]).norm()) == pytest.approx(1, abs=0.06)
    assert any("told from the people" in note for note in motion.notes)
    assert np.median(motion.people[0].joints[:, [3, 6], 2].min(1)) == pytest.approx(0.09, abs=0.06)


def test_a_calibration_whose_y_is_up_is_turned(weights: Model) -> None:
    turn = torch.tensor([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]]).double()  # from y up to z up
    cameras = [camera.replace(rotation=camera.rotation @ turn) for camera in CAMERAS]
    motion = solve_multi(weights, films(Detector()), cameras, offset=[0, 0, 0], say=lambda text: None)
    (person,) = motion.people
    assert any("z is not up" in note for note in motion.notes)
    head = person.joints[:, H36M.index("head")] - person.joints[:, 0]
    assert (head[:, 2] > 0.4).mean() > 0.9


def test_cameras_of_others_are_refused(weights: Model) -> None:
    given = films(Detector())
    with pytest.raises(ValueError, match="2 cameras for 3 films: give one each"):
        solve_multi(weights, given, CAMERAS[:2], say=lambda text: None)
    with pytest.raises(ValueError, match="1 film: give two or more"):
        solve_multi(weights, given[:1], CAMERAS[:1], say=lambda text: None)
    small = [camera.replace(size=torch.tensor([640, 480])) for camera in CAMERAS]
    with pytest.raises(ValueError, match="cam0: the camera is of 640x480 pixels, the film has 1280x960"):
        solve_multi(weights, given, small, say=lambda text: None)
    far = [camera.replace(translation=camera.translation * 1000) for camera in CAMERAS]
    with pytest.raises(ValueError, match="no two films show the same person: give the calibration"):
        solve_multi(weights, given, far, offset=[0, 0, 0], say=lambda text: None)
    near = [camera.replace(translation=camera.translation * 2) for camera in CAMERAS]
    with pytest.raises(ValueError, match="calibration is of other cameras or other units"):
        solve_multi(weights, given, near, offset=[0, 0, 0], say=lambda text: None)
