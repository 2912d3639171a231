"""Writes small data sets of depth cameras in the layouts in which their owners publish them.

The reading tests and the fuzzing use it. `WRITERS` maps a format's name to a function that makes a whole data
set in a folder and returns the files that are worth damaging; the other functions make one kind of file each.
"""

from __future__ import annotations

import gzip
import shutil
from pathlib import Path

import h5py
import numpy as np
from PIL import Image

ITOP_BODY = np.array(
    [
        [-0.05, 0.48, 2.91],
        [-0.05, 0.235, 2.94],
        [-0.21, 0.23, 2.94],
        [0.11, 0.24, 2.94],
        [-0.29, 0.01, 2.90],
        [0.19, 0.02, 2.91],
        [-0.25, -0.11, 2.76],
        [0.16, -0.07, 2.76],
        [-0.05, -0.01, 2.97],
        [-0.15, -0.26, 2.99],
        [0.06, -0.25, 2.99],
        [-0.16, -0.75, 3.01],
        [0.06, -0.74, 2.98],
        [-0.14, -1.21, 3.13],
        [0.05, -1.20, 3.10],
    ]
)
"""ITOP's 15 joints (metres, camera frame, y up) of somebody who faces the camera: right is at smaller x."""


def itop_frames(count: int = 6, seed: int = 0) -> dict[str, np.ndarray]:
    """Arrays of ITOP's files for two people; frame 2 of each is not valid."""
    rng = np.random.default_rng(seed)
    joints = (ITOP_BODY + rng.normal(0, 0.02, (2 * count, 1, 3))).astype(np.float16)
    v, u = np.mgrid[:240, :320]
    depth = (1.5 + v / 256 + u / 512 + np.arange(2 * count)[:, None, None] / 64).astype(np.float16)
    depth[:, :10] = 0
    depth[:, 10] = np.nan
    segmentation = np.where((u > 100) & (u < 200), 3, -1).astype(np.int8)
    wide = joints.astype(np.float64)
    pixels = np.stack(
        [160 + wide[..., 0] / (0.0035 * wide[..., 2]), 120 - wide[..., 1] / (0.0035 * wide[..., 2])], -1
    )
    z = depth.astype(np.float64)
    cloud = np.stack([(u - 160) * 0.0035 * z, (120 - v) * 0.0035 * z, z], -1).reshape(2 * count, -1, 3)
    return {
        "id": np.array([f"{7 + i // count:02d}_{i % count:05d}".encode() for i in range(2 * count)]),
        "is_valid": np.array([i % count != 2 for i in range(2 * count)], np.uint8),
        "visible_joints": (rng.random((2 * count, 15)) > 0.2).astype(np.int16),
        "image_coordinates": np.rint(pixels).astype(np.int16),
        "real_world_coordinates": joints,
        "segmentation": np.repeat(segmentation[None], 2 * count, 0),
        "depth": depth,
        "cloud": cloud.astype(np.float16),
    }


def write_itop(
    folder: Path,
    *,
    view: str = "side",
    part: str = "test",
    packed: bool = False,
    cloud: bool = False,
    frames: dict[str, np.ndarray] | None = None,
) -> list[Path]:
    """Labels and depth maps (or point clouds) of one view and part, as h5 or h5.gz."""
    folder.mkdir(parents=True, exist_ok=True)
    frames = itop_frames() if frames is None else frames
    labels = {name: frames[name] for name in frames if name not in ("depth", "cloud")}
    kind = "point_cloud" if cloud else "depth_map"
    files = {
        "labels": labels,
        kind: {"id": frames["id"], "data": frames["cloud" if cloud else "depth"]},
    }
    written = []
    for name, arrays in files.items():
        path = folder / f"ITOP_{view}_{part}_{name}.h5"
        with h5py.File(path, "w") as file:
            for key, values in arrays.items():
                file.create_dataset(key, data=values)
        if packed:
            with path.open("rb") as read, gzip.open(f"{path}.gz", "wb", compresslevel=1) as write:
                shutil.copyfileobj(read, write)
            path.unlink()
            path = Path(f"{path}.gz")
        written.append(path)
    return written


