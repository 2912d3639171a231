"""Margin triplets mined by the distance between the things themselves, as in V-VIPE."""

from typing import NamedTuple

import torch
from torch import Tensor

from contrastive.checks import check_batch, check_number, check_rows, check_shapes


class Mined(NamedTuple):
    """Row indices (B,) of each anchor's positive and negative, and whether it has both."""

    positive: Tensor
    negative: Tensor
    found: Tensor


def mine(distances: Tensor, apart: float = 0.1) -> Mined:
    """V-VIPE's mining (section 3.2): the closest sample is the positive, the next closest the negative.

    Args:
        distances: (B, B) between samples, in the unit of `apart`; the diagonal is not read.
        apart: the negative must be at least this much further than the positive, else the next is taken.

    Raises:
        ValueError: the distances are not (B, B), or none; on a CPU, one of them is not a number.
    """
    check_number("apart", apart)
    if distances.ndim != 2 or distances.shape[0] != distances.shape[1] or not len(distances):
        raise ValueError(f"distances: {tuple(distances.shape)}; pass (B, B), B at least 1")
    itself = torch.eye(len(distances), dtype=torch.bool, device=distances.device)
    ahead = distances.masked_fill(itself, torch.inf)
    if distances.device.type == "cpu" and ahead.isnan().any():
        row, column = ahead.isnan().nonzero()[0].tolist()
        raise ValueError(f"distances: NaN between {row} and {column}; leave out samples without a distance")
    near, positive = ahead.min(1)
    negatives = ahead.masked_fill(ahead < (near + apart)[:, None], torch.inf)
    negatives = negatives.scatter(1, positive[:, None], torch.inf)
    far, negative = negatives.min(1)
    return Mined(positive, negative, far.isfinite())


def margin_triplet(
    embeddings: Tensor,
    distances: Tensor,
    *,
    margin: float = 1.0,
    apart: float = 0.1,
    others: Tensor | None = None,
) -> Tensor:
    """Mean of max(0, |x - positive| - |x - negative| + margin) over the anchors that have a triplet.

    Args:
        embeddings: (B, D), not normalised.
        distances: (B, B) between the poses that were embedded.
        others: (B, D) where positives and negatives are taken from, if not from `embeddings`: V-VIPE
            anchors a 2D encoder at embeddings of 3D poses.

    The paper prints the two distances swapped; this is the sign that pulls the positive closer.

    Raises:
        ValueError: shapes that do not fit, an empty batch; on a CPU, a row that is not finite.
    """
    others = embeddings if others is None else others
    check_number("margin", margin)
    check_shapes([embeddings, others])
    check_batch(len(embeddings))
    check_rows([embeddings], names=["embeddings"])
    check_rows([others], names=["others"])
    if distances.shape != (len(embeddings), len(embeddings)):
        raise ValueError(f"distances: {tuple(distances.shape)} for {len(embeddings)} embeddings; pass (B, B)")
    mined = mine(distances, apart)
    to_positive = _norm(embeddings - others[mined.positive])
    to_negative = _norm(embeddings - others[mined.negative])
    loss = (to_positive - to_negative + margin).clamp_min(0)
    return torch.where(mined.found, loss, 0).sum() / mined.found.sum().clamp_min(1)


def _norm(x: Tensor) -> Tensor:
    """Euclidean norm of rows, with slope zero at zero (two equal embeddings)."""
    square = (x * x).sum(-1)
    zero = square == 0
    return torch.where(zero, 0, torch.where(zero, 1, square).sqrt())
