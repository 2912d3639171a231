"""Organised point clouds in PCD files as depth and colour images, with the camera that their points tell."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8, UInt16

from posedata.geometry.camera import Camera
from posedata.readers.files.kinect import solve_intrinsics
from posedata.readers.files.pcd_header import check_pcd

_FARTHEST = 65.0
"""Metres, which is what 16 bits of millimetres hold."""


def cloud_images(
    path: Path,
) -> tuple[UInt16[np.ndarray, "H W"], UInt8[np.ndarray, "H W 3"] | None, Camera]:
    """Depth, colour and camera of an organised cloud (x right, y down, z forward, metres)."""
    width, height = check_pcd(path)
    from posedata.open3d_loader import open3d

    module = open3d()
    with module.utility.VerbosityContextManager(module.utility.VerbosityLevel.Error):
        cloud = module.io.read_point_cloud(
            str(path), format="pcd", remove_nan_points=False, remove_infinite_points=False
        )
    points = np.asarray(cloud.points)
    if len(points) != width * height:
        raise ValueError(f"{path}: has {len(points)} points, its header says {width}x{height}; copy it again")
    real = (np.abs(points) < _FARTHEST).all(-1)  # not so for NaN
    depth = millimetres(np.where(real, points[:, 2], 0).reshape(height, width) * 1000)
    v, u = np.mgrid[:height, :width].reshape(2, -1)
    known = np.flatnonzero(real & (points[:, 2] > 0.05))
    known = known[:: max(1, len(known) // 20_000)]
    try:
        pixels = np.stack([u, v], -1)[known].astype(np.float64)
        solved = solve_intrinsics(points[known], pixels, radial=0)
    except ValueError as error:
        raise ValueError(f"{path}: {error}; give an organised cloud in its camera's frame") from None
    if solved.residual > 1:
        raise ValueError(
            f"{path}: points lie up to {solved.residual:.1f} px from their places; give an organised cloud as"
            " the camera saw it, x right, y down, z forward"
        )
    rgb = None
    if cloud.has_colors():
        rgb = np.rint(np.asarray(cloud.colors) * 255).astype(np.uint8).reshape(height, width, 3)
    focal, centre = (torch.from_numpy(value).float() for value in (solved.focal, solved.centre))
    return depth, rgb, Camera(focal, centre, torch.eye(3), torch.zeros(3), size=(width, height))


def millimetres(values: Float[np.ndarray, "H W"]) -> UInt16[np.ndarray, "H W"]:
    """Whole millimetres; 0 for what is not finite, not positive or beyond 16 bits."""
    known = np.isfinite(values) & (values > 0) & (values < 65535.5)
    return np.rint(np.where(known, values, 0)).astype(np.uint16)
