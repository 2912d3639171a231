"""What lifters that are compared have in common: what they see, in which scale they speak, what they give."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from polypose.network import POSE_SKELETON
from polypose.samples import Sample

JOINTS = len(POSE_SKELETON)
MEAN_OF = 20
"""Draws whose mean is the pose of a lifter that has no other."""


class Peer(nn.Module):
    """A lifter of views; joints are relative to the root. Buffers have the training data's scale.

    ``frames``: T, so many rows of a sample are one clip, side by side, whose middle one is lifted.
    """

    frames = 1
    most: int | None = None
    """Hypotheses of a view at most, of a lifter whose evaluations cost much."""
    seen_mean: Tensor
    seen_std: Tensor
    joints_mean: Tensor
    joints_std: Tensor

    def __init__(self) -> None:
        super().__init__()
        for name, dims in (("seen", 2), ("joints", 3)):
            self.register_buffer(f"{name}_mean", torch.zeros(JOINTS, dims))
            self.register_buffer(f"{name}_std", torch.ones(JOINTS, dims))

    @torch.no_grad()
    def fit_scale(self, sample: Sample) -> None:
        """Take mean and deviation of each coordinate from training views."""
        for name, values in (("seen", sample.keypoints), ("joints", sample.joints)):
            getattr(self, f"{name}_mean").copy_(values.mean(0))
            getattr(self, f"{name}_std").copy_(values.std(0).clamp(min=1e-6))

    def loss(self, sample: Sample, generator: torch.Generator) -> Float[Tensor, ""]:
        """Of a batch, as the authors have it."""
        raise NotImplementedError

    def forward(self, sample: Sample) -> Float[Tensor, "B J 3"]:
        """The pose of each view, or of each clip's middle one, metres."""
        raise NotImplementedError

    def truth(self, sample: Sample) -> Float[Tensor, "B J 3"]:
        """What `forward` should give."""
        return sample.joints[self.frames // 2 :: self.frames]

    def draw(self, sample: Sample, count: int, generator: torch.Generator) -> Float[Tensor, "S B J 3"] | None:
        """Hypotheses; None of a lifter that has none."""
        return None

    def apart(self) -> Sequence[nn.Module]:
        """Networks with a loss of their own, whose gradients are clipped by their own norms."""
        return ()

    def after_step(self) -> None:
        """What follows an optimiser's step."""

    def seen(self, sample: Sample) -> Float[Tensor, "B J 2"]:
        """Keypoints, standardised."""
        return (sample.keypoints - self.seen_mean) / self.seen_std

    def restored(self, joints: Tensor) -> Tensor:
        """Standardised joints as metres, about the root."""
        joints = joints * self.joints_std + self.joints_mean
        return joints - joints[..., :1, :]
