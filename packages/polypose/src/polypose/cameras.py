"""The camera that keypoints were seen by, from what a user knows of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from posedata.geometry.camera import Camera
from posedata.keypoints import LARGEST
from posedata.plausible import check_focal
from torch import Tensor

from polypose.inputs import Say, as_array, take_size, warn

USUAL = np.pi / 3
"""How wide a view is of which nothing is known: about what a phone or a webcam sees."""
_OTHER_IMAGE = 1.5
_WANT = "fx, fy, cx, cy in pixels"


def take_camera(
    intrinsics: Any, size: Any, points: Float[Tensor, "N J 3"] | None = None, say: Say = warn
) -> Camera:
    """A camera in the origin of its own frame.

    Args:
        intrinsics: fx, fy, cx, cy in pixels, or a 3x3 matrix; of all images, or one each. Without them, a
            view 60 degrees wide is assumed.
        size: width and height of the images.
        points: what it saw, to tell by whether the intrinsics are of such images.

    Raises:
        ValueError: neither is given, or they cannot be a camera's.
    """
    if size is not None:
        size = take_size(size)
    if intrinsics is None:
        if size is None:
            raise ValueError(f"intrinsics: give {_WANT}, or size=(width, height) of the images")
        length = size[0] / (2 * np.tan(USUAL / 2))
        values = np.array([length, length, (size[0] - 1) / 2, (size[1] - 1) / 2])
    else:
        values = _four(as_array(intrinsics, "intrinsics").astype(np.float64))
        if not np.isfinite(values).all() or (values[..., :2] <= 0).any():
            raise ValueError(f"intrinsics: give {_WANT}, finite, and focal lengths above 0")
        if (np.abs(values) > LARGEST).any():
            raise ValueError(f"intrinsics: {np.abs(values).max():.4g} is no number of pixels; give {_WANT}")
        if points is not None and values.ndim == 2 and len(values) != len(points):
            raise ValueError(f"intrinsics: {len(values)} of {len(points)} people; give one for all or each")
        if size is not None:
            for focal in np.unique([values[..., :2].min(), values[..., :2].max()]):
                for warning in check_focal(focal, size):
                    say(f"warning: intrinsics: {warning}")
        _of_these_images(values.reshape(-1, 4)[0], size, points, say)
    focal, centre = torch.from_numpy(values.astype(np.float32)).split(2, dim=-1)
    middle = values.reshape(-1, 4)[0, 2:]
    image = size or tuple(np.maximum(1, np.round(2 * middle + 1)).astype(int).tolist())
    return Camera(focal, centre, torch.eye(3), torch.zeros(3), size=image)


def centred(focal: float, size: tuple[int, int] | None) -> tuple[float, float, float, float]:
    """Intrinsics of a camera that looks at the middle of its image."""
    if size is None:
        raise ValueError("--focal: say where the middle of the image is: --size WIDTH HEIGHT")
    check_focal(focal, size)
    return focal, focal, (size[0] - 1) / 2, (size[1] - 1) / 2


def _four(values: np.ndarray) -> np.ndarray:
    """(..., 4) of fx, fy, cx, cy or a matrix."""
    if values.shape[-2:] == (3, 3) and values.ndim in (2, 3):
        if not np.allclose(values[..., 2, :], (0, 0, 1)):
            raise ValueError("intrinsics: the matrix' last row is not 0 0 1; give fx 0 cx, 0 fy cy, 0 0 1")
        return values[..., [0, 1, 0, 1], [0, 1, 2, 2]]
    if values.shape[-1:] == (4,) and values.ndim in (1, 2):
        return values
    raise ValueError(f"intrinsics: shape is {values.shape}; give {_WANT} (4,), or a 3x3 matrix")


def _of_these_images(
    values: np.ndarray, size: tuple[int, int] | None, points: Tensor | None, say: Say
) -> None:
    """Tell of intrinsics of the same pictures at another size: their centre lies elsewhere."""
    x, y = values[2:].tolist()
    if size is not None:
        factor = float(np.sqrt(size[0] * size[1] / (4 * x * y))) if min(x, y) > 0 else 0.0
        if not 1 / _OTHER_IMAGE < factor < _OTHER_IMAGE:
            told = f"their centre ({x:.0f}, {y:.0f}) is not about the middle of {size[0]}x{size[1]}"
            cure = f"; of other sizes multiply them by {factor:.2g}" if factor else ""
            say(f"warning: intrinsics: {told}; are they of these images?{cure}")
    elif points is not None and bool((points[..., 2] > 0).any()):
        seen = points[points[..., 2] > 0][:, :2].median(0).values.tolist()
        if max(seen[0] / max(x, 1), seen[1] / max(y, 1)) > 2 * _OTHER_IMAGE:
            told = f"people are at ({seen[0]:.0f}, {seen[1]:.0f}), the centre is ({x:.0f}, {y:.0f})"
            say(f"warning: intrinsics: {told}; are they of these images?")
