"""What teachers, students and their twins are worth, beside trivial baselines."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from posedata.scoring.camera_frame import errors
from posedata.sharing import shared_out
from posedata.skeleton import Skeleton
from torch import Tensor, nn

from .baselines import depth_lookup, torso_depth
from .clips import Clips
from .frames import Frames, predict_frames
from .pseudo import Labels
from .students import KINDS, Student
from .teacher import Teacher, predict_clips

Metrics = dict[str, Any]

FRAMES = 900
"""So many training frames, evenly spread, are looked at again after training."""


class Models(nn.ModuleDict):
    """Teachers, students and their twins by the names of the stages that train them."""

    def get_teacher(self, name: str = "teacher") -> Teacher:
        """One that sees points."""
        found = self[name]
        assert isinstance(found, Teacher)
        return found

    def get_student(self, name: str) -> Student:
        """One that sees pictures or depth."""
        found = self[name]
        assert isinstance(found, Student)
        return found


def evaluate(models: Models, clips: Clips) -> Metrics:
    """`errors` by method; `of_twin` is mAP as a percentage of what the same network has on 3D labels.

    Nothing, where no true joint is known.
    """
    truth = clips.truth()
    if not bool(truth.isfinite().any()):
        return {}
    found: Metrics = shared_out(
        {
            "torso_depth": lambda: errors(torso_depth(clips), _rooted(truth, clips.skeleton), clips.skeleton),
            "depth_lookup": lambda: errors(depth_lookup(clips, skin=False), truth, clips.skeleton),
            "depth_lookup_skin": lambda: errors(depth_lookup(clips, skin=True), truth, clips.skeleton),
        }
    )
    frames, true = Frames.of(clips), truth.flatten(0, 1)
    for name in models:
        if name.startswith("teacher"):
            found[name] = teacher_errors(models.get_teacher(name), clips)
        else:
            found[name] = student_errors(models.get_student(name), frames, true)
    for name, row in found.items():
        if f"{name}_twin" in found:
            row["of_twin"] = 100 * row["map"] / max(found[f"{name}_twin"]["map"], 1e-9)
    return found


def predictions(models: Models, clips: Clips) -> dict[str, Float[Tensor, "F J 3"]]:
    """Joints of every frame in the camera's frame, metres, by the name of what found them.

    Students that see pictures are told the true depth of the root.
    """
    frames, truth = Frames.of(clips), clips.truth().flatten(0, 1)
    found = {}
    for name in models:
        if name.startswith("teacher"):
            found[name] = predict_clips(models.get_teacher(name), clips).flatten(0, 1)
        else:
            model = models.get_student(name)
            found[name] = predict_frames(model, frames, frames.reference(model.kind, truth))
    return found


def teacher_errors(model: Teacher, clips: Clips) -> Metrics:
    """`errors` of a teacher on clips."""
    return errors(predict_clips(model, clips), clips.truth(), clips.skeleton)


def student_errors(model: Student, frames: Frames, truth: Float[Tensor, "F J 3"]) -> Metrics:
    """`errors` of a student on frames."""
    joints = predict_frames(model, frames, frames.reference(model.kind, truth))
    return errors(joints, _rooted(truth, frames.skeleton) if model.kind == "rgb" else truth, frames.skeleton)


def label_errors(models: Models, clips: Clips, pseudo: Labels) -> Metrics:
    """On kept training frames: the teacher's labels, and what the students learnt from them."""
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


def _rooted(truth: Float[Tensor, "*batch J 3"], skeleton: Skeleton) -> Float[Tensor, "*batch J 3"]:
    """The truth, NaN where its root is not known: for methods that are given the root's depth."""
    return truth + 0 * truth[..., [skeleton.root], :]
