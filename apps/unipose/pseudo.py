"""How good pseudo labels are, and what students make of them."""

from __future__ import annotations

import torch
from pointcloud_weak.clips import Clips
from pointcloud_weak.frames import Frames
from pointcloud_weak.pseudo import Labels
from pointcloud_weak.students import KINDS
from pointcloud_weak.teacher import Teacher
from posedata.scoring.camera_frame import errors

from unipose.evaluate import Metrics, student_errors
from unipose.model import Models
from unipose.recipe import PseudoConfig, Recipe

FRAMES = 900
"""So many training frames, evenly spread, are looked at again after training."""


def labels(teacher: Teacher, clips: Clips, config: PseudoConfig) -> Labels:
    """The teacher's labels, believed as the recipe says."""
    shortest, longest = config.bones
    rule = {"ray": config.ray, "support": config.support, "scale": config.scale}
    return Labels.taught(teacher, clips, **rule, shortest=shortest, longest=longest)


def label_errors(models: Models, clips: Clips, recipe: Recipe) -> Metrics:
    """On kept training frames: the teacher's labels, and what the students learnt from them."""
    pseudo = labels(models.get_teacher(), clips, recipe.pseudo)
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
