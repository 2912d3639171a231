"""What the readers of SMPL's bodies share: its joints as they are, or as Human3.6M's by name."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float32

from posedata.skeleton import get_skeleton

SKELETONS = ("smpl24", "h36m17")
JOINTS_HELP = "Joints: smpl24 as they are, or h36m17, by name and approximately, which UniHPR takes."


def check_joints(name: str) -> None:
    """Raise ValueError for an option `joints` that is neither."""
    if name not in SKELETONS:
        raise ValueError(f"joints {name!r} is not known; use {' or '.join(SKELETONS)}")


def as_skeleton(joints: Float32[np.ndarray, "T 24 3"], name: str) -> Float32[np.ndarray, "T J 3"]:
    """SMPL's joints in the skeleton of this name."""
    if name == "smpl24":
        return joints
    return get_skeleton("smpl24").convert(torch.from_numpy(joints), get_skeleton(name), lossy=True).numpy()
