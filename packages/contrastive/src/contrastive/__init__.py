"""Losses that align any number of modalities."""

from contrastive.cosines import Cosines
from contrastive.cubic import leading_eigenvalue_of_three
from contrastive.gather import Gather
from contrastive.losses import (
    info_nce,
    joint_info_nce,
    pairwise_info_nce,
    supervised_info_nce,
    triplet_info_nce,
)
from contrastive.margin import margin_triplet, mine
from contrastive.multimodal import multimodal_info_nce, multimodal_terms
from contrastive.similarity import (
    cosines,
    gram,
    gram_volume,
    leading_eigenvalue,
    leading_singular_value,
    mean_cosine,
    multilinear_product,
    singular_values,
    triangle_area,
)
from contrastive.temperature import Temperature
from contrastive.tuples import pmrl, symile, tuple_info_nce
from contrastive.views import views_info_nce

__all__ = [
    "Cosines",
    "Gather",
    "Temperature",
    "cosines",
    "gram",
    "gram_volume",
    "info_nce",
    "joint_info_nce",
    "leading_eigenvalue",
    "leading_eigenvalue_of_three",
    "leading_singular_value",
    "margin_triplet",
    "mean_cosine",
    "mine",
    "multilinear_product",
    "multimodal_info_nce",
    "multimodal_terms",
    "pairwise_info_nce",
    "pmrl",
    "singular_values",
    "supervised_info_nce",
    "symile",
    "triangle_area",
    "triplet_info_nce",
    "tuple_info_nce",
    "views_info_nce",
]
