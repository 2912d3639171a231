"""One pose of several hypotheses, by what was seen: weighted by the likelihood of the keypoints.

To choose instead of to weigh: `posediff.hypotheses.select` and `select_per_joint`. Hypotheses are
(S, ..., J, d); distances of their projections to the keypoints (S, ..., J), in any unit, are
`posediff.hypotheses.reprojection_errors` without a confidence.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

SPAN = 12
"""Half octaves about the distances' own size, either way, that `fitted_sd` tries."""


def keypoint_log_likelihood(distances: Tensor, sd: float, confidence: Tensor | None = None) -> Tensor:
    """Of keypoints that are off by ``sd`` in each direction, given each hypothesis: (S, ..., J) to (S, ...).

    Normal, the variance over the confidence (..., J) in [0, 1], so that a keypoint of confidence 0 says
    nothing; what all hypotheses share is left out. An infinite sd makes all alike.
    """
    squared = (distances / sd).square()
    return -0.5 * (squared if confidence is None else confidence * squared).sum(-1)


def weighted(hypotheses: Tensor, log_likelihood: Tensor) -> Tensor:
    """Their mean by the softmax of log-likelihoods: (S, ..., J, d) and (S, ...) to (..., J, d).

    The posterior mean where hypotheses are drawn from what was believed before the keypoints were seen
    (self-normalised importance sampling). A lifter's hypotheses know the keypoints already, to some degree:
    the sd that serves best is larger than the keypoints' own error, and `fitted_sd` finds it.
    """
    return (log_likelihood.softmax(0)[..., None, None] * hypotheses).sum(0)


def fitted_sd(
    hypotheses: Tensor, distances: Tensor, truth: Tensor, confidence: Tensor | None = None
) -> float:
    """The sd whose `weighted` poses are nearest to the truth (..., J, d) in mean joint distance.

    Of people that are not in the test, or their truth is in what is told of it. Half octaves about the
    distances' root mean square are tried, and infinity, the plain mean, which where no other is better is
    the answer.
    """
    size = float(distances.double().square().mean().sqrt())
    tried = [size * 2 ** (half / 2) for half in range(-SPAN, SPAN + 1)] if size > 0 else []

    def away(sd: float) -> float:
        pose = weighted(hypotheses, keypoint_log_likelihood(distances, sd, confidence))
        return float(torch.linalg.vector_norm(pose - truth, dim=-1).mean())

    return min([math.inf, *tried], key=away)
