"""What a 2D detection and a body's build say about 3D joints, as pure functions; values per pose, unreduced.

The forms and the weights that go with them are ours: UniPose (arXiv 2509.23376) names a 2D-to-3D
back-projection loss, body symmetry and joint motion, but prints no formula that could be read.
"""

import torch
from jaxtyping import Float
from posedata import Skeleton
from torch import Tensor
from torch.nn.functional import huber_loss

Bone = tuple[int, int]


def ray_loss(
    joints: Float[Tensor, "*batch J 3"],
    rays: Float[Tensor, "*batch J 3"],
    confidence: Float[Tensor, "*batch J"] | None = None,
    *,
    delta: float = 0.05,
    nearest: float = 0.3,
) -> Float[Tensor, "*batch"]:
    """Distance of every joint from the line of sight on which it was detected.

    With r the unit ray and s = P·r: ``mean_j c_j (huber_δ(‖P - s r‖) + max(0, nearest - s))``.
    Metric, so that near and far people weigh the same, and without a division by z; the second
    term keeps joints in front of the camera.

    Args:
        joints: camera frame, metres.
        rays: direction of each detection (``Camera.rays``), of any positive length.
        confidence: c_j in [0, 1]; ones if left out. Joints of confidence 0 have no effect.
        delta: metres from which the Huber function is linear.
        nearest: metres in front of the camera that a joint must have.
    """
    if confidence is None:
        confidence = torch.ones_like(joints[..., 0])
    seen = confidence[..., None] > 0
    unit = torch.nn.functional.normalize(torch.where(seen, rays, 1.0), dim=-1)
    point = torch.where(seen, joints, 0.0)
    along = (point * unit).sum(-1)
    aside = torch.linalg.vector_norm(point - along[..., None] * unit, dim=-1)
    off = huber_loss(aside, torch.zeros_like(aside), reduction="none", delta=delta)
    return (confidence * (off + (nearest - along).clamp(min=0))).mean(-1)


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
    return ((first - second).abs() - margin).clamp(min=0).mean(-1)


def bone_variance_loss(joints: Float[Tensor, "*batch T J 3"], skeleton: Skeleton) -> Float[Tensor, "*batch"]:
    """Variance over time of every bone's length, mean over bones, in square metres: bones do not stretch.

    Args:
        joints: a clip of T frames, metres.
        skeleton: whose edges are the bones.
    """
    return bone_lengths(joints, skeleton.edges).var(dim=-2, unbiased=False).mean(-1)


def bone_lengths(
    joints: Float[Tensor, "*batch J 3"], bones: list[Bone] | tuple[Bone, ...]
) -> Float[Tensor, "*batch bones"]:
    """Length of every (child, parent) bone, in the unit of the joints."""
    child, parent = (torch.tensor(ends, device=joints.device) for ends in zip(*bones, strict=True))
    return torch.linalg.vector_norm(joints[..., child, :] - joints[..., parent, :], dim=-1)
