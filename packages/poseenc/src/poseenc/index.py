"""Exact nearest neighbours by cosine among embeddings, in tiles, from memory or from a mapped file."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from numpy.lib.format import open_memmap
from posedata.errors import DAMAGED
from torch import Tensor
from torch.nn.functional import normalize

from poseenc.best import Best, Neighbours

__all__ = ["EmbeddingIndex", "Neighbours", "unit_queries"]

BLOCK = 2**21
"""Similarities computed at once: 8 MiB, which a processor's cache holds."""

DIGEST = b"polypose-index-sha256:"
"""What follows the array in a saved index: this, and the hexadecimal digest of all before it."""

CHUNK = 2**24
"""Bytes read at once where a file is checked."""


class EmbeddingIndex:
    """A gallery of N embeddings that answers which are nearest to a query.

    Embeddings are normalised on entry; an all-zero one has cosine 0 to everything. Similarities that come
    out equal are ordered by row, the lower first; those of identical rows can differ in their last bit. A
    gallery may be empty. Nothing is approximate.

    Args:
        embeddings: (N, D), a tensor or an array of any real numbers.

    Attributes:
        about: what a saved index says of itself, who made it for instance.

    Raises:
        ValueError: an embedding that is not finite, names the row; not (N, D); complex or boolean.
    """

    def __init__(self, embeddings: Tensor | np.ndarray) -> None:
        self._vectors: Tensor | np.ndarray = _unit(embeddings, "embeddings")
        self.about: dict[str, str] = {}

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
        queries: Tensor | np.ndarray,
        k: int = 1,
        *,
        leave_out: Tensor | np.ndarray | None = None,
        tile: int = 8192,
    ) -> Neighbours:
        """The ``k`` nearest rows of every query, on the queries' device.

        Args:
            queries: (Q, D), a tensor or an array; normalised here.
            k: how many neighbours.
            leave_out: (Q, 2), per query a range ``start, stop`` of rows that must not be found, as the
                query's own frame and its temporal neighbours.
            tile: rows of the gallery in one block; memory is that of 2²¹ similarities whatever Q and N.

        Raises:
            ValueError: another D than the gallery's; a query that is not finite; k or tile below 1; ranges of
                another number than the queries.
        """
        unit = unit_queries(queries, self.dim, k)
        if tile < 1:
            raise ValueError(f"tile is {tile}: take at least 1 row of the gallery at once")
        block = max(1, BLOCK // tile)
        blocks = unit.split(block)
        ranges: list[Tensor | None] = [None] * len(blocks)
        if leave_out is not None:
            ranges = [*_ranges(leave_out, len(unit)).to(unit.device).split(block)]
        parts = [self._search_block(q, k, r, tile) for q, r in zip(blocks, ranges, strict=True)]
        return Neighbours(torch.cat([p.similarity for p in parts]), torch.cat([p.row for p in parts]))

    def save(self, path: str | Path, about: Mapping[str, str] | None = None) -> None:
        """Write the unit vectors to one ``.npy`` file, under a temporary name until it is whole.

        After the array, where NumPy does not look, stands what is said `about` it, as JSON, and the SHA-256
        of both, which ``load`` checks.
        """
        path = Path(path)
        partial = path.with_name(path.name + ".partial")
        try:
            with partial.open("w+b") as file:
                np.save(file, self.vectors(), allow_pickle=False)
                file.write(json.dumps(dict(about)).encode() if about else b"")
                file.write(DIGEST + _digest(file, file.tell()))
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)

    @classmethod
    def load(cls, path: str | Path) -> "EmbeddingIndex":
        """Open a saved index memory-mapped: rows are read when a search comes by.

        The file is read once to check its digest. One that has none, of an older version or of another
        program, is looked through for rows that are not of unit length instead.

        Raises:
            FileNotFoundError: no such file.
            ValueError: not a saved index, cut short or damaged.
        """
        path = Path(path)
        if not path.is_file():
            raise FileNotFoundError(f"{path}: no such index; write one with EmbeddingIndex.save")
        damaged = f"{path}: damaged or cut short; save the index again from its embeddings"
        end = _check_digest(path, damaged)
        try:
            vectors = open_memmap(path, mode="r")
        except DAMAGED:
            raise ValueError(damaged) from None
        if vectors.ndim != 2 or vectors.dtype != np.float32:
            raise ValueError(f"{path}: holds {vectors.dtype} {vectors.shape}, an index is float32 (N, D)")
        after = vectors.offset + vectors.nbytes
        if end is None:
            if path.stat().st_size != after:
                raise ValueError(damaged)
            _check_unit(vectors, path)
        index = cls.__new__(cls)
        index._vectors = vectors
        index.about = {} if end is None else _about(path, after, end, damaged)
        return index

    def _search_block(self, queries: Tensor, k: int, leave_out: Tensor | None, tile: int) -> Neighbours:
        best = Best(len(queries), k, queries.device)
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
            best.add(similarity, start)
        return best.found

    def _rows(self, start: int, stop: int, device: torch.device) -> Tensor:
        rows = self._vectors[start:stop]
        return (rows if isinstance(rows, Tensor) else torch.from_numpy(np.array(rows))).to(device)


