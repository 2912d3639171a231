"""InfoNCE for pairs, for triplets and for whole tuples: pure functions of unit features and a temperature.

`features` is a sequence of unit tensors (B, D), one a modality, or the `Cosines` made from them, which
several losses can share. `present`, `positives` and `gather` are explained there.
"""

from collections.abc import Sequence
from itertools import combinations, permutations

import torch
from torch import Tensor

from contrastive.checks import check_number, check_temperature
from contrastive.contrast import contrast
from contrastive.cosines import Cosines, Present
from contrastive.cubic import excess
from contrastive.gather import Gather
from contrastive.negatives import Negatives, Triple, log_partition, sampled_loss
from contrastive.similarity import cosines

Scalar = float | Tensor


def info_nce(
    x: Tensor,
    y: Tensor,
    temperature: Scalar,
    *,
    present: Present | None = None,
    positives: Tensor | None = None,
    gather: bool | Gather = False,
) -> Tensor:
    """Symmetric InfoNCE of two modalities: the mean of both directions of UniHPE, equation 1.

    Args:
        x, y: unit features, shape (B, D); row n of both is the same sample.
        temperature: τ, a positive number or scalar tensor.
    """
    return pairwise_info_nce([x, y], temperature, present=present, positives=positives, gather=gather)


def pairwise_info_nce(
    features: Sequence[Tensor] | Cosines,
    temperature: Scalar,
    *,
    present: Present | None = None,
    positives: Tensor | None = None,
    gather: bool | Gather = False,
) -> Tensor:
    """L_pair: `info_nce` summed over all pairs of modalities (UniHPE, equation 1).

    A pair's mean runs over the samples that have both of its modalities.
    """
    check_temperature(temperature)
    shared = Cosines.of(features, present=present, positives=positives, gather=gather)
    terms = [contrast(shared, x, [y], temperature) for x, y in combinations(range(shared.n), 2)]
    return torch.stack(terms).sum()


def triplet_info_nce(
    features: Sequence[Tensor] | Cosines,
    temperature: Scalar,
    negatives: Negatives = "all",
    generator: torch.Generator | None = None,
    *,
    present: Present | None = None,
    positives: Tensor | None = None,
    gather: bool | Gather = False,
) -> Tensor:
    """L_triplet (UniHPE, equation 3): InfoNCE on λ1, the leading eigenvalue of triplets of modalities.

    Args:
        features: three tensors of unit features, shape (B, D), or their `Cosines`.
        temperature: τ, a positive number or scalar tensor; "all" in float32 wants τ >= 1/128.
        negatives: "all" 3B² - 3B triplets that share a member with the anchor, "sampled" (B - 1 that share
            its first member, drawn evenly with replacement) or "paper_sampled" (Algorithm 1 of UniHPE, in
            which a shuffle can put the positive among the negatives).
        generator: source of the samples. With `gather` it must be in the same state in every process;
            None draws a common seed.

    A triplet that lacks a member does not count, nor does one whose members are all `positives` of each
    other. λ1 does not see signs: (x, -x, x) scores as (x, x, x), so add `pairwise_info_nce`.
    """
    check_temperature(temperature)
    shared = Cosines.of(features, present=present, positives=positives, gather=gather)
    if shared.n != 3:
        raise ValueError(
            f"features: {shared.n} modalities; triplet_info_nce takes 3, tuple_info_nce any number"
        )
    return triple(shared, (0, 1, 2), temperature, negatives, generator)


def triple(
    shared: Cosines,
    members: Triple,
    temperature: Scalar,
    negatives: Negatives,
    generator: torch.Generator | None = None,
) -> Tensor:
    """`triplet_info_nce` of three of the modalities, over the samples that have all of them."""
    counted = shared.complete(*members)
    if counted is not None:
        counted = counted[shared.own]
    if negatives == "all":
        positive = excess(*cosines([shared.local[m] for m in members])) / temperature
        partition = log_partition(shared, members, temperature, positive)
        return shared.mean(partition - positive, counted)
    return shared.mean(sampled_loss(shared, members, temperature, negatives, generator), counted)


def supervised_info_nce(
    features: Sequence[Tensor] | Cosines,
    temperature: Scalar,
    *,
    present: Present | None = None,
    positives: Tensor | None = None,
    gather: bool | Gather = False,
) -> Tensor:
    """`pairwise_info_nce` in which all `positives` attract: the mean of -log p over them (SupCon's L_out).

    The other losses merely leave positives out of the negatives.
    """
    check_temperature(temperature)
    shared = Cosines.of(features, present=present, positives=positives, gather=gather)
    if shared.same is None:
        raise ValueError("positives: none given; pass labels or a mask, or use pairwise_info_nce")
    total = shared.local[0].new_zeros(())
    for x, y in permutations(range(shared.n), 2):
        wanted = shared.same[shared.own]
        logits = shared.rows(x, y) / temperature
        if shared.present is not None:
            wanted = wanted & shared.present[:, y] & shared.present[shared.own, x, None]
            logits = logits.masked_fill(~shared.present[:, y], -torch.inf)
        counted = wanted.any(1)
        logits = torch.where(counted[:, None], logits, 0)
        log_p = torch.where(wanted, logits.log_softmax(1), 0)
        total = total - shared.mean(log_p.sum(1) / wanted.sum(1).clamp_min(1), counted)
    return total / 2


def joint_info_nce(
    features: Sequence[Tensor] | Cosines,
    temperature: Scalar,
    negatives: Negatives = "all",
    generator: torch.Generator | None = None,
    *,
    weight: float = 1.0,
    present: Present | None = None,
    positives: Tensor | None = None,
    gather: bool | Gather = False,
) -> Tensor:
    """L_cl = L_pair + α L_triplet (UniHPE, equation 4) on one set of cosine matrices; `weight` is α."""
    check_temperature(temperature)
    check_number("weight", weight)
    shared = Cosines.of(features, present=present, positives=positives, gather=gather)
    triplet = triplet_info_nce(shared, temperature, negatives, generator)
    return pairwise_info_nce(shared, temperature) + weight * triplet
