"""How often the checker of keypoints errs: people of the motion capture, seen by random cameras.

    python tests/benchmarks/bench_keypoints.py data/mocap/open_joints.npz --json docs/results/keypoints.json

A clip is a frame, or thirty of one recording in a row by one camera, the hardest case: all frames look alike.
Rows tell, by skeleton and posture, of what share of clips read in their right order anything is said (false
alarms), and what share is found of those read as the other skeleton of as many joints; in percent.
"""

import sys
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from posedata.plausible import check_keypoints
from posedata.results import write_results
from posedata.skeleton import get_skeleton

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "packages/posedata/tests"))

OTHER = {"h36m17": "coco17", "coco17": "h36m17", "ntu25": "openpose25", "openpose25": "ntu25"}
SKELETONS = (*OTHER, "halpe26", "mediapipe33")
VIEWS: dict[str, dict[str, Any]] = {
    "upright": {},
    "detector noise of 2 %": {"noise": 0.02},
    "from anywhere": {"elevation": (-90.0, 90.0)},
    "lying": {},
    "upside down": {},
    "cut at the waist": {},
    "one joint in five unseen": {},
}
TURNS = {"lying": ([2, 0, 1], [1, 1, 1]), "upside down": ([0, 1, 2], [1, -1, -1])}


def clip(joints: np.ndarray, skeleton: str, view: str, rng: np.random.Generator) -> np.ndarray:
    """(N, J, 3) keypoints with confidences."""
    from keypoint_people import dressed, seen

    order, sign = TURNS.get(view, ([0, 1, 2], [1, 1, 1]))
    people = dressed(joints, skeleton)[..., order] * np.array(sign)
    pixels = seen(people, rng, one_camera=True, **VIEWS[view])
    sure = np.ones((*pixels.shape[:2], 1))
    if view == "cut at the waist":
        sure[pixels[..., 1] > np.median(pixels[..., 1], axis=1, keepdims=True)] = 0
    elif view == "one joint in five unseen":
        sure[:, rng.permutation(pixels.shape[1])[: pixels.shape[1] // 5]] = 0
    return np.concatenate([pixels * sure, sure], axis=-1)


def main(
    poses: Annotated[Path, typer.Argument(help="an npz of joints (N, 17, 3) and seq (N,)")],
    clips: Annotated[int, typer.Option(help="of every length, skeleton and posture")] = 1000,
    json: Annotated[Path | None, typer.Option(help="write the results there")] = None,
) -> None:
    """Print and write the rates."""
    with np.load(poses) as data:
        joints, sequence = data["joints"], data["seq"]
    rows = []
    for name in SKELETONS:
        for view in VIEWS:
            rng = np.random.default_rng(0)
            row: dict[str, Any] = {"skeleton": name, "people": view}
            for length in (1, 30):
                false, found = 0, 0
                for start in rng.integers(0, len(joints) - length, clips):
                    frames = slice(start, start + length)
                    kept = joints[frames][sequence[frames] == sequence[start]].astype(np.float64)
                    points = clip(kept, name, view, rng)
                    false += check_keypoints(points, get_skeleton(name), (1000, 1000)) != ([], [])
                    other = OTHER.get(name)
                    found += bool(other and check_keypoints(points, get_skeleton(other)).errors)
                row[f"false_{length}"] = 100 * false / clips
                if name in OTHER:
                    row[f"found_{length}"] = 100 * found / clips
            rows.append(row)
            print(row)
    if json:
        write_results(json, rows, data=poses.name, seeds=[0], clips=clips)


if __name__ == "__main__":
    typer.run(main)
