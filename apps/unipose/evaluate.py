"""What teacher, students and their twins are worth on held-out people, beside trivial baselines."""

from __future__ import annotations

from typing import Any

from jaxtyping import Float
from pointcloud_weak.baselines import depth_lookup, torso_depth
from pointcloud_weak.clips import Clips
from pointcloud_weak.frames import Frames, predict_frames
from pointcloud_weak.students import Student
from pointcloud_weak.teacher import Teacher, predict_clips
from posedata.scoring.camera_frame import errors
from posedata.skeleton import Skeleton
from torch import Tensor

from unipose.model import Models

Metrics = dict[str, Any]


def evaluate(models: Models, clips: Clips) -> Metrics:
    """`errors` by method; `of_twin` is mAP as a percentage of what the same network has on 3D labels.

    Nothing, where no true joint is known.
    """
    truth = clips.truth()
    if not bool(truth.isfinite().any()):
        return {}
    found: Metrics = {
        "torso_depth": errors(torso_depth(clips), _rooted(truth, clips.skeleton), clips.skeleton),
        "depth_lookup": errors(depth_lookup(clips, skin=False), truth, clips.skeleton),
        "depth_lookup_skin": errors(depth_lookup(clips, skin=True), truth, clips.skeleton),
    }
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


def teacher_errors(model: Teacher, clips: Clips) -> Metrics:
    """`errors` of a teacher on clips."""
    return errors(predict_clips(model, clips), clips.truth(), clips.skeleton)


def student_errors(model: Student, frames: Frames, truth: Float[Tensor, "F J 3"]) -> Metrics:
    """`errors` of a student on frames."""
    joints = predict_frames(model, frames, frames.reference(model.kind, truth))
    return errors(joints, _rooted(truth, frames.skeleton) if model.kind == "rgb" else truth, frames.skeleton)


def _rooted(truth: Float[Tensor, "*batch J 3"], skeleton: Skeleton) -> Float[Tensor, "*batch J 3"]:
    """The truth, NaN where its root is not known: for methods that are given the root's depth."""
    return truth + 0 * truth[..., [skeleton.root], :]


def summary(metrics: Metrics, part: str = "test") -> list[tuple[str, str, str, str]]:
    """Rows (method, mAP@10cm, MPJPE, root-relative MPJPE) for the table at the end of a run."""
    rows = []
    for key, label in LABELS.items():
        if key in metrics[part]:
            row = metrics[part][key]
            rows.append(
                (label, f"{row['map']:.1f}", f"{row['mpjpe_mm']:.1f}", f"{row['relative_mpjpe_mm']:.1f}")
            )
    return rows


LABELS = {
    "teacher": "teacher, points (no 3D label)",
    "student_depth": "student, depth (no 3D label)",
    "student_rgb": "student, RGB (no 3D label; true root depth)",
    "teacher_twin": "the teacher's network on 3D labels",
    "student_depth_twin": "the depth student's on 3D labels",
    "student_rgb_twin": "the RGB student's on 3D labels (true root depth)",
    "depth_lookup": "detected 2D, depth looked up",
    "depth_lookup_skin": "detected 2D, depth looked up, skin depth added",
    "torso_depth": "exact 2D, true torso depth",
}
"""Methods in the order of the table."""

PSEUDO_LABELS = {
    "all": "the teacher on every training frame",
    "labels": "pseudo labels: the frames that passed the filter",
    "student_depth": "depth student on these frames",
    "student_rgb": "RGB student on these frames (true root depth)",
}
"""What is measured of training frames, in the order of the table."""
