"""`polypose capture` on real people: the films of a calibrated scene, few cameras against all of them.

    polypose get
    python tests/benchmarks/bench_capture_demo.py Demo_SinglePerson --json docs/results/capture_demo.json

The folder holds `videos` and `calibration` (Pose2Sim's demo of one person, in the package `pose2sim`). All
cameras together stand for the truth, so that rows tell differences, not errors:

- all cameras and every two of them, triangulated by confidence alone (DLT), and as `solve_multi` does;
- every film alone (`solve_single`, its lens given), about the pelvis; with its bones brought to the truth's
  lengths; how far its up is from the calibration's; and how often the truth lies in the stated intervals;
- MediaPipe's own world landmarks of the same pictures, likewise, from the second output of its network.
"""

from itertools import combinations
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import numpy as np
import polypose
import torch
import typer
from polypose.capture.bones import bone_lengths
from polypose.capture.calibration import cameras_of, read_calibration
from polypose.capture.detecting import Seen, detect_film
from polypose.capture.detectors import identity, make_detector
from polypose.capture.detectors.blazepose import CROP, Region, cut
from polypose.capture.detectors.detector import Detections
from polypose.capture.detectors.network import Network
from polypose.capture.fetch import cached, landmarks
from polypose.capture.films import film
from polypose.capture.motion import Motion
from polypose.capture.multi import solve_multi
from polypose.capture.rays import cast
from polypose.capture.single import as_skeleton, solve_single
from polypose.capture.triangulate import dlt
from polypose.model import Model
from posedata.geometry.camera import Camera
from posedata.results import write_results
from posedata.skeleton import Skeleton, get_skeleton
from posedata.terminal import print_line

LEVELS = {"50": 0.6745, "80": 1.2816, "90": 1.6449}


def quiet(text: str) -> None:
    """Notes are not what is measured."""


class WithWorld:
    """BlazePose, and of each picture what its network says of the people's 3D.

    The network reads each person once more, from the crop that its landmarks give.
    """

    skeleton = "mediapipe33"

    def __init__(self, network: str) -> None:
        self._detector = make_detector("blazepose", network)
        self._landmarks = Network(cached(landmarks(network)), 1)
        self.said: list[tuple[np.ndarray, np.ndarray]] = []
        """Of each picture keypoints (P, 33, 3), and (P, 33, 3) metres in the camera's axes."""

    @property
    def memory(self) -> np.ndarray:
        """The detector's."""
        return self._detector.memory

    @memory.setter
    def memory(self, values: np.ndarray) -> None:
        self._detector.memory = values

    def detect(self, image: np.ndarray) -> Detections:
        """Everybody."""
        found = self._detector.detect(image)
        worlds = [np.zeros((0, 33, 3))]
        for region in (Region(*row) for *row, waits in self.memory[1:].tolist() if not waits):
            crop = cut(image, region, CROP).astype(np.float32) / 255
            x, y, z = self._landmarks(crop)[4].reshape(39, 3)[:33].T
            cos, sin = np.cos(region.turn), np.sin(region.turn)
            worlds.append(np.stack([cos * x - sin * y, sin * x + cos * y, z], axis=-1)[None])
        self.said.append((found.keypoints, np.concatenate(worlds)))
        return found


def seen_in(folder: Path, network: str) -> tuple[list[Seen], list[np.ndarray]]:
    """Everybody in every film, and world landmarks (F, 33, 3) of the person seen longest."""
    films, worlds = [], []
    with TemporaryDirectory() as work:
        for path in sorted(folder.glob("videos/*.mp4")):
            eye = WithWorld(network)
            seen = detect_film(film(path), [eye].pop, identity("blazepose", network), Path(work) / path.stem)
            world = np.full((len(seen.times), 33, 3), np.nan)
            for frame, (mine, (theirs, said)) in enumerate(zip(_longest(seen), eye.said, strict=True)):
                for points, place in zip(theirs, said, strict=True):
                    if (points == mine.astype(np.float32)).all():
                        world[frame] = place
            films.append(seen)
            worlds.append(world)
    return films, worlds


