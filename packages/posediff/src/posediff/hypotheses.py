"""Several hypotheses of a pose: how to make one of them, and whether their spread can be believed.

Hypotheses are (S, ..., J, d), as ``PoseDecoder.sample`` returns them; errors of theirs are (S, ...) for
poses and (S, ..., J) for joints.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def mean(hypotheses: Tensor) -> Tensor:
    """Their mean, the least-squares estimate; not itself a pose that the model would draw."""
    return hypotheses.mean(0)


def select(hypotheses: Tensor, errors: Tensor) -> Tensor:
    """The hypothesis of least error. (S, ..., J, d) and (S, ...) to (..., J, d)."""
    best = errors.argmin(0)[None, ..., None, None].expand(1, *hypotheses.shape[1:])
    return hypotheses.gather(0, best)[0]


def select_per_joint(hypotheses: Tensor, errors: Tensor) -> Tensor:
    """Each joint from the hypothesis that is best at it (JPMA: Shan et al. 2023, D3DP, section 3.3).

    (S, ..., J, d) and (S, ..., J) to (..., J, d). Bone lengths are no longer those of one hypothesis.
    """
    best = errors.argmin(0)[None, ..., None].expand(1, *hypotheses.shape[1:])
    return hypotheses.gather(0, best)[0]


def minimum_bayes_risk(hypotheses: Tensor) -> Tensor:
    """The hypothesis nearest to all the others in mean joint distance: a pose of the model, and central."""
    return select(hypotheses, pairwise(hypotheses).mean(0))


def reprojection_errors(
    hypotheses: Tensor,
    observed: Tensor,
    project: Callable[[Tensor], Tensor],
    confidence: Tensor | None = None,
) -> Tensor:
    """Distance of each joint's projection from what was observed, times its confidence.

    observed: (..., J, 2), project: from (S, ..., J, 3) to (S, ..., J, 2), confidence: (..., J). Returns
    (S, ..., J): as it is for ``select_per_joint``, its mean over joints for ``select``.
    """
    distance = torch.linalg.vector_norm(project(hypotheses) - observed, dim=-1)
    return distance if confidence is None else distance * confidence


def pairwise(hypotheses: Tensor) -> Tensor:
    """Mean joint distance between every two hypotheses: (S, S, ...)."""
    rows = [
        torch.linalg.vector_norm(hypotheses - one, dim=-1).mean(-1) for one in hypotheses
    ]  # one row at a time: S² poses at once would be the largest thing in memory
    return torch.stack(rows)


def diversity(hypotheses: Tensor) -> Tensor:
    """Mean joint distance between two different hypotheses. (S, ..., J, d) to (...); S at least 2."""
    count = len(hypotheses)
    if count < 2:
        raise ValueError("diversity needs at least two hypotheses")
    return pairwise(hypotheses).sum((0, 1)) / (count * (count - 1))


def expected_best_of(errors: Tensor, k: int) -> Tensor:
    """The least error expected among k of the S hypotheses, over all choices of k. (S, ...) to (...).

    Unbiased in best-of-k, and far less noisy than looking at the first k: the r-th smallest error (r from 0)
    is the least of k with probability C(S-1-r, k-1) / C(S, k).
    """
    count = len(errors)
    if not 1 <= k <= count:
        raise ValueError(f"k must be in 1 to {count}, the number of hypotheses; got {k}")
    probability = torch.zeros(count, dtype=torch.float64)
    probability[0] = k / count
    for rank in range(count - k):
        probability[rank + 1] = probability[rank] * (count - k - rank) / (count - 1 - rank)
    ordered = errors.sort(0).values
    return torch.einsum("s,s...->...", probability.to(ordered), ordered)


def coverage(hypotheses: Tensor, truth: Tensor, levels: Tensor) -> Tensor:
    """How often the truth's coordinates fall in the hypotheses' central intervals: calibration of spread.

    truth: (..., J, d); levels: (L,) in (0, 1). Returns (L,): equal to ``levels`` if the spread is right, more
    if too wide, less if too narrow. The rank of the truth among S hypotheses has S + 1 values, and half of
    a rank's mass counts where an interval's end cuts it. Hypotheses equal to the truth, as of a root that is
    always at 0, count as half below it.
    """
    count = len(hypotheses)
    below = ((hypotheses < truth).double() + 0.5 * (hypotheses == truth)).sum(0).flatten()
    position = (below + 0.5) / (count + 1)
    distance = 2 * (position - 0.5).abs()
    half_cell = 1 / (count + 1)
    share = (levels.double()[:, None].to(distance.device) - distance + half_cell) / (2 * half_cell)
    return share.clamp(0, 1).mean(-1).to(levels)
