"""Depth pictures and clouds of a person as encoders take them: about the person, in metres."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from posedata.geometry.aim import aim
from posedata.geometry.camera import Camera
from posedata.views.batch import Views

REACH = 1.2
"""Metres in front of and behind a person's median beyond which distances are no longer told apart."""

WINDOW = 2.4
"""Height in metres of what a depth crop shows, enough for raised arms; its width follows from its pixels."""


class DepthCrop(NamedTuple):
    """What is left of depth pictures when neither distance nor focal length shows.

    Attributes:
        picture: (N, 2, H, W) metres behind the median, within `REACH`, 0 in holes; and 1 where measured.
        median: (N,) the person's distance along z, metres; NaN where nothing of it was measured.
    """

    picture: Float[Tensor, "N 2 H W"]
    median: Float[Tensor, " N"]


def depth_crop(
    views: Views, size: tuple[int, int] = (96, 128), *, window: float = WINDOW, alone: bool = True
) -> DepthCrop:
    """Depth about the person's median, at so many pixels a metre whatever box, focal length and distance.

    By the nearest pixel, so that depth is never mixed across an edge. Where the window is larger than the
    box there are holes. A person far away, or cropped in a larger box, is thus no smaller; where in the
    image the crop was is for a box token to tell (`posedata.geometry.boxes.bounding_box_token`).

    Args:
        views: with depth; of views without a mask all that was measured counts as the person.
        size: (width, height) of the picture.
        window: metres that its height spans at the median depth.
        alone: the person's pixels only. Floor and wall, left in, are clipped at `REACH` and tell where the
            vertical is.

    Raises:
        ValueError: the views have no depth.
    """
    if views.depth is None:
        raise ValueError("these views have no depth; take them from a store of depth images")
    measured = views.depth > 0
    person = measured if views.mask is None else measured & (views.mask > 0)
    median = median_depth(views.depth, person)
    depth = torch.where(person if alone else measured, views.depth, 0)
    rows, columns = _pixels(views.box, views.camera, median, size, window, depth.shape[1:])
    inside = ((rows >= 0) & (rows < depth.shape[1]))[:, :, None]
    inside = inside & ((columns >= 0) & (columns < depth.shape[2]))[:, None]
    number = torch.arange(len(depth), device=depth.device)[:, None, None]
    at = (
        number,
        rows.clamp(0, depth.shape[1] - 1)[:, :, None],
        columns.clamp(0, depth.shape[2] - 1)[:, None],
    )
    found = torch.where(inside, depth[at], 0)
    there = found > 0
    relative = torch.where(there, found - median[:, None, None], 0).clamp(-REACH, REACH)
    return DepthCrop(torch.stack([relative, there.to(relative)], dim=1), median)


def cloud_crop(views: Views) -> Float[Tensor, "N P 3"]:
    """Points about the person, in the axes of the camera turned to the box's centre, metres.

    Relative to where the ray through the box's centre has the points' median depth, each coordinate within
    `REACH`. In these axes a pose is the same wherever in the image it was seen (`posedata.geometry.aim`), so
    that no token is needed. `Views.points` are the person's; what floor isolation left among them is kept.

    Raises:
        ValueError: the views have no points.
    """
    if views.points is None:
        raise ValueError("these views have no points; take them from a store of isolated people")
    aimed = aim(views.camera, views.box)
    points = views.points @ (aimed.rotation @ views.camera.rotation.mT).mT
    middle = points[..., 2].median(dim=-1).values
    about = torch.stack([torch.zeros_like(middle), torch.zeros_like(middle), middle], dim=-1)
    return (points - about[:, None]).clamp(-REACH, REACH)


def median_depth(depth: Float[Tensor, "N H W"], person: Tensor) -> Float[Tensor, " N"]:
    """Of the pixels (N, H, W) that are the person and measured; NaN where there is none."""
    known = torch.where((person > 0) & (depth > 0), depth, torch.nan)
    return known.flatten(1).nanmedian(dim=1).values


def _pixels(
    box: Tensor, camera: Camera, median: Tensor, size: tuple[int, int], window: float, shape: torch.Size
) -> tuple[Tensor, Tensor]:
    """Row (N, H) and column (N, W) in pictures of the box, of `shape`, of every pixel of the window."""
    width, height = size
    metres = torch.tensor([window * width / height, window], dtype=box.dtype, device=box.device)
    extent = metres * camera.focal / median[:, None]
    middle, whole = (box[:, :2] + box[:, 2:]) / 2, box[:, 2:] - box[:, :2]
    found = []
    for axis, count, cells in ((1, height, shape[0]), (0, width, shape[1])):
        steps = (torch.arange(count, dtype=box.dtype, device=box.device) + 0.5) / count - 0.5
        place = middle[:, axis, None] + steps * extent[:, axis, None]
        index = (place - box[:, axis, None]) / whole[:, axis, None] * cells - 0.5
        found.append(index.nan_to_num(-1, -1, -1).clamp(-1, cells).round().long())
    return found[0], found[1]
