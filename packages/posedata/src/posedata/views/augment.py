"""Camera augmentation: a 3D pose seen from somewhere else, in every batch again, on the device it lies on."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from posedata.geometry.camera import Camera

Span = tuple[float, float]
_THIRTY = (-math.pi / 6, math.pi / 6)
_NEAREST = 0.25


def random_views(
    joints: Float[Tensor, "B J 3"],
    generator: torch.Generator,
    *,
    azimuth: Span = (-math.pi, math.pi),
    elevation: Span = _THIRTY,
    roll: Span = _THIRTY,
    depth: Span = (2.0, 2.0),
) -> Float[Tensor, "B J 2"]:
    """Each pose projected by a pinhole camera of focal length 1 that looks at its root.

    The defaults are PR-VIPE's ranges (Sun et al., ECCV 2020, section 4.1), which V-VIPE follows. A depth
    of two torsos is about a metre: stronger perspective than photographs of whole people have. For cameras at
    their true distance, with their own intrinsics, use `posedata.views.sample_cameras`.

    Args:
        joints: (B, J, 3) with the root at the origin, z up, in torsos (`geometry.canonical.in_torsos`).
        generator: on any device.
        azimuth, elevation, roll: radians, drawn evenly.
        depth: distance of the camera from the root, in the unit of the joints.

    Returns:
        (B, J, 2), x right and y down, in units of the focal length. A joint nearer to the camera's plane than
        a quarter unit is projected as if it were at a quarter.
    """

    def draw(span: Span) -> Tensor:
        drawn = torch.rand(len(joints), generator=generator, device=generator.device)
        return (span[0] + (span[1] - span[0]) * drawn).to(joints)

    around, up, turn, far = draw(azimuth), draw(elevation), draw(roll), draw(depth)
    flat = torch.cos(up)
    away = torch.stack([flat * torch.cos(around), flat * torch.sin(around), torch.sin(up)], dim=-1)
    position = away * far[:, None]
    camera = Camera.look_at(position, torch.zeros_like(position), 1.0, (1, 1), turn)
    seen = camera.world_to_camera(joints)
    return seen[..., :2] / seen[..., 2:].clamp_min(_NEAREST)
