"""Encoders of images, depth, keypoints and joints, the space that they share, and the index of it."""

from typing import TYPE_CHECKING

from posedata.lazy import lazily

if TYPE_CHECKING:
    from .baseline import SimpleBaseline
    from .depth_image import DepthEncoder
    from .faiss_index import FaissIndex
    from .gaussian import Gaussian
    from .image import IMAGE_ENCODERS, ImageEncoder, image_encoder
    from .index import EmbeddingIndex, Neighbours
    from .modality import Modality, get_modality, register
    from .pose import MLPPoseEncoder, PoseEncoder, PoseEncoder2D, PoseEncoder3D
    from .probabilistic import GaussianPoseEncoder, MatchingProbability
    from .space import Embedded, Space, drop
    from .vae import PoseVAE
    from .vmf import VonMisesFisher, fuse

__all__ = [
    "IMAGE_ENCODERS",
    "DepthEncoder",
    "Embedded",
    "EmbeddingIndex",
    "FaissIndex",
    "Gaussian",
    "GaussianPoseEncoder",
    "ImageEncoder",
    "MLPPoseEncoder",
    "MatchingProbability",
    "Modality",
    "Neighbours",
    "PoseEncoder",
    "PoseEncoder2D",
    "PoseEncoder3D",
    "PoseVAE",
    "SimpleBaseline",
    "Space",
    "VonMisesFisher",
    "drop",
    "fuse",
    "get_modality",
    "image_encoder",
    "register",
]

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazily(__name__)
