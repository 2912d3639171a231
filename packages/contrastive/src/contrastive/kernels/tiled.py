"""The cube in plain torch, a few rows at a time: any device and dtype, and the twin of the fast kernels."""

from collections.abc import Iterator

import torch
from torch import Tensor

from contrastive.cubic import largest_root, slopes
from contrastive.kernels.cube import Cube

_CELLS = 2**18  # a tile of float32 is 1 MiB, so a dozen of them hardly leave the caches


def forward(cube: Cube) -> tuple[Tensor, Tensor, Tensor]:
    """The three faces of `contrastive.kernels.faces`."""
    face_ab, face_ac, face_bc = map(torch.zeros_like, cube[:3])
    for tile, a, b, c in _tiles(cube):
        weight = _weight(cube, tile, largest_root(a, b, c))
        face_ab[tile], face_ac[tile] = weight.sum(2), weight.sum(1)
        face_bc += weight.sum(0)
    return face_ab, face_ac, face_bc


def backward(cube: Cube, grads: tuple[Tensor, Tensor, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients by a, b, c of the faces' sums weighted by `grads`."""
    da, db, dc = map(torch.zeros_like, cube[:3])
    for tile, a, b, c in _tiles(cube):
        root = largest_root(a, b, c)
        pull = grads[0][tile, :, None] + grads[1][tile, None, :] + grads[2]
        pull *= _weight(cube, tile, root).mul_(cube.rate)
        by_a, by_b, by_c = slopes(a, b, c, root)
        da[tile], db[tile] = (by_a * pull).sum(2), (by_b * pull).sum(1)
        dc += (by_c * pull).sum(0)
    return da, db, dc


def _tiles(cube: Cube) -> Iterator[tuple[slice, Tensor, Tensor, Tensor]]:
    step = max(1, _CELLS // max(1, cube.c.numel()))
    for start in range(0, len(cube.a), step):
        tile = slice(start, start + step)
        yield tile, cube.a[tile, :, None], cube.b[tile, None, :], cube.c[None]


def _weight(cube: Cube, tile: slice, root: Tensor) -> Tensor:
    weight = (root * cube.rate).sub_(cube.shift).exp_()
    if cube.same is None:
        return weight
    ab, ac, bc = cube.same
    return weight.masked_fill_(ab[tile, :, None] & ac[tile, None, :] & bc, 0)
