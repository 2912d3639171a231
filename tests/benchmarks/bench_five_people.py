"""Five people before a real Kinect: found, cut out, and lifted by the depth weights that polypose ships.

    python tests/benchmarks/bench_five_people.py five_people.pcd --json docs/results/five_people.json \
        --picture docs/pages/figures/five_people.png

The frame is PCL's test file `five_people.pcd`, of Munaro's people detector (BSD-3-Clause). Nobody knows its
true joints: what can be said is whether bones are as long as people's (`mean_bones`), whether feet are where
the floor is, and how far the joints' images lie from where a 2D detector sees them.

A row is a person, by one method: without keypoints, with BlazePose's to tell left from right, and, with
`--run`, a UniPose run's teacher.
"""

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import polypose
import torch
import typer
from pointcloud_weak import DepthUnprojector, Person, bone_lengths, find_people
from pointcloud_weak.gallery import bones
from pointcloud_weak.people import find_floor
from pointcloud_weak.recorded import look_at
from polypose.capture.detectors import make_detector
from posedata.figures import plt
from posedata.keypoints import convert_keypoints
from posedata.readers.rgbd import RgbdFrame, open_rgbd
from posedata.results import write_results
from posedata.skeleton import get_skeleton
from posedata.synthetic.people.kinematics import mean_bones
from posedata.writing import write_png
from torch import Tensor

ITOP, COCO = get_skeleton("itop15"), get_skeleton("coco17")
SHIPPED, NAMED, TEACHER = "depth weights", "depth weights, sides by keypoints", "teacher, by keypoints"


class BlazePose:
    """Its best person in a picture, as COCO's joints; zeros where it sees nobody."""

    def __init__(self) -> None:
        self.detector = make_detector("blazepose", "full")
        self.skeleton = get_skeleton(self.detector.skeleton)

    def __call__(self, picture: np.ndarray) -> np.ndarray:
        self.detector.memory = np.zeros((0, 4))
        found = self.detector.detect(np.ascontiguousarray(picture)).keypoints
        if not len(found):
            return np.zeros((17, 3), np.float32)
        best = torch.from_numpy(found[found[..., 2].mean(1).argmax()])
        return convert_keypoints(best, self.skeleton, COCO).numpy()


def lifted(frame: RgbdFrame, people: list[Person], keypoints: np.ndarray) -> dict[str, Tensor]:
    """Everybody's joints (P, 15, 3) in metres of the camera's frame, by the shipped weights."""
    model, camera = polypose.load("depth"), frame.camera
    depth = np.repeat(frame.depth[None], len(people), axis=0)
    masks = np.stack([person.mask.numpy() for person in people])
    intrinsics = [*camera.focal.tolist(), *camera.centre.tolist()]
    return {
        name: torch.from_numpy(model.lift(depth, intrinsics, masks, keypoints=given).placed)
        for name, given in ((SHIPPED, None), (NAMED, keypoints))
    }


def taught(run: Path, frame: Path, detector: BlazePose) -> Tensor:
    """Everybody's joints by a run's teacher, the nearest person first."""
    from pointcloud_weak.predict import predict_people
    from pointcloud_weak.recorded import see_people
    from posediff.hypotheses import minimum_bayes_risk
    from unipose.task import open_teacher

    recipe, teacher = open_teacher(run)
    data, recording = recipe.data, open_rgbd(frame)
    seen = see_people(recording, data.image_size, detector=detector)
    sizes = {"frames": data.frames, "points": data.points}
    found = predict_people(teacher, seen, tuple(recording.names()), ITOP, minimum_bayes_risk, **sizes)
    return torch.from_numpy(found.joints)


