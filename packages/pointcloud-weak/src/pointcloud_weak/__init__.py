"""Depth to point cloud, and losses that teach 3D joints from 2D detections and a body's build."""

from .cloud import DepthUnprojector, clusters, fit_plane, voxel_downsample
from .losses import bone_lengths, bone_variance_loss, mirrored_bones, ray_loss, symmetry_loss

__all__ = [
    "DepthUnprojector",
    "bone_lengths",
    "bone_variance_loss",
    "clusters",
    "fit_plane",
    "mirrored_bones",
    "ray_loss",
    "symmetry_loss",
    "voxel_downsample",
]
