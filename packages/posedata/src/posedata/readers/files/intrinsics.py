"""The camera that a JSON of intrinsics describes, as RGB-D folders carry it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float

from posedata.geometry.camera import Camera

_LARGEST = 8192
_VIEW = (10.0, 150.0)
"""Degrees that a camera of people sees across and down."""
_UNEQUAL = 1.5


def part(fields: Mapping[str, Any], field: str, table: Path) -> dict[str, Any]:
    """A field that is an object."""
    value = fields.get(field)
    if not isinstance(value, dict):
        raise ValueError(f"{table}: {field} is not an object; see the layout of RGB-D folders")
    return value


def finite(fields: Mapping[str, Any], field: str, table: Path | str, default: float | None = None) -> float:
    """A finite number; ValueError where it is missing, something else, or not positive though it must be."""
    value = fields.get(field, default)
    if not isinstance(value, int | float) or isinstance(value, bool) or not abs(value) < 1e7:
        raise ValueError(f"{table}: {field} is {str(value)[:40]}; give a number")
    if field in ("depth_scale", "fps", "width", "height", "fx", "fy") and not value > 1e-3:
        raise ValueError(f"{table}: {field} is {value}; give a positive number")
    return float(value)


def json_camera(fields: Mapping[str, Any], table: str) -> Camera:
    """The camera, in float32, standing at the origin unless they say otherwise; `table` names it in errors.

    Raises ValueError naming the field.
    """
    if "intrinsic_matrix" in fields and "fx" not in fields:
        matrix = array_of(fields["intrinsic_matrix"], (9,), f"{table}: intrinsic_matrix")
        fields = {**fields, "fx": matrix[0], "fy": matrix[4], "cx": matrix[6], "cy": matrix[7]}
    width, height, fx, fy, cx, cy = (
        finite(fields, field, table) for field in ("width", "height", "fx", "fy", "cx", "cy")
    )
    if not (1 <= width <= _LARGEST and 1 <= height <= _LARGEST):
        raise ValueError(f"{table}: is {width:g}x{height:g}; give the image's own width and height")
    _check_view(table, (width, height), (fx, fy), (cx, cy))
    rotation = array_of(fields.get("rotation", np.eye(3).tolist()), (3, 3), f"{table}: rotation")
    if np.abs(rotation @ rotation.T - np.eye(3)).max() > 1e-3 or np.linalg.det(rotation) < 0:
        raise ValueError(f"{table}: rotation is not a rotation; give depth frame to colour frame")
    values = {
        "focal": np.array([fx, fy]),
        "centre": np.array([cx, cy]),
        "rotation": rotation,
        "translation": array_of(fields.get("translation", [0, 0, 0]), (3,), f"{table}: translation"),
        "distortion": array_of(fields.get("distortion", [0] * 5), (5,), f"{table}: distortion"),
    }
    return Camera(
        **{k: torch.from_numpy(v).float() for k, v in values.items()}, size=(int(width), int(height))
    )


def _check_view(
    table: str, size: tuple[float, float], focal: tuple[float, float], centre: tuple[float, float]
) -> None:
    """Raise ValueError where the camera cannot be the image's: of another resolution, or no lens has it."""
    for name, f, pixels in (("fx", focal[0], size[0]), ("fy", focal[1], size[1])):
        angle = 2 * math.degrees(math.atan(pixels / 2 / f))
        if not _VIEW[0] <= angle <= _VIEW[1]:
            cure = "it is in pixels, not millimetres" if angle > _VIEW[1] else "is it of a larger image?"
            raise ValueError(
                f"{table}: {name} {f:g} sees {angle:.3g} degrees in {pixels:g} pixels; give the focal length"
                f" of this image ({cure})"
            )
    if not 1 / _UNEQUAL < focal[0] / focal[1] < _UNEQUAL:
        raise ValueError(f"{table}: fx {focal[0]:g} and fy {focal[1]:g} are of no lens; give both in pixels")
    across, down = ((c + 0.5) / (side / 2) for c, side in zip(centre, size, strict=True))
    factor = (across + down) / 2
    if abs(across - down) < 0.12 * factor and (0.2 < factor < 0.6 or factor > 1.65):
        other = f"{size[0] * factor:.0f}x{size[1] * factor:.0f}"
        raise ValueError(
            f"{table}: cx {centre[0]:g}, cy {centre[1]:g} are the centre of about {other}, not of"
            f" {size[0]:g}x{size[1]:g}; divide fx, fy, cx and cy by {_round(factor)}, or give those of"
            " this image"
        )
    if not (0 < across < 2 and 0 < down < 2):
        raise ValueError(
            f"{table}: cx {centre[0]:g}, cy {centre[1]:g} lie outside the image of {size[0]:g}x{size[1]:g};"
            " give the principal point in its pixels"
        )


def _round(factor: float) -> str:
    """The ratio of usual resolutions that is nearest, where it is near."""
    near = min((0.25, 1 / 3, 0.5, 2.0, 2.25, 3.0, 4.0, 6.0), key=lambda known: abs(known - factor) / known)
    return f"{near if abs(near - factor) < 0.1 * near else factor:.3g}"


def array_of(value: Any, shape: tuple[int, ...], where: str) -> Float[np.ndarray, " ..."]:
    """Nested lists of finite numbers as an array of this shape, however they are nested."""
    try:
        array = np.array(value, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"{where} is not an array of numbers; see the layout of RGB-D folders") from None
    if array.size != np.prod(shape) or not (np.abs(array) < 1e9).all():
        raise ValueError(f"{where} has shape {array.shape}, wanted {shape} of finite numbers")
    return array.reshape(shape)
