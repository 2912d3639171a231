"""What a network for hands is worth: InterHand2.6M's protocol, beside trivial baselines."""

from typing import Any

import torch
from jaxtyping import Float
from posedata.scoring.hands import hand_errors
from posedata.scoring.metrics import epe_px
from posedata.views.hands import WRISTS, decode, own_wrist
from poseenc.anchor import A2JTransformer
from torch import Tensor

from unipose.hands.data import Hands

Rows = list[dict[str, Any]]
_BATCH = 64
METHOD = "A2J-Transformer"


@torch.no_grad()
def evaluate(model: A2JTransformer, train: Hands | None, test: Hands) -> Rows:
    """One row a method: MPJPE in mm over single hands, two hands and all, and the 2D error in px of the crop.

    Hands are aligned at their wrists, and placed at their wrists' true depth, as A2J-Transformer is
    evaluated. The baselines: the mean pose of the training hands (where given), in the camera's frame; true
    pixels at the wrist's depth, which is what a perfect 2D detector knows.
    """
    flat = torch.cat([test.targets[..., :2], torch.zeros_like(test.targets[..., 2:])], -1)
    rows = [
        {"method": METHOD, **errors(model, test)},
        {"method": "true 2D, depth of the wrist", **_errors(_placed(flat, test), test)},
    ]
    if train is not None:
        mean = _mean_pose(train) + own_wrist(test.joints)
        rows.append({"method": "mean pose", **_errors(mean, test)})
    return rows


@torch.no_grad()
def errors(model: A2JTransformer, test: Hands) -> dict[str, float]:
    """The row of a network in `evaluate`, without its name."""
    model.eval()
    parts = torch.arange(len(test), device=test.targets.device).split(_BATCH)
    predicted = torch.cat([model(test.images(rows)).joints for rows in parts])
    return {**_errors(_placed(predicted, test), test), "epe_px": _px(predicted, test)}


def _placed(targets: Float[Tensor, "N 42 3"], test: Hands) -> Float[Tensor, "N 42 3"]:
    return decode(targets, test.joints[:, list(WRISTS), 2], test.camera)


def _errors(joints: Float[Tensor, "N 42 3"], test: Hands) -> dict[str, float]:
    """Without MRRPE, which the wrists' true depth would flatter."""
    errors = hand_errors(joints, test.joints, test.valid, test.interacting)
    return {
        "single_mpjpe_mm": errors["single_mpjpe_mm"],
        "two_mpjpe_mm": errors["two_mpjpe_mm"],
        "all_mpjpe_mm": errors["all_mpjpe_mm"],
    }


def _px(predicted: Tensor, test: Hands) -> float:
    error = epe_px(predicted[..., :2], test.targets[..., :2], test.trained)
    return float(error[test.trained.any(1)].mean())


def _mean_pose(train: Hands) -> Float[Tensor, "42 3"]:
    """Mean over the training hands, each relative to its wrist."""
    relative = train.joints - own_wrist(train.joints)
    weight = (train.valid & own_wrist(train.valid[..., None])[..., 0])[..., None].to(relative)
    return (weight * relative).sum(0) / weight.sum(0).clamp(min=1)
