"""Senses at fault, to see what becomes of what is fused with them."""

from __future__ import annotations

from dataclasses import replace

import torch
from posedata.views.batch import MIXED, Views
from torch import Tensor

FAULTS = ("noise", "swapped")
"""A sense with noise (`faulty`); one of another person."""

GREY, KEYPOINTS, METRES = 60.0, 0.1, 0.15
"""Standard deviations of the noise: of 255 levels, of the box's height, of depth and points."""


def faulty(views: Views, name: str, generator: torch.Generator) -> Views:
    """The same views with much noise in one sense.

    Raises:
        ValueError: there is no noise for this sense.
    """

    def noise(like: Tensor) -> Tensor:
        return torch.randn(like.shape, generator=generator).to(like.device)

    if name == "image" and views.image is not None:
        loud = views.image.float() + GREY * noise(views.image)
        return replace(views, image=loud.clamp(0, 255).to(views.image.dtype))
    if name == "2d":
        seen = views.seen_by(MIXED)
        height = (views.box[:, 3] - views.box[:, 1])[:, None, None]
        moved = torch.cat([seen[..., :2] + KEYPOINTS * height * noise(seen[..., :2]), seen[..., 2:]], dim=-1)
        return replace(views, keypoints={**views.keypoints, MIXED: moved})
    if name == "depth" and views.depth is not None:
        measured = views.depth > 0
        loud = (views.depth + METRES * noise(views.depth)).clamp_min(0.1)
        return replace(views, depth=torch.where(measured, loud, 0))
    if name == "cloud" and views.points is not None:
        return replace(views, points=views.points + METRES * noise(views.points))
    raise ValueError(f"{name}: there is no noise for this sense in these views")
