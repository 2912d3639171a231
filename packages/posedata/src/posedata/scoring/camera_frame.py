"""Errors of poses in the camera's frame, where a truth may be known in part."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from posedata.geometry.align import root_relative
from posedata.scoring.metrics import joint_map, mpjpe_mm
from posedata.skeleton import Skeleton


def errors(
    predicted: Float[Tensor, "*batch J 3"], truth: Float[Tensor, "*batch J 3"], skeleton: Skeleton
) -> dict[str, float]:
    """mAP@10cm and MPJPE of the camera's frame without any alignment, and both relative to the root.

    True joints that are NaN do not count, nor, relative to the root, poses whose root is.
    """
    near, away = (root_relative(joints, skeleton.root) for joints in (predicted, truth))
    known, beside = (joints.isfinite().all(-1) for joints in (truth, away))
    return {
        "map": 100 * float(joint_map(predicted, truth, valid=known)),
        "mpjpe_mm": _mean_mm(predicted, truth, known),
        "relative_map": 100 * float(joint_map(near, away, valid=beside)),
        "relative_mpjpe_mm": _mean_mm(near, away, beside),
    }


def _mean_mm(predicted: Tensor, truth: Tensor, known: Tensor) -> float:
    """MPJPE over the poses that have a joint that is known."""
    return float(mpjpe_mm(predicted, truth, known)[known.any(-1)].mean())
