"""Modalities by name, any of them missing from any row, and every loss on them behind one call."""

from collections.abc import Callable, Collection, Iterable, Mapping
from itertools import combinations
from typing import NamedTuple

import torch
from torch import Tensor

from contrastive.checks import check_number, check_shapes, check_temperature
from contrastive.contrast import contrast
from contrastive.cosines import Cosines
from contrastive.gather import Gather
from contrastive.losses import triple
from contrastive.negatives import Negatives
from contrastive.tuples import SIMILARITIES, products

Scalar = float | Tensor


def multimodal_info_nce(
    embeddings: Mapping[str, Tensor],
    present: Mapping[str, Tensor] | None,
    temperature: Scalar,
    terms: Mapping[str, float],
    *,
    concentrations: Mapping[str, Tensor] | None = None,
    negatives: Negatives = "all",
    generator: torch.Generator | None = None,
    positives: Tensor | None = None,
    gather: bool | Gather = False,
) -> Tensor:
    """The weighted sum of some of the terms below, over rows each of which may lack any modality.

    | term | of | compares |
    |---|---|---|
    | `pairwise` | every pair | cosines (`pairwise_info_nce`) |
    | `sharpened` | every pair | cosines times the concentration of the one that is compared |
    | `triplet` | every triple | λ1 = σ1² (`triplet_info_nce`) |
    | `triangle` | every triple | the first of it with the other two, by area (TRIANGLE) |
    | `fused` | every pair and a third | the pair's mean direction with the third (ConFu) |
    | `gram` | all at once | the first with all others, by volume (GRAM) |
    | `symile` | all at once | products over modalities, B - 1 shuffled ones as negatives (Symile) |

    Terms are sums over pairs or triples, and means over the rows that have what is compared; a row without
    that is neither an anchor nor a negative. Where no row has it, or one alone, a term is zero, and so is its
    gradient. Two modalities and `pairwise` are `info_nce`, three with `triplet` beside it `joint_info_nce`.

    Args:
        embeddings: unit rows (B, D) by modality, two or more, in one order in all processes.
        present: (B,) booleans by modality; one that is not named is in every row. What stands in an absent
            row (NaN allowed) has no effect.
        temperature: τ, a positive number or scalar tensor.
        terms: weights by the names above.
        concentrations: (B,) positive, by modality: what `fused` weighs a pair's directions with (ConFu's
            fusion is learnt; equal weights by default), and `sharpened` multiplies logits with.
        negatives: of `triplet`; "all" is exact, the others hold B² draws.
        generator: source of draws; in one state in all processes, None draws a common seed.
        positives, gather: as in `Cosines`; masks are gathered too.

    Memory is O(B D) and a tile, draws aside: no matrix is whole.

    Raises:
        ValueError: unknown terms or names, a term of three for two modalities, and what every loss refuses.
    """
    for name, weight in terms.items():
        check_number(f"terms[{name!r}]", weight)
    values = multimodal_terms(
        embeddings,
        present,
        temperature,
        terms,
        concentrations=concentrations,
        negatives=negatives,
        generator=generator,
        positives=positives,
        gather=gather,
    )
    return torch.stack([weight * values[name] for name, weight in terms.items()]).sum()


def multimodal_terms(
    embeddings: Mapping[str, Tensor],
    present: Mapping[str, Tensor] | None,
    temperature: Scalar,
    terms: Iterable[str],
    *,
    concentrations: Mapping[str, Tensor] | None = None,
    negatives: Negatives = "all",
    generator: torch.Generator | None = None,
    positives: Tensor | None = None,
    gather: bool | Gather = False,
) -> dict[str, Tensor]:
    """The terms of `multimodal_info_nce` by name, each of weight 1."""
    check_temperature(temperature)
    terms, names = list(terms), list(embeddings)
    check_terms(terms, len(names))
    labels = [f"embeddings[{name!r}]" for name in names]
    features = list(embeddings.values())
    check_shapes(features, labels)
    there = _columns("present", present, names, features[0])
    sharpness = _columns("concentrations", concentrations, names, features[0])
    if "sharpened" in terms and concentrations is None:
        raise ValueError("concentrations: none given; pass them by modality, or leave out 'sharpened'")
    sharpness = [torch.where(on, k, 1) for on, k in zip(there, sharpness, strict=True)]
    _check_positive(names, sharpness)
    fused: dict[tuple[int, int], int] = {}
    if "fused" in terms:
        for x, y in combinations(range(len(names)), 2):
            fused[x, y] = len(features)
            direction, on = _mean_direction(
                [torch.where(there[m][:, None], features[m], 0) for m in (x, y)],
                [torch.where(there[m], sharpness[m], 0) for m in (x, y)],
            )
            features.append(direction)
            there.append(there[x] & there[y] & on)
            labels.append(f"{labels[x]} with {labels[y]}")
    masks = None if present is None and not fused else there
    shared = Cosines(features, present=masks, positives=positives, gather=gather, names=labels)
    given = Given(shared, range(len(names)), temperature, sharpness, fused, negatives, generator)
    return {name: TERMS[name](given) for name in terms}