def apart_mm(found: np.ndarray, truth: np.ndarray) -> float:
    """Mean over joints and frames that both know."""
    return float(1000 * np.nanmean(np.linalg.norm(found - truth, axis=-1)))


def shaking(joints: np.ndarray, rate: float) -> float:
    """Mean acceleration, m/s²."""
    return float(np.nanmean(np.linalg.norm(np.diff(joints, 2, axis=0), axis=-1)) * rate**2)


def triangulated(cameras: list[Camera], seen: list[Seen], skeleton: Skeleton) -> np.ndarray:
    """(F, J, 3) by confidence alone, of the person seen longest."""
    points = np.stack([as_skeleton(_longest(s), s.skeleton, skeleton) for s in seen])
    return dlt(cast(cameras, points, skeleton), points[..., 2])


def with_bones(pose: np.ndarray, lengths: np.ndarray, skeleton: Skeleton) -> np.ndarray:
    """Directions kept, lengths changed, from the pelvis outward."""
    out, order = pose.copy(), [skeleton.root]
    length = dict(zip((c for c, _ in skeleton.edges), lengths, strict=True))
    for joint in order:
        for child in (c for c, parent in enumerate(skeleton.parents) if parent == joint):
            way = pose[:, child] - pose[:, joint]
            out[:, child] = out[:, joint] + length[child] * way / np.linalg.norm(way, axis=-1, keepdims=True)
            order.append(child)
    return out


def alone(model: Model, seen: Seen, camera: Camera, truth: Motion) -> dict[str, Any]:
    """A film by itself against all."""
    motion = solve_single(model, seen, camera, say=quiet)
    mine, all_of_it, skeleton = motion.people[0], truth.people[0], model.skeleton
    assert mine.covariance is not None
    assert all_of_it.covariance is not None
    turns = [camera.rotation.double().numpy() for camera in (motion.views[0].camera, camera)]
    frames = slice(mine.first, mine.first + len(mine))
    pose = (mine.joints - mine.joints[:, :1]) @ turns[0].T
    true = (all_of_it.joints - all_of_it.joints[:, :1])[frames] @ turns[1].T
    lengths = bone_lengths(all_of_it.joints, all_of_it.covariance, skeleton)
    about = turns[0] @ (mine.covariance - mine.covariance[:, :1]) @ turns[0].T
    sd = np.sqrt(np.diagonal(about, axis1=-2, axis2=-1))[:, 1:]
    off = np.abs((pose - true)[:, 1:]) / sd
    row: dict[str, Any] = {"row": f"{seen.name} alone", "apart_mm": apart_mm(pose, true)}
    row["bone_aligned_mm"] = apart_mm(with_bones(pose, lengths, skeleton), true)
    row["acceleration"] = shaking(mine.joints, motion.rate)
    row["up_off_deg"] = float(np.degrees(np.arccos(np.clip(turns[0][:, 2] @ turns[1][:, 2], -1, 1))))
    return row | {f"inside_{level}": float((off < width).mean()) for level, width in LEVELS.items()}


def of_mediapipe(
    seen: Seen, world: np.ndarray, camera: Camera, truth: Motion, skeleton: Skeleton
) -> dict[str, Any]:
    """World landmarks of the same film, by the same joints and alignment."""
    all_of_it = truth.people[0]
    assert all_of_it.covariance is not None
    joints = get_skeleton(seen.skeleton).convert(torch.from_numpy(world), skeleton, lossy=True).numpy()
    pose = (joints - joints[:, :1])[all_of_it.frames]
    true = (all_of_it.joints - all_of_it.joints[:, :1]) @ camera.rotation.double().numpy().T
    lengths = bone_lengths(all_of_it.joints, all_of_it.covariance, skeleton)
    return {
        "row": f"{seen.name}, MediaPipe's world landmarks",
        "apart_mm": apart_mm(pose, true),
        "bone_aligned_mm": apart_mm(with_bones(pose, lengths, skeleton), true),
        "acceleration": shaking(pose, truth.rate),
    }


