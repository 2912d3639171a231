"""What stands behind a synthetic person: plain gradients, noise, checkers, or a room with floor and wall."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
KINDS = ("gradient", "noise", "checkers", "room", "floor")


class Backdrop(NamedTuple):
    """rgb (H, W, 3) float32, 0 to 255; depth (H, W) float32 metres along the camera's z, 0 where there is
    none."""

    rgb: Array
    depth: Array


def backdrop(
    kind: str, rays: Array, up: Array, height: float, distance: float, rng: np.random.Generator
) -> Backdrop:
    """A background of `kind`, one of `KINDS`.

    rays: (H, W, 3) directions (x/z, y/z, 1) in the camera frame; up: the world's z in the camera frame;
    height: of the camera above the floor, metres; distance: of the person. Raises ValueError for an unknown
    kind.
    """
    if kind not in KINDS:
        raise ValueError(f"background {kind!r} is none of {', '.join(KINDS)}")
    shape = rays.shape[:2]
    if kind in ("room", "floor"):
        return _room(rays, up, height, distance, rng, wall=kind == "room")
    if kind == "gradient":
        rgb = _smooth(rng.uniform(0, 255, (2, 2, 3)), shape)
    elif kind == "noise":
        coarse, fine = int(rng.integers(3, 8)), int(rng.integers(12, 40))
        rgb = _smooth(rng.uniform(0, 255, (coarse, coarse, 3)), shape)
        rgb = 0.7 * rgb + 0.3 * _smooth(rng.uniform(0, 255, (fine, fine, 3)), shape)
    else:
        cell = rng.integers(6, 40)
        rows, columns = np.arange(shape[0]) // cell, np.arange(shape[1]) // cell
        rgb = rng.uniform(0, 255, (2, 3)).astype(np.float32)[(rows[:, None] + columns) % 2]
    return Backdrop(rgb.astype(np.float32, copy=False), np.zeros(shape, np.float32))


def _smooth(grid: NDArray[np.float64], shape: tuple[int, int]) -> Array:
    """A grid (h, w, 3) stretched bilinearly to an image."""
    down, across = _stretch(grid.shape[0], shape[0]), _stretch(grid.shape[1], shape[1])
    wide = across @ grid.astype(np.float32)
    return (down @ wide.reshape(len(wide), -1)).reshape(*shape, 3)


def _stretch(small: int, large: int) -> Array:
    position = np.linspace(0, small - 1, large)
    index = np.minimum(position.astype(int), small - 2)
    share = position - index
    matrix = np.zeros((large, small), np.float32)
    matrix[np.arange(large), index], matrix[np.arange(large), index + 1] = 1 - share, share
    return matrix


def _room(
    rays: Array, up: Array, height: float, distance: float, rng: np.random.Generator, *, wall: bool
) -> Backdrop:
    """A tiled floor, and a wall across the view some way behind the person; above the floor else a plain
    sky."""
    along = np.cross(up, (0.0, 1.0, 0.0) if abs(up[1]) < 0.9 else (0.0, 0.0, 1.0))
    along = along / np.linalg.norm(along)
    axes = np.stack([-up, along, np.cross(up, along)], -1).astype(np.float32)
    falling, ahead, aside = (rays.reshape(-1, 3) @ axes).T.reshape(3, *rays.shape[:2])
    floor = np.float32(height) / np.maximum(falling, np.float32(1e-4))
    behind = np.float32(distance + rng.uniform(0.6, 3.0) if wall else 30.0)
    on_floor = floor < behind
    tile, contrast = rng.uniform(0.2, 0.8), rng.uniform(0.05, 0.5)
    scaled = np.where(on_floor, floor / np.float32(tile), 0)
    cells = np.floor(scaled * ahead).astype(np.int32) + np.floor(scaled * aside).astype(np.int32)
    colours = rng.uniform(20, 235, (2, 3)).astype(np.float32)
    tiles = colours[0] * np.array([[1], [1 - contrast]], np.float32)
    rgb = _smooth(colours[1] * rng.uniform(0.6, 1.05, (4, 3, 1)), rays.shape[:2])
    rgb[on_floor] = tiles[cells[on_floor] & 1]
    return Backdrop(rgb, np.where(on_floor, floor, behind if wall else np.float32(0)))
