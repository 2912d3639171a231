"""The plain regression of the ablation: a decoder without diffusion."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from posediff.conditioned import MEAN_LOSSES, MODALITIES, Conditioned, check_choice
from posediff.regression import Regression


class MLPDecoder(Conditioned):
    """One pose by regression: the ablation without diffusion. Same conditions as ``PoseDecoder``."""

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
        mean_loss: str = "l2",
    ) -> None:
        super().__init__(joints, dims, condition_dim, modalities, modality_token)
        check_choice("mean_loss", mean_loss, MEAN_LOSSES)
        self.mean_loss = mean_loss
        self.network = Regression(condition_dim, hidden, blocks, joints * dims, dropout)

    def loss(
        self,
        target: Tensor,
        condition: Tensor,
        modality: int | Tensor,
        *,
        generator: torch.Generator | None = None,
        weight: Tensor | None = None,
    ) -> Tensor:
        """As ``PoseDecoder.loss``, regression term only; the generator is unused. Returns (B,)."""
        self._check_batch(target, condition, modality, weight)
        weight = self._joint_weight(target, weight)
        predicted = self.network(self._with_token(condition, modality))
        return self._regression_loss(predicted, self._standardise(target, weight), weight, self.mean_loss)

    def mean(self, condition: Tensor, modality: int | Tensor) -> Tensor:
        """(B, D) to (B, J, d)."""
        self._check_condition(condition, modality)
        return self._restore(self.network(self._with_token(condition, modality)))
