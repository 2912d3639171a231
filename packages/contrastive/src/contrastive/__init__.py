"""Losses that align any number of modalities."""

from contrastive.cosines import Cosines
from contrastive.cubic import leading_eigenvalue_of_three
from contrastive.gather import Gather
from contrastive.losses import info_nce, joint_info_nce, pairwise_info_nce, triplet_info_nce
from contrastive.similarity import gram, leading_eigenvalue, leading_singular_value
from contrastive.temperature import Temperature

__all__ = [
    "Cosines",
    "Gather",
    "Temperature",
    "gram",
    "info_nce",
    "joint_info_nce",
    "leading_eigenvalue",
    "leading_eigenvalue_of_three",
    "leading_singular_value",
    "pairwise_info_nce",
    "triplet_info_nce",
]
