"""The noise of a Kinect: what a depth image of a clean scene looks like through a structured-light sensor."""

import numpy as np
import torch
from jaxtyping import Float, UInt16
from torch import Tensor

DISPARITY_STEP = 2.85e-3
"""Step of inverse depth per unit of disparity, 1/m (2.85e-5 per cm): Khoshelham and Elberink, Accuracy and
resolution of Kinect depth data, Sensors 12(2), 2012, section 3; 7 cm between levels at 5 m."""

NGUYEN_FOCAL = 585.0
"""Focal length, px at 640x480, of the sensor whose lateral noise Nguyen et al. measured."""

_STEEP = np.radians(60)
_STEEPEST = np.radians(82)


def axial_sigma(
    depth: Float[Tensor, "*batch"], incidence: Float[Tensor, "*batch"] | None = None
) -> Float[Tensor, "*batch"]:
    """Standard deviation of depth in metres: 0.0012 + 0.0019 (z - 0.4)^2, more on surfaces seen at over 60
    degrees.

    depth: metres; incidence: angle between ray and surface normal, radians (held at 82 degrees, where the
    measurements end). Nguyen, Izadi and Lovell, Modeling Kinect sensor noise for improved 3D reconstruction
    and tracking, 3DIMPVT 2012, equations 4 and 5.
    """
    sigma = 0.0012 + 0.0019 * (depth - 0.4) ** 2
    if incidence is None:
        return sigma
    angle = incidence.clamp(max=_STEEPEST)
    steep = 0.0001 / depth.clamp(min=1e-3).sqrt() * angle**2 / (torch.pi / 2 - angle) ** 2
    return sigma + torch.where(incidence > _STEEP, steep, torch.zeros_like(steep))


def lateral_sigma(incidence: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
    """Standard deviation across the image in pixels of the 640x480 sensor: 0.8 + 0.035 a / (pi/2 - a).

    Nguyen et al. 2012, equation 2; incidence a as in `axial_sigma`.
    """
    angle = incidence.clamp(max=_STEEPEST)
    return 0.8 + 0.035 * angle / (torch.pi / 2 - angle)


def quantise(depth: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
    """Depth in metres at the nearest whole disparity; 0 stays 0."""
    levels = (1 / depth.clamp(min=1e-3) / DISPARITY_STEP).round().clamp(min=1)
    return torch.where(depth > 0, 1 / (levels * DISPARITY_STEP), torch.zeros_like(depth))


def kinect_noise(
    depth: UInt16[Tensor, "*batch H W"],
    generator: torch.Generator,
    *,
    incidence: Float[Tensor, "*batch H W"] | None = None,
    focal: float = NGUYEN_FOCAL,
    lateral: bool = True,
    quantised: bool = True,
) -> UInt16[Tensor, "*batch H W"]:
    """A depth image in millimetres, 0 where there is no measurement, with axial and lateral noise and
    quantisation.

    incidence: radians, surfaces that face the camera if left out; focal: of this image, px, which scales the
    lateral noise.
    """
    metres = depth.to(torch.float32) / 1000
    angle = torch.zeros_like(metres) if incidence is None else incidence
    if lateral:
        rows, columns = torch.meshgrid(*(torch.arange(n) for n in depth.shape[-2:]), indexing="ij")
        shift = lateral_sigma(angle) * (focal / NGUYEN_FOCAL)
        moved = [
            (grid + shift * torch.randn(metres.shape, generator=generator)).round().long().clamp(0, size - 1)
            for grid, size in ((rows, depth.shape[-2]), (columns, depth.shape[-1]))
        ]
        flat = moved[0] * depth.shape[-1] + moved[1]
        metres = metres.flatten(-2).gather(-1, flat.flatten(-2)).reshape(metres.shape)
        angle = angle.flatten(-2).gather(-1, flat.flatten(-2)).reshape(metres.shape)
    noisy = metres + axial_sigma(metres, angle) * torch.randn(metres.shape, generator=generator)
    noisy = quantise(noisy) if quantised else noisy
    millimetres = (noisy * 1000).round().clamp(0, 65535)
    return torch.where(metres > 0, millimetres, torch.zeros_like(millimetres)).to(torch.uint16)
