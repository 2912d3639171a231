"""`polypose capture` of several people: who is who, how much of them is found, and how well.

    polypose get
    python tests/benchmarks/bench_capture_people.py data/mocap/open_joints.npz --demo Demo_MultiPerson \\
        --json docs/results/capture_people.json

Five people of the motion capture whom no training saw cross each other's way before a virtual camera, each as
they move; who is behind loses the joints that others cover, and is not detected where that is most of them.
Their 2D has a detector's lasting errors (`packages/polypose/tests/capture_people.py`). A switch is a person
who goes on under another id; recall is the share of frames of a detected person that a track follows. Of
`Demo_MultiPerson` (Pose2Sim) each film's tracks are held against the people of all four films.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import numpy as np
import polypose
import torch
import typer
from polypose.capture.calibration import cameras_of, read_calibration
from polypose.capture.detecting import Seen, detect_film
from polypose.capture.detectors import identity, make_detector
from polypose.capture.films import film
from polypose.capture.motion import Motion
from polypose.capture.multi import solve_multi
from polypose.capture.single import as_skeleton, solve_single
from polypose.capture.tracks import link
from polypose.model import Model
from posedata.geometry.camera import Camera
from posedata.results import write_results
from posedata.terminal import print_line

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "packages/polypose/tests"))
sys.path.insert(0, str(Path(__file__).resolve().parent))

TOGETHER, FRAMES = 5, 150
KINDS = ("dressed apart", "dressed alike", "away for 0.8 s", "away for 2 s")
_NEAR = 0.25
"""Of a person's size in the picture: how far off a track is still that person's."""


def scenes(poses: Path, count: int) -> Iterator[np.ndarray]:
    """(P, T, 17, 3) people of the test split on lanes of their own, every second one the other way."""
    from bench_capture_truth import clips

    every = [joints for _, joints in clips(poses, "test", 8, FRAMES) if len(joints) == FRAMES]
    for number in range(count):
        rng = np.random.default_rng(number)
        chosen = [every[i] for i in rng.permutation(len(every))[:TOGETHER]]
        yield np.stack([across(joints, lane, rng) for lane, joints in enumerate(chosen)])


def across(joints: np.ndarray, lane: int, rng: np.random.Generator) -> np.ndarray:
    """From one side to the other of a lane, with the pelvis on it."""
    way = np.linspace(-1, 1, len(joints)) * rng.uniform(1.0, 1.8) * (-1) ** lane + rng.uniform(-0.4, 0.4)
    place = np.stack([way, np.full(len(way), 0.8 * lane), np.zeros(len(way))], axis=-1)
    return joints - joints[:, :1] * np.array([1.0, 1, 0]) + place[:, None]


def camera() -> Camera:
    """Before the lanes, above people's heads."""
    from capture_people import SIZE

    at, target = (torch.tensor(x, dtype=torch.float64) for x in ((0.0, -5.0, 2.2), (0.0, 1.6, 0.9)))
    return Camera.look_at(at, target, 1100.0, SIZE)


def virtual(model: Model, joints: np.ndarray, kind: str, seed: int) -> dict[str, Any]:
    """What there is to count of one scene."""
    from capture_people import H36M, SIZE, Detector
    from crossing import RATE, filmed, owners, switches

    rng = np.random.default_rng(seed)
    there = np.ones(joints.shape[:2], bool)
    if "away" in kind:
        away = round((2.0 if "2 s" in kind else 0.8) * RATE)
        for one in there[::2]:
            start = int(rng.integers(30, FRAMES - away - 20))
            one[start : start + away] = False
    dress = rng.uniform(0.1, 0.9, (TOGETHER, 3)) if kind != "dressed alike" else np.full((TOGETHER, 3), 0.5)
    scene = filmed(joints, camera(), Detector(), dress, there, seed)
    tracks = link(scene.moments, "h36m17")
    ids = owners(scene, tracks, list(H36M.mirror))
    times = np.arange(joints.shape[1]) / RATE
    seen = Seen("scene", None, SIZE, times, "h36m17", tracks)
    motion = solve_single(model, seen, camera(), say=quiet)
    return {
        "switches": switches(ids),
        "recall": (ids > 0).sum() / scene.seen.sum(),
        "tracks": len(tracks),
        "off": apart(motion, joints, ids),
    }


