"""What the network of two hands is built by; loads nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass

from posedata.ranges import Fraction, Positive

from poseenc.heads import check_heads


@dataclass(frozen=True)
class HandsConfig:
    """`poseenc.anchor.A2JTransformer`; the defaults are the published network (Jiang et al., CVPR 2023).

    Attributes:
        weights: of the backbone; None for scratch (`poseenc.anchor.Backbone`).
        layers: of encoder and decoder.
    """

    backbone: str = "resnet50"
    weights: str | None = None
    dim: Positive = 256
    heads: Positive = 8
    layers: tuple[Positive, Positive] = (6, 6)
    hidden: Positive = 1024
    points: Positive = 4
    dropout: Fraction = 0.1

    def __post_init__(self) -> None:
        check_heads("dim", self.dim, self.heads)
