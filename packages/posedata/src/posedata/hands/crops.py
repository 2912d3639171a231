"""Hands as networks see them: pixels of a square crop, and depth from the hand's own wrist."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from posedata.camera import Camera

WRISTS = (20, 41)
"""Right and left wrist in InterHand2.6M's order, each the root of its hand."""

DEPTH_RANGE = 0.2
"""Metres about the wrist that A2J-Transformer's depth axis spans; joints beyond are not trained on."""


def encode(
    joints: Float[Tensor, "N 42 3"], valid: Bool[Tensor, "N 42"], camera: Camera
) -> tuple[Float[Tensor, "N 42 3"], Bool[Tensor, "N 42"]]:
    """Targets (x, y in px of the crop, depth less the own wrist's in metres) and which of them are valid.

    Joints outside the crop or beyond `DEPTH_RANGE`, and those of a hand without wrist, are not.

    Args:
        joints: in the camera's frame, metres.
        camera: of the crops (``camera.crop(boxes, size)``).
    """
    pixels = camera.project_camera(joints)
    depth = joints[..., 2] - own_wrist(joints)[..., 2]
    size = camera.size[:, None].to(pixels)
    inside = ((pixels >= -0.5) & (pixels < size - 0.5)).all(-1) & (depth.abs() < DEPTH_RANGE)
    rooted = own_wrist(valid[..., None])[..., 0]
    return torch.cat([pixels, depth[..., None]], -1), valid & rooted & inside


def decode(
    targets: Float[Tensor, "N 42 3"], wrist_depth: Float[Tensor, "N 2"], camera: Camera
) -> Float[Tensor, "N 42 3"]:
    """Joints in the camera's frame from targets and the depth of right and left wrist, metres."""
    depth = targets[..., 2] + wrist_depth.repeat_interleave(21, dim=1)
    return camera.unproject(targets[..., :2], depth)


def own_wrist(joints: Tensor) -> Tensor:
    """For each joint (..., 42, d) the wrist of its hand."""
    return joints[..., WRISTS, :].repeat_interleave(21, dim=-2)
