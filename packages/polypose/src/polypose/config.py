"""What a network is built by, and how it is used."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from posedata.ranges import Count, Fraction, Positive
from poseenc.heads import check_heads

Frame = Literal["aimed", "crop", "pixels"]
"""Of poses and keypoints, as encoders see them (`polypose.samples.Sample`)."""
Sampler = Literal[
    "dpmpp_2m_sde",
    "dpmpp_2m",
    "heun",
    "euler",
    "flow",
    "euler_maruyama",
    "reverse_diffusion",
    "predictor_corrector",
    "mode_seeking",
]
"""By which a decoder draws poses (`posediff.PoseDecoder.sample`)."""


@dataclass(frozen=True)
class ModelConfig:
    """Encoders and decoders (`poseenc`, `posediff`).

    Attributes:
        norm: of the pose encoders that are MLPs: by the batch, or before each block by the row.
        regression: whether mean poses have networks of their own (`posediff.PoseDecoder`).
    """

    dim: Positive = 1024
    image_encoder: str = "light"
    image_weights: str | None = None
    pose_encoder: Literal["transformer", "mlp"] = "transformer"
    width: Positive = 256
    layers: Positive = 3
    heads: Positive = 8
    hidden: Positive = 1024
    blocks: Positive = 2
    norm: Literal["batch", "layer"] = "batch"
    dropout: Fraction = 0.0
    decoder: Literal["diffusion", "mlp"] = "diffusion"
    parametrisation: Literal["edm", "flow", "subvp", "vp", "ve"] = "edm"
    decoder_hidden: Positive = 1024
    decoder_blocks: Positive = 2
    decoder_dropout: Fraction = 0.0
    modality_token: bool = True
    mean_loss: Literal["l2", "l1", "mpjpe"] = "mpjpe"
    regression: bool = False

    def __post_init__(self) -> None:
        if self.pose_encoder == "transformer":
            check_heads("width", self.width, self.heads)


@dataclass(frozen=True)
class Settings:
    """How a network was trained, as far as its user must know.

    Attributes:
        frame: of poses and keypoints, as the encoders see them (`polypose.samples.Sample`).
        image_size: width and height of the crops that it saw; None where that is not known.
        data: fingerprint of what it was trained on.
        sampler, steps: by which poses are drawn (`posediff.PoseDecoder.sample`).
        batch: how many poses go through it at once.
        decodes, encodes: what can be decoded and embedded; a file may leave out a decoder or an encoder.
        spread: whether the network knows each pose's own spread (`polypose.spread`).
    """

    frame: Frame = "aimed"
    image_size: tuple[int, int] | None = None
    data: str = ""
    sampler: str = "dpmpp_2m_sde"
    steps: int = 7
    batch: int = 512
    decodes: tuple[str, ...] = ("2d", "3d")
    encodes: tuple[str, ...] = ("image", "2d", "3d")
    spread: bool = False

    @classmethod
    def of(cls, evaluation: EvaluationConfig, **more: Any) -> Settings:
        """Poses are drawn as they were where the network was measured."""
        steps, batch = evaluation.sampler_steps, evaluation.batch
        return cls(sampler=evaluation.sampler, steps=steps, batch=batch, **more)


@dataclass(frozen=True)
class EvaluationConfig:
    """What is measured besides the posterior mean of every test view (`polypose.measuring.evaluate`).

    Attributes:
        hypotheses: poses sampled a view for best-of-S.
        sampler, sampler_steps: of the decoder.
        neighbours: frames to either side of the true pose left out of the gallery in the second row.
    """

    hypotheses: Positive = 10
    sampler: Sampler = "dpmpp_2m_sde"
    sampler_steps: Positive = 7
    neighbours: Count = 30
    batch: Positive = 512


@dataclass(frozen=True)
class InvariantConfig:
    """V-VIPE's networks, or its peer's (`poseenc.vvipe`).

    Attributes:
        method: `vvipe`, or its peer `prvipe`.
        dim, dropout: width of V-VIPE's embedding, and its dropout; a recipe has PR-VIPE's under `matching`.
        hidden, blocks: of SimpleBaseline's trunk.
        confidence: whether the detector's confidence is an input.
    """

    method: Literal["vvipe", "prvipe"] = "vvipe"
    dim: Positive = 32
    hidden: Positive = 1024
    blocks: Positive = 2
    dropout: Fraction = 0.1
    confidence: bool = False


@dataclass(frozen=True)
class InvariantSettings:
    """How such a network was trained.

    Attributes:
        align: whether poses are turned to the body's frame; else they are as the world has them.
        encodes: what it embeds: "2d" keypoints, "3d" poses.
        data: fingerprint of what it was trained on.
        batch: how many poses go through it at once.
    """

    align: bool = True
    encodes: tuple[Literal["2d", "3d"], ...] = ("2d", "3d")
    data: str = ""
    batch: int = 512


@dataclass(frozen=True)
class AnchorConfig:
    """The anchor-to-joint network (`poseenc.anchor`).

    Attributes:
        network: `transformer` is A2J-Transformer, `a2j` its forerunner without attention, of which only
            `backbone`, `weights` and `channels` are told.
        channels: width of A2J's three branches.
        depths: depth anchors, metres about the reference depth.
        depth_range: metres about it that the depth axis spans.
    """

    network: Literal["transformer", "a2j"] = "transformer"
    backbone: str = "light"
    weights: str | None = None
    channels: Positive = 256
    dim: Positive = 96
    hidden: Positive = 192
    heads: Positive = 4
    encoder_layers: Positive = 1
    decoder_layers: Positive = 2
    points: Positive = 4
    depths: tuple[float, ...] = (-0.5, 0.0, 0.5)
    depth_range: tuple[float, float] = (-1.0, 1.0)

    def __post_init__(self) -> None:
        if self.network == "transformer":
            check_heads("dim", self.dim, self.heads)


@dataclass(frozen=True)
class DepthSettings:
    """How a network of anchors was trained on depth.

    Attributes:
        size: side in pixels of the squares that it sees.
        data: fingerprint of what it was trained on.
        batch: how many pictures go through it at once.
    """

    size: int = 96
    data: str = ""
    batch: int = 64