def apart(motion: Motion, joints: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """(n,) mm about the pelvis of everybody in every frame that a track follows."""
    turns = [c.rotation.double().numpy() for c in (motion.views[0].camera, camera())]
    out = [np.zeros(0)]
    for person in motion.people:
        pose = (person.joints - person.joints[:, :1]) @ turns[0].T
        for one, true in enumerate(joints):
            mine = np.flatnonzero(ids[one] == person.id)
            mine = mine[(mine >= person.first) & (mine < person.frames.stop)]
            want = (true[mine] - true[mine, :1]) @ turns[1].T
            out.append(1000 * np.linalg.norm(pose[mine - person.first] - want, axis=-1).mean(-1))
    found = np.concatenate(out)
    return found[np.isfinite(found)]


def real(model: Model, folder: Path, network: str) -> list[dict[str, Any]]:
    """Each film's tracks against the people that all films together show."""
    films = []
    with TemporaryDirectory() as work:
        for path in sorted(folder.glob("videos/*.mp4")):
            make = lambda: make_detector("blazepose", network)  # noqa: E731
            films.append(
                detect_film(film(path), make, identity("blazepose", network), Path(work) / path.stem)
            )
    told = read_calibration(folder / "calibration")
    found, _ = cameras_of(told, [(s.name, s.size) for s in films], folder / "calibration")
    cameras = [one.camera for one in found]
    whole = solve_multi(model, films, cameras, offset=[0.0] * len(films), say=quiet)
    return [followed(seen, eye, whole) for seen, eye in zip(films, cameras, strict=True)]


def followed(seen: Seen, eye: Camera, whole: Motion) -> dict[str, Any]:
    """Switches and recall of one film."""
    from crossing import switches

    ids = np.zeros((len(whole.people), len(whole)), int)
    best = np.full(ids.shape, _NEAR)
    for track in seen.tracks:
        points = as_skeleton(track.keypoints, seen.skeleton, whole.skeleton)
        for row in np.flatnonzero(np.isfinite(track.boxes[:, 0])):
            t = track.first + int(row)
            off = np.full(len(whole.people), np.inf)
            for one, person in enumerate(whole.people):
                if person.first <= t < person.frames.stop:
                    pixels = eye.project(torch.from_numpy(person.joints[t - person.first])).numpy()
                    far = np.linalg.norm(points[row, :, :2] - pixels, axis=-1)
                    off[one] = np.nanmedian(far) / np.ptp(pixels, axis=0).max()
            who = int(off.argmin())
            if off[who] < best[who, t]:
                ids[who, t], best[who, t] = track.id, off[who]
    return {
        "row": f"{seen.name}, two real people",
        "switches": switches(ids),
        "recall": float((ids > 0).mean()),
        "tracks": len(seen.tracks),
    }


def quiet(text: str) -> None:
    """Notes are not what is measured."""


def main(
    poses: Annotated[
        Path | None, typer.Argument(help="an npz of joints (N, 17, 3), seq and subject; split.json beside it")
    ] = None,
    demo: Annotated[Path | None, typer.Option(help="Pose2Sim's Demo_MultiPerson")] = None,
    network: Annotated[str, typer.Option(help="of landmarks: lite, full or heavy")] = "full",
    count: Annotated[int, typer.Option(help="scenes of five people")] = 8,
    json: Annotated[Path | None, typer.Option(help="write the results there")] = None,
) -> None:
    """Print and write the rows."""
    if poses is None or not poses.is_file():
        print_line(f"{poses or 'no poses given'}: nothing is measured; give the motion capture's npz")
        return
    model, rows = polypose.load(), []
    for kind in KINDS:
        every = [virtual(model, joints, kind, seed) for seed, joints in enumerate(scenes(poses, count))]
        rows.append(
            {
                "row": f"five crossing, {kind}",
                "switches": sum(one["switches"] for one in every),
                "people": TOGETHER * len(every),
                "recall": float(np.mean([one["recall"] for one in every])),
                "tracks": sum(one["tracks"] for one in every),
                "mpjpe_mm": float(np.concatenate([one["off"] for one in every]).mean()),
            }
        )
    if demo is not None:
        rows += [{**row, "people": 2} for row in real(model, demo, network)]
    for row in rows:
        print_line(", ".join(f"{k} {v:.3g}" if isinstance(v, float) else f"{k} {v}" for k, v in row.items()))
    if json:
        write_results(json, rows, data=poses.name, network=network, scenes=count, seeds=list(range(count)))


if __name__ == "__main__":
    typer.run(main)
