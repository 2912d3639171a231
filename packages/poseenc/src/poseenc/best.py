"""The greatest similarities so far, while a gallery passes by block by block."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

RUN = 256
"""Columns whose greatest similarity decides whether they are looked at one by one."""


class Neighbours(NamedTuple):
    """Best first. Places that the gallery cannot fill hold row -1 and similarity -inf."""

    similarity: Float[Tensor, "Q k"]
    row: Int[Tensor, "Q k"]


class Best:
    """The ``k`` best of every query; blocks come in the order of their rows, of equals the lower row wins.

    Attributes:
        found: so far.
    """

    def __init__(self, queries: int, k: int, device: torch.device | None = None) -> None:
        self._k, self._begun = k, False
        self.found = Neighbours(
            torch.full((queries, k), -torch.inf, device=device),
            torch.full((queries, k), -1, dtype=torch.long, device=device),
        )

    def add(self, similarity: Float[Tensor, "Q n"], start: int) -> None:
        """Take in a block whose first column is row ``start``; -inf where a row must not be found."""
        if not similarity.shape[1]:
            return
        if self._begun:
            found = _above(similarity, self.found.similarity)
        else:
            found = _top(similarity, min(self._k, similarity.shape[1]))
        self._begun = True
        self.found = _merge(self.found, found, start, self._k)


def _top(similarity: Tensor, k: int) -> Neighbours:
    """``topk`` with ties by the lower column: only rows tied across the last place need a full sort."""
    values, columns = similarity.topk(k, dim=1)
    tied = (similarity >= values[:, -1:]).sum(dim=1) > k
    if tied.any():
        columns[tied] = similarity[tied].argsort(dim=1, descending=True, stable=True)[:, :k]
    columns = columns.sort(dim=1).values
    values, order = similarity.gather(1, columns).sort(dim=1, descending=True, stable=True)
    return Neighbours(values, columns.gather(1, order))


def _above(similarity: Tensor, best: Tensor) -> Neighbours:
    """What beats the last of the ``best`` (Q, k), in order of columns, filled up with -inf.

    The longer the search, the less there is of it: of most runs of columns only the greatest value is looked
    at, which costs a tenth of computing them, where ``topk`` over all of them would cost several times as
    much.
    """
    last = best[:, -1:]
    length = next(n for n in (RUN, 1) if similarity.shape[1] % n == 0)
    runs = similarity.unflatten(1, (-1, length))
    query, run = (runs.amax(dim=2) > last).nonzero(as_tuple=True)
    some = runs[query, run]
    entry, place = (some > last[query]).nonzero(as_tuple=True)
    query, column = query[entry], run[entry] * length + place
    count = torch.bincount(query, minlength=len(similarity))
    rank = torch.arange(len(query), device=query.device) - (count.cumsum(0) - count)[query]
    shape = (len(similarity), int(count.max()) if len(query) else 0)
    found = Neighbours(similarity.new_full(shape, -torch.inf), query.new_full(shape, -1))
    found.similarity[query, rank] = some[entry, place]
    found.row[query, rank] = column
    return found


def _merge(best: Neighbours, found: Neighbours, start: int, k: int) -> Neighbours:
    """The k best of both. What was found before has lower rows: a stable sort keeps ties in order."""
    if not found.row.shape[1]:
        return best
    row = torch.where(found.similarity.isneginf(), -1, found.row + start)
    values = torch.cat([best.similarity, found.similarity], dim=1)
    order = values.argsort(dim=1, descending=True, stable=True)[:, :k]
    return Neighbours(values.gather(1, order), torch.cat([best.row, row], dim=1).gather(1, order))
