"""The same question asked of FAISS, for galleries too large or machines too small for an exact answer."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from poseenc.index import EmbeddingIndex, Neighbours, unit_queries


class FaissIndex:
    """An :class:`EmbeddingIndex` handed to FAISS (``pip install poseenc[faiss]``), by cosine.

    Args:
        index: the gallery; its unit vectors are copied.
        factory: what FAISS is to build: ``Flat`` is exact, ``HNSW32`` or ``IVF1024,Flat`` are not.
            Those that learn (``IVF...``) learn from the gallery.

    Raises:
        ModuleNotFoundError: FAISS is not installed.
        ValueError: FAISS does not know the factory string.
    """

    def __init__(self, index: EmbeddingIndex, factory: str = "Flat") -> None:
        try:
            import faiss
        except ModuleNotFoundError:
            raise ModuleNotFoundError(
                "FAISS is not installed: pip install 'poseenc[faiss]', or search the EmbeddingIndex itself"
            ) from None
        self.dim = index.dim
        try:
            self._faiss: Any = faiss.index_factory(index.dim, factory, faiss.METRIC_INNER_PRODUCT)
        except RuntimeError:
            raise ValueError(
                f"factory {factory!r}: FAISS makes no index of it for {index.dim} dimensions; give 'Flat' or"
                " 'HNSW32'"
            ) from None
        vectors = np.ascontiguousarray(index.vectors())
        if len(vectors):
            self._faiss.train(vectors)
            self._faiss.add(vectors)

    def __len__(self) -> int:
        return int(self._faiss.ntotal)

    def search(self, queries: Tensor | np.ndarray, k: int = 1) -> Neighbours:
        """The ``k`` nearest rows that FAISS finds, as :meth:`EmbeddingIndex.search` returns them.

        Equal similarities come in FAISS's order.

        Raises:
            ValueError: another D than the gallery's; a query that is not finite; k below 1.
        """
        unit = unit_queries(queries, self.dim, k)
        values, rows = self._faiss.search(unit.cpu().numpy(), k)
        similarity = torch.from_numpy(np.where(rows < 0, -np.inf, values).astype(np.float32))
        return Neighbours(similarity.to(unit.device), torch.from_numpy(rows).to(unit.device))
