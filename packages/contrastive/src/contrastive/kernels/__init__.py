"""Sums over the B x B x B cube of triplets in O(B²) memory, on whatever device holds the cosines."""

from contrastive.kernels.cube import Cube
from contrastive.kernels.faces import faces

__all__ = ["Cube", "faces"]
