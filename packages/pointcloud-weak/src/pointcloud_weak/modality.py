"""Point clouds as a way of seeing a pose; importing this registers it as ``cloud``."""

from __future__ import annotations

import torch
from jaxtyping import Bool
from posedata.views.batch import Views
from posedata.views.crops import cloud_crop
from poseenc.modality import Inputs, Modality, boxed, drawn, register
from torch import Tensor

from .networks import CloudEncoder

DROPPED = 0.1
"""Share of a cloud's points that training replaces by its first one."""

JITTER = 0.005
"""Metres of noise that training adds, its standard deviation."""


def _take(views: Views) -> Inputs:
    return {"points": cloud_crop(views)}


def _present(views: Views) -> Bool[Tensor, " N"]:
    if views.points is None:
        return torch.zeros_like(boxed(views))
    measured = views.points.isfinite().all(-1) & (views.points[..., 2] > 0)
    return boxed(views) & measured.all(-1)


def _worn(inputs: Inputs, generator: torch.Generator) -> Inputs:
    """Fewer points, each a little off."""
    points = inputs["points"]
    lost = drawn(points[..., :1], DROPPED, generator)
    noise = torch.randn(points.shape, generator=generator, device=generator.device).to(points)
    return {"points": torch.where(lost, points[:, :1], points) + JITTER * noise}


CLOUD = register(Modality("cloud", _take, _present, CloudEncoder, _worn))
"""The person's points about their middle; present where every point was measured."""
