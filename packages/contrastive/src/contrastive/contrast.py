"""One modality of each sample against other modalities of every sample: what all losses on cosines share."""

from collections.abc import Callable, Sequence
from itertools import combinations

from torch import Tensor

from contrastive.cosines import Cosines
from contrastive.similarity import cosines
from contrastive.tiles import sums

Similarity = Callable[[Sequence[Tensor]], Tensor]
"""Cosines in the order of `contrastive.similarity` -> how alike; grows as vectors align."""


def only(edges: Sequence[Tensor]) -> Tensor:
    """The similarity of two: their cosine."""
    return edges[0]


def contrast(
    shared: Cosines,
    anchor: int,
    rest: Sequence[int],
    temperature: float | Tensor,
    score: Similarity = only,
    sharpness: tuple[Tensor, Tensor] | None = None,
) -> Tensor:
    """Mean of two InfoNCEs: a sample's anchor among the rests of all, its rest among the anchors of all.

    Means are over the samples that have all of these modalities; negatives are all that have what is
    compared. Exact, in O(B D + tile) memory (`contrastive.tiles`). Both are sums along the sides of one
    matrix, of which every process makes its own rows.

    Args:
        anchor, rest: numbers of modalities.
        score: of the cosines of anchor and rest.
        sharpness: (b,) each, factors of the logits of each sample's anchor and of its rest, as the one that
            is compared; 1 by default.
    """
    fixed = [cosines([shared.all[x], shared.all[y]])[0] for x, y in combinations(rest, 2)]

    def tile(rows: slice, columns: slice) -> tuple[Tensor, Tensor | None]:
        edges = [shared.tile(anchor, x, rows, columns) for x in rest]
        logits = score([*edges, *(edge[columns] for edge in fixed)]) / temperature
        return logits, shared.counts(anchor, rest, rows, columns)

    start, here = shared.own.start, shared.local[anchor]
    scales = None if sharpness is None else (sharpness[0], shared.all_rows(sharpness[1]))
    found = sums(tile, len(here), shared.size, start, here.device, scales)
    counted = shared.complete(anchor, *rest)
    if counted is not None:
        counted = counted[shared.own]
    forth = found.row - found.own_of_row
    back = shared.over_processes(found.column)[shared.own] - found.own_of_column
    return (shared.mean(forth, counted) + shared.mean(back, counted)) / 2
