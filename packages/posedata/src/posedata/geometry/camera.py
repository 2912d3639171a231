"""The camera: a pinhole with Brown-Conrady distortion that projects, unprojects, crops and resizes itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Num
from torch import Tensor

_FIELDS = ("focal", "centre", "rotation", "translation", "distortion", "size")
_NEAREST_DEPTH = 1e-6
_UNDISTORT_STEPS = 10
_MISS = 1e-4
"""How far a ray that is given may land from its pixel, in focal lengths: a tenth of a pixel at 1000."""


class Camera:
    """One camera or a batch of them.

    World points X become camera points ``x = R X + t`` (camera frame: x right, y down, z forward; world:
    right-handed, z up), then with ``a = x/z``, ``b = y/z``, ``r² = a² + b²`` the Brown-Conrady model of
    OpenCV:

        a' = a (1 + k1 r² + k2 r⁴ + k3 r⁶) + 2 p1 a b + p2 (r² + 2 a²)
        b' = b (1 + k1 r² + k2 r⁴ + k3 r⁶) + p1 (r² + 2 b²) + 2 p2 a b
        u  = fx a' + cx,   v = fy b' + cy

    in pixels, with the centre of the top-left pixel at (0, 0). Every method broadcasts the camera's batch
    against the points', which stand as (*batch, N, 2 or 3), and is differentiable in the points and in all
    floating-point fields.

    A point behind the camera still gets a finite pixel (mirrored through the centre, ``|z|`` at least
    1e-6 m): losses stay finite. Ask ``in_front`` which points are real.

    A lens whose polynomial folds bends no ray to the pixels beyond the fold: there ``rays`` and ``unproject``
    are NaN.

    Args:
        focal: (*batch, 2) fx, fy in pixels.
        centre: (*batch, 2) cx, cy in pixels.
        rotation: (*batch, 3, 3) world to camera.
        translation: (*batch, 3) metres.
        distortion: (*batch, 5) k1, k2, p1, p2, k3; none if left out.
        size: width and height of the image in pixels, two numbers or a tensor (*batch, 2).

    The batch shapes need only broadcast; all fields are kept at the common one, ``shape``.
    """

    focal: Float[Tensor, "*batch 2"]
    centre: Float[Tensor, "*batch 2"]
    rotation: Float[Tensor, "*batch 3 3"]
    translation: Float[Tensor, "*batch 3"]
    distortion: Float[Tensor, "*batch 5"]
    size: Num[Tensor, "*batch 2"]

    def __init__(
        self,
        focal: Float[Tensor, "*_f 2"],
        centre: Float[Tensor, "*_c 2"],
        rotation: Float[Tensor, "*_r 3 3"],
        translation: Float[Tensor, "*_t 3"],
        distortion: Float[Tensor, "*_d 5"] | None = None,
        *,
        size: Num[Tensor, "*_s 2"] | Sequence[int],
    ) -> None:
        sizes = torch.as_tensor(size, device=focal.device)
        if distortion is None:
            distortion = focal.new_zeros(5)
        vectors = (focal, centre, translation, distortion, sizes)
        shapes = {rotation.shape[:-2], *(vector.shape[:-1] for vector in vectors)}
        batch = np.broadcast_shapes(*shapes)  # torch's own imports a compiler, which takes seconds
        self.focal = focal.expand(*batch, 2)
        self.centre = centre.expand(*batch, 2)
        self.rotation = rotation.expand(*batch, 3, 3)
        self.translation = translation.expand(*batch, 3)
        self.distortion = distortion.expand(*batch, 5)
        self.size = sizes.expand(*batch, 2)

    @classmethod
    def look_at(
        cls,
        position: Float[Tensor, "*_p 3"],
        target: Float[Tensor, "*_q 3"],
        focal: Float[Tensor, "*_f 2"] | float,
        size: Num[Tensor, "*_s 2"] | Sequence[int],
        roll: Float[Tensor, "*_r"] | float = 0.0,
    ) -> Camera:
        """A camera at ``position`` that sees ``target`` in its centre, with the world's z upright.

        Args:
            position: (*batch, 3) metres.
            target: (*batch, 3) metres, not at the position.
            focal: (*batch, 2) pixels, or one number.
            size: width and height in pixels.
            roll: (*batch) radians about the viewing axis; a positive roll turns the camera clockwise as
                seen from behind it, so that the image turns anticlockwise.

        A camera that looks straight up or down has the world's y upright instead.
        """
        forward = torch.nn.functional.normalize(target - position, dim=-1)
        z_up, y_up = torch.eye(3, dtype=forward.dtype, device=forward.device)[[2, 1]]
        vertical = forward[..., 2:].abs() > 1 - 1e-6
        up = torch.where(vertical, y_up, z_up)
        right = torch.nn.functional.normalize(torch.linalg.cross(forward, up), dim=-1)
        down = torch.linalg.cross(forward, right)
        angle = torch.as_tensor(roll, dtype=forward.dtype, device=forward.device)[..., None]
        turned_right = torch.cos(angle) * right + torch.sin(angle) * down
        turned_down = torch.cos(angle) * down - torch.sin(angle) * right
        rotation = torch.stack(torch.broadcast_tensors(turned_right, turned_down, forward), dim=-2)
        translation = -(rotation @ position[..., None])[..., 0]
        sizes = torch.as_tensor(size, device=forward.device)
        focals = torch.as_tensor(focal, dtype=forward.dtype, device=forward.device)
        return cls(
            focals.expand(2) if focals.ndim == 0 else focals,
            (sizes.to(forward.dtype) - 1) / 2,
            rotation,
            translation,
            size=sizes,
        )

    @classmethod
    def stack(cls, cameras: Sequence[Camera]) -> Camera:
        """Cameras of one batch shape, along a new first axis."""
        return cls._join(torch.stack, cameras)

    @classmethod
    def cat(cls, cameras: Sequence[Camera]) -> Camera:
        """Batches of cameras, along the first axis."""
        return cls._join(torch.cat, cameras)

    @classmethod
    def _join(cls, how: Any, cameras: Sequence[Camera]) -> Camera:
        return cls(**{name: how([getattr(camera, name) for camera in cameras]) for name in _FIELDS})

    @property
    def shape(self) -> torch.Size:
        """The batch shape; empty for a single camera."""
        return self.focal.shape[:-1]

    @property
    def position(self) -> Float[Tensor, "*batch 3"]:
        """Where the camera stands in the world, metres."""
        return -(self.rotation.mT @ self.translation[..., None])[..., 0]

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("a single camera has no length")
        return self.shape[0]

    def __getitem__(self, index: Any) -> Camera:
        """Cameras of the batch: an index, a slice, a tensor of indices or a mask (no ``...``)."""
        if not self.shape:
            raise IndexError("a single camera cannot be indexed")
        return Camera(**{name: getattr(self, name)[index] for name in _FIELDS})

    def __repr__(self) -> str:
        return f"Camera(shape={tuple(self.shape)}, size={self.size.tolist()}, device={self.focal.device})"

    def replace(self, **fields: Any) -> Camera:
        """The same camera with some fields changed."""
        return Camera(**({name: getattr(self, name) for name in _FIELDS} | fields))

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> Camera:
        """The same camera elsewhere, or in another floating-point type."""
        floats = {name: getattr(self, name).to(device=device, dtype=dtype) for name in _FIELDS[:-1]}
        return Camera(**floats, size=self.size.to(device=device))

    def world_to_camera(self, points: Float[Tensor, "*_p N 3"]) -> Float[Tensor, "*_q N 3"]:
        """World points (metres) in the camera's frame."""
        return points @ self.rotation.mT + self.translation[..., None, :]

    def camera_to_world(self, points: Float[Tensor, "*_p N 3"]) -> Float[Tensor, "*_q N 3"]:
        """Camera-frame points (metres) in the world."""
        return (points - self.translation[..., None, :]) @ self.rotation

    def project(self, points: Float[Tensor, "*_p N 3"]) -> Float[Tensor, "*_q N 2"]:
        """Pixels of world points."""
        return self.project_camera(self.world_to_camera(points))

    def project_camera(self, points: Float[Tensor, "*_p N 3"]) -> Float[Tensor, "*_q N 2"]:
        """Pixels of camera-frame points."""
        depth = points[..., 2:]
        floor = torch.where(depth < 0, -_NEAREST_DEPTH, _NEAREST_DEPTH).to(depth.dtype)
        plane = points[..., :2] / torch.where(depth.abs() < _NEAREST_DEPTH, floor, depth)
        bent = _distort(plane, self.distortion[..., None, :])
        return bent * self.focal[..., None, :] + self.centre[..., None, :]

    def in_front(self, points: Float[Tensor, "*_p N 3"]) -> Bool[Tensor, "*_q N"]:
        """Which world points lie in front of the camera."""
        return self.world_to_camera(points)[..., 2] > _NEAREST_DEPTH

    def rays(self, pixels: Float[Tensor, "*_p N 2"]) -> Float[Tensor, "*_q N 3"]:
        """Directions ``(x/z, y/z, 1)`` in the camera frame, distortion removed.

        NaN (x and y) where the lens bends no ray to the pixel; other pixels' gradients stay finite.
        """
        bent = (pixels - self.centre[..., None, :]) / self.focal[..., None, :]
        plane = _undistort(bent, self.distortion[..., None, :])
        return torch.cat([plane, torch.ones_like(plane[..., :1])], dim=-1)

    def unproject(
        self, pixels: Float[Tensor, "*_p N 2"], depth: Float[Tensor, "*_d N"]
    ) -> Float[Tensor, "*_q N 3"]:
        """Camera-frame points from pixels and their depth (z, metres); x and y NaN as of ``rays``."""
        return self.rays(pixels) * depth[..., None]

    def crop(self, box: Float[Tensor, "*_b 4"], size: Num[Tensor, "*_s 2"] | Sequence[int]) -> Camera:
        """The camera of an image resampled from ``box`` to ``size``.

        The box's edges are the edges, not the centres, of the outermost pixels: the whole image is
        (-0.5, -0.5, width - 0.5, height - 0.5).

        Args:
            box: (*batch, 4) x0, y0, x1, y1 in pixels of this image.
            size: width and height of the new image.
        """
        sizes = torch.as_tensor(size, device=self.focal.device)
        corner, extent = box[..., :2], box[..., 2:] - box[..., :2]
        scale = sizes.to(box.dtype) / extent
        return self.replace(focal=self.focal * scale, centre=(self.centre - corner) * scale - 0.5, size=sizes)

    def resize(self, size: Num[Tensor, "*_s 2"] | Sequence[int]) -> Camera:
        """The camera of the whole image resampled to another size: ``u' = (u + 0.5) s - 0.5``."""
        whole = torch.cat([torch.zeros_like(self.size), self.size], dim=-1).to(self.focal.dtype) - 0.5
        return self.crop(whole, size)


