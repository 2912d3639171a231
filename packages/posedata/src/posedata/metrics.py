"""The metrics, of `posedata.scoring.metrics`, by the shorter path that scripts know."""

from posedata.scoring.metrics import (
    Neighbours,
    auc3d,
    best_of,
    epe_px,
    hit_at_k,
    joint_map,
    mpjpe_mm,
    n_mpjpe_mm,
    nearest,
    pa_mpjpe_mm,
    pck,
    pck3d,
    per_joint_mm,
    retrieval_mm,
    top_k,
)

__all__ = [
    "Neighbours",
    "auc3d",
    "best_of",
    "epe_px",
    "hit_at_k",
    "joint_map",
    "mpjpe_mm",
    "n_mpjpe_mm",
    "nearest",
    "pa_mpjpe_mm",
    "pck",
    "pck3d",
    "per_joint_mm",
    "retrieval_mm",
    "top_k",
]
