"""Joints as a weighted sum of what the anchors say: the one idea that all networks here share."""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from poseenc.tokens import exact


class Estimate(NamedTuple):
    """What an anchor network says.

    Attributes:
        joints: (..., J, d) the estimated joints: x and y in px of the crop, then depth.
        points: (..., J, k) the weighted mean of the anchors alone, which the surrounding loss draws to the
            joint; k is 2 for anchors in the plane, 3 for anchors in depth too.
    """

    joints: Float[Tensor, "*batch J d"]
    points: Float[Tensor, "*batch J k"]


def ensemble(
    anchors: Float[Tensor, "A k"], offsets: Float[Tensor, "*batch A J d"], logits: Float[Tensor, "*batch A J"]
) -> Estimate:
    """Joint j = sum over anchors a of w_aj (S_a + O_aj), w the softmax over the anchors of the logits.

    A2J, equations 1 to 3; A2J-Transformer, equations 2 and 3.

    Args:
        anchors: positions S in the first k coordinates; the last d - k are regressed by themselves.
        offsets: (..., A, J, d), d at least k.
        logits: (..., A, J).

    Raises:
        ValueError: anchors of more coordinates than the offsets have.
    """
    missing = offsets.shape[-1] - anchors.shape[-1]
    if missing < 0:
        raise ValueError(f"anchors have {anchors.shape[-1]} coordinates, offsets only {offsets.shape[-1]}")
    weights = logits.softmax(dim=-2)
    with exact(logits):
        shift = torch.einsum("...aj,...ajd->...jd", weights, offsets)
        points = weights.mT @ anchors.to(weights)
    return Estimate(torch.nn.functional.pad(points, (0, missing)) + shift, points)


def ensemble_naive(
    anchors: Float[Tensor, "A k"], offsets: Float[Tensor, "B A J d"], logits: Float[Tensor, "B A J"]
) -> Estimate:
    """`ensemble` as the paper writes it, one joint of one picture after the other."""
    joints = offsets.new_zeros(offsets.shape[0], *offsets.shape[2:])
    points = offsets.new_zeros(*joints.shape[:2], anchors.shape[1])
    for b in range(joints.shape[0]):
        for j in range(joints.shape[1]):
            weights = logits[b, :, j].exp() / logits[b, :, j].exp().sum()
            voted = offsets[b, :, j].clone()
            voted[:, : anchors.shape[1]] += anchors
            joints[b, j] = (weights[:, None] * voted).sum(0)
            points[b, j] = (weights[:, None] * anchors).sum(0)
    return Estimate(joints, points)
