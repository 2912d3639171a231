"""Clouds of a person out of depth pictures, drawn anew whenever they are asked for."""

from __future__ import annotations

from dataclasses import replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from posedata.views.batch import Views


def surface_points(
    views: Views, count: int, generator: torch.Generator | None = None
) -> Float[Tensor, "N count 3"]:
    """Measured points of the person in the camera's frame, metres; NaN in a view that measured none.

    The person's measured pixels, row by row, are cut into `count` equal parts and one pixel is drawn of each,
    so that points are spread evenly over what is seen, and none comes twice where there are enough.

    Args:
        views: with depth; of views without a mask all that was measured counts as the person.
        count: of the points of a view.
        generator: on any device; None takes the middle of each part.

    Raises:
        ValueError: the views have no depth.
    """
    if views.depth is None:
        raise ValueError("these views have no depth; take them from a store of depth images")
    person = views.depth > 0 if views.mask is None else (views.depth > 0) & (views.mask > 0)
    pixel = _drawn(person.flatten(1), count, generator)
    height, width = views.depth.shape[1:]
    places = torch.stack([pixel % width, pixel // width], dim=-1).to(views.depth)
    rays = views.camera.crop(views.box, (width, height)).rays(places)
    points = rays * views.depth.flatten(1).gather(1, pixel)[..., None]
    return torch.where(person.flatten(1).any(1)[:, None, None], points, torch.nan)


def with_points(views: Views, count: int, generator: torch.Generator | None = None) -> Views:
    """The same views with clouds of their depth (`surface_points`), where they have any."""
    return views if views.depth is None else replace(views, points=surface_points(views, count, generator))


def _drawn(person: Tensor, count: int, generator: torch.Generator | None) -> Int[Tensor, "N count"]:
    """Numbers of pixels of the person (N, pixels); any in a row without one."""
    before = person.cumsum(1)
    within = torch.full((len(person), count), 0.5, device=person.device)
    if generator is not None:
        within = torch.rand(within.shape, generator=generator, device=generator.device).to(person.device)
    parts = (torch.arange(count, device=person.device) + within) / count
    total = before[:, -1:]
    rank = (parts * total).long().clamp(max=(total - 1).clamp_min(0))
    return torch.searchsorted(before, rank + 1).clamp(max=person.shape[1] - 1)
