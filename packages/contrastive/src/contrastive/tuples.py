"""Contrast of whole tuples of n modalities, in O(B²) time: the peers of the triplet loss."""

from collections.abc import Mapping, Sequence
from itertools import combinations

import torch
from torch import Tensor
from torch.nn.functional import softplus

from contrastive.checks import check_temperature
from contrastive.contrast import Similarity, contrast
from contrastive.cosines import Cosines, Present, product
from contrastive.gather import Gather
from contrastive.similarity import (
    cosines,
    gram_volume,
    leading_eigenvalue,
    mean_cosine,
    multilinear_product,
    multilinear_rows,
    singular_values,
    triangle_area,
)
from contrastive.tiles import sums

Scalar = float | Tensor


def tuple_info_nce(
    features: Sequence[Tensor] | Cosines,
    temperature: Scalar,
    similarity: str | Similarity = "eigenvalue",
    *,
    present: Present | None = None,
    positives: Tensor | None = None,
    gather: bool | Gather = False,
) -> Tensor:
    """The first modality of each sample against the other modalities of every sample, both ways, n >= 2.

    Args:
        features: n tensors of unit features (B, D), or their `Cosines`.
        temperature: τ, a positive number or scalar tensor.
        similarity: "eigenvalue" (λ1), "gram" (minus the volume: GRAM's loss), "triangle" (minus the area:
            TRIANGLE's), "cosine" (the mean cosine), or any function of the cosines, ordered as in
            `contrastive.similarity`, that grows as vectors align.
    """
    check_temperature(temperature)
    shared = Cosines.of(features, present=present, positives=positives, gather=gather)
    return contrast(shared, 0, range(1, shared.n), temperature, _named(similarity))


def symile(
    features: Sequence[Tensor] | Cosines,
    temperature: Scalar,
    generator: torch.Generator | None = None,
    *,
    present: Present | None = None,
    positives: Tensor | None = None,
    gather: bool | Gather = False,
) -> Tensor:
    """Symile with B - 1 negatives: each modality in turn against shuffled products of the others.

    Args:
        features: n >= 2 tensors (B, D), or their `Cosines`. The multilinear product of unit vectors is of
            size D^(1 - n/2), so τ must be smaller than for cosines.
        generator: source of the shuffles; in the same state in every process, None draws a common seed.

    A tuple that lacks a member does not count, nor does one whose members are all `positives` of each other,
    nor a sample's own, which Symile's shuffles may give back to it.
    """
    check_temperature(temperature)
    shared = Cosines.of(features, present=present, positives=positives, gather=gather)
    return products(shared, range(shared.n), temperature, generator)


def products(
    shared: Cosines, members: Sequence[int], temperature: Scalar, generator: torch.Generator | None
) -> Tensor:
    """`symile` of some of the modalities, over the samples that have all of them."""
    device = shared.local[0].device
    if generator is None and shared.gather is not None:
        seed = shared.gather.first(torch.randint(2**62, (1,), device=device))
        generator = torch.Generator(device).manual_seed(int(seed))
    positive = multilinear_product([shared.local[m] for m in members]) / temperature
    counted = shared.complete(*members)
    if counted is not None:
        counted = counted[shared.own]
    terms = []
    for anchor in members:
        orders = {
            other: torch.randperm(shared.size, generator=generator, device=device)
            for other in members
            if other != anchor
        }
        # what stands in its own column is the positive, which a sample is not contrasted with
        negative = _shuffled(shared, anchor, orders, temperature)
        terms.append(shared.mean(softplus(negative - positive, threshold=50), counted))
    return torch.stack(terms).mean()


def pmrl(
    features: Sequence[Tensor] | Cosines,
    temperature: Scalar,
    *,
    present: Present | None = None,
    gather: bool | Gather = False,
) -> Tensor:
    """PMRL's alignment term: the largest of a tuple's own singular values against the rest of them.

    -log softmax of σ1 / τ among the n singular values. It sees no other sample, so alone it collapses:
    add a loss that has negatives.
    """
    check_temperature(temperature)
    shared = Cosines.of(features, present=present, gather=gather)
    values = singular_values(cosines(shared.local)) / temperature
    counted = shared.complete(*range(shared.n))
    return shared.mean(values.logsumexp(-1) - values[:, -1], None if counted is None else counted[shared.own])


def _named(similarity: str | Similarity) -> Similarity:
    if callable(similarity):
        return similarity
    if similarity not in SIMILARITIES:
        raise ValueError(f"similarity: {similarity!r}; choose {', '.join(SIMILARITIES)} or pass a function")
    return SIMILARITIES[similarity]


def _shuffled(shared: Cosines, anchor: int, orders: Mapping[int, Tensor], temperature: Scalar) -> Tensor:
    """(b,): log-sum-exp of one modality's local rows against the shuffled products of the others."""
    rows = shared.local[anchor]
    shuffled = multilinear_rows([shared.all[other][order] for other, order in orders.items()])
    there = None
    if shared.present is not None:
        there = torch.stack([shared.present[order, m] for m, order in orders.items()]).all(0)

    def tile(i: slice, k: slice) -> tuple[Tensor, Tensor]:
        here = torch.arange(shared.own.start + i.start, shared.own.start + i.stop, device=rows.device)
        negatives = here[:, None] != torch.arange(k.start, k.stop, device=rows.device)
        negatives = negatives & ~_alike(shared, here, [order[k] for order in orders.values()])
        if there is not None:
            negatives = negatives & there[k]
        return product(rows[i], shuffled[k]) / temperature, negatives

    return sums(tile, len(rows), shared.size, shared.own.start, rows.device).row


def _alike(shared: Cosines, rows: Tensor, members: Sequence[Tensor]) -> Tensor:
    """(I, K): which rows are tuples' members (K,) throughout, or their positives, as these of each other."""
    to_each = [shared.alike(rows, member) for member in members]
    known = [alike for alike in to_each if alike is not None]
    if not known:
        return torch.stack([rows[:, None] == member for member in members]).all(0)
    found = torch.stack(known).all(0)
    for x, y in combinations(members, 2):
        found = found & shared.paired(x, y)
    return found


SIMILARITIES: dict[str, Similarity] = {
    "eigenvalue": leading_eigenvalue,
    "gram": lambda edges: -gram_volume(edges),
    "triangle": lambda edges: -triangle_area(edges),
    "cosine": mean_cosine,
}
