"""Joint motion over a clip: people are heavy, so joints do not jump."""

import torch
from jaxtyping import Float
from torch import Tensor


def acceleration_loss(
    joints: Float[Tensor, "*batch T J 3"], weight: Float[Tensor, "*batch T-2 J"] | None = None
) -> Float[Tensor, "*batch"]:
    """``mean_{t,j} w_tj ‖P_{t+1} - 2 P_t + P_{t-1}‖₁``, metres per frame squared; 0 for fewer than 3 frames.

    Args:
        joints: a clip of T frames, metres.
        weight: w of the middle frame of each three (`stillness`); ones if left out.
    """
    if joints.shape[-3] < 3:
        return joints.sum((-3, -2, -1)) * 0
    jump = (joints[..., 2:, :, :] - 2 * joints[..., 1:-1, :, :] + joints[..., :-2, :, :]).abs().sum(-1)
    return (jump if weight is None else weight * jump).mean((-2, -1))


def stillness(
    rays: Float[Tensor, "*batch T J 3"],
    depth: Float[Tensor, "*batch"],
    confidence: Float[Tensor, "*batch T J"] | None = None,
    *,
    scale: float = 0.1,
) -> Float[Tensor, "*batch T-2 J"]:
    """Weights for `acceleration_loss` that spare fast motion: ``exp(-v / scale)``.

    v is half the way that a 2D joint moves from the frame before to the frame after, at the person's depth.

    Args:
        rays: directions of the 2D joints with z = 1.
        depth: of the person, metres.
        confidence: of the 2D joints; ones if left out. A joint of confidence 0 is not seen to move: weight 1.
        scale: metres per frame at which the weight is 1/e.
    """
    step = rays[..., 2:, :, :2] - rays[..., :-2, :, :2]
    if confidence is not None:
        seen = (confidence[..., 2:, :] > 0) & (confidence[..., :-2, :] > 0)
        step = torch.where(seen[..., None], step, 0)
    moved = step.norm(dim=-1) / 2
    return torch.exp(-moved * depth[..., None, None] / scale)
