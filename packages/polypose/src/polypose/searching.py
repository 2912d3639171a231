"""What is near an embedding, among arrays or in an index."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from poseenc.index import EmbeddingIndex, Neighbours
from torch import Tensor

from polypose.comparing import COSINE, Compared
from polypose.embeddings import Embeddings
from polypose.inputs import Like, as_array


def retrieve(queries: Any, gallery: Any, k: int, compared: Compared = COSINE) -> Neighbours:
    """`polypose.Model.retrieve`."""
    asked, like = vectors_of(queries)
    able = asked.isfinite().all(1)
    if isinstance(gallery, EmbeddingIndex):
        index, rows = gallery, torch.arange(len(gallery))
    else:
        kept, _ = vectors_of(gallery)
        rows = kept.isfinite().all(1).nonzero()[:, 0].cpu()
        index = EmbeddingIndex(compared.gallery(kept[rows.to(kept.device)]))
    found = index.search(compared.queries(asked[able]), k)
    similarity = asked.new_full((len(asked), k), -torch.inf, dtype=torch.float32)
    row = torch.full((len(asked), k), -1, dtype=torch.long, device=asked.device)
    similarity[able] = compared.nearness(asked[able], index, found).float()
    row[able] = _in_gallery(found.row, rows.to(asked.device))
    return Neighbours(like.give(similarity), like.give(row))


def vectors_of(values: Any) -> tuple[Float[Tensor, "N D"], Like]:
    """Embeddings as a tensor, and how they were given."""
    if isinstance(values, Embeddings):
        values = values.vectors
    if isinstance(values, Tensor):
        return values.detach(), Like.of(values)
    return torch.from_numpy(np.atleast_2d(as_array(values, "embeddings")).astype(np.float32)), Like()


def _in_gallery(found: Int[Tensor, "Q k"], rows: Int[Tensor, " G"]) -> Int[Tensor, "Q k"]:
    if not len(rows):
        return found
    return torch.where(found >= 0, rows[found.clamp(min=0)], -1)
