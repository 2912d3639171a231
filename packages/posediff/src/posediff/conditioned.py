"""What every decoder shares: conditions with their modality's token, and the scale of the data."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import torch
from torch import Tensor, nn

MODALITIES = ("image", "2d", "3d")
MEAN_LOSSES = ("l2", "l1", "mpjpe")


class Conditioned(nn.Module):
    """Base of the decoders.

    Buffers ``mean_pose`` (J, d) and ``std`` (a scalar) come from data through ``fit_scale`` and are saved in
    the state dict; until then they are 0 and 1.
    """

    mean_pose: Tensor
    std: Tensor

    def __init__(
        self, joints: int, dims: int, condition_dim: int, modalities: Sequence[str], modality_token: bool
    ) -> None:
        super().__init__()
        self.joints, self.dims, self.condition_dim = joints, dims, condition_dim
        self.modalities = tuple(modalities)
        self.token = (
            nn.Embedding(len(self.modalities), condition_dim) if modality_token and condition_dim else None
        )
        if self.token is not None:
            nn.init.normal_(self.token.weight, std=condition_dim**-0.5)
        self.register_buffer("mean_pose", torch.zeros(joints, dims))
        self.register_buffer("std", torch.ones(()))

    @torch.no_grad()
    def fit_scale(self, poses: Tensor, weight: Tensor | None = None) -> None:
        """Take the data's mean pose and its one standard deviation over all coordinates.

        poses: (N, J, d), in whatever unit the decoder shall speak. weight: (N, J), 0 where a joint is
        unknown. One std, not one a coordinate, so that errors keep their proportion.
        """
        if poses.shape[1:] != self.mean_pose.shape:
            raise ValueError(f"poses must be (N, {self.joints}, {self.dims}), got {tuple(poses.shape)}")
        known = torch.ones(poses.shape[:2]) if weight is None else weight
        known = known[..., None].to(poses).double()
        values = torch.where(known > 0, poses.double(), 0.0)
        mean = (known * values).sum(0) / known.sum(0).clamp(min=1e-12)
        spread = (known * (values - mean) ** 2).sum() / (known.sum() * self.dims)
        if not spread > 0 or not torch.isfinite(spread):
            raise ValueError("poses have no finite, non-zero spread: check for NaN or a single repeated pose")
        self.mean_pose.copy_(mean)
        self.std.copy_(spread.sqrt())

    def _check_condition(self, condition: Tensor, modality: int | Tensor) -> None:
        if condition.ndim != 2 or condition.shape[1] != self.condition_dim:
            raise ValueError(f"condition must be (B, {self.condition_dim}), got {tuple(condition.shape)}")
        if isinstance(modality, Tensor):
            right = modality.dtype == torch.long and modality.shape in ((), (1,), condition.shape[:1])
            if not right:
                raise ValueError(
                    f"modality must be an index or ({len(condition)},) long, "
                    f"got {tuple(modality.shape)} {modality.dtype}"
                )
            if modality.device.type != "cpu" or not len(condition):
                return  # a GPU would have to be waited for
            least, most = int(modality.min()), int(modality.max())
        else:
            least = most = modality
        if not 0 <= least <= most < len(self.modalities):
            wrong = least if least < 0 else most
            raise ValueError(
                f"modality {wrong} is none of 0 to {len(self.modalities) - 1}: {self.modalities}"
            )

    def _check_batch(
        self, target: Tensor, condition: Tensor, modality: int | Tensor, weight: Tensor | None
    ) -> None:
        self._check_condition(condition, modality)
        shape = (len(condition), self.joints, self.dims)
        if target.shape != shape or not len(target):
            raise ValueError(f"target must be {shape} and not empty, got {tuple(target.shape)}")
        if weight is not None and weight.shape not in (shape[:1], shape[:2]):
            raise ValueError(f"weight must be {shape[:1]} or {shape[:2]}, got {tuple(weight.shape)}")
        if target.device.type == "cpu":  # a GPU would have to be waited for
            wrong = ~target.isfinite().flatten(2).all(2)
            if weight is not None:
                wrong &= (weight if weight.ndim == 2 else weight[:, None]) > 0
            if wrong.any():
                row, joint = wrong.nonzero()[0].tolist()
                raise ValueError(f"target: row {row}, joint {joint} is not finite; give it weight 0")

    def _with_token(self, condition: Tensor, modality: int | Tensor) -> Tensor:
        if self.token is None:
            return condition
        return condition + self.token(torch.as_tensor(modality, device=condition.device))

    def _standardise(self, poses: Tensor, weight: Tensor) -> Tensor:
        return self._flatten(torch.where(weight[..., None] > 0, poses, self.mean_pose))

    def _flatten(self, poses: Tensor) -> Tensor:
        return ((poses - self.mean_pose) / self.std).flatten(-2)

    def _restore(self, flat: Tensor) -> Tensor:
        return flat.unflatten(-1, (self.joints, self.dims)) * self.std + self.mean_pose

    def _joint_weight(self, target: Tensor, weight: Tensor | None) -> Tensor:
        if weight is None:
            return target.new_ones(target.shape[:-1])
        return (weight if weight.ndim == 2 else weight[:, None]).to(target).expand(target.shape[:-1])

    def _reduce(self, error: Tensor, weight: Tensor) -> Tensor:
        # (B, J d) to (B,): the mean over joints and coordinates, times the joints' weights.
        per_joint = error.unflatten(-1, (self.joints, self.dims)).mean(-1)
        return (per_joint * weight).mean(-1)

    def _regression_loss(self, predicted: Tensor, target: Tensor, weight: Tensor, kind: str) -> Tensor:
        difference = predicted - target
        if kind == "l2":
            return self._reduce(difference**2, weight)
        if kind == "l1":
            return self._reduce(difference.abs(), weight)
        distance = torch.linalg.vector_norm(difference.unflatten(-1, (self.joints, self.dims)), dim=-1)
        return (distance * weight).mean(-1)


def check_count(field: str, value: int) -> None:
    """Raise ValueError unless value is a whole number from 1 up."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"{field}: {value}; take a whole number, 1 or more")


def check_choice(field: str, value: str, choices: Collection[str]) -> None:
    """Raise ValueError, naming the choices, unless value is one of them."""
    if value not in choices:
        raise ValueError(f"unknown {field} {value!r}; choose one of {', '.join(choices)}")
