"""Skeletons, cameras, metrics, the pose store, dataset readers and a synthetic human.

Here are the objects that everything else passes about; the rest is in its modules. Nothing that renders is
imported until it is asked for.
"""

from posedata.align import Similarity, align, kabsch, procrustes, root_relative
from posedata.boxes import bounding_box, bounding_box_token, denormalise_keypoints, normalise_keypoints
from posedata.camera import Camera
from posedata.skeleton import SKELETONS, Skeleton, get_skeleton

__all__ = [
    "SKELETONS",
    "Camera",
    "Similarity",
    "Skeleton",
    "align",
    "bounding_box",
    "bounding_box_token",
    "denormalise_keypoints",
    "get_skeleton",
    "kabsch",
    "normalise_keypoints",
    "procrustes",
    "root_relative",
]
