"""Conditions that are poses themselves: raw joints with a mask, as GFPose takes them.

A decoder that lifts, completes or denoises without an encoder is a ``PoseDecoder`` whose condition is the
flat vector made here, with ``modality_token=False``. Joints are hidden in training so that it learns to do
without them (occlusion), and now and then all of them, so that it learns the prior too.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def observe(joints: Tensor, known: Tensor) -> Tensor:
    """Joints and their mask as one vector: (..., J, d) and (..., J) to (..., J (d + 1)).

    An unknown joint is 0, and so is its flag; its coordinates may be anything, NaN included.
    """
    seen = known.to(torch.bool)[..., None]
    return torch.cat([torch.where(seen, joints, 0.0), seen.to(joints)], -1).flatten(-2)


def hide_joints(
    known: Tensor,
    *,
    pose: float = 0.1,
    part: float = 0.1,
    joint: float = 0.1,
    parts: Sequence[Sequence[int]] = (),
    generator: torch.Generator | None = None,
) -> Tensor:
    """A mask with whole poses, whole parts and single joints hidden, each with its own probability.

    known: (B, J) bool; parts: joint indices of each part. The defaults are GFPose's. Returns (B, J) bool.
    """
    batch, joints = known.shape
    device = generator.device if generator is not None else known.device

    def chance(probability: float, *shape: int) -> Tensor:
        return (torch.rand(shape, generator=generator, device=device) < probability).to(known.device)

    members = torch.zeros(len(parts), joints, dtype=torch.bool, device=known.device)
    for row, indices in zip(members, parts, strict=True):
        row[list(indices)] = True
    in_hidden_part = (chance(part, batch, len(parts))[..., None] & members).any(1)
    return known & ~(chance(pose, batch, 1) | in_hidden_part | chance(joint, batch, joints))
