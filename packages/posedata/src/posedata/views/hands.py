"""Hands as networks see them: pixels of a square crop, and depth from the hand's own wrist."""

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from posedata.geometry.boxes import bounding_box
from posedata.geometry.camera import Camera
from posedata.store.schema import CAMERA_COLUMNS

KINDS = ("right", "left", "interacting")
"""InterHand2.6M's ``hand_type``."""

WRISTS = (20, 41)
"""Right and left wrist in InterHand2.6M's order, each the root of its hand."""

DEPTH_RANGE = 0.2
"""Metres about the wrist that A2J-Transformer's depth axis spans; joints beyond are not trained on."""


BOX_SCALE = 1.25
"""A hand's box is square, and this much larger than the joints': as A2J-Transformer cuts InterHand2.6M."""


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


def hand_columns(
    joints: Float[Tensor, "N 42 3"], valid: Bool[Tensor, "N 42"], camera: Camera
) -> dict[str, np.ndarray]:
    """A store's columns for hands seen by one camera each: joints, cameras, keypoints and boxes."""
    pixels = camera.project(filled(joints, valid))
    box = bounding_box(pixels, valid, margin=(BOX_SCALE - 1) / 2, aspect=1.0)
    columns = {
        "joints": torch.where(valid[..., None], joints, 0.0).numpy(),
        "valid": valid.numpy(),
        "camera": np.arange(len(joints)),
        "boxes": box.numpy(),
        "keypoints_true": torch.cat([pixels, valid[..., None].to(pixels)], -1).numpy(),
    }
    table = {name: getattr(camera, name.removeprefix("camera_")).numpy() for name in CAMERA_COLUMNS}
    return columns | table


def filled(joints: Float[Tensor, "N 42 3"], valid: Bool[Tensor, "N 42"]) -> Float[Tensor, "N 42 3"]:
    """Joints with each invalid one at the mean of the valid ones of its scene."""
    weight = valid[..., None].to(joints)
    middle = (weight * joints).sum(1, keepdim=True) / weight.sum(1, keepdim=True).clamp(min=1)
    return torch.where(valid[..., None], joints, middle)
