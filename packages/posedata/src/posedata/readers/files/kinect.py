"""What the readers of depth cameras share: intrinsics from points, depth images, crops, projections."""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Shaped, UInt8, UInt16
from PIL import Image

from posedata.geometry.boxes import bounding_box
from posedata.geometry.camera import Camera
from posedata.readers.format import ClipCamera

BATCH = 32
_MARGIN = 0.1
_LARGEST = 8192
_LARGEST_IMAGE = 256 << 20
_LEAST_JOINTS = 200
_LEAST_RADIUS = 0.02
_THIRD = (0.0, 0.1, 0.2, 0.4)
"""What k3 may be where k1 and k2 alone fold the image; Kinects v2 are calibrated to about 0.1."""
_DAMAGE = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
    MemoryError,
)


class _UnfitError(ValueError):
    """An image that opens and is not what is wanted."""


class Intrinsics(NamedTuple):
    """Focal lengths and centre in pixels; k1, k2, p1, p2, k3; the worst residual in pixels."""

    focal: Float[np.ndarray, " 2"]
    centre: Float[np.ndarray, " 2"]
    distortion: Float[np.ndarray, " 5"]
    residual: float


def solve_intrinsics(
    points: Float[np.ndarray, "N 3"],
    pixels: Float[np.ndarray, "N 2"],
    *,
    radial: int | None = None,
    size: tuple[int, int] | None = None,
) -> Intrinsics:
    """The camera that put these camera-frame points (x right, y down, z forward) at these pixels.

    Linear least squares on ``u = fx a (1 + k1 r² + k2 r⁴ + k3 r⁶) + cx`` with ``a = x/z`` (and v alike), k3
    given; the two focal lengths are one as soon as there is a radial term.

    Args:
        radial: how many radial coefficients are fitted, 0 to 2; by default two where the points are many and
            reach far enough from the centre to tell them, else none.
        size: width and height of the image. Points near its centre do not tell a lens near its corners, and
            what fits them may turn back before: then k3 is the least of a few that keeps radii growing out
            to the farthest corner, or coefficients are left out. Without it k3 is 0.

    Raises ValueError where the points do not determine a camera.
    """
    points, pixels = points.astype(np.float64), pixels.astype(np.float64)
    known = np.isfinite(points).all(-1) & np.isfinite(pixels).all(-1) & (points[:, 2] > 0.05)
    plane, pixels = points[known, :2] / points[known, 2:], pixels[known]
    if len(plane) < 2 or np.ptp(plane, axis=0).min() < 1e-6:
        raise ValueError(f"{len(plane)} points in front of the camera do not tell its focal length")
    radius = (plane**2).sum(-1)
    if radial is None:
        radial = 2 if len(plane) >= _LEAST_JOINTS and np.ptp(radius) > _LEAST_RADIUS else 0
    for count, third in [(radial, k3) for k3 in _THIRD] + [(1, 0.0), (0, 0.0)]:
        focal, centre, bent = _fitted(plane, pixels, count, third if count else 0.0)
        if not (focal > 1).all():
            raise ValueError(
                f"the focal lengths that fit the points are {focal[0]:.3g} and {focal[1]:.3g} px"
            )
        if size is None or not count or _reaches_corners(focal, centre, bent, size):
            break
    placed = plane * _radial(bent, radius)[:, None] * focal + centre
    return Intrinsics(focal, centre, bent, float(np.abs(placed - pixels).max()))


def _fitted(
    plane: Float[np.ndarray, "N 2"], pixels: Float[np.ndarray, "N 2"], radial: int, third: float
) -> tuple[Float[np.ndarray, " 2"], Float[np.ndarray, " 2"], Float[np.ndarray, " 5"]]:
    """Focal lengths, centre, and k1, k2, p1, p2, k3 with this k3."""
    bent = np.zeros(5)
    if radial == 0:
        ones = np.ones(len(plane))
        fits = [np.linalg.lstsq(np.stack([plane[:, i], ones], 1), pixels[:, i])[0] for i in (0, 1)]
        (fx, cx), (fy, cy) = fits
        return np.array([fx, fy]), np.array([cx, cy]), bent
    radius = (plane**2).sum(-1)[:, None]
    terms = [plane * (1 + third * radius**3), *(plane * radius**power for power in range(1, radial + 1))]
    sides = [np.tile(side, len(plane)) for side in ((1.0, 0.0), (0.0, 1.0))]
    solved = np.linalg.lstsq(np.stack([term.ravel() for term in terms] + sides, 1), pixels.ravel())[0]
    bent[:radial], bent[4] = solved[1 : 1 + radial] / solved[0], third
    return np.repeat(solved[0], 2), solved[-2:], bent


