"""Cutting the square around a person out of recorded frames."""

import numpy as np
from jaxtyping import Float, Shaped
from torch import Tensor

SQUARE_MARGIN = 0.2
"""Around a clip's 2D joints, as a share of the longer side of their box."""


def square(
    images: Shaped[np.ndarray, "T H W ..."], box: Float[Tensor, "4"], size: int
) -> Shaped[np.ndarray, "T S S ..."]:
    """The box of every image at size x size by the nearest pixel; 0 beyond the image.

    The nearest, so that depth is never mixed across an edge.

    Args:
        box: x0, y0, x1, y1: the outer edges of the outermost pixels, as in `Camera.crop`.
    """
    height, width = images.shape[1:3]
    x0, y0, x1, y1 = box.tolist()
    at = (np.arange(size) + 0.5) / size
    columns = np.rint(x0 + at * (x1 - x0)).astype(int)
    rows = np.rint(y0 + at * (y1 - y0)).astype(int)
    found = images[:, rows.clip(0, height - 1)][:, :, columns.clip(0, width - 1)]
    outside = ((rows < 0) | (rows >= height))[:, None] | ((columns < 0) | (columns >= width))
    if outside.any():
        found = found.copy()
        found[:, outside] = 0
    return np.ascontiguousarray(found)
