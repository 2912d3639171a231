"""Pictures as networks take them: floating point from 0 to 1."""

import torch
from jaxtyping import Float, Shaped
from torch import Tensor


def scaled(images: Shaped[Tensor, "*shape"], dtype: torch.dtype) -> Float[Tensor, "*shape"]:
    """Images in [0, 1], of a network's type: uint8 is divided by 255, floating point taken as it is.

    Raises:
        ValueError: other integers, whose range nobody knows.
    """
    if images.dtype == torch.uint8:
        return images.to(dtype) / 255
    if not images.is_floating_point():
        raise ValueError(f"images are {images.dtype}: give uint8 in 0..255, or floating point in [0, 1]")
    return images.to(dtype)
