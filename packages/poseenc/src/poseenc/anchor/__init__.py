"""Anchor-to-joint networks: anchors vote for joints (A2J, ICCV 2019; A2J-Transformer, CVPR 2023)."""

from .a2j import A2J
from .anchors import INTERHAND_DEPTHS, INTERHAND_RANGE, AnchorGrid2D, AnchorGrid3D
from .backbone import Backbone
from .deformable import DeformableAttention, deformable_sample, deformable_sample_naive
from .ensemble import Estimate, ensemble, ensemble_naive
from .losses import LossRule, a2j_rule, anchor_losses, smooth_l1, surrounding_loss, transformer_rule
from .transformer import A2JTransformer

__all__ = [
    "A2J",
    "INTERHAND_DEPTHS",
    "INTERHAND_RANGE",
    "A2JTransformer",
    "AnchorGrid2D",
    "AnchorGrid3D",
    "Backbone",
    "DeformableAttention",
    "Estimate",
    "LossRule",
    "a2j_rule",
    "anchor_losses",
    "deformable_sample",
    "deformable_sample_naive",
    "ensemble",
    "ensemble_naive",
    "smooth_l1",
    "surrounding_loss",
    "transformer_rule",
]
