"""Limbs of other poses on a body: movements that nobody in the data made."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import normalize

from posedata.skeleton import Skeleton

_SHOULDERS = ("left_shoulder", "right_shoulder", "spine", "thorax")
_HIPS = ("left_hip", "right_hip", "pelvis", "thorax")
LIMBS: dict[str, tuple[tuple[str, str, str, str], tuple[str, ...]]] = {
    "left arm": (_SHOULDERS, ("left_elbow", "left_wrist")),
    "right arm": (_SHOULDERS, ("right_elbow", "right_wrist")),
    "legs": (_HIPS, ("left_knee", "left_ankle", "right_knee", "right_ankle")),
    "head": (_SHOULDERS, ("neck", "head")),
}
"""What is exchanged as one: the joints that its frame goes by (left, right, from below, up), and the joints
at the ends of its bones. Legs come together: they carry the body."""


def exchange_limbs(
    joints: Float[Tensor, "B J 3"],
    others: Float[Tensor, "B J 3"],
    skeleton: Skeleton,
    take: Bool[Tensor, "B L"],
) -> Float[Tensor, "B J 3"]:
    """Poses some of whose limbs point as those of other poses do, as seen from the trunk they hang on.

    Bones keep their lengths, so that a body stays itself. It is the crossover of Li et al., "Cascaded Deep
    Monocular 3D Human Pose Estimation with Evolutionary Training Data" (CVPR 2020, section 3.2), with limbs
    turned along with the trunk.

    Args:
        joints: any unit, any frame.
        others: a pose a row that limbs are taken from, on any body.
        skeleton: of both; it has the joints of `LIMBS`.
        take: which of `LIMBS`, in their order.
    """
    turns: dict[tuple[str, ...], Tensor] = {}
    direction: dict[int, Tensor] = {}
    for (frame, names), taken in zip(LIMBS.values(), take.unbind(1), strict=True):
        if frame not in turns:
            turns[frame] = _trunk(joints, skeleton, frame) @ _trunk(others, skeleton, frame).mT
        for child in map(skeleton.index, names):
            parent = skeleton.parents[child]
            own, other = joints[:, child] - joints[:, parent], others[:, child] - others[:, parent]
            turned = (turns[frame] @ normalize(other, dim=-1)[..., None])[..., 0]
            direction[child] = torch.where(taken[:, None], own.norm(dim=-1, keepdim=True) * turned, own)
    made = list(joints.unbind(1))
    for child in skeleton.root_first[1:]:
        parent = skeleton.parents[child]
        made[child] = made[parent] + direction.get(child, joints[:, child] - joints[:, parent])
    return torch.stack(made, dim=1)


def random_limbs(
    joints: Float[Tensor, "B J 3"],
    skeleton: Skeleton,
    generator: torch.Generator,
    *,
    share: float,
    frames: int = 1,
) -> Float[Tensor, "B J 3"]:
    """A share of the poses with limbs of others of the batch, each limb with a chance of one half.

    Args:
        frames: so many neighbours in the batch are one person's clip, whose limbs come from one other clip.
    """
    clips, source = len(joints) // frames, generator.device
    order = torch.randperm(clips, generator=generator, device=source).to(joints.device)
    changed = torch.rand(clips, 1, generator=generator, device=source) < share
    take = changed & (torch.rand(clips, len(LIMBS), generator=generator, device=source) < 0.5)
    others = joints.unflatten(0, (clips, frames))[order].flatten(0, 1)
    return exchange_limbs(joints, others, skeleton, take.to(joints.device).repeat_interleave(frames, 0))


def _trunk(
    joints: Float[Tensor, "B J 3"], skeleton: Skeleton, frame: tuple[str, str, str, str]
) -> Float[Tensor, "B 3 3"]:
    """A frame whose columns point left, ahead or behind, and up the trunk."""
    left, right, below, above = (joints[:, skeleton.index(name)] for name in frame)
    up = normalize(above - below, dim=-1)
    across = left - right
    across = normalize(across - (across * up).sum(-1, keepdim=True) * up, dim=-1)
    return torch.stack([across, torch.linalg.cross(up, across), up], dim=-1)
