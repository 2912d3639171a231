"""`polypose capture` where the truth is known: people of the motion capture before virtual cameras.

    python tests/benchmarks/bench_capture_truth.py data/mocap/open_joints.npz --json docs/results/capture.json

Their 2D has the errors of a detector that last (`packages/polypose/tests/capture_people.py`): jitter that
drifts, and outliers, exchanged sides and missed joints in runs; with several cameras limbs are hidden. Rows:

- one camera: the frames by themselves, and smoothed over time; about the pelvis, and where the pelvis is;
- two, three and four cameras: triangulated by confidence alone (DLT), with the lifter as prior, and smoothed;
- the last with cameras that are not quite where their calibration says (`polypose.capture.aside`).

Intervals are of people. Constants were chosen on the people of `--part validation`.
"""

import json as jsons
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import polypose
import torch
import typer
from polypose.capture.rays import cast
from polypose.capture.solving import Solved, solve_person
from polypose.capture.triangulate import dlt
from polypose.model import Model
from posedata.geometry.camera import Camera
from posedata.results import write_results
from posedata.scoring.metrics import mpjpe_mm, pa_mpjpe_mm
from posedata.scoring.people import interval_by_person
from posedata.terminal import print_line

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "packages/polypose/tests"))

RATE = 30.0
LEVELS = {"50": 0.6745, "80": 1.2816, "90": 1.6449}
DISTANCE = 5.0
_SHORT = 60


