"""A2J-Transformer of two hands, by a configuration."""

from __future__ import annotations

from dataclasses import dataclass

from posedata.ranges import Fraction, Positive
from posedata.views.hands import WRISTS

from poseenc.anchor.transformer import A2JTransformer


@dataclass(frozen=True)
class HandsConfig:
    """`A2JTransformer`; the defaults are the published network (Jiang et al., CVPR 2023).

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
        if self.dim % self.heads:
            raise ValueError(f"dim {self.dim} is not a multiple of heads {self.heads}; change either")


def hands_network(config: HandsConfig, size: int, *, trained: bool = False) -> A2JTransformer:
    """The network that a config says, of 21 joints a hand, for squares of so many pixels.

    Args:
        trained: to be filled from a checkpoint: the weights that its backbone began from are not looked for.
    """
    return A2JTransformer(
        21 * len(WRISTS),
        size=size,
        backbone=config.backbone,
        weights=None if trained else config.weights,
        freeze=config.weights is not None,
        dim=config.dim,
        heads=config.heads,
        layers=config.layers,
        hidden=config.hidden,
        points=config.points,
        dropout=config.dropout,
    )
