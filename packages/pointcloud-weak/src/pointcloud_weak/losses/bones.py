"""What a body's build says about its bones: left like right, of one length, and of human size."""

import torch
from jaxtyping import Float
from posedata import Skeleton
from torch import Tensor

from .robust import DELTA

Bone = tuple[int, int]


def mirrored_bones(skeleton: Skeleton) -> list[tuple[Bone, Bone]]:
    """Pairs of (child, parent) bones that are each other's mirror image, each pair once."""
    pairs = []
    for child, parent in skeleton.edges:
        other = (skeleton.mirror[child], skeleton.mirror[parent])
        if child < other[0]:
            pairs.append(((child, parent), other))
    return pairs


def symmetry_loss(
    joints: Float[Tensor, "*batch J 3"],
    skeleton: Skeleton,
    margin: float | Float[Tensor, " P"] = 0.0,
) -> Float[Tensor, "*batch"]:
    """How much left and right bones differ in length, metres: ``mean max(0, | |b_L| - |b_R| | - margin)``.

    Args:
        joints: metres.
        skeleton: whose `mirrored_bones` are compared.
        margin: difference that is let pass, one for all or one a pair: labels themselves differ by
            up to 3 cm (upper arms of ITOP).
    """
    pairs = mirrored_bones(skeleton)
    first, second = (bone_lengths(joints, [pair[side] for pair in pairs]) for side in (0, 1))
    return _mean(((first - second).abs() - margin).clamp(min=0))


def bone_variance_loss(
    joints: Float[Tensor, "*batch T J 3"], skeleton: Skeleton, *, scale: float = DELTA
) -> Float[Tensor, "*batch"]:
    """Variance over time of every bone's length, mean over bones: bones do not stretch.

    Over twice a length of `scale` it is in metres, and of the size that `huber` gives such deviations.

    Args:
        joints: a clip of T frames, metres.
        skeleton: whose edges are the bones.
        scale: metres.
    """
    return bone_lengths(joints, skeleton.edges).var(dim=-2, unbiased=False).mean(-1) / (2 * scale)


def bone_range_loss(
    joints: Float[Tensor, "*batch J 3"],
    segments: list[Bone],
    reference: Float[Tensor, " S"],
    *,
    shortest: float = 0.6,
    longest: float = 1.5,
) -> Float[Tensor, "*batch"]:
    """How far segments lie outside `shortest` to `longest` times their usual length, mean, metres.

    Args:
        joints: metres.
        segments, reference: pairs of joints and their usual distance (`reference_segments`).
        shortest, longest: shares of it.
    """
    length = bone_lengths(joints, segments)
    return _mean((shortest * reference - length).clamp(min=0) + (length - longest * reference).clamp(min=0))


def bone_lengths(
    joints: Float[Tensor, "*batch J 3"], bones: list[Bone] | tuple[Bone, ...]
) -> Float[Tensor, "*batch bones"]:
    """Length of every (child, parent) bone, in the unit of the joints."""
    child, parent = torch.tensor(bones, dtype=torch.long, device=joints.device).view(-1, 2).unbind(1)
    return torch.linalg.vector_norm(joints[..., child, :] - joints[..., parent, :], dim=-1)


def _mean(values: Tensor) -> Tensor:
    """Over the last axis; 0 where the skeleton has nothing to compare."""
    return values.sum(-1) / max(1, values.shape[-1])
