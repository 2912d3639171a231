"""What a network is built by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from posedata.ranges import Fraction, Positive


@dataclass(frozen=True)
class ModelConfig:
    """Encoders and decoders (`poseenc`, `posediff`)."""

    dim: Positive = 1024
    image_encoder: str = "light"
    image_weights: str | None = None
    pose_encoder: Literal["transformer", "mlp"] = "transformer"
    width: Positive = 256
    layers: Positive = 3
    heads: Positive = 8
    hidden: Positive = 1024
    blocks: Positive = 2
    dropout: Fraction = 0.0
    decoder: Literal["diffusion", "mlp"] = "diffusion"
    parametrisation: Literal["edm", "subvp", "vp", "ve"] = "edm"
    decoder_hidden: Positive = 1024
    decoder_blocks: Positive = 2
    decoder_dropout: Fraction = 0.0
    modality_token: bool = True
    mean_loss: Literal["l2", "l1", "mpjpe"] = "mpjpe"
