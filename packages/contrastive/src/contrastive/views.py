"""Two views of every sample, each in any modalities, found by each other."""

from collections.abc import Mapping
from itertools import product

import torch
from torch import Tensor

from contrastive.gather import Gather
from contrastive.losses import info_nce

Scalar = float | Tensor


def views_info_nce(
    first: Mapping[str, Tensor],
    second: Mapping[str, Tensor],
    temperature: Scalar,
    *,
    present: tuple[Mapping[str, Tensor], Mapping[str, Tensor]] | None = None,
    positives: Tensor | None = None,
    gather: bool | Gather = False,
) -> Tensor:
    """`info_nce` between two views of each sample: the mean over modalities of the one and of the other.

    PR-VIPE's and V-VIPE's positives, other cameras' views of a pose, by UniHPE's equation 1.

    Args:
        first, second: unit rows (B, D) by modality; row n of all is the same sample.
        temperature: τ, a positive number or scalar tensor.
        present: (B,) booleans by modality, of the first views and of the second; all by default.
        positives, gather: as in `Cosines`; samples too alike to tell apart are no negatives.

    Raises:
        ValueError: a view has no modality, and what every loss refuses.
    """
    if not first or not second:
        raise ValueError("first, second: a view has no modality; pass one of each at least")
    terms = []
    for one, other in product(first, second):
        there = None if present is None else [present[0][one], present[1][other]]
        pair = first[one], second[other]
        terms.append(info_nce(*pair, temperature, present=there, positives=positives, gather=gather))
    return torch.stack(terms).mean()