class Given(NamedTuple):
    """What a term is made of; `fused` are the numbers of the pairs' mean directions among the features."""

    shared: Cosines
    modalities: range
    temperature: Scalar
    sharpness: list[Tensor]
    fused: dict[tuple[int, int], int]
    negatives: Negatives
    generator: torch.Generator | None


def _pairwise(given: Given) -> Tensor:
    pairs = combinations(given.modalities, 2)
    return torch.stack([contrast(given.shared, x, [y], given.temperature) for x, y in pairs]).sum()


def _sharpened(given: Given) -> Tensor:
    k = given.sharpness
    pairs = combinations(given.modalities, 2)
    found = [contrast(given.shared, x, [y], given.temperature, sharpness=(k[x], k[y])) for x, y in pairs]
    return torch.stack(found).sum()


def _triplet(given: Given) -> Tensor:
    how = (given.temperature, given.negatives, given.generator)
    return torch.stack([triple(given.shared, m, *how) for m in combinations(given.modalities, 3)]).sum()


def _triangle(given: Given) -> Tensor:
    score = SIMILARITIES["triangle"]
    triples = combinations(given.modalities, 3)
    return torch.stack(
        [contrast(given.shared, x, rest, given.temperature, score) for x, *rest in triples]
    ).sum()


def _fused(given: Given) -> Tensor:
    found = [
        contrast(given.shared, pair, [third], given.temperature)
        for members, pair in given.fused.items()
        for third in given.modalities
        if third not in members
    ]
    return torch.stack(found).sum()


def _gram(given: Given) -> Tensor:
    first, *rest = given.modalities
    return contrast(given.shared, first, rest, given.temperature, SIMILARITIES["gram"])


def _symile(given: Given) -> Tensor:
    return products(given.shared, given.modalities, given.temperature, given.generator)


TERMS: dict[str, Callable[[Given], Tensor]] = {
    "pairwise": _pairwise,
    "sharpened": _sharpened,
    "triplet": _triplet,
    "triangle": _triangle,
    "fused": _fused,
    "gram": _gram,
    "symile": _symile,
}
"""What `multimodal_info_nce` knows by name."""

_OF_THREE = ("triplet", "triangle", "fused")


def check_terms(terms: Collection[str], modalities: int) -> None:
    """Raise ValueError unless these are names of `TERMS` that so many modalities can have."""
    if unknown := [name for name in terms if name not in TERMS]:
        raise ValueError(f"terms: {unknown[0]!r}; choose from {', '.join(TERMS)}")
    if not terms:
        raise ValueError(f"terms: none; choose from {', '.join(TERMS)}")
    short = [name for name in terms if name in _OF_THREE and modalities < 3]
    if short:
        raise ValueError(
            f"terms: {short[0]!r} compares three modalities, there are {modalities}; leave it out"
        )


def _columns(what: str, given: Mapping[str, Tensor] | None, names: list[str], like: Tensor) -> list[Tensor]:
    """(B,) of every modality: as given, or true (of `present`) or 1 (of `concentrations`)."""
    given = given or {}
    if unknown := [name for name in given if name not in names]:
        raise ValueError(f"{what}: no embeddings are called {unknown[0]!r}; there are {', '.join(names)}")
    wide = torch.promote_types(like.dtype, torch.float32)
    kind = torch.bool if what == "present" else wide
    found = [given.get(name, torch.ones(len(like), dtype=kind, device=like.device)) for name in names]
    for name, column in zip(names, found, strict=True):
        right = column.dtype == torch.bool if what == "present" else column.is_floating_point()
        if column.shape != like.shape[:1] or not right:
            wanted = "booleans" if what == "present" else "positive numbers"
            raise ValueError(
                f"{what}[{name!r}]: {tuple(column.shape)} {column.dtype}; pass {wanted} ({len(like)},)"
            )
    return found if what == "present" else [column.to(wide) for column in found]


def _check_positive(names: list[str], concentrations: list[Tensor]) -> None:
    for name, column in zip(names, concentrations, strict=True):
        wrong = ~(column.detach() > 0) | column.isinf() if column.device.type == "cpu" else None
        if wrong is not None and wrong.any():
            row = int(wrong.long().argmax())
            raise ValueError(
                f"concentrations[{name!r}]: row {row} is {column[row].item():.3g}; pass positive numbers"
            )


def _mean_direction(parts: list[Tensor], weights: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Direction (b, D) of the weighted sum, and where there is one: opposites of one weight have none."""
    total = torch.stack([k[:, None] * x.to(k) for x, k in zip(parts, weights, strict=True)]).sum(0)
    square = total.square().sum(1)
    weight = torch.stack(weights).square().sum(0)
    found = square > 1e-6 * weight
    return torch.where(found[:, None], total, 0) / torch.where(found, square, 1).sqrt()[:, None], found
