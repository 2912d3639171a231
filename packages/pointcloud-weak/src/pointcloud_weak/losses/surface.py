"""Joints lie inside the body whose surface was seen: near it, and not in front of it."""

import torch
from jaxtyping import Float
from posedata import Camera
from torch import Tensor


def support_loss(
    joints: Float[Tensor, "*batch J 3"], points: Float[Tensor, "*batch N 3"], reach: Float[Tensor, " J"]
) -> Float[Tensor, "*batch J"]:
    """How much farther than `reach` each joint is from the nearest point, metres: not reduced over joints.

    Args:
        joints, points: camera frame, metres.
        reach: how far under the skin a joint may lie (`support_reaches`).

    Raises:
        ValueError: there is no point.
    """
    if not points.shape[-2]:
        raise ValueError("points: none to support a joint; leave such frames out")
    return (torch.cdist(joints, points).amin(-1) - reach).clamp(min=0)


def behind_loss(
    joints: Float[Tensor, "*batch J 3"],
    surface: Float[Tensor, "*batch H W"],
    camera: Camera,
    slack: float = 0.02,
) -> Float[Tensor, "*batch"]:
    """``mean_j max(0, d(π(P_j)) - P_jz - slack)``: no joint lies in front of the person's visible surface.

    That holds for hidden joints too: what hides them is nearer still. Where nothing of the person was
    measured at a joint's pixel, or it lies outside the image, there is no value.

    Args:
        joints: camera frame, metres.
        surface: the person's depth, metres; 0 elsewhere.
        camera: of that image, broadcasting against the batch.
        slack: metres that are let pass.
    """
    height, width = surface.shape[-2:]
    with torch.no_grad():
        pixel = camera.project_camera(joints).round()
        inside = (pixel >= 0).all(-1) & (pixel[..., 0] < width) & (pixel[..., 1] < height)
        index = torch.where(inside, pixel[..., 1] * width + pixel[..., 0], 0).long()
        seen = surface.flatten(-2).gather(-1, index)
    infront = (seen - joints[..., 2] - slack).clamp(min=0)
    return torch.where(inside & (seen > 0), infront, 0).mean(-1)
