"""How embeddings are compared: by their cosine, or by Euclidean distance. One index serves both."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from poseenc.euclidean import from_sphere, gallery_on_sphere, queries_for_sphere
from poseenc.index import EmbeddingIndex, Neighbours
from torch import Tensor


@dataclass(frozen=True)
class Compared:
    """A rule.

    Attributes:
        name: of the number that files and tables tell.
        gallery, queries: embeddings as `EmbeddingIndex` takes them.
        nearness: (Q, k) of what was found, the greater the nearer; -inf where the gallery has no more.
        told: that as the number with the rule's name.
    """

    name: str
    gallery: Callable[[Tensor], Tensor]
    queries: Callable[[Tensor], Tensor]
    nearness: Callable[[Tensor, EmbeddingIndex, Neighbours], Tensor]
    told: Callable[[Tensor], Tensor]


def _same(values: Tensor) -> Tensor:
    return values


def _minus_distance(
    queries: Float[Tensor, "Q D"], index: EmbeddingIndex, found: Neighbours
) -> Float[Tensor, "Q k"]:
    if not len(index):
        return found.similarity
    rows = torch.from_numpy(index.vectors()[found.row.clamp(min=0).cpu().numpy()]).to(queries.device)
    distance = (queries[:, None] - from_sphere(rows)).norm(dim=-1)
    return (-distance).masked_fill(found.row < 0, -torch.inf)


COSINE = Compared("cosine", _same, _same, lambda queries, index, found: found.similarity, _same)
DISTANCE = Compared("distance", gallery_on_sphere, queries_for_sphere, _minus_distance, torch.neg)
RULES = {rule.name: rule for rule in (COSINE, DISTANCE)}
