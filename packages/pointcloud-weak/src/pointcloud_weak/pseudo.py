"""Pseudo ground truth for stage B: which of the teacher's poses are believed, and how far."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from posedata import Skeleton
from torch import Tensor

from .clips import Clips
from .config import PseudoConfig
from .losses.body import reference_segments, support_reaches
from .losses.bones import bone_lengths
from .losses.surface import support_loss
from .teacher import Teacher, predict_clips


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
    rule: PseudoConfig,
) -> PseudoLabels:
    """Filter and weights of a teacher's poses. The rule is this project's (UniPose's is not known).

    A pose is kept where its joints lie on average less than `rule.ray` from their 2D rays (weighted by the
    detector's confidence), no farther from the points than `support` beyond what their depth under the skin
    allows, and every segment of known length within `bones` times it. A joint of a kept pose counts
    ``c_j exp(-distance_j / scale)``: less where the teacher disagrees with the detector.

    Args:
        joints: the teacher's, camera frame, metres.
        rays, confidence: of the 2D detections; where the confidence is 0 the ray means nothing.
        points: the person's.
    """
    unit = torch.nn.functional.normalize(rays, dim=-1)
    aside = torch.linalg.vector_norm(joints - (joints * unit).sum(-1, keepdim=True) * unit, dim=-1)
    aside = torch.where(confidence > 0, aside, 0)
    residual = (confidence * aside).sum(-1) / confidence.sum(-1).clamp(min=1e-6)
    far = support_loss(joints, points, support_reaches(skeleton).to(joints)).mean(-1)
    segments, reference = reference_segments(skeleton)
    share = bone_lengths(joints, segments) / reference.to(joints)
    shortest, longest = rule.bones
    human = ((share >= shortest) & (share <= longest)).all(-1)
    keep = (residual < rule.ray) & (far <= rule.support) & human & (confidence.sum(-1) > 0)
    return PseudoLabels(keep, keep[..., None] * confidence * torch.exp(-aside / rule.scale))


@dataclass(frozen=True)
class Labels:
    """Joints (F, J, 3) in the camera's frame and their weights (F, J); kept: share of frames with weight."""

    joints: Float[Tensor, "F J 3"]
    weight: Float[Tensor, "F J"]

    @classmethod
    def true(cls, clips: Clips) -> Labels:
        """The 3D labels themselves, of poses that are known whole."""
        truth = clips.truth().flatten(0, 1)
        known = truth.isfinite().all(-1).all(-1)
        return cls(truth, known[:, None].expand(truth.shape[:2]).to(truth))

    @property
    def kept(self) -> float:
        return float((self.weight.sum(-1) > 0).float().mean())

    @classmethod
    def taught(cls, teacher: Teacher, clips: Clips, rule: PseudoConfig) -> Labels:
        """The teacher's joints of every frame, believed by `pseudo_labels`."""
        joints = predict_clips(teacher, clips)
        points = clips.points[:, :, : clips.count]
        sure = clips.keypoints[..., 2]
        found = pseudo_labels(joints, clips.rays, sure, points, clips.skeleton, rule)
        return cls(joints.flatten(0, 1), found.weight.flatten(0, 1))
