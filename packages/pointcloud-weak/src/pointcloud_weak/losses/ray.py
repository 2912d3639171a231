"""The 2D-to-3D back-projection loss: joints lie on the lines of sight on which they were detected."""

import torch
from jaxtyping import Float
from torch import Tensor

from .robust import DELTA, huber


def ray_loss(
    joints: Float[Tensor, "*batch J 3"],
    rays: Float[Tensor, "*batch J 3"],
    confidence: Float[Tensor, "*batch J"] | None = None,
    *,
    delta: float = DELTA,
    nearest: float = 0.3,
) -> Float[Tensor, "*batch"]:
    """Distance of every joint from the line of sight on which it was detected, metres.

    With r the unit ray and s = P·r: ``mean_j c_j (huber_δ(‖P - s r‖) + max(0, nearest - s))``.
    Metric, so that near and far people weigh the same, and without a division by z; the second
    term keeps joints in front of the camera.

    Args:
        joints: camera frame, metres.
        rays: direction of each detection (``Camera.rays``), of any positive length.
        confidence: c_j in [0, 1]; ones if left out. Joints of confidence 0 have no effect.
        delta: metres from which the Huber function is linear.
        nearest: metres in front of the camera that a joint must have.
    """
    if confidence is None:
        confidence = torch.ones_like(joints[..., 0])
    seen = confidence[..., None] > 0
    unit = torch.nn.functional.normalize(torch.where(seen, rays, 1.0), dim=-1)
    point = torch.where(seen, joints, 0.0)
    along = (point * unit).sum(-1)
    aside = torch.linalg.vector_norm(point - along[..., None] * unit, dim=-1)
    return (confidence * (huber(aside, delta) + (nearest - along).clamp(min=0))).mean(-1)
