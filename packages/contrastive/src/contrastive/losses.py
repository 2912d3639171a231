"""InfoNCE for pairs and for triplets; plain functions of unit features and a temperature."""

from collections.abc import Sequence
from itertools import combinations

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from contrastive.cubic import excess
from contrastive.negatives import Negatives, paper_sample, sample

Temperature_ = float | Tensor


def info_nce(x: Tensor, y: Tensor, temperature: Temperature_) -> Tensor:
    """Symmetric InfoNCE of two modalities: the mean of both directions of UniHPE, equation 1.

    Args:
        x, y: unit features, shape (B, D); row n of both is the same sample.
        temperature: τ, a positive number or scalar tensor.
    """
    return _symmetric(x @ y.mT, temperature)


def pairwise_info_nce(features: Sequence[Tensor], temperature: Temperature_) -> Tensor:
    """L_pair: the sum of `info_nce` over all pairs of modalities; `features` holds n tensors (B, D)."""
    terms = [_symmetric(x @ y.mT, temperature) for x, y in combinations(features, 2)]
    return torch.stack(terms).sum()


def triplet_info_nce(
    features: Sequence[Tensor],
    temperature: Temperature_,
    negatives: Negatives = "all",
    generator: torch.Generator | None = None,
) -> Tensor:
    """L_triplet (UniHPE, equation 3): InfoNCE on the leading eigenvalue of triplets of modalities.

    Args:
        features: three tensors of unit features, shape (B, D).
        temperature: τ, a positive number or scalar tensor.
        negatives: "all" 3B² - 3B triplets that share exactly part of the anchor, "sampled" (B - 1 of them
            per anchor that keep its first modality) or "paper_sampled" (Algorithm 1 of UniHPE, in which a
            shuffle can put the positive among the negatives).
        generator: source of the samples' randomness.

    λ1 does not see signs: (x, -x, x) scores as (x, x, x). Use it together with `pairwise_info_nce`.
    """
    x, y, z = features
    a, b, c = x @ y.mT, x @ z.mT, y @ z.mT
    if negatives == "all":
        return _all_negatives(a, b, c, temperature)
    pick = {"sampled": sample, "paper_sampled": paper_sample}[negatives]
    j, k = pick(len(x), generator, x.device)
    logits = excess(a.gather(1, j), b.gather(1, k), c[j, k]) / temperature
    return cross_entropy(logits, torch.zeros(len(x), dtype=torch.long, device=x.device))


def _symmetric(cosines: Tensor, temperature: Temperature_) -> Tensor:
    logits = cosines / temperature
    target = torch.arange(len(logits), device=logits.device)
    return (cross_entropy(logits, target) + cross_entropy(logits.mT, target)) / 2


def _all_negatives(a: Tensor, b: Tensor, c: Tensor, temperature: Temperature_) -> Tensor:
    logits = excess(a[:, :, None], b[:, None, :], c[None]) / temperature
    rows = torch.arange(len(a), device=a.device)
    top = logits.detach().amax()
    e = (logits - top).exp()
    slabs = e.sum((1, 2)) + e.sum((0, 2)) + e.sum((0, 1))
    edges = e[rows, rows].sum(1) + e[rows, :, rows].sum(1) + e[:, rows, rows].sum(0)
    total = slabs - edges + e[rows, rows, rows]
    return (total.log() + top - logits[rows, rows, rows]).mean()
