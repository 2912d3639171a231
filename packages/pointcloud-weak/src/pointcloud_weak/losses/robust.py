"""How far off a length is, in metres, without letting the far-off decide."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import smooth_l1_loss

DELTA = 0.05
"""Metres at which errors begin to count less than their square."""


def huber(error: Float[Tensor, "*shape"], delta: float = DELTA) -> Float[Tensor, "*shape"]:
    """Huber's function over its δ, in metres: ``x²/(2δ)`` up to δ, then ``|x| - δ/2``."""
    return smooth_l1_loss(error, torch.zeros_like(error), reduction="none", beta=delta)


def geman_mcclure(error: Float[Tensor, "*shape"], delta: float = DELTA) -> Float[Tensor, "*shape"]:
    """``(x²/(2δ)) / (1 + (x/δ)²)``, in metres: like `huber` near zero, never above δ/2.

    Far-off errors lose their pull altogether: what an occluder in front of a joint should have.
    """
    square = (error / delta) ** 2
    return delta / 2 * square / (1 + square)