def judged(
    joints: Tensor, person: Person, keypoints: Tensor, frame: RgbdFrame, floor: Tensor
) -> dict[str, Any]:
    """What can be said of one person's joints (15, 3) without knowing the true ones."""
    off = 100 * (bone_lengths(joints, ITOP.edges) / mean_bones(ITOP) - 1)
    worst = int(off.abs().argmax())
    feet = 1000 * (joints @ floor[:3] + floor[3])[[ITOP.index("left_foot"), ITOP.index("right_foot")]]
    points = DepthUnprojector(frame.camera)(torch.from_numpy(frame.depth))[person.mask]
    seen = convert_keypoints(keypoints, COCO, ITOP)
    apart = (frame.camera.project_camera(joints) - seen[:, :2]).norm(dim=-1)[seen[:, 2] > 0.3]
    return {
        "distance_m": person.distance,
        "height_m": person.height,
        "bones_off_percent": float(off.abs().mean()),
        "bones_within_15_percent": 100 * float((off.abs() <= 15).float().mean()),
        "worst_bone": f"{ITOP.joints[ITOP.edges[worst][1]]} to {ITOP.joints[ITOP.edges[worst][0]]}",
        "worst_bone_percent": float(off[worst]),
        "foot_mm": float(feet.mean()),
        "lowest_point_mm": 1000 * float((points @ floor[:3] + floor[3]).quantile(0.01)),
        "keypoints_px": float(apart.mean()),
    }


def picture(frame: RgbdFrame, people: list[Person], joints: Tensor, floor: Tensor) -> Any:
    """Everybody's joints over the depth image, from the side, and from above."""
    figure, axes = plt.subplots(1, 3, figsize=(15, 5), width_ratios=(1.35, 1, 1))
    metres = np.where(frame.depth > 0, frame.depth / 1000, np.nan)
    axes[0].imshow(metres, cmap="Greys", vmin=1, vmax=6)
    unproject, height = DepthUnprojector(frame.camera), floor[:3]
    across = torch.linalg.cross(torch.tensor([0.0, 0.0, 1.0]), height)
    across = across / across.norm()
    turn = torch.stack([across, torch.linalg.cross(height, across), height])  # right, ahead, up
    up = torch.stack([torch.zeros(()), torch.zeros(()), floor[3]])
    for person, pose in zip(people, joints, strict=True):
        cloud = unproject(torch.from_numpy(frame.depth))[person.mask][::25]
        pixels = frame.camera.project_camera(pose).numpy()
        bones(axes[0], pixels, ITOP, width=2.2)
        for axis, shown in ((axes[1], [1, 2]), (axes[2], [0, 1])):
            points, at = ((part @ turn.T + up)[:, shown] for part in (cloud, pose))
            axis.scatter(*points.T.numpy(), s=0.5, c="#c9d6df", linewidths=0)
            bones(axis, at.numpy(), ITOP, width=1.8)
    axes[0].set(title="over the depth image", xticks=[], yticks=[])
    axes[1].set(title="from the side", xlabel="distance, m", ylabel="above the floor, m")
    axes[1].axhline(0, color="#8a6d3b", lw=1)
    axes[2].set(title="from above", xlabel="m", ylabel="distance, m")
    for axis in axes[1:]:
        axis.set_aspect("equal")
    figure.tight_layout()
    return figure


def main(
    frame: Annotated[Path, typer.Argument(help="five_people.pcd, from PCL's test data")],
    run: Annotated[
        Path | None, typer.Option(help="a UniPose run of itop15 whose teacher is asked too")
    ] = None,
    json: Annotated[Path | None, typer.Option(help="write the results there")] = None,
    drawn: Annotated[Path | None, typer.Option("--picture", help="draw them there, a PNG")] = None,
) -> None:
    """Print and write what the bones, the feet and a 2D detector say of everybody's joints."""
    scene, detector = next(iter(open_rgbd(frame))), BlazePose()
    depth, unproject = torch.from_numpy(scene.depth), DepthUnprojector(scene.camera)
    people, floor = find_people(depth, unproject), find_floor(unproject(depth), unproject.metres(depth) > 0)
    assert scene.rgb is not None
    keypoints = np.stack([look_at(detector, scene.rgb, person.box) for person in people])
    methods = lifted(scene, people, keypoints)
    if run is not None:
        methods[TEACHER] = taught(run, frame, detector)
    rows = []
    for method, joints in methods.items():
        for number, (person, pose) in enumerate(zip(people, joints, strict=True)):
            row = judged(pose, person, torch.from_numpy(keypoints[number]), scene, floor)
            rows.append({"method": method, "person": number + 1, **row})
            print(rows[-1])
    if drawn is not None:
        write_png(drawn, picture(scene, people, methods[NAMED], floor), dpi=90)
    if json is not None:
        write_results(json, rows, data="five_people.pcd of PCL (BSD-3-Clause)", seeds=[0])


if __name__ == "__main__":
    typer.run(main)
