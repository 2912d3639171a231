"""InfoNCE on distances instead of cosines, for embeddings that are compared by Euclidean distance."""

from collections.abc import Sequence
from itertools import combinations

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from contrastive.checks import check_batch, check_rows, check_shapes, check_temperature


def distance_info_nce(
    features: Sequence[Tensor], temperature: float | Tensor, *, alike: Tensor | None = None
) -> Tensor:
    """InfoNCE with logits -|x - y|² / (τ D), the mean over all pairs of parties and both directions.

    Dividing by the width D keeps τ's meaning when embeddings of unit variance get wider.

    Args:
        features: two or more tensors (B, D), not normalised; row n of all is the same sample.
        temperature: τ, positive.
        alike: (B, B) samples that are too alike to be each other's negatives; the diagonal is not read.

    Raises:
        ValueError: fewer than two parties, or of different shapes; an empty batch; τ not positive; on a CPU,
            a row that is not finite.
    """
    check_temperature(temperature)
    check_shapes(features)
    check_batch(len(features[0]))
    check_rows(features)
    features = [x if x.dtype == torch.float64 else x.float() for x in features]
    count, width = features[0].shape
    if alike is not None and (alike.shape != (count, count) or alike.dtype != torch.bool):
        raise ValueError(f"alike: {tuple(alike.shape)} {alike.dtype}; pass a boolean mask ({count}, {count})")
    target = torch.arange(count, device=features[0].device)
    hidden = None
    if alike is not None:
        hidden = alike & ~torch.eye(count, dtype=torch.bool, device=alike.device)
    terms = []
    for x, y in combinations(features, 2):
        logits = -_squared_distances(x, y) / (temperature * width)
        if hidden is not None:
            logits = logits.masked_fill(hidden, -torch.inf)
        terms += [cross_entropy(logits, target), cross_entropy(logits.mT, target)]
    return torch.stack(terms).mean()


def _squared_distances(x: Tensor, y: Tensor) -> Tensor:
    """All of them by one product; its rounding is that of |x|², which at unit variance does not matter."""
    squares = x.square().sum(-1)[:, None] + y.square().sum(-1)
    return (squares - 2 * x @ y.mT).clamp_min(0)
