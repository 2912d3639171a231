"""The B x B x B cube of triplets: its sums in O(B²) memory, or single cells, on any device."""

from contrastive.kernels.cube import Cube, Sample
from contrastive.kernels.faces import faces
from contrastive.kernels.sampled import sampled

__all__ = ["Cube", "Sample", "faces", "sampled"]
