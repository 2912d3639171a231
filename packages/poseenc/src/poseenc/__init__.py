"""Encoders of images, 2D keypoints and 3D joints to embeddings, and the index that searches them."""

from typing import TYPE_CHECKING

from posedata.lazy import lazily

if TYPE_CHECKING:
    from .baseline import SimpleBaseline
    from .faiss_index import FaissIndex
    from .gaussian import Gaussian
    from .image import IMAGE_ENCODERS, ImageEncoder, image_encoder
    from .index import EmbeddingIndex, Neighbours
    from .pose import MLPPoseEncoder, PoseEncoder, PoseEncoder2D, PoseEncoder3D
    from .probabilistic import GaussianPoseEncoder, MatchingProbability
    from .vae import PoseVAE

__all__ = [
    "IMAGE_ENCODERS",
    "EmbeddingIndex",
    "FaissIndex",
    "Gaussian",
    "GaussianPoseEncoder",
    "ImageEncoder",
    "MLPPoseEncoder",
    "MatchingProbability",
    "Neighbours",
    "PoseEncoder",
    "PoseEncoder2D",
    "PoseEncoder3D",
    "PoseVAE",
    "SimpleBaseline",
    "image_encoder",
]

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazily(__name__)
