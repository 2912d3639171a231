"""What students learn from: the teacher's joints, and which of them are believed; and how good these are."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from pointcloud_weak.pseudo import pseudo_labels
from torch import Tensor

from unipose.clips import Clips
from unipose.evaluate import Metrics, errors, predict_clips, student_errors
from unipose.model import KINDS, Models, Teacher
from unipose.pictures import Frames
from unipose.recipe import Recipe

FRAMES = 900
"""So many training frames, evenly spread, are looked at again after training."""


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


def labels(teacher: Teacher, clips: Clips, recipe: Recipe) -> Labels:
    """The teacher's joints of every training frame, and which of them are believed."""
    config = recipe.pseudo
    joints = predict_clips(teacher, clips)
    found = pseudo_labels(
        joints,
        clips.rays,
        clips.keypoints[..., 2],
        clips.points[:, :, : clips.config.points],
        clips.skeleton,
        ray=config.ray,
        support=config.support,
        scale=config.scale,
        shortest=config.bones[0],
        longest=config.bones[1],
    )
    return Labels(joints.flatten(0, 1), found.weight.flatten(0, 1))


def label_errors(models: Models, clips: Clips, recipe: Recipe) -> Metrics:
    """On kept training frames: the teacher's labels, and what the students learnt from them."""
    pseudo = labels(models.get_teacher(), clips, recipe)
    kept = torch.nonzero(pseudo.weight.sum(-1) > 0).flatten()
    truth = clips.truth().flatten(0, 1)
    found: Metrics = {"kept": pseudo.kept}
    if not bool(truth.isfinite().any()):
        return found
    found["all"] = errors(pseudo.joints, truth, clips.skeleton)
    kept = kept[truth[kept].isfinite().all(-1).all(-1)]
    if not len(kept):
        return found
    some = kept[torch.linspace(0, len(kept) - 1, min(FRAMES, len(kept))).round().long()]
    found["labels"] = errors(pseudo.joints[some], truth[some], clips.skeleton)
    frames = Frames.of(clips)[some]
    for kind in KINDS:
        name = f"student_{kind}"
        if name in models:
            found[name] = student_errors(models.get_student(name), frames, truth[some])
    return found


def skin(teacher: Teacher, clips: Clips) -> dict[str, float]:
    """How deep joints lie under the skin, as learnt, mm."""
    depths = teacher.offset().detach().mul(1000).tolist()
    return {name: round(depth, 1) for name, depth in zip(clips.skeleton.joints, depths, strict=True)}