def clips(poses: Path, part: str, each: int, longest: int) -> Iterator[tuple[int, np.ndarray]]:
    """Person and joints (T, 17, 3) of some recordings of each person, evenly spaced among them."""
    with np.load(poses) as data:
        joints, sequence, subject = data["joints"], data["seq"], data["subject"]
        names = data["subject_names"].tolist()
    people = jsons.loads(poses.with_name("split.json").read_text())[part]
    for person in people:
        rows = np.flatnonzero(subject == names.index(person))
        numbers, counts = np.unique(sequence[rows], return_counts=True)
        numbers = numbers[counts >= min(_SHORT, counts.max())]
        for number in numbers[np.linspace(0, len(numbers) - 1, min(each, len(numbers))).astype(int)]:
            clip = joints[rows[sequence[rows] == number]].astype(np.float64)
            start = max(0, (len(clip) - longest) // 2)
            yield names.index(person), clip[start : start + longest]


class Errors:
    """What is measured of each clip's frames, and whose they are."""

    def __init__(self) -> None:
        self._values: dict[tuple[str, str], list[np.ndarray]] = defaultdict(list)
        self._people: dict[tuple[str, str], list[np.ndarray]] = defaultdict(list)

    def add(self, row: str, key: str, person: int, values: np.ndarray) -> None:
        """Of one clip; values of any shape."""
        flat = np.ravel(values).astype(np.float64)
        flat = flat[np.isfinite(flat)]
        self._values[row, key].append(flat)
        self._people[row, key].append(np.full(len(flat), person))

    def rows(self) -> list[dict[str, Any]]:
        """Means, with intervals by person of what is in millimetres."""
        out: dict[str, dict[str, Any]] = {}
        for (row, key), parts in self._values.items():
            values = torch.from_numpy(np.concatenate(parts))
            people = torch.from_numpy(np.concatenate(self._people[row, key]))
            mine = out.setdefault(row, {"row": row})
            mine[key] = float(values.mean())
            if key.endswith("mpjpe_mm"):
                mine[key.replace("_mm", "_low")], mine[key.replace("_mm", "_high")] = interval_by_person(
                    values, people
                )
        return list(out.values())


def acceleration(found: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """(T - 2, J) m/s²: of second differences."""
    return np.linalg.norm(np.diff(found - truth, 2, axis=0), axis=-1) * RATE**2


def inside(off: np.ndarray, covariance: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """Which coordinates lie in the central intervals that the covariance states."""
    sd = np.sqrt(np.maximum(np.diagonal(covariance, axis1=-2, axis2=-1), 1e-12))
    for level, width in LEVELS.items():
        held = np.abs(off / sd) < width
        yield f"inside_{level}", np.where(np.isfinite(off / sd), held, np.nan)


def tensor(values: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(values))


def one_camera(model: Model, person: int, truth: np.ndarray, seed: int, errors: Errors) -> None:
    """One camera at rest, a detector without hidden limbs."""
    from capture_people import Detector, ring, watched

    cameras = ring(8, truth.reshape(-1, 3).mean(0), DISTANCE)
    (camera,) = [cameras[seed % 8]]
    keypoints = watched(truth, [camera], Detector(), RATE, seed)
    times = np.arange(len(truth)) / RATE
    for row, smoothed in (("one camera, frame by frame", False), ("one camera, smoothed", True)):
        found = solve_person(model, [camera], keypoints, times, smoothed=smoothed)
        score(errors, row, person, found, truth)


def score(errors: Errors, row: str, person: int, found: Solved, truth: np.ndarray) -> None:
    """Of a lone camera."""
    joints = found.joints
    known = np.isfinite(joints).all((1, 2))
    pose, true = joints - joints[:, :1], truth - truth[:, :1]
    errors.add(row, "known", person, known)
    errors.add(row, "mpjpe_mm", person, mpjpe_mm(tensor(pose[known]), tensor(true[known])).numpy())
    errors.add(row, "pa_mpjpe_mm", person, pa_mpjpe_mm(tensor(pose[known]), tensor(true[known])).numpy())
    errors.add(row, "acceleration", person, acceleration(pose, true))
    errors.add(row, "root_mm", person, 1000 * np.linalg.norm(joints[:, 0] - truth[:, 0], axis=-1))
    errors.add(row, "root_acceleration", person, acceleration(joints[:, :1], truth[:, :1]))
    about = found.covariance[:, 1:] - found.covariance[:, :1]
    for key, held in inside((pose - true)[:, 1:], about):
        errors.add(row, f"pose_{key}", person, held)
    for key, held in inside(joints[:, 0] - truth[:, 0], found.covariance[:, 0]):
        errors.add(row, f"root_{key}", person, held)


def several_cameras(
    model: Model, person: int, truth: np.ndarray, seed: int, errors: Errors, counts: Sequence[int]
) -> None:
    """Cameras about the person; limbs hidden one frame in ten."""
    from capture_people import H36M, Detector, ring, watched

    every = ring(max(counts), truth.reshape(-1, 3).mean(0), DISTANCE)
    detector = replace(Detector(), occluded=0.1)
    keypoints = watched(truth, every, detector, RATE, seed)
    askew = watched(truth, every, replace(detector, aside=1.0), RATE, seed)
    times = np.arange(len(truth)) / RATE
    for count in counts:
        cameras: list[Camera] = every[:count]
        some = keypoints[:count]
        plain = dlt(cast(cameras, some, H36M), some[..., 2])
        frames = solve_person(model, cameras, some, times, smoothed=False)
        smoothed = solve_person(model, cameras, some, times)
        ways = {"DLT": plain, "prior": frames.joints, "smoothed": smoothed.joints}
        moved = solve_person(model, cameras, askew[:count], times)
        ways["smoothed, set up askew"] = moved.joints
        for name, joints in ways.items():
            row = f"{count} cameras, {name}"
            off = 1000 * np.linalg.norm(joints - truth, axis=-1)
            errors.add(row, "known", person, np.isfinite(off))
            errors.add(row, "mpjpe_mm", person, np.nanmean(off, axis=1))
            errors.add(row, "acceleration", person, acceleration(joints, truth))
        for name, found in (("smoothed", smoothed), ("smoothed, set up askew", moved)):
            for key, held in inside(found.joints - truth, found.covariance):
                errors.add(f"{count} cameras, {name}", key, person, held)


def main(
    poses: Annotated[
        Path | None, typer.Argument(help="an npz of joints (N, 17, 3), seq and subject; split.json beside it")
    ] = None,
    part: Annotated[Literal["test", "validation"], typer.Option(help="whose people")] = "test",
    each: Annotated[int, typer.Option(help="recordings of each person at most")] = 8,
    longest: Annotated[int, typer.Option(help="frames of a recording")] = 150,
    json: Annotated[Path | None, typer.Option(help="write the results there")] = None,
) -> None:
    """Print and write the rows."""
    if poses is None or not poses.is_file():
        print_line(f"{poses or 'no poses given'}: nothing is measured; give the motion capture's npz")
        return
    model, errors, frames, people = polypose.load(), Errors(), 0, set()
    for seed, (person, truth) in enumerate(clips(poses, part, each, longest)):
        one_camera(model, person, truth, seed, errors)
        several_cameras(model, person, truth, seed, errors, (2, 3, 4))
        frames, people = frames + len(truth), people | {person}
    rows = [{**row, "frames": frames, "people": len(people)} for row in errors.rows()]
    for row in rows:
        print_line(", ".join(f"{k} {v:.3g}" if isinstance(v, float) else f"{k} {v}" for k, v in row.items()))
    if json:
        write_results(json, rows, data=poses.name, seeds=[0], part=part)


if __name__ == "__main__":
    typer.run(main)
