"""New poses of a view-invariant model, as a file and a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from posedata.arrays import check_ending, write_poses
from posedata.figures import gallery
from posedata.keypoint_files import read_joints
from posedata.store import PoseStore
from posedata.writing import write_png

from polypose.drawing import upright
from polypose.invariant import ViewInvariant, check_amounts
from polypose.network import POSE_SKELETON
from polypose.stores import store_joints


def generate_file(
    model: ViewInvariant,
    out: Path,
    source: Path | None,
    row: int,
    amounts: Sequence[float],
    count: int,
    seed: int,
) -> tuple[int, ...]:
    """Write `ViewInvariant.generate`'s poses, and a picture beside them; returns their shape.

    Args:
        source: a store or an .npy of joints, any unit and frame, around whose pose `row` they lie; none: of
            the prior.

    Raises:
        FileNotFoundError, ValueError: as of `generate`, or there is no such pose.
    """
    picture = out.with_suffix(".png")
    check_ending(out, picture)
    check_amounts(amounts, "--amount")
    if source is None:
        poses, axes = model.generate(count, seed=seed), ["sample"]
        cells = [[(f"sample {i + 1}", _shown(pose)) for i, pose in enumerate(poses[:8])]]
    else:
        start = _pose(source, row)
        poses, axes = model.generate(count, around=start, amounts=amounts, seed=seed), ["direction", "amount"]
        own = _shown(model.torso * model.poses(start[None])[0].numpy())
        cells = [
            [("pose", own)] + [(f"{a:g} z{i + 1}", _shown(p)) for a, p in zip(amounts, line, strict=True)]
            for i, line in enumerate(poses[:4])
        ]
    shape = write_poses(out, poses, POSE_SKELETON, model.frame, axes=axes)
    write_png(picture, gallery(cells), bbox_inches="tight")
    return shape


def _pose(source: Path, row: int) -> torch.Tensor:
    """One whole pose of a store or an .npy."""
    file = source.suffix == ".npy" or source.is_file()
    joints = read_joints(source, POSE_SKELETON) if file else store_joints(PoseStore.open(source))
    if not 0 <= row < len(joints):
        raise ValueError(f"{source}: has no row {row}; give one of 0 to {len(joints) - 1}")
    if not bool(joints[row].isfinite().all()):
        raise ValueError(f"{source}: row {row} has no whole pose; give another")
    return joints[row]


def _shown(pose: np.ndarray) -> torch.Tensor:
    return upright(torch.from_numpy(pose))
