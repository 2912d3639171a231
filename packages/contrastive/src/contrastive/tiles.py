"""Sums of exponentials along both sides of a matrix of logits that is never whole."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

CELLS = {"cpu": 2**20, "cuda": 2**24}
"""Cells of a tile by device: a matrix that is no larger is made once and kept for the gradient."""

ROWS = 512
"""The fewest rows of a tile that is as wide as the batch, so that products stay efficient."""

FLOOR = -1e30
"""The logit of a cell that does not count: finite, so that a line of nothing else has a gradient of zero."""

Tile = Callable[[slice, slice], tuple[Tensor, Tensor | None]]
"""(rows, columns) -> their logits, and which of them count (None: all)."""


class Sums(NamedTuple):
    """Of logits (b, B): log-sum-exp of every row (b,) and column (B,); own cells (b,) as either has them."""

    row: Tensor
    column: Tensor
    own_of_row: Tensor
    own_of_column: Tensor


def fits(cells: int, device: torch.device) -> bool:
    """Whether a matrix of so many cells is one tile."""
    return cells <= _cells(device)


def side(columns: int, device: torch.device) -> int:
    """How many rows of so many columns make a tile."""
    return max(ROWS, _cells(device) // max(1, columns))


def blocks(count: int, step: int) -> Iterator[slice]:
    """Slices of `step` that make up 0..count; one that is empty where count is 0."""
    for start in range(0, max(count, 1), step):
        yield slice(start, min(start + step, count))


def again(part: Callable[..., tuple[Tensor, ...]], *where: slice) -> tuple[Tensor, ...]:
    """`part(*where)`, computed a second time for its gradient instead of kept."""
    result: tuple[Tensor, ...] = checkpoint(part, *where, use_reentrant=False, preserve_rng_state=False)
    return result


def sums(
    tile: Tile,
    rows: int,
    columns: int,
    start: int,
    device: torch.device,
    scales: tuple[Tensor, Tensor] | None = None,
) -> Sums:
    """Sums of a matrix (rows, columns) of logits in O(rows + columns + tile) memory.

    Args:
        tile: makes a part of the matrix; called a second time for the gradient where there are several.
        start: the column of the first row's own sample; the next row's is the next.
        scales: factors of the logits by row (b,), in sums of rows, and by column (B,), in sums of columns.
    """

    def part(i: slice, k: slice) -> tuple[Tensor, ...]:
        logits, counts = tile(i, k)
        if counts is not None:
            logits = logits.masked_fill(~counts, FLOOR)
        along, down = logits, logits
        if scales is not None:
            along, down = scales[0][i, None] * logits, scales[1][k] * logits
        # copies, as a view would keep its whole tile
        own = (x.diagonal(start + i.start - k.start).clone() for x in (along, down))
        return along.logsumexp(1), down.logsumexp(0), *own

    if fits(rows * columns, device):
        return Sums(*part(slice(0, rows), slice(0, columns)))
    edge = max(1, int(_cells(device) ** 0.5))
    grid = [[again(part, i, k) for k in blocks(columns, edge)] for i in blocks(rows, edge)]
    lines, flat = list(zip(*grid, strict=True)), [p for line in grid for p in line]
    return Sums(
        row=torch.cat([torch.stack([p[0] for p in line]).logsumexp(0) for line in grid]),
        column=torch.cat([torch.stack([p[1] for p in line]).logsumexp(0) for line in lines]),
        own_of_row=torch.cat([p[2] for p in flat]),
        own_of_column=torch.cat([p[3] for p in flat]),
    )


def _cells(device: torch.device) -> int:
    return CELLS.get(device.type, CELLS["cuda"])
