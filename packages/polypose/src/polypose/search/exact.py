"""The nearest of a gallery that lies on the disk, block by block: nothing is approximate."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from poseenc.best import Best, Neighbours
from torch import Tensor

from polypose.search.embedding import View

_BLOCK = 2**21
"""Similarities computed at once: 8 MiB, which a processor's cache holds."""
_LEAST, _MOST = 2**13, 2**17
"""Rows in one block."""
SPARE = 16
"""More rows than are wanted, of which distances tell: an inner product of float32 may exchange near ones."""


class Gallery(NamedTuple):
    """Part of one.

    Attributes:
        start: number of its first row.
        places: (n, D) float32, mapped or in memory.
        penalty: (n,) taken from the inner product with a query, so that what is left orders the rows.
        keep: (n,) which rows may be found; all, if None.
    """

    start: int
    places: np.ndarray
    penalty: np.ndarray
    keep: np.ndarray | None = None


def penalties(places: np.ndarray, view: View) -> np.ndarray:
    """(n,) of a gallery.

    |q - x|² is least where q·x - |x|²/2 is greatest. Of places on the sphere nothing is taken; those that
    are 0, which no camera saw, are never found.
    """
    out = np.empty(len(places), np.float32)
    for start in range(0, len(places), _MOST):
        block = places[start : start + _MOST]
        square = np.einsum("nd,nd->n", block, block)
        out[start : start + _MOST] = square / 2 if view == "invariant" else np.where(square > 0, 0, np.inf)
    return out


@torch.no_grad()
def nearest(galleries: Iterable[Gallery], queries: Float[Tensor, "Q D"], k: int) -> Neighbours:
    """The k rows with the greatest q·x - penalty, which is what `similarity` is; of equals the first."""
    asked = queries.float().contiguous()
    blocks = [Best(len(part), k) for part in asked.split(256)]
    for gallery in galleries:
        if gallery.keep is not None and not gallery.keep.any():
            continue
        for best, part in zip(blocks, asked.split(256), strict=True):
            _pass(gallery, part, best)
    found = [best.found for best in blocks]
    return Neighbours(torch.cat([f.similarity for f in found]), torch.cat([f.row for f in found]))


def _pass(gallery: Gallery, queries: Tensor, best: Best) -> None:
    tile = min(_MOST, max(_LEAST, _BLOCK // len(queries)))
    memory = queries.new_empty(len(queries) * min(tile, len(gallery.places)))
    for start in range(0, len(gallery.places), tile):
        rows = torch.from_numpy(gallery.places[start : start + tile])
        taken = torch.from_numpy(gallery.penalty[start : start + tile])
        shape = len(queries), len(rows)
        similarity = torch.mm(queries, rows.T, out=memory[: shape[0] * shape[1]].view(shape))
        similarity.sub_(taken)
        if gallery.keep is not None:
            similarity.masked_fill_(~torch.from_numpy(gallery.keep[start : start + tile]), -torch.inf)
        best.add(similarity, gallery.start + start)


def told(queries: Float[Tensor, "Q D"], places: Float[Tensor, "Q k D"], view: View) -> Float[Tensor, "Q k"]:
    """Of what was found: minus the distance to the query, or its cosine; the greater the nearer."""
    if view == "invariant":
        return -(queries[:, None] - places).norm(dim=-1)
    return (queries[:, None] * places).sum(-1)
