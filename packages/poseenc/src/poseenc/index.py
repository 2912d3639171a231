"""Exact nearest neighbours by cosine among embeddings, in tiles, from memory or from a mapped file."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.lib.format import open_memmap
from torch import Tensor
from torch.nn.functional import normalize

BLOCK = 2**21
"""Similarities computed at once: 8 MiB, which a processor's cache holds."""

RUN = 256
"""Columns whose greatest similarity decides whether they are looked at one by one."""


class Neighbours(NamedTuple):
    """Best first. Places that the gallery cannot fill hold row -1 and similarity -inf."""

    similarity: Float[Tensor, "Q k"]
    row: Int[Tensor, "Q k"]


class EmbeddingIndex:
    """A gallery of N embeddings that answers which are nearest to a query.

    Embeddings are normalised on entry; an all-zero one has cosine 0 to everything. Similarities that come
    out equal are ordered by row, the lower first; those of identical rows can differ in their last bit. A
    gallery may be empty. Nothing is approximate.

    Args:
        embeddings: (N, D), of any floating type.

    Raises:
        ValueError: an embedding that is not finite; names the row.
    """

    def __init__(self, embeddings: Float[Tensor, "N D"]) -> None:
        self._vectors: Tensor | np.ndarray = _unit(embeddings, "embeddings")

    def __len__(self) -> int:
        return len(self._vectors)

    @property
    def dim(self) -> int:
        """Width D of the embeddings."""
        return int(self._vectors.shape[1])

    def vectors(self) -> np.ndarray:
        """The unit vectors, (N, D) float32: a view of what the index holds."""
        return _array(self._vectors)

    def search(
        self,
        queries: Float[Tensor, "Q D"],
        k: int = 1,
        *,
        leave_out: Int[Tensor, "Q 2"] | None = None,
        tile: int = 8192,
    ) -> Neighbours:
        """The ``k`` nearest rows of every query, on the queries' device.

        Args:
            queries: (Q, D); normalised here.
            k: how many neighbours.
            leave_out: per query a range ``start, stop`` of rows that must not be found, as the
                query's own frame and its temporal neighbours.
            tile: rows of the gallery in one block; memory is that of 2²¹ similarities whatever Q and N.

        Raises:
            ValueError: another D than the gallery's; a query that is not finite; k below 1.
        """
        if queries.shape[1] != self.dim:
            raise ValueError(f"queries have {queries.shape[1]} dimensions, the gallery has {self.dim}")
        if k < 1:
            raise ValueError(f"k is {k}: ask for at least 1 neighbour")
        unit = _unit(queries, "queries")
        block = max(1, BLOCK // tile)
        blocks = unit.split(block)
        ranges = [None] * len(blocks) if leave_out is None else leave_out.to(unit.device).split(block)
        parts = [self._search_block(q, k, r, tile) for q, r in zip(blocks, ranges, strict=True)]
        return Neighbours(torch.cat([p.similarity for p in parts]), torch.cat([p.row for p in parts]))

    def save(self, path: str | Path) -> None:
        """Write the unit vectors to one ``.npy`` file, under a temporary name until it is whole."""
        path = Path(path)
        partial = path.with_name(path.name + ".partial")
        with partial.open("wb") as file:
            np.save(file, self.vectors(), allow_pickle=False)
        partial.replace(path)

    @classmethod
    def load(cls, path: str | Path) -> "EmbeddingIndex":
        """Open a saved index memory-mapped: rows are read when a search comes by.

        Raises:
            FileNotFoundError: no such file.
            ValueError: not a saved index, or cut short.
        """
        if not Path(path).is_file():
            raise FileNotFoundError(f"{path}: no such index; write one with EmbeddingIndex.save")
        try:
            vectors = open_memmap(path, mode="r")
        except (ValueError, EOFError) as error:
            raise ValueError(f"{path}: not a whole .npy file ({error}); save the index again") from error
        if vectors.ndim != 2 or vectors.dtype != np.float32:
            raise ValueError(f"{path}: holds {vectors.dtype} {vectors.shape}, an index is float32 (N, D)")
        index = cls.__new__(cls)
        index._vectors = vectors
        return index

    def _search_block(self, queries: Tensor, k: int, leave_out: Tensor | None, tile: int) -> Neighbours:
        best = Neighbours(
            queries.new_full((len(queries), k), -torch.inf),
            torch.full((len(queries), k), -1, dtype=torch.long, device=queries.device),
        )
        memory = queries.new_empty(len(queries) * min(tile, len(self)))
        for start in range(0, len(self), tile):
            rows = self._rows(start, start + tile, queries.device)
            shape = len(queries), len(rows)
            # one piece of memory for all tiles: fresh pages for each would cost more than the product
            similarity = torch.mm(queries, rows.T, out=memory[: shape[0] * shape[1]].view(shape))
            if leave_out is not None:
                index = torch.arange(start, start + len(rows), device=queries.device)
                out = (index >= leave_out[:, :1]) & (index < leave_out[:, 1:])
                similarity = similarity.masked_fill(out, -torch.inf)
            found = _top(similarity, min(k, len(rows))) if start == 0 else _above(similarity, best.similarity)
            best = _merge(best, found, start, k)
        return best

    def _rows(self, start: int, stop: int, device: torch.device) -> Tensor:
        rows = self._vectors[start:stop]
        return (rows if isinstance(rows, Tensor) else torch.from_numpy(np.array(rows))).to(device)


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


def _array(vectors: Tensor | np.ndarray) -> np.ndarray:
    return vectors.cpu().numpy() if isinstance(vectors, Tensor) else vectors


def _unit(embeddings: Tensor, name: str) -> Tensor:
    vectors = embeddings.detach().float()
    bad = (~vectors.isfinite().all(dim=1)).nonzero()
    if len(bad):
        raise ValueError(f"{name}[{int(bad[0])}] is not finite ({len(bad)} such rows): leave it out")
    return normalize(vectors, dim=1)
