"""What a network of anchors sees of depth, and the way back from what it says to the camera's frame."""

from __future__ import annotations

import torch
from jaxtyping import Float
from posedata.geometry.camera import Camera
from torch import Tensor


def depth_picture(
    person: Float[Tensor, "B S S"], reference: Float[Tensor, " B"], reach: float = 1.0
) -> Float[Tensor, "B 1 S S"]:
    """A person's depth about a reference, in units of `reach` metres; 1 where the person is not.

    Args:
        person: metres, 0 where the person is not.
    """
    near = ((person - reference[:, None, None]) / reach).clamp(-1, 1)
    return torch.where(person > 0, near, 1.0)[:, None]


def to_camera(
    estimate: Float[Tensor, "B J 3"], reference: Float[Tensor, " B"], camera: Camera
) -> Float[Tensor, "B J 3"]:
    """Pixels of a picture and metres beyond a reference depth, as joints in its camera's frame."""
    depth = reference[:, None] + estimate[..., 2]
    return camera.unproject(estimate[..., :2], depth)