def _radial(bent: Float[np.ndarray, " 5"], squares: Float[np.ndarray, " N"]) -> Float[np.ndarray, " N"]:
    return 1 + squares * (bent[0] + squares * (bent[1] + squares * bent[4]))


def _reaches_corners(
    focal: Float[np.ndarray, " 2"],
    centre: Float[np.ndarray, " 2"],
    bent: Float[np.ndarray, " 5"],
    size: tuple[int, int],
) -> bool:
    """Whether radii grow with the lens all the way to the outer edge of the farthest corner."""
    ends = np.array([[-0.5, -0.5], [size[0] - 0.5, size[1] - 0.5]])
    corner = float(np.linalg.norm(np.abs((ends - centre) / focal).max(0)))
    radii = np.linspace(0, 4 * corner, 4001)
    seen = radii * _radial(bent, radii**2)
    back = np.flatnonzero(np.diff(seen) <= 0)
    return bool(seen[back[0] if len(back) else -1] >= corner)


def camera_of(camera: ClipCamera) -> Camera:
    """The same camera in float64, as geometry takes it."""
    fields = ("focal", "centre", "rotation", "translation", "distortion")
    values = {name: torch.as_tensor(np.asarray(getattr(camera, name), dtype=np.float64)) for name in fields}
    return Camera(**values, size=tuple(camera.size))


def project(
    camera: ClipCamera, joints: Float32[np.ndarray, "T J 3"], valid: Bool[np.ndarray, "T J"]
) -> Float32[np.ndarray, "T J 3"]:
    """Exact pixels of world joints, with confidence 1; 0, 0, 0 for those that are invalid or behind."""
    seen = camera_of(camera)
    points = torch.from_numpy(np.where(valid[..., None], joints, 0).astype(np.float64))
    pixels = seen.project(points).numpy()
    known = valid & seen.in_front(points).numpy() & np.isfinite(pixels).all(-1)
    return np.where(known[..., None], np.concatenate([pixels, np.ones_like(pixels[..., :1])], -1), 0).astype(
        np.float32
    )


@dataclass(frozen=True)
class Framing:
    """Which part of a camera's image is stored: all of it, or a crop of `size` around the person."""

    full: tuple[int, int]
    size: tuple[int, int] | None

    @classmethod
    def parse(cls, full: tuple[int, int], text: str) -> Framing:
        """From "full", or WIDTHxHEIGHT such as "256x256"."""
        if text == "full":
            return cls(full, None)
        width, _, height = text.lower().partition("x")
        sizes = (width, height)
        if not all(part.isascii() and part.isdigit() and 0 < int(part) <= _LARGEST for part in sizes):
            raise ValueError(f"size {text!r}: give 'full', or width x height in pixels, e.g. 256x256")
        return cls(full, (int(width), int(height)))

    def boxes(self, keypoints: Float32[np.ndarray, "T J 3"]) -> Float32[np.ndarray, "T 4"]:
        """The part of the image that each row stores, around its keypoints of positive confidence."""
        width, height = self.full
        whole = np.array([-0.5, -0.5, width - 0.5, height - 0.5], np.float32)
        if self.size is None:
            return np.repeat(whole[None], len(keypoints), axis=0)
        pixels, known = torch.from_numpy(keypoints[..., :2]), torch.from_numpy(keypoints[..., 2] > 0)
        boxes = bounding_box(pixels, known, margin=_MARGIN, aspect=self.size[0] / self.size[1]).numpy()
        small = ~(np.isfinite(boxes).all(-1) & (boxes[:, 2] - boxes[:, 0] >= 1))
        return np.where(small[:, None], whole, boxes).astype(np.float32)

    def cut(
        self, image: Shaped[np.ndarray, "H W ..."], box: Float32[np.ndarray, " 4"]
    ) -> Shaped[np.ndarray, "h w ..."]:
        """The nearest pixels (depth does not mix), 0 outside the image."""
        if self.size is None:
            return image
        columns = _samples(float(box[0]), float(box[2]), self.size[0])
        rows = _samples(float(box[1]), float(box[3]), self.size[1])
        inside_x, inside_y = (
            (columns >= 0) & (columns < image.shape[1]),
            (rows >= 0) & (rows < image.shape[0]),
        )
        out = image[rows.clip(0, image.shape[0] - 1)][:, columns.clip(0, image.shape[1] - 1)]
        out[~inside_y] = 0
        out[:, ~inside_x] = 0
        return out


def _samples(low: float, high: float, count: int) -> np.ndarray:
    places = low + (np.arange(count) + 0.5) * (high - low) / count
    return np.rint(places).clip(-(2**31), 2**31).astype(np.int64)