def _distort(plane: Tensor, coefficients: Tensor) -> Tensor:
    k1, k2, p1, p2, k3 = coefficients.unbind(-1)
    a, b = plane.unbind(-1)
    r2 = a * a + b * b
    radial = 1 + r2 * (k1 + r2 * (k2 + r2 * k3))
    x = a * radial + 2 * p1 * a * b + p2 * (r2 + 2 * a * a)
    y = b * radial + p1 * (r2 + 2 * b * b) + 2 * p2 * a * b
    return torch.stack([x, y], dim=-1)


def _undistort(bent: Tensor, coefficients: Tensor) -> Tensor:
    """Newton's method on ``_distort``; the last step alone is recorded, which gives the implicit gradient.

    NaN where that ends nowhere, or beyond a fold, where the Jacobian is not positive definite. Of pinholes
    nothing is computed, where telling them costs no wait for a GPU.
    """
    if coefficients.device.type == "cpu" and not (coefficients.requires_grad or coefficients.any()):
        known = bent[..., :1].isfinite() & bent[..., 1:].isfinite()  # faster than to reduce over two
        return torch.where(known, bent, torch.nan)
    with torch.no_grad():
        plane = bent.detach()
        for _ in range(_UNDISTORT_STEPS):
            plane = _newton_step(plane, bent, coefficients)
        miss = (_distort(plane, coefficients) - bent).norm(dim=-1)
        xx, xy, yy = _jacobian(plane, coefficients)
        known = (miss <= _MISS * bent.norm(dim=-1).clamp(min=1)) & (xx > 0) & (xx * yy > xy * xy)
        known = known[..., None]
    # the step starts from 0 where nothing is known: an infinite slope there would spoil shared gradients
    there = _newton_step(torch.where(known, plane, 0), torch.where(known, bent, 0), coefficients)
    return torch.where(known, there, torch.nan)


def _newton_step(plane: Tensor, bent: Tensor, coefficients: Tensor) -> Tensor:
    xx, xy, yy = _jacobian(plane, coefficients.detach())
    ex, ey = (_distort(plane, coefficients) - bent).unbind(-1)
    scale = xx * yy - xy * xy
    return plane - torch.stack([yy * ex - xy * ey, xx * ey - xy * ex], dim=-1) / scale[..., None]


def _jacobian(plane: Tensor, coefficients: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Of ``_distort``, which is symmetric: dx/da, dx/db, dy/db."""
    k1, k2, p1, p2, k3 = coefficients.unbind(-1)
    a, b = plane.unbind(-1)
    r2 = a * a + b * b
    radial = 1 + r2 * (k1 + r2 * (k2 + r2 * k3))
    slope = 2 * (k1 + r2 * (2 * k2 + r2 * 3 * k3))
    xx = radial + slope * a * a + 2 * p1 * b + 6 * p2 * a
    yy = radial + slope * b * b + 6 * p1 * b + 2 * p2 * a
    return xx, slope * a * b + 2 * p1 * a + 2 * p2 * b, yy
