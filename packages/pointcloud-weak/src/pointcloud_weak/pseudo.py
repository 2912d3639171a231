"""Pseudo ground truth for stage B: which of the teacher's poses are believed, and how far."""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from posedata import Skeleton
from torch import Tensor

from .losses.body import reference_segments, support_reaches
from .losses.bones import bone_lengths
from .losses.surface import support_loss


class PseudoLabels(NamedTuple):
    """keep: which poses serve as labels; weight: of their joints, 0 for poses that do not."""

    keep: Bool[Tensor, "*batch"]
    weight: Float[Tensor, "*batch J"]


def pseudo_labels(
    joints: Float[Tensor, "*batch J 3"],
    rays: Float[Tensor, "*batch J 3"],
    confidence: Float[Tensor, "*batch J"],
    points: Float[Tensor, "*batch N 3"],
    skeleton: Skeleton,
    *,
    ray: float = 0.04,
    support: float = 0.0,
    scale: float = 0.05,
    shortest: float = 0.6,
    longest: float = 1.5,
) -> PseudoLabels:
    """Filter and weights of a teacher's poses. The rule is this project's (UniPose's is not known).

    A pose is kept where its joints lie on average less than `ray` from their 2D rays (weighted by the
    detector's confidence), no farther from the points than `support` beyond what their depth under the skin
    allows, and every segment of known length within `shortest` to `longest` times it. A joint of a kept pose
    counts ``c_j exp(-distance_j / scale)``: less where the teacher disagrees with the detector.

    Args:
        joints: the teacher's, camera frame, metres.
        rays, confidence: of the 2D detections; where the confidence is 0 the ray means nothing.
        points: the person's.
        ray, support, scale: metres.
    """
    unit = torch.nn.functional.normalize(rays, dim=-1)
    aside = torch.linalg.vector_norm(joints - (joints * unit).sum(-1, keepdim=True) * unit, dim=-1)
    aside = torch.where(confidence > 0, aside, 0)
    residual = (confidence * aside).sum(-1) / confidence.sum(-1).clamp(min=1e-6)
    far = support_loss(joints, points, support_reaches(skeleton).to(joints)).mean(-1)
    segments, reference = reference_segments(skeleton)
    share = bone_lengths(joints, segments) / reference.to(joints)
    human = ((share >= shortest) & (share <= longest)).all(-1)
    keep = (residual < ray) & (far <= support) & human & (confidence.sum(-1) > 0)
    return PseudoLabels(keep, keep[..., None] * confidence * torch.exp(-aside / scale))
