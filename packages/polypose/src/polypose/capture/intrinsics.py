"""What is known of a film's lens: given, told by the photo, or assumed; and how wrong it may be."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from posedata.geometry.camera import Camera
from posedata.plausible import check_focal

ANGLE = np.pi / 3
"""How wide the longer side of a picture is seen by a lens of which nothing is known."""
_FILM = 36.0
"""Millimetres of the longer side of the film that EXIF's "focal length in 35 mm film" speaks of."""
_GIVEN_SD, _EXIF_SD, _ASSUMED_SD = 0.005, 0.04, 0.15


@dataclass(frozen=True)
class Lens:
    """A camera's intrinsics.

    Attributes:
        camera: float64, at the origin of its own frame where nothing else was given.
        focal_sd: of the focal length, as a share of it. Depth is as wrong as that is.
        note: what the user must know, or nothing.
    """

    camera: Camera
    focal_sd: float
    note: str = ""


def lens_of(name: str, size: tuple[int, int], camera: Camera | None, exif_focal: float | None) -> Lens:
    """The lens of a film.

    EXIF speaks of a film 36 mm wide; cameras that mean its diagonal differ by some percent from it.

    Args:
        name: of the film, for messages.
        size: width and height in pixels.
        camera: given, for pictures of this size.
        exif_focal: focal length in 35 mm terms, millimetres.

    Raises:
        ValueError: the camera is of pictures of another size, or no camera.
    """
    if camera is not None:
        if camera.shape:
            raise ValueError(f"{name}: {len(camera)} cameras; give the one of this film")
        given = camera.size.tolist()
        if max(abs(a - b) for a, b in zip(size, given, strict=True)) > 16:
            told = f"the camera is of {given[0]}x{given[1]} pixels, the film has {size[0]}x{size[1]}"
            raise ValueError(f"{name}: {told}; give this film's calibration")
        check_focal(float(camera.focal[0]), size)
        return Lens(camera.to(dtype=torch.float64), _GIVEN_SD)
    longest = max(size)
    if exif_focal is not None and 5 < exif_focal < 2000:
        focal, sd = exif_focal / _FILM * longest, _EXIF_SD
        note = f"{name}: focal length from EXIF ({exif_focal:g} mm in 35 mm terms)"
    else:
        focal, sd = longest / (2 * np.tan(ANGLE / 2)), _ASSUMED_SD
        note = f"{name}: focal length assumed ({np.degrees(ANGLE):.0f} degrees across the longer side); "
        note += "distances are as wrong as it is"
    centre = torch.tensor([(side - 1) / 2 for side in size], dtype=torch.float64)
    eye, zero = torch.eye(3, dtype=torch.float64), torch.zeros(3, dtype=torch.float64)
    return Lens(Camera(torch.full_like(centre, focal), centre, eye, zero, size=size), sd, note)