def main(
    folder: Annotated[Path | None, typer.Argument(help="with videos and calibration")] = None,
    network: Annotated[str, typer.Option(help="of landmarks: lite, full or heavy")] = "full",
    json: Annotated[Path | None, typer.Option(help="write the results there")] = None,
) -> None:
    """Print and write the rows."""
    if folder is None or not folder.is_dir():
        print_line(f"{folder or 'no folder given'}: nothing is measured; give Pose2Sim's Demo_SinglePerson")
        return
    model = polypose.load()
    seen, worlds = seen_in(folder, network)
    found, _ = cameras_of(
        read_calibration(folder / "calibration"), [(s.name, s.size) for s in seen], folder / "calibration"
    )
    cameras = [one.camera for one in found]
    truth = solve_multi(model, seen, cameras, offset=[0.0] * len(seen), say=quiet)
    joints, rate = truth.people[0].joints, truth.rate
    plain = triangulated(cameras, seen, model.skeleton)
    rows: list[dict[str, Any]] = [
        {
            "row": f"{len(seen)} cameras, DLT",
            "apart_mm": apart_mm(plain, joints),
            "acceleration": shaking(plain, rate),
        },
        {"row": f"{len(seen)} cameras", "apart_mm": 0.0, "acceleration": shaking(joints, rate)},
    ]
    pairs: dict[str, list[tuple[float, float]]] = {"2 cameras, DLT": [], "2 cameras": []}
    held: dict[str, list[float]] = {level: [] for level in LEVELS}
    for pair in combinations(range(len(seen)), 2):
        mine, theirs = [cameras[i] for i in pair], [seen[i] for i in pair]
        person = solve_multi(model, theirs, mine, offset=[0.0, 0.0], say=quiet).people[0]
        two = person.joints
        assert person.covariance is not None
        off = np.abs(two - joints) / np.sqrt(np.diagonal(person.covariance, axis1=-2, axis2=-1))
        for level, width in LEVELS.items():
            held[level].append(float((off < width).mean()))
        bare = triangulated(mine, theirs, model.skeleton)
        for name, values in (("2 cameras, DLT", bare), ("2 cameras", two)):
            pairs[name].append((apart_mm(values, joints), shaking(values, rate)))
    for name, values_of in pairs.items():
        apart, rough = np.mean(values_of, axis=0)
        rows.append(
            {"row": f"{name} (mean of {len(values_of)} pairs)", "apart_mm": apart, "acceleration": rough}
        )
    rows[-1] |= {f"inside_{level}": float(np.mean(values)) for level, values in held.items()}
    rows += [alone(model, s, camera, truth) for s, camera in zip(seen, cameras, strict=True)]
    rows += [
        of_mediapipe(s, world, camera, truth, model.skeleton)
        for s, world, camera in zip(seen, worlds, cameras, strict=True)
    ]
    rows = [{key: float(v) if isinstance(v, np.floating) else v for key, v in row.items()} for row in rows]
    for row in rows:
        print_line(", ".join(f"{k} {v:.3g}" if isinstance(v, float) else f"{k} {v}" for k, v in row.items()))
    if json:
        write_results(json, rows, data=folder.name, network=network, frames=len(joints))


def _longest(seen: Seen) -> np.ndarray:
    """(F, J, 3) keypoints of the person seen most, in all frames of the film."""
    track = max(seen.tracks, key=lambda t: float((t.keypoints[..., 2] > 0).sum()))
    out = np.zeros((len(seen.times), *track.keypoints.shape[1:]))
    out[track.first : track.first + len(track.keypoints)] = track.keypoints
    return out


if __name__ == "__main__":
    typer.run(main)
