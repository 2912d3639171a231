"""Bounding boxes of keypoints, the token that tells an encoder where its crop sits, and normalisation."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from posedata.geometry.camera import Camera


def bounding_box(
    keypoints: Float[Tensor, "*batch J 2"],
    valid: Bool[Tensor, "*batch J"] | None = None,
    *,
    margin: float = 0.1,
    aspect: float | None = None,
) -> Float[Tensor, "*batch 4"]:
    """The box around the valid keypoints.

    Args:
        keypoints: (..., J, 2) pixels.
        valid: (..., J); all, if left out.
        margin: added on every side, as a share of the longer side of the tight box (0.1: 10 %).
        aspect: width over height; the shorter side grows to reach it, about the same centre.

    Returns:
        (..., 4) x0, y0, x1, y1 in pixels. Where no keypoint is valid, NaN.
    """
    low, high = keypoints, keypoints
    if valid is not None:
        low = keypoints.masked_fill(~valid[..., None], torch.inf)
        high = keypoints.masked_fill(~valid[..., None], -torch.inf)
    low, high = low.amin(-2), high.amax(-2)
    centre, extent = (low + high) / 2, high - low
    extent = extent + 2 * margin * extent.amax(-1, keepdim=True)
    if aspect is not None:
        width, height = extent.unbind(-1)
        extent = torch.stack(
            [torch.maximum(width, height * aspect), torch.maximum(height, width / aspect)], -1
        )
    return torch.cat([centre - extent / 2, centre + extent / 2], dim=-1)


def crop_keypoints(
    keypoints: Float[Tensor, "*batch J d"], box: Float[Tensor, "*batch 4"], size: Sequence[int]
) -> Float[Tensor, "*batch J d"]:
    """Pixels of an image as those of its part in a box, resampled to `size`, as `Camera.crop` has them.

    Args:
        keypoints: (..., J, d) x and y in pixels, then what stays as it is (a confidence).
        box: (..., 4) x0, y0, x1, y1: the outer edges of the outermost pixels.
        size: (width, height) of the part.
    """
    scale = torch.tensor(size, dtype=box.dtype, device=box.device) / (box[..., 2:] - box[..., :2])
    pixels = (keypoints[..., :2] - box[..., None, :2]) * scale[..., None, :] - 0.5
    return torch.cat([pixels, keypoints[..., 2:]], dim=-1)


def bounding_box_token(box: Float[Tensor, "*batch 4"], camera: Camera) -> Float[Tensor, "*_c 3"]:
    """Where the crop sits in the full image and how large it is, over the focal length.

    ``((bx - cx) / fx, (by - cy) / fy, size / f)`` with (bx, by) the box's centre, size its longer side and f
    the mean of fx and fy: the three numbers of CLIFF (Li et al., ECCV 2022, section 3.2), which know the
    viewing direction that the crop itself has lost. ``camera`` is the full image's, not the crop's.
    """
    middle = (box[..., :2] + box[..., 2:]) / 2
    side = (box[..., 2:] - box[..., :2]).amax(-1, keepdim=True)
    place = (middle - camera.centre) / camera.focal
    return torch.cat([place, side / camera.focal.mean(-1, keepdim=True)], dim=-1)


def normalise_keypoints(
    keypoints: Float[Tensor, "*batch J d"], box: Float[Tensor, "*batch 4"]
) -> Float[Tensor, "*batch J d"]:
    """Keypoints in the box's own coordinates: its centre 0, half its longer side 1 (aspect kept).

    Further channels (confidence) pass through. A box without extent gives non-finite values.
    """
    middle = (box[..., :2] + box[..., 2:]) / 2
    half = (box[..., 2:] - box[..., :2]).amax(-1)[..., None, None] / 2
    place = (keypoints[..., :2] - middle[..., None, :]) / half
    return torch.cat([place, keypoints[..., 2:]], dim=-1)


def denormalise_keypoints(
    keypoints: Float[Tensor, "*batch J d"], box: Float[Tensor, "*batch 4"]
) -> Float[Tensor, "*batch J d"]:
    """The inverse of ``normalise_keypoints``: pixels again."""
    middle = (box[..., :2] + box[..., 2:]) / 2
    half = (box[..., 2:] - box[..., :2]).amax(-1)[..., None, None] / 2
    return torch.cat([keypoints[..., :2] * half + middle[..., None, :], keypoints[..., 2:]], dim=-1)
