"""Hypotheses in one evaluation: a normal distribution about the regressed pose, its covariance learnt."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from posediff.conditioned import MODALITIES, check_count
from posediff.lowrank import LowRank
from posediff.mlp import MLPDecoder
from posediff.regression import Regression

FLOOR = 0.01
"""The least sd of a coordinate, in units of the data's std: what a root that never moves has."""


class NormalDecoder(MLPDecoder):
    """The mean pose by regression and a low-rank normal about it: ``PoseDecoder``'s cheap twin.

    Arguments as of ``PoseDecoder``; rank: how many directions joints move along together, J d for any
    covariance there is. The covariance has a network of its own, learns by the likelihood of what the mean
    leaves, and teaches neither the mean nor the encoder, whose error it cannot raise: where gradients are
    clipped, clip ``covariance``'s by themselves.

    Buffer ``spread`` (modalities,): what all standard deviations are multiplied by, 1 until calibrated
    (`posediff.calibration`).
    """

    spread: Tensor

    def __init__(
        self,
        joints: int,
        dims: int,
        condition_dim: int = 1024,
        hidden: int = 1024,
        blocks: int = 2,
        modalities: Sequence[str] = MODALITIES,
        modality_token: bool = True,
        dropout: float = 0.1,
        *,
        rank: int = 8,
        mean_loss: str = "l1",
    ) -> None:
        shape = (joints, dims, condition_dim, hidden, blocks)
        super().__init__(*shape, modalities, modality_token, dropout, mean_loss=mean_loss)
        check_count("rank", rank)
        self.rank, width = rank, joints * dims * (1 + rank)
        self.covariance = Regression(condition_dim, hidden, blocks, width, dropout)
        self.register_buffer("spread", torch.ones(len(self.modalities)))

    def loss(
        self,
        target: Tensor,
        condition: Tensor,
        modality: int | Tensor,
        *,
        generator: torch.Generator | None = None,
        weight: Tensor | None = None,
    ) -> Tensor:
        """The mean's regression, and the negative log-likelihood a coordinate of what it leaves. (B,).

        As ``PoseDecoder.loss``, in standardised units; the generator is unused. Joints of weight 0 are left
        out of the density, whose terms are weighted by the mean weight of the others.
        """
        self._check_batch(target, condition, modality, weight)
        weight = self._joint_weight(target, weight)
        clean = self._standardise(target, weight)
        condition = self._with_token(condition, modality)
        predicted = self.network(condition)
        total = self._regression_loss(predicted, clean, weight, self.mean_loss)
        known = (weight > 0).repeat_interleave(self.dims, -1)
        nats = self._covariance(condition.detach()).log_density(clean - predicted.detach(), known)
        return total - nats * weight.mean(-1) / clean.shape[-1]

    def distribution(self, condition: Tensor, modality: int | Tensor) -> LowRank:
        """About ``mean``, flat, in the poses' own unit: (B, D) to (B, J d)."""
        self._check_condition(condition, modality)
        found = self._covariance(self._with_token(condition, modality))
        return found.stretched(self.std * self.spread[modality])

    @torch.no_grad()
    def sample(
        self,
        condition: Tensor,
        modality: int | Tensor,
        *,
        hypotheses: int = 1,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Poses drawn given the condition: (B, D) to (hypotheses, B, J, d)."""
        check_count("hypotheses", hypotheses)
        drawn = self.distribution(condition, modality).draw(hypotheses, generator)
        return self.mean(condition, modality) + drawn.unflatten(-1, (self.joints, self.dims))

    def _covariance(self, condition: Tensor) -> LowRank:
        raw = self.covariance(condition).unflatten(-1, (self.joints * self.dims, 1 + self.rank))
        # A small factor at first, not none: at 0 it would have no gradient.
        return LowRank(FLOOR + functional.softplus(raw[..., 0] - 1), 0.3 * raw[..., 1:])
