"""Clips turned and mirrored in training, and what is predicted of them turned back."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from posedata.skeleton import Skeleton
from torch import Tensor


@dataclass(frozen=True)
class Turn:
    """Clips turned about the vertical through their middle, some mirrored; predictions are turned back.

    Attributes:
        rotation: (B, 3, 3).
        mirrored: (B,).
        skeleton: whose left and right change places.
    """

    rotation: Float[Tensor, "B 3 3"]
    mirrored: Bool[Tensor, " B"]
    skeleton: Skeleton

    @classmethod
    def draw(
        cls, count: int, degrees: float, mirror: bool, skeleton: Skeleton, generator: torch.Generator
    ) -> Turn:
        """Angles uniform to either side; half of the clips mirrored."""
        angle = (torch.rand(count, generator=generator, device=generator.device) * 2 - 1) * degrees
        sine, cosine = torch.deg2rad(angle).sin(), torch.deg2rad(angle).cos()
        zero, one = torch.zeros_like(sine), torch.ones_like(sine)
        rows = [cosine, zero, sine, zero, one, zero, -sine, zero, cosine]
        flip = torch.rand(count, generator=generator, device=generator.device) < 0.5
        return cls(torch.stack(rows, -1).view(-1, 3, 3), flip & mirror, skeleton)

    def apply(self, points: Float[Tensor, "B ... 3"], middle: Float[Tensor, "B 3"]) -> Tensor:
        """Turned about `middle`."""
        shape, flat = points.shape, points.flatten(1, -2)
        sides = self._sides(flat)
        return (((flat - middle[:, None]) * sides) @ self.rotation.mT + middle[:, None]).view(shape)

    def undo(self, points: Float[Tensor, "B ... 3"], middle: Float[Tensor, "B 3"]) -> Tensor:
        """The inverse of `apply`."""
        shape, flat = points.shape, points.flatten(1, -2)
        return (((flat - middle[:, None]) @ self.rotation) * self._sides(flat) + middle[:, None]).view(shape)

    def undo_joints(self, joints: Float[Tensor, "B T J 3"], middle: Float[Tensor, "B 3"]) -> Tensor:
        """Predicted joints turned back, left and right exchanged where they were mirrored."""
        back = self.undo(joints, middle)
        swapped = back[:, :, list(self.skeleton.mirror)]
        return torch.where(self.mirrored[:, None, None, None], swapped, back)

    def _sides(self, like: Tensor) -> Tensor:
        sides = like.new_ones(len(like), 1, 3)
        sides[..., 0] = torch.where(self.mirrored, -1.0, 1.0)[:, None]
        return sides
