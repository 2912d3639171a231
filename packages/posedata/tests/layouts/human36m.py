"""Human3.6M as its archives unpack, with detections as VideoPose3D publishes them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from formats_h36m import CAMERAS, KEPT, H36mWriter, write_detections
from posedata.geometry.camera import Camera
from posedata.readers.files.h36m_cameras import read_cameras
from posedata.readers.files.kinect import camera_of
from posedata.views.noise import DetectorNoise

from layouts.filming import Studio, film
from layouts.people import Person, Truth, cast, detect, seed_of

RATE = 50.0
ROLES = {
    "Directions": "free", "Discussion": "gesture", "Eating": "reach", "Greeting": "wave", "Phoning": "kick",
    "Photo": "straddle", "Posing": "bend", "Purchases": "lunge", "Sitting": "sit", "SittingDown": "squat",
    "Smoking": "jump", "WalkDog": "turn", "WalkTogether": "run", "Walking": "walk",
}  # fmt: skip
"""What is done, by the data set's words."""
_IN_FILES = {"S1": {"Photo": "TakingPhoto"}, "S5": {"WalkDog": "WalkingDog"}}
"""Subjects' own words for two of the actions."""
_LENS = (1145.0, 1143.8, 512.5, 515.5, -0.207, 0.2477, -0.0031, -0.0009, -0.0014)
"""fx, fy, cx, cy, k1, k2, k3, p1, p2, about those of Human3.6M's first camera."""
_COPIED = [max(kept for kept in KEPT if kept <= joint) for joint in range(32)]
_LOST = ("S11 Directions", "54138969")


def write_h36m(
    folder: Path,
    *,
    subjects: Sequence[str] = ("S1", "S5", "S9", "S11"),
    actions: Sequence[str] = ("Photo 1", "Walking"),
    frames: int = 16,
    pace: float = 1.0,
    detector: str = "cpn_ft_h36m_dbb",
    noise: DetectorNoise | None = None,
    block: int = 5,
    videos: bool = True,
    painted: bool = True,
    seed: int = 0,
) -> Truth:
    """Write S*/MyPoseFeatures, S*/Videos, metadata.xml and data_2d_h36m_DETECTOR.npz.

    Args:
        folder: made; the source of `posedata prepare h36m`.
        actions: of `ROLES`, with Human3.6M's numbers of takes, or without ("Walking", "Walking 1").
        frames: of each action, at 50 a second.
        pace: how many times as fast as in life people move, so that few frames hold many poses.
        detector: of the npz, whose views have a frame more than there are poses, as some of the real have.
        noise: the detector's; `DetectorNoise()` if None.
        block: how many pixels a side of the pictures one ray fills; less is finer and slower.
        videos: whether to film: most of the time goes there.
        painted: whether forearms are green on the left and magenta on the right.

    Of S11 Directions the video of camera 54138969 and the detections are lacking, as published.
    """
    folder.mkdir(parents=True, exist_ok=True)
    writer, truth = _stage(folder, seed), Truth(folder)
    takes = 1 + max(_take(action) for action in actions)
    people = cast(subjects, frames, rate=RATE / pace, seed=seed, takes=takes, painted=painted)
    for subject, person in people.items():
        for action in actions:
            truth.joints[f"{subject} {action}"] = person.clips[ROLES[action.split()[0]]][_take(action)]
            _write_poses(writer, subject, action, truth)
            _detect(f"{subject} {action}", noise or DetectorNoise(), seed, truth)
    write_detections(folder / f"data_2d_h36m_{detector}.npz", _published(truth))
    if videos:
        _film(writer, people, truth, seed, block)
    return truth


def _stage(folder: Path, seed: int) -> H36mWriter:
    """Four cameras in the corners of the room, moved a little from subject to subject."""
    writer = H36mWriter(folder)
    rng = np.random.default_rng(seed)
    for number, name in enumerate(CAMERAS):
        writer.lens[name] = np.array(_LENS) + number * np.array([3, 3, 2, -2, 0, 0, 0, 0, 0])
        for subject in range(1, 12):
            azimuth = np.pi / 4 + number * np.pi / 2 + rng.uniform(-0.1, 0.1)
            away = rng.uniform(5.0, 5.5)
            place = torch.tensor([away * np.cos(azimuth), away * np.sin(azimuth), rng.uniform(1.3, 1.7)])
            camera = Camera.look_at(
                place, torch.tensor([0, 0, 0.95], dtype=place.dtype), 1145.0, (1000, 1000)
            )
            writer.place[subject, name] = place.numpy() * 1000
            writer.rotation[subject, name] = camera.rotation.numpy()
    writer.metadata()
    return writer


def _take(action: str) -> int:
    return int(action.partition(" ")[2] or 0)


def _file_name(subject: str, action: str) -> str:
    name, *take = action.split()
    return " ".join([_IN_FILES.get(subject, {}).get(name, name), *take])


def _write_poses(writer: H36mWriter, subject: str, action: str, truth: Truth) -> None:
    joints, number = truth.joints[f"{subject} {action}"], int(subject[1:])
    world = np.zeros((len(joints), 32, 3))
    world[:, KEPT] = joints * 1000
    writer.action(number, _file_name(subject, action), world[:, _COPIED])
    for camera in CAMERAS:
        truth.pixels[f"{subject} {action}", camera] = writer.project(world[:, KEPT], number, camera)


def _detect(sequence: str, noise: DetectorNoise, seed: int, truth: Truth) -> None:
    for camera in CAMERAS:
        seen = detect(truth.pixels[sequence, camera], noise, seed_of(seed, sequence, camera))
        seen[..., 2] = 1  # the published files have no confidence
        truth.detected[sequence, camera] = np.zeros_like(seen) if sequence == _LOST[0] else seen


def _published(truth: Truth) -> dict[str, dict[str, list[np.ndarray]]]:
    """`positions_2d`, each view with one frame more than there are poses."""
    seen: dict[str, dict[str, list[np.ndarray]]] = {}
    for sequence in truth.joints:
        if sequence != _LOST[0]:
            subject, _, action = sequence.partition(" ")
            views = [truth.detected[sequence, camera][..., :2] for camera in CAMERAS]
            seen.setdefault(subject, {})[action] = [np.concatenate([view, view[-1:]]) for view in views]
    return seen


def _film(writer: H36mWriter, people: dict[str, Person], truth: Truth, seed: int, block: int) -> None:
    known = read_cameras(writer.root / "metadata.xml")
    cameras = {(s, given.name): camera_of(given) for s in people for given in known[s]}
    lenses = {name: camera for (_, name), camera in cameras.items()}
    studios = {name: Studio(lens, seed=seed_of(seed, name), block=block) for name, lens in lenses.items()}
    for sequence, clip in truth.joints.items():
        subject, _, action = sequence.partition(" ")
        for name in CAMERAS:
            if (sequence, name) != _LOST:
                path = writer.root / subject / "Videos" / f"{_file_name(subject, action)}.{name}.mp4"
                truth.visible[sequence, name] = film(
                    path, studios[name], people[subject].flesh, clip, cameras[subject, name],
                    rate=round(RATE), bit_rate=3_000_000,
                )  # fmt: skip
