"""Pictures of clips: what was seen, and what every method says of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from posedata.figures import colour, plt
from posedata.skeleton import Skeleton

from .clips import Clips
from .frames import Frames, predict_frames
from .scores import Models
from .students import KINDS
from .teacher import predict_clips

SHOWN = 5
"""Clips in a gallery."""

TRUE = "#9aa0a6"
"""The truth is grey."""


def clip_gallery(models: Models, clips: Clips) -> Any:
    """Some test clips' middle frames (`gallery`), by the teacher and its students."""
    truth = clips.truth()
    shown = {"teacher": predict_clips(models.get_teacher(), clips)}
    frames = Frames.of(clips)
    flat = truth.flatten(0, 1)
    for kind in KINDS:
        if f"student_{kind}" in models:
            student = models.get_student(f"student_{kind}")
            joints = predict_frames(student, frames, frames.reference(kind, flat))
            shown[f"{kind} student"] = joints.view_as(truth)
    middle = clips.frames // 2
    rows: list[dict[str, Any]] = []
    for clip in torch.linspace(0, len(clips) - 1, min(SHOWN, len(clips))).round().long().tolist():
        at = (clip, middle)
        picture = {} if clips.image is None else {"rgb": clips.image[at].permute(1, 2, 0)}
        row = (
            picture
            | {
                "depth": clips.person_depth(slice(clip, clip + 1))[0, middle],
                "keypoints": clips.keypoints[at],
                "points": clips.points[at],
                "truth": truth[at],
            }
            | {name: joints[at] for name, joints in shown.items()}
        )
        rows.append({name: value.numpy() for name, value in row.items()})
    return gallery(rows, list(shown), clips.skeleton)


def gallery(rows: Sequence[Mapping[str, Any]], methods: Sequence[str], skeleton: Skeleton) -> Any:
    """One row a frame: picture with 2D, isolated depth, then every method's joints over the true ones, from
    the front and from the side.

    Args:
        rows: `rgb` (S, S, 3) where there are pictures, `depth` (S, S) metres, `keypoints` (J, 3), `points`
            (N, 3), `truth` (J, 3), and joints (J, 3) by method.
    """
    count = 2 + 2 * len(methods)
    figure, axes = plt.subplots(len(rows), count, figsize=(1.7 * count, 2.0 * len(rows)), squeeze=False)
    for row, line in zip(rows, axes, strict=True):
        depth = np.where(row["depth"] > 0, row["depth"], np.nan)
        line[0].imshow(row.get("rgb", depth))
        skeleton_2d(line[0], row["keypoints"], skeleton)
        line[0].set_title(f"{'picture' if 'rgb' in row else 'depth'}, detected 2D", fontsize=7)
        line[1].imshow(depth, cmap="viridis_r")
        line[1].set_title("isolated depth", fontsize=7)
        for i, method in enumerate(methods):
            for view, axis in enumerate(line[2 + 2 * i : 4 + 2 * i]):
                flat_view(axis, row["points"], row["truth"], row[method], skeleton, side=bool(view))
                axis.set_title(f"{method}, {'side' if view else 'front'}", fontsize=7)
    for axis in axes.flat:
        axis.set(xticks=[], yticks=[])
    figure.tight_layout(pad=0.4)
    return figure


def flat_view(
    axis: Any,
    points: Float[np.ndarray, "N 3"] | None,
    truth: Float[np.ndarray, "J 3"] | None,
    joints: Float[np.ndarray, "J 3"],
    skeleton: Skeleton,
    *,
    side: bool,
) -> None:
    """Joints of the camera's frame over the points, from the camera or from its right, in metres."""
    across = 2 if side else 0
    if points is not None:
        axis.scatter(points[:, across], points[:, 1], s=0.4, c="#c9d6df", linewidths=0)
    if truth is not None:
        bones(axis, truth[:, [across, 1]], skeleton, TRUE)
    bones(axis, joints[:, [across, 1]], skeleton)
    known = (at for at in (truth, joints, points) if at is not None and np.isfinite(at).any())
    middle = np.nanmean(next(known, np.zeros((1, 3))), axis=0)
    axis.set(xlim=(middle[across] - 1, middle[across] + 1), ylim=(middle[1] + 1.1, middle[1] - 1.1))
    axis.set_aspect("equal")


def skeleton_2d(axis: Any, keypoints: Float[np.ndarray, "J d"], skeleton: Skeleton) -> None:
    """Draw keypoints over a picture; bones with a joint below 0.3 confidence are left out."""
    sure = keypoints[:, 2] >= 0.3 if keypoints.shape[1] == 3 else np.ones(len(keypoints), bool)
    bones(axis, keypoints[:, :2], skeleton, sure=sure)


def bones(
    axis: Any,
    at: np.ndarray,
    skeleton: Skeleton,
    shade: str | None = None,
    sure: np.ndarray | None = None,
    width: float = 1.2,
) -> None:
    """Draw a skeleton's bones in the colours of their sides, or in one shade; `at` is (J, 2) or (J, 3)."""
    for child, parent in skeleton.edges:
        if sure is None or (sure[child] and sure[parent]):
            axis.plot(*at[[child, parent]].T, color=shade or colour(skeleton.joints[child]), lw=width)
