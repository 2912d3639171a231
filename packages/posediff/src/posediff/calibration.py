"""Hypotheses that lie too close together, or too far apart, set right on poses that were held out."""

from __future__ import annotations

import torch
from torch import Tensor

from posediff.hypotheses import coverage

LEVELS = (0.5, 0.8, 0.9)


def fitted_scale(
    hypotheses: Tensor, centre: Tensor, truth: Tensor, levels: tuple[float, ...] = LEVELS
) -> float:
    """By what to stretch hypotheses about their centre so that their central intervals hold what they say.

    The factor, from 1/8 to 8, of least mean distance between `coverage` and `levels`, to half a percent:
    the temperature scaling of Guo et al. 2017 (On Calibration of Modern Neural Networks, section 4.2) for
    draws. A decoder's ``spread`` times that factor draws so. Networks trust what they were trained on; fit
    it on people they have not seen.

    hypotheses: (S, ..., J, d); centre, truth: (..., J, d), the mean that they were drawn about and the true
    poses, coordinates that never vary left out; levels: in (0, 1).
    """
    wanted = torch.tensor(levels, dtype=torch.float64)
    away = hypotheses - centre

    def miss(factor: float) -> float:
        held = coverage(centre + factor * away, truth, wanted.to(truth.device))
        return float((held.cpu() - wanted).mean())

    low, high = 1 / 8, 8.0  # coverage grows with the factor
    while high / low > 1.005:
        middle = (low * high) ** 0.5
        low, high = (middle, high) if miss(middle) < 0 else (low, middle)
    return (low * high) ** 0.5
