"""The synthetic human on one core: RGB-D frames a second, against a NumPy ray caster and pytorch3d.

    OMP_NUM_THREADS=1 python tests/benchmarks/bench_render.py --json render.json

The NumPy twin casts depth only, against sixteen plain capsules (one a bone), so it does less; pytorch3d's
rasteriser finds the depth of the same triangles. Times are CPU seconds of one thread. JSON: ``{size,
triangles, threads, motion_frames_per_second, rows: [{name, frames_per_second, ours_over_this}]}``.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from posedata.geometry.camera import Camera
from posedata.skeleton import get_skeleton
from posedata.synthetic import Flesh, Renderer, generate_motion

SIZE = (192, 256)


def capsule_depth(rays: NDArray[Any], start: NDArray[Any], end: NDArray[Any], radius: float) -> NDArray[Any]:
    """Depth (H, W) of a capsule seen along rays (H, W, 3) from the origin, infinite where missed."""
    axis = end - start
    length = axis @ axis
    along, across = rays @ axis, (rays * rays).sum(-1)
    a = length * across - along**2
    b = (rays @ start) * length - along * (start @ axis)
    c = length * (start @ start) - (start @ axis) ** 2 - radius**2 * length
    root = b * b - a * c
    depth = np.where(root >= 0, (b - np.sqrt(np.maximum(root, 0))) / np.maximum(a, 1e-9), np.inf)
    place = (depth[..., None] * rays - start) @ axis
    depth = np.where((place >= 0) & (place <= length), depth, np.inf)
    for centre in (start, end):
        h = rays @ centre
        inside = h * h - across * (centre @ centre - radius**2)
        cap = np.where(inside >= 0, (h - np.sqrt(np.maximum(inside, 0))) / across, np.inf)
        depth = np.minimum(depth, cap)
    return depth


def numpy_twin(joints: torch.Tensor, camera: Camera) -> NDArray[Any]:
    pixels = torch.stack(torch.meshgrid(*map(torch.arange, SIZE), indexing="xy"), -1).reshape(-1, 2)
    rays = camera.rays(pixels.float()).numpy().reshape(SIZE[1], SIZE[0], 3)
    seen = camera.world_to_camera(joints).numpy()
    nearest = np.full(rays.shape[:2], np.inf)
    for child, parent in get_skeleton("h36m17").edges:
        with np.errstate(invalid="ignore"):
            nearest = np.minimum(nearest, capsule_depth(rays, seen[child], seen[parent], 0.06))
    return np.where(np.isfinite(nearest), nearest, 0)


def pytorch3d_depth(joints: torch.Tensor, flesh: Flesh, camera: Camera) -> torch.Tensor:
    from pytorch3d.renderer.mesh.rasterize_meshes import rasterize_meshes
    from pytorch3d.structures import Meshes

    mesh = flesh.mesh(joints.numpy())
    seen = camera.world_to_camera(torch.from_numpy(mesh.vertices))
    width, height = SIZE
    half = min(SIZE) / 2
    screen = camera.project_camera(seen)
    ndc = torch.stack([((width - 1) / 2 - screen[:, 0]), ((height - 1) / 2 - screen[:, 1])], -1) / half
    triangles = torch.from_numpy(mesh.triangles.astype(np.int64))
    meshes = Meshes([torch.cat([ndc, seen[:, 2:]], -1)], [triangles])
    found = rasterize_meshes(meshes, (height, width), faces_per_pixel=1, bin_size=0, perspective_correct=True)
    return found[1]


def frames_per_second(work: Callable[[int], object], frames: int) -> float:
    for index in range(min(20, frames // 2) + 1):
        work(index)
    start = time.process_time()
    for index in range(frames):
        work(index)
    return frames / (time.process_time() - start)


def scenes(count: int) -> list[tuple[torch.Tensor, Flesh, Camera]]:
    """People who fill their crops."""
    generator = torch.Generator().manual_seed(0)
    joints = torch.from_numpy(generate_motion(4, 14, 60, seed=0).joints)
    found = []
    for row in torch.randint(0, len(joints), (count,), generator=generator).tolist():
        angle = 2 * np.pi * torch.rand(1, generator=generator).item()
        middle = (joints[row].amin(0) + joints[row].amax(0)) / 2
        eye = middle + torch.tensor([4 * np.cos(angle), 4 * np.sin(angle), 0.8], dtype=torch.float32)
        camera = Camera.look_at(eye, middle, torch.tensor([1000.0, 1000.0]), (1000, 1000))
        pixels = camera.project(joints[row])
        centre = (pixels.amin(0) + pixels.amax(0)) / 2
        half = 0.62 * (pixels.amax(0) - pixels.amin(0)).div(torch.tensor([0.75, 1.0])).amax()
        reach = half * torch.tensor([0.75, 1.0])
        found.append(
            (
                joints[row],
                Flesh.sample(generator),
                camera.crop(torch.cat([centre - reach, centre + reach]), SIZE),
            )
        )
    return found


def measure(frames: int, slow_frames: int) -> list[dict[str, Any]]:
    people, renderer = scenes(min(frames, 64)), Renderer(SIZE)
    generator = torch.Generator().manual_seed(1)

    def ours(index: int, **options: Any) -> object:
        joints, flesh, camera = people[index % len(people)]
        return renderer.render(joints, flesh, camera, generator=generator, **options)

    contestants: list[tuple[str, Callable[[int], object], int]] = [
        ("ours, random backgrounds", ours, frames),
        ("ours, gradient", lambda i: ours(i, background="gradient"), frames),
        ("ours, room", lambda i: ours(i, background="room"), frames),
        ("ours, room, Kinect noise", lambda i: ours(i, background="room", kinect=True), frames),
        ("NumPy capsules, depth only", lambda i: numpy_twin(*people[i % len(people)][::2]), slow_frames),
    ]
    try:
        pytorch3d_depth(*people[0])
        contestants.append(
            (
                "pytorch3d, depth only",
                lambda i: pytorch3d_depth(*people[i % len(people)]),
                max(1, slow_frames // 4),
            )
        )
    except ImportError as error:
        print(f"pytorch3d left out: {error}")
    rows: list[dict[str, Any]] = []
    for name, work, count in contestants:
        speed = frames_per_second(work, count)
        first = rows[0]["frames_per_second"] if rows else speed
        rows.append({"name": name, "frames_per_second": speed, "ours_over_this": first / speed})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--frames", type=int, default=200)
    parser.add_argument("--slow-frames", type=int, default=8)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    start = time.process_time()
    motion = generate_motion(20, 14, 120, seed=0)
    motion_speed = len(motion.joints) / (time.process_time() - start)
    rows = measure(options.frames, options.slow_frames)
    print(f"motion: {motion_speed:,.0f} frames a second")
    print(f"{'renderer, ' + 'x'.join(map(str, SIZE)):32s}{'frames/s':>10s}{'ours is':>10s}")
    for row in rows:
        print(f"{row['name']:32s}{row['frames_per_second']:10.1f}{row['ours_over_this']:9.1f}x")
    if options.json:
        triangles = len(Flesh.sample(torch.Generator().manual_seed(0)).mesh(motion.joints[0]).triangles)
        results = {
            "size": SIZE,
            "triangles": triangles,
            "threads": 1,
            "motion_frames_per_second": motion_speed,
            "rows": rows,
        }
        options.json.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
