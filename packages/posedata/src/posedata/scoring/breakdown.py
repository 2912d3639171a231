"""Where an error lies: by joint, by action, and by what the camera was."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from posedata.geometry.camera import Camera
from posedata.views.batch import Views

Rows = list[tuple[str, int, float]]
"""Name, how many views, mean error in mm."""


def by_joint(errors: Float[Tensor, "N J"], joints: Sequence[str]) -> Rows:
    """Mean error of each joint, the largest first.

    Args:
        errors: mm, NaN where a joint is not known.
        joints: their names.
    """
    means = errors.nanmean(0).tolist()
    counts = errors.isfinite().sum(0).tolist()
    rows = [(name, n, mean) for name, n, mean in zip(joints, counts, means, strict=True) if n]
    return sorted(rows, key=lambda row: -row[2])


def by_name(errors: Float[Tensor, " N"], names: Sequence[str]) -> Rows:
    """Mean error of the views of each name, the largest first."""
    found = []
    for name in dict.fromkeys(names):
        here = torch.tensor([other == name for other in names], device=errors.device)
        found.append((name, int(here.sum()), float(errors[here].mean())))
    return sorted(found, key=lambda row: -row[2])


def by_range(errors: Float[Tensor, " N"], values: Float[Tensor, " N"], unit: str, parts: int = 4) -> Rows:
    """Mean error in parts of equal size of the views, ordered by a value; fewer where all values are alike.

    Args:
        unit: of the values, for the names of the parts.
    """
    edges = values.quantile(torch.linspace(0, 1, parts + 1).to(values))
    edges = torch.unique_consecutive(edges)
    if len(edges) == 1:
        return [(f"{float(edges[0]):.3g} {unit}", len(errors), float(errors.mean()))]
    which = torch.bucketize(values, edges[1:-1].contiguous(), right=True)
    return [
        (f"{low:.3g} to {high:.3g} {unit}", int((which == i).sum()), float(errors[which == i].mean()))
        for i, (low, high) in enumerate(zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True))
        if bool((which == i).any())
    ]


def elevation(camera: Camera) -> Float[Tensor, " N"]:
    """How far each camera looks down, degrees: 0 level, 90 straight down."""
    return torch.rad2deg(torch.asin(-camera.rotation[..., 2, 2].clamp(-1, 1)))


def roll(camera: Camera) -> Float[Tensor, " N"]:
    """How far each camera is turned about its optical axis, to either side, degrees: 0 upright."""
    return torch.rad2deg(torch.atan2(camera.rotation[..., 0, 2], -camera.rotation[..., 1, 2])).abs()


def field_of_view(camera: Camera) -> Float[Tensor, " N"]:
    """How wide each camera sees, degrees, its lens' distortion left out."""
    return torch.rad2deg(2 * torch.atan(camera.size[..., 0] / (2 * camera.focal[..., 0])))


def distance(camera: Camera, joints: Float[Tensor, "N J 3"]) -> Float[Tensor, " N"]:
    """How far each camera stands from the middle of its person's joints, metres.

    Args:
        joints: world.
    """
    return (camera.position - joints.mean(-2)).norm(dim=-1)


def tables(
    errors: Sequence[Float[Tensor, "N J"]], joints: Sequence[str], views: Views, actions: Sequence[str] = ()
) -> dict[str, list[Rows]]:
    """Errors of several methods on the same views, mm, by title: by joint, by each view's action (where they
    are known), and by how high and how far the camera stood.
    """
    whole = [found.mean(-1) for found in errors]
    parts = {"joint": [by_joint(found, joints) for found in errors]}
    if actions:
        parts["action"] = [by_name(found, actions) for found in whole]
    up = elevation(views.camera)
    parts["camera's elevation"] = [by_range(found, up, "degrees") for found in whole]
    if views.joints is not None:
        away = distance(views.camera, views.joints)
        parts["distance"] = [by_range(found, away, "m") for found in whole]
    return parts
