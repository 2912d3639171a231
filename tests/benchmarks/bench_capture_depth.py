"""`polypose capture` of RGB-D recordings where the truth is known: rendered people before a Kinect.

    python tests/benchmarks/bench_capture_depth.py data/mocap/open_joints.npz \\
        --json docs/results/capture_depth.json

People of the motion capture whom no training saw, with flesh of some girth, are rendered in rooms with a
Kinect's noise, three metres before them, and written as folders that capture reads; their 2D has a
detector's errors that last (`packages/polypose/tests/filmed_depth.py`). Rows:

- colour alone, and with depth: frame by frame and smoothed; about the pelvis, and where the pelvis is;
- UniPose's depth student on the same depth images, the person cut out as rendered, without keypoints: 15
  joints of its own, about the torso;
- every clip that smoothing makes worse, before and after.
"""

import sys
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import numpy as np
import polypose
import torch
import typer
from bench_capture_truth import Errors, acceleration, clips, inside, tensor
from polypose.capture.detecting import read_film
from polypose.capture.films import open_films
from polypose.capture.motion import Motion
from polypose.capture.single import solve_single
from polypose.depth import DepthLifter
from polypose.model import Model
from posedata.results import write_results
from posedata.scoring.metrics import mpjpe_mm
from posedata.skeleton import get_skeleton
from posedata.terminal import print_line

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "packages/polypose/tests"))

from filmed_depth import Filmed, filmed

WAYS = {"colour": False, "colour and depth": True}
STUDENT = "depth alone, UniPose's student"


def captured(model: Model, film: Filmed, folder: Path) -> dict[str, Motion]:
    """Each way, from the folder."""
    film.write(folder)
    (opened,) = open_films(folder)
    seen = read_film(opened, folder.with_suffix(".npz"), say=quiet)
    out = {}
    for name, depth in WAYS.items():
        mine = seen if depth else replace(seen, depth=None)
        for way, smooth in ((f"{name}, frame by frame", False), (f"{name}, smoothed", True)):
            out[way] = solve_single(model, mine, opened.camera, smooth=smooth, say=quiet)
    return out


def score(errors: Errors, row: str, person: int, motion: Motion, film: Filmed) -> float:
    """Adds to the errors; the mean about the pelvis, millimetres."""
    (one,), (view,) = motion.people, motion.views
    assert one.covariance is not None
    turn = view.camera.rotation.double().numpy()
    joints = view.camera.world_to_camera(torch.from_numpy(one.joints)).numpy()
    truth = film.camera.world_to_camera(torch.from_numpy(film.joints)).numpy()
    covariance = turn @ one.covariance @ turn.T
    pose, true = joints - joints[:, :1], truth - truth[:, :1]
    off = mpjpe_mm(tensor(pose), tensor(true)).numpy()
    errors.add(row, "mpjpe_mm", person, off)
    errors.add(row, "acceleration", person, acceleration(pose, true))
    errors.add(row, "root_mm", person, 1000 * np.linalg.norm(joints[:, 0] - truth[:, 0], axis=-1))
    errors.add(row, "root_acceleration", person, acceleration(joints[:, :1], truth[:, :1]))
    for key, held in inside((pose - true)[:, 1:], covariance[:, 1:] - covariance[:, :1]):
        errors.add(row, f"pose_{key}", person, held)
    for key, held in inside(joints[:, 0] - truth[:, 0], covariance[:, 0]):
        errors.add(row, f"root_{key}", person, held)
    return float(off.mean())


def by_student(errors: Errors, student: DepthLifter, person: int, film: Filmed) -> None:
    """The depth student's joints about its root, and where that is."""
    lens = np.array([*film.camera.focal.tolist(), *film.camera.centre.tolist()])
    poses = student.lift(film.images, lens, film.masks, say=quiet)
    truth = film.camera.world_to_camera(torch.from_numpy(film.joints))
    own = get_skeleton("h36m17").convert(truth, student.skeleton, lossy=True).numpy()
    root = own[:, student.skeleton.root]
    true, pose = own - root[:, None], np.asarray(poses.joints, np.float64)
    errors.add(STUDENT, "mpjpe_mm", person, mpjpe_mm(tensor(pose), tensor(true)).numpy())
    errors.add(STUDENT, "acceleration", person, acceleration(pose, true))
    errors.add(STUDENT, "root_mm", person, 1000 * np.linalg.norm(poses.translation - root, axis=-1))


def main(
    poses: Annotated[
        Path | None, typer.Argument(help="an npz of joints (N, 17, 3), seq and subject; split.json beside it")
    ] = None,
    each: Annotated[int, typer.Option(help="recordings of each person at most")] = 3,
    longest: Annotated[int, typer.Option(help="frames of a recording")] = 90,
    json: Annotated[Path | None, typer.Option(help="write the results there")] = None,
) -> None:
    """Print and write the rows."""
    if poses is None or not poses.is_file():
        print_line(f"{poses or 'no poses given'}: nothing is measured; give the motion capture's npz")
        return
    model, student, errors, worse = polypose.load(), polypose.load("depth"), Errors(), []
    frames, people = 0, set()
    for seed, (person, truth) in enumerate(clips(poses, "test", each, longest)):
        film = filmed(seed, truth)
        with TemporaryDirectory() as work:
            motions = captured(model, film, Path(work) / "room")
        off = {row: score(errors, row, person, motion, film) for row, motion in motions.items()}
        by_student(errors, student, person, film)
        worse += [
            {"row": f"{way}, recording {seed}", "mpjpe_mm": after, "frame_by_frame_mm": before}
            for way in WAYS
            if (after := off[f"{way}, smoothed"]) > (before := off[f"{way}, frame by frame"])
        ]
        frames, people = frames + len(truth), people | {person}
    rows: list[dict[str, Any]] = [
        {**row, "frames": frames, "people": len(people), "clips": seed + 1} for row in errors.rows()
    ]
    rows += worse
    for row in rows:
        print_line(", ".join(f"{k} {v:.3g}" if isinstance(v, float) else f"{k} {v}" for k, v in row.items()))
    if json:
        write_results(json, rows, data=poses.name, seeds=list(range(seed + 1)))


def quiet(text: str) -> None:
    """Notes are not what is measured."""


if __name__ == "__main__":
    typer.run(main)
