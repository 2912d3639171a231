"""Skeletons, cameras, metrics, the pose store, dataset readers and a synthetic human.

Here are the objects that everything else passes about; the rest is in its rooms: `geometry`, `skeleton`,
`store`, `views`, `readers`, `detect`, `prepare`, `scoring`, `inspection`, `synthetic`. Nothing is imported
until it is asked for.
"""

from typing import TYPE_CHECKING

from posedata.lazy import lazily

if TYPE_CHECKING:
    from posedata.geometry.align import Similarity, align, kabsch, procrustes, root_relative
    from posedata.geometry.boxes import (
        bounding_box,
        bounding_box_token,
        denormalise_keypoints,
        normalise_keypoints,
    )
    from posedata.geometry.camera import Camera
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

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazily(__name__)