def batches(frames: Iterable[Mapping[str, np.ndarray]]) -> Iterator[dict[str, np.ndarray]]:
    """Frames stacked, a few at a time, which is what the store takes."""
    held: list[Mapping[str, np.ndarray]] = []
    for frame in frames:
        held.append(frame)
        if len(held) == BATCH:
            yield {kind: np.stack([one[kind] for one in held]) for kind in held[0]}
            held = []
    if held:
        yield {kind: np.stack([one[kind] for one in held]) for kind in held[0]}


def read_depth_png(path: Path, size: tuple[int, int] | None = None) -> UInt16[np.ndarray, "H W"]:
    """A 16-bit grey PNG of millimetres. ValueError where it is damaged, of another kind or another size."""
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such depth image; copy the folder again")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(_held(path), formats=("PNG",)) as image:
                if image.mode not in ("I;16", "I;16B", "I"):
                    raise _UnfitError(f"has mode {image.mode}, wanted 16-bit grey; save it so")
                if max(image.size) > _LARGEST or (size is not None and image.size != size):
                    wanted = "at most 8192 a side" if size is None else f"{size[0]}x{size[1]}"
                    raise _UnfitError(
                        f"has {image.size[0]}x{image.size[1]} pixels, wanted {wanted}; save it so"
                    )
                depth = np.asarray(image)
    except (*_DAMAGE, Image.DecompressionBombWarning) as error:
        raise ValueError(f"{path}: is not a depth image: {_reason(error, 'PNG')}") from None
    if depth.min(initial=0) < 0 or depth.max(initial=0) > 65535:
        raise ValueError(f"{path}: depth exceeds 16 bits; write millimetres as 16-bit grey")
    return depth.astype(np.uint16)


def read_colour(path: Path) -> UInt8[np.ndarray, "H W 3"]:
    """A JPEG or PNG as RGB."""
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such image; copy the folder again")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(_held(path), formats=("PNG", "JPEG")) as image:
                if max(image.size) > _LARGEST:
                    raise _UnfitError(
                        f"has {image.size[0]}x{image.size[1]} pixels, at most 8192 a side are read; shrink it"
                    )
                return np.asarray(image.convert("RGB"))
    except (*_DAMAGE, Image.DecompressionBombWarning) as error:
        raise ValueError(f"{path}: is not a whole image: {_reason(error, 'PNG or JPEG')}") from None


def register_colour(
    depth: UInt16[np.ndarray, "H W"],
    colour: UInt8[np.ndarray, "h w 3"],
    depth_camera: Camera,
    colour_camera: Camera,
) -> UInt8[np.ndarray, "H W 3"]:
    """The colour image on the depth image's pixels; black where there is no depth or no colour.

    Both cameras see the same world. What the colour camera sees hidden gets the colour of what hides it.
    """
    rows, columns = np.nonzero(depth)
    pixels = torch.from_numpy(np.stack([columns, rows], -1).astype(np.float64))
    metres = torch.from_numpy(depth[rows, columns] / 1000.0)
    depth_camera, colour_camera = (camera.to(dtype=torch.float64) for camera in (depth_camera, colour_camera))
    world = depth_camera.camera_to_world(depth_camera.unproject(pixels, metres))
    placed = colour_camera.project(world).numpy()
    height, width = colour.shape[:2]
    ahead = colour_camera.in_front(world).numpy() & np.isfinite(placed).all(-1)
    inside = ahead & (placed > -0.5).all(-1) & (placed[:, 0] < width - 0.5) & (placed[:, 1] < height - 0.5)
    nearest = np.rint(placed[inside]).astype(np.int64)
    out = np.zeros((*depth.shape, 3), np.uint8)
    out[rows[inside], columns[inside]] = colour[nearest[:, 1], nearest[:, 0]]
    return out


def _held(path: Path) -> io.BytesIO:
    """The file in memory, where a chunk that claims two gigabytes can get no more than there is."""
    if path.stat().st_size > _LARGEST_IMAGE:
        raise _UnfitError(f"has more than {_LARGEST_IMAGE >> 20} MiB; save it smaller")
    return io.BytesIO(path.read_bytes())


def _reason(error: BaseException, kind: str) -> str:
    """What to say of an image that does not open: our own words, whatever the library's are."""
    if isinstance(error, _UnfitError):
        return str(error)
    if isinstance(error, (Image.DecompressionBombError, Image.DecompressionBombWarning, MemoryError)):
        return "its header claims too many pixels to be read; copy it again"
    return f"it is damaged, cut short, or no {kind}; copy it again"