def _array(vectors: Tensor | np.ndarray) -> np.ndarray:
    return vectors.cpu().numpy() if isinstance(vectors, Tensor) else vectors


def unit_queries(queries: Tensor | np.ndarray, dim: int, k: int) -> Tensor:
    """Queries as unit vectors, once they and k are found fit for a gallery of that width."""
    if isinstance(k, bool) or not isinstance(k, int | np.integer) or k < 1:
        raise ValueError(f"k is {k}: ask for at least 1 neighbour, a whole number")
    unit = _unit(queries, "queries")
    if unit.shape[1] != dim:
        raise ValueError(f"queries have {unit.shape[1]} dimensions, the gallery has {dim}")
    return unit


def _unit(embeddings: Tensor | np.ndarray, name: str) -> Tensor:
    shape, kind = tuple(embeddings.shape), embeddings.dtype
    if len(shape) != 2 or not shape[1]:
        raise ValueError(f"{name}: {shape}; pass (rows, width), one embedding also as (1, width)")
    if isinstance(embeddings, np.ndarray):
        if embeddings.dtype.kind not in "fiu":
            raise ValueError(f"{name}: {kind} {shape}; pass real numbers")
        embeddings = torch.from_numpy(embeddings.astype(np.float32 if kind == np.float32 else np.float64))
    elif embeddings.dtype == torch.bool or embeddings.dtype.is_complex:
        raise ValueError(f"{name}: {kind} {shape}; pass real numbers")
    vectors = embeddings.detach()
    vectors = vectors if vectors.dtype == torch.float32 else vectors.double()
    bad = (~vectors.isfinite().all(dim=1)).nonzero()
    if len(bad):
        raise ValueError(f"{name}[{int(bad[0])}] is not finite ({len(bad)} such rows): leave it out")
    # Brought to size first: squares of very large or small numbers are none.
    largest = vectors.abs().amax(dim=1, keepdim=True)
    return normalize(vectors / torch.where(largest > 0, largest, 1), dim=1).float()


def _ranges(leave_out: Tensor | np.ndarray, count: int) -> Tensor:
    ranges = torch.as_tensor(leave_out)
    if ranges.shape != (count, 2) or ranges.is_floating_point() or ranges.is_complex():
        raise ValueError(
            f"leave_out: {tuple(ranges.shape)} {ranges.dtype}; pass whole numbers start, stop for each of "
            f"{count} queries"
        )
    return ranges


def _digest(file: BinaryIO, size: int) -> bytes:
    """The hexadecimal SHA-256 of a file's first bytes."""
    digest = hashlib.sha256()
    file.seek(0)
    while size:
        chunk = file.read(min(size, CHUNK))
        if not chunk:
            break
        digest.update(chunk)
        size -= len(chunk)
    file.seek(0, 2)
    return digest.hexdigest().encode()


def _about(path: Path, start: int, end: int, damaged: str) -> dict[str, str]:
    """What is said between the array and the digest."""
    with path.open("rb") as file:
        file.seek(start)
        text = file.read(max(end - start, 0))
    try:
        said = json.loads(text) if text else {}
        return {str(key): str(value) for key, value in said.items()}
    except (ValueError, AttributeError, RecursionError):
        raise ValueError(damaged) from None


def _check_digest(path: Path, damaged: str) -> int | None:
    """Where the digest begins that the file ends in, once it is found right; None of a file without one."""
    length = len(DIGEST) + 64
    with path.open("rb") as file:
        size = file.seek(0, 2) - length
        if size < 0:
            return None
        file.seek(size)
        mark = file.read()
        if not mark.startswith(DIGEST):
            return None
        if mark[len(DIGEST) :] != _digest(file, size):
            raise ValueError(damaged)
    return size


def _check_unit(vectors: np.ndarray, path: Path) -> None:
    for start in range(0, len(vectors), 65536):
        square = np.square(vectors[start : start + 65536]).sum(axis=1)
        wrong = ~((np.abs(square - 1) < 1e-3) | (square == 0))
        if wrong.any():
            row = start + int(wrong.argmax())
            raise ValueError(
                f"{path}: row {row} is not of unit length; save the index again from its embeddings"
            )
