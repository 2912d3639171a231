"""InterHand2.6M's evaluation: MPJPE with each hand aligned at its wrist, and MRRPE, where the hands are.

Moon et al., InterHand2.6M, ECCV 2020, section 6; the numbers are means over joints of means over scenes.
"""

from typing import TypedDict

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from posedata.scoring._metric_checks import check_finite
from posedata.scoring.metrics import per_joint_mm
from posedata.skeleton import get_skeleton
from posedata.views.hands import WRISTS, own_wrist


class HandErrors(TypedDict):
    """Millimetres, NaN where no scene counts.

    single_mpjpe_mm, two_mpjpe_mm, all_mpjpe_mm: over scenes of one hand, of two hands, all.
    mrrpe_mm: of the left wrist relative to the right one, over scenes of two hands.
    """

    single_mpjpe_mm: float
    two_mpjpe_mm: float
    all_mpjpe_mm: float
    mrrpe_mm: float


def hand_errors(
    predicted: Float[Tensor, "N 42 3"],
    true: Float[Tensor, "N 42 3"],
    valid: Bool[Tensor, "N 42"],
    interacting: Bool[Tensor, " N"],
) -> HandErrors:
    """The protocol's errors of joints in the camera's frame, metres.

    Args:
        predicted: absolute; single numbers take no notice of where the hand is, MRRPE does. It is only as
            good as the wrists' depth: where that was given, the number says so of the plane alone.
        valid: joints with a true position; joints of a hand whose wrist has none are left out.
        interacting: scenes of two hands.

    Raises:
        ValueError: shapes differ, or a joint that counts is not finite; it names scene and joint.
    """
    if not predicted.shape == true.shape == (*valid.shape, 3) or len(interacting) != len(true):
        raise ValueError(
            f"predicted {tuple(predicted.shape)}, true {tuple(true.shape)}, valid {tuple(valid.shape)},"
            f" interacting {tuple(interacting.shape)}: give one of each for every scene"
        )
    joints = get_skeleton("interhand42").joints
    check_finite("true", true, valid, joints, "mark them in `valid`")
    counted = valid & own_wrist(valid[..., None])[..., 0]
    check_finite("predicted", predicted, counted, joints, "the network has diverged: train it again")
    error = per_joint_mm(predicted - own_wrist(predicted), true - own_wrist(true))
    right, left = WRISTS
    between = predicted[:, left] - predicted[:, right] - (true[:, left] - true[:, right])
    both = interacting & valid[:, right] & valid[:, left]
    return {
        "single_mpjpe_mm": _mean_over_joints(error, counted & ~interacting[:, None]),
        "two_mpjpe_mm": _mean_over_joints(error, counted & interacting[:, None]),
        "all_mpjpe_mm": _mean_over_joints(error, counted),
        "mrrpe_mm": float(1000 * torch.linalg.vector_norm(between[both], dim=-1).mean()),
    }


def swapped_hands(
    predicted: Float[Tensor, "N 42 d"], true: Float[Tensor, "N 42 d"], valid: Bool[Tensor, "N 42"]
) -> Bool[Tensor, " N"]:
    """In which scenes the predicted hands lie nearer to the true ones when left and right are exchanged.

    Of one hand it says whether the network put the other one there. Distances are summed over the valid
    joints; whoever guesses is wrong in half of the scenes.

    Args:
        predicted, true: in pixels, say, where both are in one frame.
    """
    other = predicted[:, list(get_skeleton("interhand42").mirror)]
    own_off, other_off = (
        torch.where(valid, torch.linalg.vector_norm(said - true, dim=-1), 0.0).sum(1)
        for said in (predicted, other)
    )
    return other_off < own_off


def _mean_over_joints(error: Tensor, counted: Tensor) -> float:
    """Mean over the joints that have any, of each joint's mean over its scenes."""
    number = counted.sum(0)
    joint = torch.where(counted, error, 0.0).sum(0) / number
    return float(joint[number > 0].mean())
