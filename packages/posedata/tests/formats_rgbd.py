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
