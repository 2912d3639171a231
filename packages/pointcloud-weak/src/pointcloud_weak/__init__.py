"""Depth to point cloud, point-cloud networks, and losses that teach them 3D joints from 2D detections."""

from typing import TYPE_CHECKING

from posedata.lazy import lazily

if TYPE_CHECKING:
    from .cloud import DepthUnprojector, clusters, fit_plane, normals, voxel_downsample
    from .isolate import Isolation, isolate_person
    from .losses import (
        Evidence,
        KeypointDepth,
        SkinOffset,
        WeakWeights,
        acceleration_loss,
        behind_loss,
        bone_lengths,
        bone_range_loss,
        bone_variance_loss,
        keypoint_depth,
        lift_loss,
        mirrored_bones,
        ray_loss,
        support_loss,
        symmetry_loss,
        weak_loss,
        weak_terms,
    )
    from .ops import ball_query, farthest_points, subsample, voxels
    from .people import Person, find_people, nearest_body

__all__ = [
    "DepthUnprojector",
    "Evidence",
    "Isolation",
    "KeypointDepth",
    "Person",
    "SkinOffset",
    "WeakWeights",
    "acceleration_loss",
    "ball_query",
    "behind_loss",
    "bone_lengths",
    "bone_range_loss",
    "bone_variance_loss",
    "clusters",
    "farthest_points",
    "find_people",
    "fit_plane",
    "isolate_person",
    "keypoint_depth",
    "lift_loss",
    "mirrored_bones",
    "nearest_body",
    "normals",
    "ray_loss",
    "subsample",
    "support_loss",
    "symmetry_loss",
    "voxel_downsample",
    "voxels",
    "weak_loss",
    "weak_terms",
]

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazily(__name__)
