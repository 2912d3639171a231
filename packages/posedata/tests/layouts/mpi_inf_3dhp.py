"""MPI-INF-3DHP: training sequences with videos by chosen cameras, and test sequences with pictures."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from formats_photo import hp_cameras, write_hp_test, write_hp_training
from PIL import Image
from posedata.geometry.camera import Camera
from posedata.readers.mpi_inf_3dhp import SEQUENCES, TEST_JOINTS
from posedata.skeleton import get_skeleton

from layouts.filming import Studio, film
from layouts.people import Person, Truth, as_skeleton, cast, seed_of, y_up

RATE = 25.0
_ROLES = ("walk", "reach", "sit", "squat", "gesture", "kick", "free")
"""What the seven activities of the test set are here, and the sequences in training by turns."""
_LEVEL = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
"""World (z up) to the frame of a level camera that looks along y."""
_Z_TO_Y_UP = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])


def write_3dhp(
    folder: Path,
    *,
    subjects: Sequence[str] = ("S1", "S2"),
    tests: Sequence[str] = ("TS1", "TS3"),
    cameras: Sequence[int] = (0, 4, 8),
    frames: int = 12,
    pace: float = 1.0,
    size: int = 256,
    block: int = 1,
    images: bool = True,
    painted: bool = True,
    seed: int = 0,
) -> Truth:
    """Write S*/Seq*/{annot.mat,camera.calibration,imageSequence} and TS*/{annot_data.mat,imageSequence}.

    Args:
        folder: made; the source of `posedata prepare mpi_inf_3dhp`.
        subjects: each with Seq1 and Seq2, annotated by all 14 cameras.
        tests: of TS1 to TS6, each one activity in its first half and another in the second; the first frame
            is not valid.
        cameras: those in training that have a video.
        frames: of each sequence, at the sequence's own rate: 25 a second, or 50 (S1 Seq2), of which the
            reader keeps every other.
        pace: how many times as fast as in life people move.
        size: of the square pictures; the real ones have 2048 x 2048.
        block: how many pixels a side of the pictures one ray fills.
        images: whether to film.
        painted: whether forearms are green on the left and magenta on the right.

    The truth's sequences are "S1 Seq1" and "TS1", its cameras "0", "4" and "TS1". A test sequence's world is
    that of its camera, level, as the reader takes it.
    """
    truth = Truth(folder)
    people = cast([*subjects, *tests], frames, rate=RATE / pace, seed=seed, painted=painted)
    rig = hp_cameras(np.random.default_rng(seed), size=size)
    for number, subject in enumerate(subjects):
        for turn in (0, 1):
            sequence, role = f"{subject} Seq{turn + 1}", _ROLES[(2 * number + turn) % len(_ROLES)]
            joints = people[subject].clips[role][0]
            truth.joints[sequence] = joints
            world = y_up(as_skeleton(joints, "mpi_inf_3dhp28")).astype(float) * 1000
            write_hp_training(folder, subject, f"Seq{turn + 1}", world, rig, size)
            for camera, values in enumerate(rig):
                seen = _camera(values, size)
                truth.pixels[sequence, str(camera)] = seen.project(torch.from_numpy(joints).double()).numpy()
                if images and camera in cameras:
                    _film(folder, sequence, people[subject], camera, seen, truth, block)
    for number, name in enumerate(tests):
        _write_test(folder, name, people[name], number, truth, size, block if images else 0)
    return truth


def _camera(values: dict[str, np.ndarray], size: int) -> Camera:
    """One of the rig's cameras, for metres and z up."""
    lens = torch.from_numpy(values["lens"])
    return Camera(
        lens[[0, 1], [0, 1]], lens[:2, 2], torch.from_numpy(values["rotation"] @ _Z_TO_Y_UP),
        torch.from_numpy(values["translation"] / 1000), size=(size, size),
    )  # fmt: skip


def _film(
    folder: Path, sequence: str, person: Person, number: int, camera: Camera, truth: Truth, block: int
) -> None:
    subject, name = sequence.split()
    truth.visible[sequence, str(number)] = film(
        folder / subject / name / "imageSequence" / f"video_{number}.avi",
        Studio(camera, seed=seed_of(number), block=block),
        person.flesh,
        truth.joints[sequence],
        camera,
        rate=SEQUENCES[subject][int(name[3:]) - 1][0],
        bit_rate=2_000_000,
    )


def _write_test(
    folder: Path, name: str, person: Person, number: int, truth: Truth, size: int, block: int
) -> None:
    """`block` 0: without pictures."""
    known = get_skeleton("h36m17").joints
    first, second = 2 * number % len(_ROLES), (2 * number + 1) % len(_ROLES)
    joints = person.clips[_ROLES[first]][0].copy()
    half = len(joints) // 2
    joints[half:] = person.clips[_ROLES[second]][0][half:]
    joints += np.array([0, 4.0, -1.1], np.float32)  # before a camera at the height of the chest
    truth.joints[name] = joints
    lens = np.diag([1500 * size / 2048, 1498 * size / 2048, 1.0])
    lens[:2, 2] = size / 2 - 0.5, size / 2 + 2
    local = joints[:, [known.index(joint) for joint in TEST_JOINTS]].astype(float) @ _LEVEL.T * 1000
    valid = np.arange(len(joints)) > 0
    activity = np.where(np.arange(len(joints)) < half, first + 1, second + 1)
    write_hp_test(folder, name, local, lens, valid, activity)
    given = {"rotation": _LEVEL @ _Z_TO_Y_UP.T, "translation": np.zeros(3), "lens": lens}
    camera = _camera(given, size)
    truth.pixels[name, name] = camera.project(torch.from_numpy(joints).double()).numpy()
    if block:
        place, studio = folder / name / "imageSequence", Studio(camera, seed=seed_of(name), block=block)
        place.mkdir(parents=True, exist_ok=True)
        visible = []
        for frame, pose in enumerate(joints):
            shot = studio.shoot([(person.flesh, pose)], camera)
            Image.fromarray(shot.picture).save(place / f"img_{frame + 1:06d}.jpg", quality=92)
            visible.append(shot.visible[0])
        truth.visible[name, name] = np.stack(visible)
