"""UniPose's hot operations: depth to cloud beside Open3D, isolation, sampling beside pytorch3d, networks.

    python tests/benchmarks/bench_unipose.py --json unipose_speed.json

Rows: `name`, `peer`, `ms` (median of one call), `peer_ms`, `ratio` (peer over ours), `per_second` (clips or
frames a second, where that is asked), `difference` (largest, from the peer).
"""

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pointcloud_weak import DepthUnprojector, isolate_person, subsample
from pointcloud_weak.ops import farthest_points
from pointcloud_weak.students import KINDS
from posedata.geometry.camera import Camera
from posedata.open3d_loader import open3d
from posedata.results import write_results
from posedata.skeleton import get_skeleton
from posedata.synthetic import Flesh, Renderer, generate_motion
from poseenc.anchor.depth import depth_picture
from posetrain.recipe import load_recipe
from pytorch3d.ops import sample_farthest_points
from unipose.model import make_student, make_teacher
from unipose.recipe import RECIPES, Recipe

Row = dict[str, Any]
ITOP = get_skeleton("itop15")


def milliseconds(work: Callable[[], object], repeats: int) -> float:
    """The median of several calls, after two to warm up."""
    times = []
    for i in range(repeats + 2):
        start = time.perf_counter()
        work()
        if i >= 2:
            times.append(time.perf_counter() - start)
    return 1000 * statistics.median(times)


def clouds(repeats: int) -> Row:
    """424x512 depth to an organised cloud; Open3D makes an unorganised one of the same points."""
    size, focal, centre = (512, 424), (365.0, 365.0), (255.5, 211.5)
    camera = Camera(torch.tensor(focal), torch.tensor(centre), torch.eye(3), torch.zeros(3), size=size)
    depth = torch.rand(size[1], size[0], generator=torch.Generator().manual_seed(0)) + 1
    unproject = DepthUnprojector(camera)
    module = open3d()
    image = module.geometry.Image(np.ascontiguousarray(depth.numpy()))
    lens = module.camera.PinholeCameraIntrinsic(*size, *focal, *centre)

    def theirs() -> Any:
        return module.geometry.PointCloud.create_from_depth_image(image, lens, depth_scale=1.0)

    away = np.abs(np.asarray(theirs().points) - unproject(depth).reshape(-1, 3).numpy()).max()
    ours = milliseconds(lambda: unproject(depth), repeats)
    return _beside("depth to cloud, 424x512", ours, "Open3D", milliseconds(theirs, repeats), float(away))


def sampling(repeats: int) -> Row:
    """Farthest points of the teacher's clouds."""
    points = torch.randn(48, 512, 3, generator=torch.Generator().manual_seed(0))
    away = (farthest_points(points, 32) - sample_farthest_points(points, K=32)[1]).abs().max()
    return _beside(
        "farthest points, 48 clouds of 512 to 32",
        milliseconds(lambda: farthest_points(points, 32), repeats),
        "pytorch3d",
        milliseconds(lambda: sample_farthest_points(points, K=32), repeats),
        float(away),
    )


def _beside(name: str, ours: float, peer: str, theirs: float, difference: float) -> Row:
    return {
        "name": name, "ms": ours, "peer": peer, "peer_ms": theirs, "ratio": theirs / ours,
        "difference": difference,
    }  # fmt: skip


def networks(recipe: Recipe, repeats: int) -> list[Row]:
    """Clips or frames a second of the recipe's networks alone, and from depth images on."""
    size, frames = recipe.data.image_size, recipe.data.frames
    depth, unproject, keypoints = _scene(size)
    points = recipe.data.points
    generator = torch.Generator().manual_seed(0)

    def isolated() -> torch.Tensor:
        mask = isolate_person(depth, unproject, keypoints).mask
        return subsample(unproject(depth)[mask], points, generator)

    def person() -> torch.Tensor:
        mask = isolate_person(depth, unproject, keypoints).mask
        metres = torch.where(mask, depth.float() / 1000, 0.0)[None]
        return depth_picture(metres, metres[metres > 0].median()[None])

    teacher = make_teacher(recipe).eval()
    one = isolated().expand(1, frames, -1, -1)
    many = one.expand(16, -1, -1, -1)
    rows = [
        _rate("isolation", 1, milliseconds(isolated, repeats), "frames"),
        _rate(
            "teacher, network alone, 16 clips at once",
            16,
            milliseconds(lambda: teacher(many), repeats),
            "clips",
        ),
        _rate(
            "teacher, from depth images, clip by clip",
            1,
            milliseconds(lambda: teacher(torch.stack([isolated() for _ in range(frames)])[None]), repeats),
            "clips",
        ),
    ]
    for kind in reversed(KINDS):
        student, channels = make_student(recipe, kind).eval(), 1 if kind == "depth" else 3
        pictures = torch.rand(16, channels, size, size)
        alone = milliseconds(lambda s=student, p=pictures: s(p), repeats)  # type: ignore[misc]
        rows.append(_rate(f"{kind} student, network alone, 16 frames at once", 16, alone, "frames"))
        if kind == "depth":
            whole = milliseconds(lambda s=student: s(person()), repeats)  # type: ignore[misc]
            rows.append(_rate("depth student, from a depth image, frame by frame", 1, whole, "frames"))
    return rows


def _rate(name: str, count: int, ms: float, unit: str) -> Row:
    return {"name": name, "ms": ms, "per_second": 1000 * count / ms, "unit": unit}


def _scene(size: int) -> tuple[torch.Tensor, DepthUnprojector, torch.Tensor]:
    joints = torch.from_numpy(generate_motion(1, 1, 2, seed=0).joints[0])
    target = joints.mean(0)
    camera = Camera.look_at(target + torch.tensor([3.0, 0.5, 0.4]), target, 1.5 * size, (size, size))
    generator = torch.Generator().manual_seed(0)
    picture = Renderer((size, size)).render(
        joints, Flesh.sample(generator), camera, generator=generator, background="room", kinect=True
    )
    return torch.from_numpy(picture.depth), DepthUnprojector(camera), camera.project(joints)


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", type=Path)
    parser.add_argument("--recipe", default="quickstart")
    parser.add_argument("--repeats", type=int, default=30)
    options = parser.parse_args()
    recipe = load_recipe(options.recipe, Recipe, (), RECIPES)
    rows = [clouds(10 * options.repeats), sampling(options.repeats), *networks(recipe, options.repeats)]
    for row in rows:
        beside = f"  {row['peer']} {row['peer_ms']:.2f} ms, x{row['ratio']:.1f}" if "peer" in row else ""
        rate = f"  {row['per_second']:.1f} {row['unit']}/s" if "per_second" in row else ""
        print(f"{row['name']:52s} {row['ms']:8.3f} ms{beside}{rate}")
    if options.json:
        write_results(options.json, rows, threads=torch.get_num_threads())


if __name__ == "__main__":
    main()
