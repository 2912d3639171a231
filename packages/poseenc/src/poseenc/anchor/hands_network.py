"""A2J-Transformer of two hands, by a configuration."""

from __future__ import annotations

from posedata.views.hands import WRISTS

from poseenc.anchor.transformer import A2JTransformer
from poseenc.hands_config import HandsConfig


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
