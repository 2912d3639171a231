"""How plausible a Kinect's own joints are: UI-PRMD's repetitions as a Kinect v2 and as markers saw them.

    python tests/benchmarks/bench_kinect_poses.py data/mocap/uiprmd_kinect22_joints.npz \
        data/mocap/open_joints.npz --json docs/results/kinect_poses.json

Two people of the test split, the same exercises before both sensors (not synchronised). A pose counts as
plausible by what the view-invariant weights that polypose ships make of it: how far the pose lies from what
its embedding is decoded to. Rows tell that of each sensor's poses and of the same poses spoilt, with the
share of pairs of a sound and a spoilt pose in which the spoilt one lies farther off (area under the ROC
curve); and how much bones vary within a repetition.
"""

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import polypose
import torch
import typer
from polypose.invariant import ViewInvariant
from posedata.results import write_results
from posedata.skeleton import get_skeleton

H36M = get_skeleton("h36m17")
KINECT = {
    "pelvis": "waist", "spine": "spine", "thorax": "chest", "neck": "head", "head": "headtip",
    **{f"{side}_{joint}": f"{side[0]}{name}" for side in ("left", "right") for joint, name in (
        ("hip", "uleg"), ("knee", "lleg"), ("ankle", "foot"), ("shoulder", "uparm"), ("elbow", "forearm"),
        ("wrist", "hand"),
    )},
}  # fmt: skip
"""Joints of `h36m17` as UI-PRMD names those of its Kinect files."""
PEOPLE = {"Kinect v2": ("s02", "s09"), "markers": ("uis02", "uis09")}
_EVERY, _JITTER = 15, 0.05


def kinect_joints(joints: np.ndarray, names: list[str]) -> np.ndarray:
    """(N, 17, 3) of `h36m17` from (N, 22, 3)."""
    return joints[:, [names.index(KINECT[name]) for name in H36M.joints]]


def spoilt(poses: np.ndarray, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """The same poses with something wrong, by what it is."""
    at = H36M.index
    legs, arm = poses.copy(), poses.copy()
    left, right = (([at(f"{side}_knee"), at(f"{side}_ankle")]) for side in ("left", "right"))
    legs[:, left + right] = poses[:, right + left]
    turned = [at("left_elbow"), at("left_wrist")]
    arm[:, turned] = 2 * poses[:, [at("left_shoulder")]] - poses[:, turned]
    noisy = poses + _JITTER * rng.standard_normal(poses.shape)
    return {"shins exchanged": legs, "an arm mirrored at its shoulder": arm, "5 cm of noise": noisy}


@torch.no_grad()
def off_mm(model: ViewInvariant, poses: np.ndarray) -> np.ndarray:
    """Mean distance of the joints from what the pose's embedding is decoded to, (N,)."""
    network = model.decoding()
    known = model.poses(torch.from_numpy(np.ascontiguousarray(poses, np.float32)))
    again = network.decode(network.embed_pose(known))
    return (1000 * model.torso * (again - known).norm(dim=-1).mean(-1)).numpy()


def told_apart(sound: np.ndarray, wrong: np.ndarray) -> float:
    """Percent of pairs in which the wrong one is larger (Mann and Whitney's U over its most)."""
    rank = np.concatenate([sound, wrong]).argsort().argsort()[len(sound) :]
    below = rank.sum() - len(wrong) * (len(wrong) - 1) / 2
    return 100 * float(below) / (len(sound) * len(wrong))


def bone_variation(poses: np.ndarray, sequence: np.ndarray) -> float:
    """Standard deviation of a bone's length within a repetition, percent of it; median over both."""
    child, parent = np.array(H36M.edges).T
    length = np.linalg.norm(poses[:, child] - poses[:, parent], axis=-1)
    each = [length[sequence == one] for one in np.unique(sequence)]
    return 100 * float(np.median([one.std(0) / one.mean(0) for one in each]))


def main(
    kinect: Annotated[Path, typer.Argument(help="npz of (N, 22, 3) Kinect joints of UI-PRMD")],
    markers: Annotated[Path, typer.Argument(help="npz of (N, 17, 3) joints, with UI-PRMD's people")],
    json: Annotated[Path | None, typer.Option(help="write the results there")] = None,
) -> None:
    """Print and write how far off each sensor's poses are, sound and spoilt."""
    model, rows = polypose.load("view-invariant"), []
    for sensor, file in (("markers", markers), ("Kinect v2", kinect)):
        with np.load(file) as data:
            subject = data["subject_names"][data["subject"]]
            mine = np.isin(subject, PEOPLE[sensor])
            joints, sequence = data["joints"][mine], data["seq"][mine]
            if sensor == "Kinect v2":
                joints = kinect_joints(joints, data["joint_names"].tolist())
        poses = joints[::_EVERY].astype(np.float64)
        sound = off_mm(model, poses)
        variation = bone_variation(joints, sequence)
        rows.append(_row(sensor, "as they are", sound, len(poses), bone_variation_percent=variation))
        for what, wrong in spoilt(poses, np.random.default_rng(0)).items():
            off = off_mm(model, wrong)
            rows.append(_row(sensor, what, off, len(poses), told_apart_percent=told_apart(sound, off)))
    for row in rows:
        print(row)
    if json is not None:
        write_results(json, rows, data="UI-PRMD (PDDL 1.0), people 2 and 9", seeds=[0])


def _row(sensor: str, poses: str, off: np.ndarray, count: int, **more: float) -> dict[str, Any]:
    median, high = np.quantile(off, [0.5, 0.9])
    return {
        "sensor": sensor,
        "poses": poses,
        "count": count,
        "off_mm": float(median),
        "off_90_mm": float(high),
        **more,
    }


if __name__ == "__main__":
    typer.run(main)