NTU_FOCAL, NTU_CENTRE, NTU_RADIAL = 365.5, (256.3, 208.5), (0.093, -0.26)
"""Of a Kinect v2's mirrored depth image, as skeleton files of the data set tell them."""


def ntu_body(frames: int, seed: int = 0) -> np.ndarray:
    """(T, 25, 3) metres in the sensor's frame (x to its left, y up): somebody faces it and walks aside."""
    rng = np.random.default_rng(seed)
    side = [0, 0, 0, 0, -1, -1, -1, -1, 1, 1, 1, 1, -1, -1, -1, -1, 1, 1, 1, 1, 0, -1, -1, 1, 1]
    height = [0.0, 0.3, 0.6, 0.75, 0.45, 0.2, 0, -0.1, 0.45, 0.2, 0, -0.1, -0.05, -0.5, -0.9, -1, -0.05]
    height += [-0.5, -0.9, -1, 0.5, -0.15, -0.1, -0.15, -0.1]
    still = np.stack([0.2 * np.array(side), np.array(height), np.full(25, 3.2)], -1)
    still[[15, 19], 2] -= 0.15  # toes point to the camera
    path = np.stack([np.linspace(-1, 1, frames), np.zeros(frames), np.linspace(0, 0.8, frames)], -1)
    return still + path[:, None] + rng.normal(0, 0.01, (frames, 25, 3))


def ntu_pixels(joints: np.ndarray) -> np.ndarray:
    """depthX, depthY of joints in the sensor's frame."""
    plane = joints[..., :2] / joints[..., 2:] * [1, -1]
    square = (plane**2).sum(-1, keepdims=True)
    return NTU_FOCAL * plane * (1 + NTU_RADIAL[0] * square + NTU_RADIAL[1] * square**2) + NTU_CENTRE


def write_skeleton(
    path: Path, bodies: dict[str, tuple[int, np.ndarray]], frames: int, state: int = 2
) -> Path:
    """A .skeleton file: by identity, the frame in which a body appears and its joints from there on."""
    lines = [str(frames)]
    for frame in range(frames):
        here = {
            name: joints[frame - first]
            for name, (first, joints) in bodies.items()
            if first <= frame < first + len(joints)
        }
        lines.append(str(len(here)))
        for name, joints in here.items():
            lines += [f"{name} 0 1 1 1 1 0 0.0276 0.0574 2", "25"]
            for point, pixel in zip(joints, ntu_pixels(joints), strict=True):
                numbers = [*point, *pixel, *(3 * pixel), 0.1, 0.2, 0.3, 0.4]
                lines.append(" ".join(f"{number:.7g}" for number in numbers) + f" {state}")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes("\r\n".join([*lines, ""]).encode())
    return path


def write_depth_png(path: Path, depth: np.ndarray) -> Path:
    """16-bit grey, millimetres."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(depth.astype(np.uint16)).save(path)
    return path


def write_ntu(folder: Path, *, frames: int = 8, depth: bool = True) -> list[Path]:
    """Two recordings by one performer; in the second a body more appears. Depth images are ramps."""
    skeletons, images = folder / "nturgb+d_skeletons", folder / "nturgb+d_depth_masked"
    one, two = "S001C002P003R001A008", "S001C002P003R002A050"
    main = ntu_body(frames)
    written = [
        write_skeleton(skeletons / f"{one}.skeleton", {"72057594037931101": (0, main)}, frames),
        write_skeleton(
            skeletons / f"{two}.skeleton",
            {"72057594037931102": (0, main), "72057594037931103": (2, ntu_body(frames - 3, seed=1))},
            frames,
        ),
    ]
    for name in (one, two) if depth else ():
        for frame in range(frames):
            ramp = 1000 + np.arange(512)[None] + 512 * np.arange(424)[:, None] % 60_000 + frame
            written.append(write_depth_png(images / name / f"MDepth-{frame + 1:08d}.png", ramp))
    return written
