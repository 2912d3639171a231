"""Depth images to point clouds, and the clean-up that comes before a network."""

from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Num
from posedata import Camera
from posedata.open3d_loader import open3d
from torch import Tensor

MILLIMETRE = 1e-3


class DepthUnprojector:
    """Turn depth images of one camera into organised clouds; the rays are computed once.

    Args:
        camera: one camera (no batch); its ``size`` is that of the depth images. Lens distortion is
            taken out. Rotation and translation are not used: clouds are in the camera frame.

    Attributes:
        rays: (H, W, 3) directions with z = 1; zero where the lens bends none to the pixel.
        has_ray: (H, W) where there is one.
        footprint: width of a pixel in the middle of the image at a depth of 1 m, metres.
    """

    def __init__(self, camera: Camera) -> None:
        if camera.shape:
            raise ValueError(f"camera is a batch of shape {tuple(camera.shape)}: give one camera")
        width, height = (int(n) for n in camera.size)
        rays = camera.rays(_pixels(width, height, camera.focal)).view(height, width, 3)
        self.has_ray: Bool[Tensor, "H W"] = rays.isfinite().all(-1)
        rays = torch.where(self.has_ray[..., None], rays, 0)
        # x, y and z in planes of their own: the product then runs over contiguous memory, 7 times as fast
        self._planes: Float[Tensor, "3 H W"] = rays.permute(2, 0, 1).contiguous()
        self.rays: Float[Tensor, "H W 3"] = self._planes.permute(1, 2, 0)
        self.footprint = float(1 / camera.focal.mean())

    def __call__(self, depth: Num[Tensor, "*batch H W"]) -> Float[Tensor, "*batch H W 3"]:
        """Points in metres, camera frame; a pixel without depth (0) or ray is the origin.

        Args:
            depth: along z, in metres, or in millimetres where it is uint16.

        Returns: a view whose memory lies coordinate by coordinate.

        Raises:
            ValueError: another image size than the camera's.
        """
        metres = self.metres(depth)
        return (metres[..., None, :, :] * self._planes.to(metres)).movedim(-3, -1)

    def metres(self, depth: Num[Tensor, "*batch H W"]) -> Float[Tensor, "*batch H W"]:
        """The depth in metres, 0 where there is none or no ray.

        Raises:
            ValueError: another image size than the camera's.
        """
        if depth.shape[-2:] != self.rays.shape[:2]:
            height, width = self.rays.shape[:2]
            raise ValueError(
                f"depth is {depth.shape[-1]}x{depth.shape[-2]}, the camera {width}x{height}: "
                "crop or resize the camera as the image was"
            )
        return torch.where(self.has_ray.to(depth.device), metric(depth), 0)


def metric(depth: Num[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Depth in metres, float32 at least, from metres (floating point) or millimetres (uint16)."""
    if depth.is_floating_point():
        return depth.to(torch.promote_types(depth.dtype, torch.float32))
    return depth.float() * MILLIMETRE


def voxel_downsample(points: Float[Tensor, "N 3"], size: float) -> Float[Tensor, "M 3"]:
    """One point, the mean, for every occupied cube of edge ``size`` metres (Open3D)."""
    return _tensor(_cloud(points).voxel_down_sample(size).points, points)


def normals(points: Float[Tensor, "N 3"], reach: float = 0.1, neighbours: int = 30) -> Float[Tensor, "N 3"]:
    """Unit normals that face the camera at the origin (Open3D: the plane through each point's neighbours).

    Args:
        points: camera frame, metres.
        reach: neighbours are within this many metres.
        neighbours: the nearest this many of them.
    """
    module, cloud = open3d(), _cloud(points)
    cloud.estimate_normals(module.geometry.KDTreeSearchParamHybrid(reach, neighbours))
    cloud.orient_normals_towards_camera_location()
    return _tensor(cloud.normals, points)


def clusters(points: Float[Tensor, "N 3"], reach: float, least: int = 10) -> Int[Tensor, " N"]:
    """Number of every point's cluster by DBSCAN (Open3D), the largest cluster 0; -1 for stray points.

    Args:
        points: metres.
        reach: neighbours are within this many metres.
        least: how many points within reach make a point a core of its cluster.
    """
    if not len(points):
        return torch.zeros(0, dtype=torch.long, device=points.device)
    labels = np.asarray(_cloud(points).cluster_dbscan(reach, least))
    sizes = np.bincount(labels[labels >= 0])
    rank = np.empty(len(sizes) + 1, dtype=np.int64)
    rank[np.argsort(-sizes, kind="stable")] = np.arange(len(sizes))
    rank[-1] = -1  # where label -1 lands
    return torch.from_numpy(rank[labels]).to(points.device)


def fit_plane(
    points: Float[Tensor, "N 3"], distance: float = 0.02, *, iterations: int = 200, seed: int = 0
) -> tuple[Float[Tensor, "4"], Int[Tensor, " M"]]:
    """The plane that holds most points (RANSAC, Open3D): (a, b, c, d) with unit normal, and its rows.

    Args:
        points: metres; at least three.
        distance: how far from the plane a point may lie, metres.
        iterations: how many triples of points are tried.
        seed: of the choice of triples.
    """
    if len(points) < 3:
        raise ValueError(f"{len(points)} points do not make a plane: give at least 3")
    open3d().utility.random.seed(seed)
    # probability 1: all triples are tried, else threads decide by their order which is the last
    plane, rows = _cloud(points).segment_plane(distance, 3, iterations, 1.0)
    plane = torch.tensor(plane, dtype=points.dtype, device=points.device)
    return plane / plane[:3].norm(), torch.tensor(rows, dtype=torch.long, device=points.device)


def _pixels(width: int, height: int, like: Tensor) -> Tensor:
    v, u = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return torch.stack([u, v], dim=-1).view(-1, 2).to(like)


def _cloud(points: Tensor) -> Any:
    module = open3d()
    return module.geometry.PointCloud(module.utility.Vector3dVector(points.detach().cpu().double().numpy()))


def _tensor(vector: object, like: Tensor) -> Tensor:
    return torch.from_numpy(np.asarray(vector).copy()).to(like)
