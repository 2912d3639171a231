"""Contrast of whole tuples of n modalities, in O(B²): the peers of the triplet loss."""

from collections.abc import Callable, Mapping, Sequence
from itertools import combinations

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from contrastive.checks import check_temperature
from contrastive.cosines import Cosines, Present
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

Scalar = float | Tensor
Similarity = Callable[[Sequence[Tensor]], Tensor]


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
    score = _named(similarity)
    rest = range(1, shared.n)
    fixed = [cosines([shared.all[x], shared.all[y]])[0] for x, y in combinations(rest, 2)]
    to_rest = score([*(shared.rows(0, x) for x in rest), *(edge[None] for edge in fixed)])
    from_rest = score([*(shared.rows(x, 0) for x in rest), *(edge[shared.own, None] for edge in fixed)])
    whole = shared.complete(*range(shared.n))
    others = shared.complete(*rest)
    first = shared.complete(0)
    forth = _contrast(shared, to_rest / temperature, others, whole)
    return (forth + _contrast(shared, from_rest / temperature, first, whole)) / 2


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

    A tuple that lacks a member does not count, nor does one whose members are all `positives` of each other.
    """
    check_temperature(temperature)
    shared = Cosines.of(features, present=present, positives=positives, gather=gather)
    device = shared.local[0].device
    if generator is None and shared.gather is not None:
        seed = shared.gather.first(torch.randint(2**62, (1,), device=device))
        generator = torch.Generator(device).manual_seed(int(seed))
    own = torch.arange(shared.own.start, shared.own.stop, device=device)
    positive = multilinear_product(shared.local)
    whole = shared.complete(*range(shared.n))
    counted = None if whole is None else whole[shared.own]
    terms = []
    for anchor in range(shared.n):
        orders = {
            other: torch.randperm(shared.size, generator=generator, device=device)
            for other in range(shared.n)
            if other != anchor
        }
        product = multilinear_rows([shared.all[other][order] for other, order in orders.items()])
        with torch.autocast(device.type, enabled=False):
            logits = shared.local[anchor] @ product.mT
        logits = logits.scatter(1, own[:, None], positive[:, None]) / temperature
        hidden = _no_negatives(shared, orders)
        if hidden is not None:
            logits = logits.masked_fill(hidden.scatter(1, own[:, None], False), -torch.inf)
        if counted is not None:
            logits = torch.where(counted[:, None], logits, 0)
        terms.append(shared.mean(cross_entropy(logits, own, reduction="none"), counted))
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


def _no_negatives(shared: Cosines, orders: Mapping[int, Tensor]) -> Tensor | None:
    """(b, B): which shuffled tuples lack a member, or are the anchor's positives throughout."""
    hidden = None
    if shared.same is not None:
        own = shared.same[shared.own]
        hidden = torch.stack([own[:, order] for order in orders.values()]).all(0)
        for x, y in combinations(orders.values(), 2):
            hidden = hidden & shared.same[x, y]
    if shared.present is not None:
        lacking = ~torch.stack([shared.present[order, m] for m, order in orders.items()]).all(0)
        hidden = lacking.expand(len(shared.local[0]), -1) if hidden is None else hidden | lacking
    return hidden


def _contrast(shared: Cosines, logits: Tensor, candidates: Tensor | None, whole: Tensor | None) -> Tensor:
    own = torch.arange(shared.own.start, shared.own.stop, device=logits.device)
    logits, counted = shared.masked(logits, candidates, whole)
    return shared.mean(cross_entropy(logits, own, reduction="none"), counted)


SIMILARITIES: dict[str, Similarity] = {
    "eigenvalue": leading_eigenvalue,
    "gram": lambda edges: -gram_volume(edges),
    "triangle": lambda edges: -triangle_area(edges),
    "cosine": mean_cosine,
}
