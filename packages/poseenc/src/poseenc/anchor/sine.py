"""Sine embeddings of positions, of map cells and of anchors."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

_TEMPERATURE = 10_000.0


def sine_embedding(positions: Float[Tensor, "*any d"], features: int) -> Float[Tensor, "*any embedded"]:
    """Sines and cosines, in turn, of positions in [0, 1] over 2π, at ``features / 2`` wavelengths.

    Wavelengths grow from 1 to 10,000 times the unit (DETR, appendix A.4; DAB-DETR, equation 4); the
    coordinates' embeddings follow one another in the order of the coordinates.

    Args:
        positions: (..., d).
        features: per coordinate, even.
    """
    power = 2 * torch.arange(features // 2, device=positions.device) / features
    angle = positions[..., None] * 2 * math.pi / _TEMPERATURE**power
    return torch.stack([angle.sin(), angle.cos()], -1).flatten(-3)


def map_positions(rows: int, columns: int) -> Float[Tensor, "cells 2"]:
    """(x, y) of the cells' centres, rows first; 0 and 1 are the map's edges."""
    y, x = ((torch.arange(n) + 0.5) / n for n in (rows, columns))
    return torch.stack([x.expand(rows, columns), y[:, None].expand(rows, columns)], -1).flatten(0, 1)
