"""How sure a mean over few people is."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor


def interval_by_person(
    values: Float[Tensor, " N"], people: Int[Tensor, " N"], level: float = 0.95, draws: int = 10_000
) -> tuple[float, float]:
    """Interval of the mean of all views, if other people of the same kind had been measured.

    Percentile bootstrap over people (Efron and Tibshirani 1993, chapter 13): people are drawn with
    replacement, each with all their views, as often as there are people. With one person it is empty of
    meaning and NaN. The draws are the same in every call.

    Args:
        values: of each view, finite.
        people: whose view it is, any integers.
        level: share of draws inside.
    """
    names, own = people.unique(return_inverse=True)
    if len(names) < 2:
        return float("nan"), float("nan")
    counts = torch.zeros(len(names), dtype=torch.float64).index_add_(0, own, torch.ones(len(own)).double())
    totals = torch.zeros(len(names), dtype=torch.float64).index_add_(0, own, values.double())
    drawn = torch.randint(len(names), (draws, len(names)), generator=torch.Generator().manual_seed(0))
    means = totals[drawn].sum(1) / counts[drawn].sum(1)
    ends = torch.tensor([(1 - level) / 2, (1 + level) / 2], dtype=torch.float64)
    low, high = means.quantile(ends).tolist()
    return low, high
