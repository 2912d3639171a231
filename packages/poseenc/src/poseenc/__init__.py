"""Encoders of images, 2D keypoints and 3D joints to embeddings, and the index that searches them."""

from .baseline import SimpleBaseline
from .image import IMAGE_ENCODERS, ImageEncoder, image_encoder
from .index import EmbeddingIndex, Neighbours
from .pose import MLPPoseEncoder, PoseEncoder, PoseEncoder2D, PoseEncoder3D

__all__ = [
    "IMAGE_ENCODERS",
    "EmbeddingIndex",
    "ImageEncoder",
    "MLPPoseEncoder",
    "Neighbours",
    "PoseEncoder",
    "PoseEncoder2D",
    "PoseEncoder3D",
    "SimpleBaseline",
    "image_encoder",
]
