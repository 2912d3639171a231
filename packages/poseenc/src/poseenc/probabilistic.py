"""PR-VIPE: keypoints to a distribution, and the triplet loss on matching probabilities.

Sun, Zhao, Chen, Schroff, Adam, Liu: "View-Invariant Probabilistic Embedding for Human Pose", ECCV 2020. It is
the peer that V-VIPE is measured against. Pure functions, but for the two numbers that the matching learns.
"""

import math
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn.functional import elu, logsigmoid

from .gaussian import Gaussian
from .pose import MLPPoseEncoder
from .tokens import exact


class GaussianPoseEncoder(nn.Module):
    """Keypoints to a diagonal normal distribution; the deviation is ELU + 1 (the authors' network).

    Args:
        joints: number of keypoints J.
        channels: numbers per keypoint.
        dim: width of the embedding.
        hidden, blocks, dropout: of the trunk; the defaults are the authors'.
    """

    def __init__(
        self,
        joints: int,
        channels: int = 2,
        dim: int = 16,
        hidden: int = 1024,
        blocks: int = 2,
        *,
        dropout: float = 0.3,
    ) -> None:
        super().__init__()
        self.dim = dim
        self.features = MLPPoseEncoder(joints, channels, 2 * dim, hidden, blocks, dropout=dropout, box=False)

    def forward(
        self, keypoints: Float[Tensor, "B J C"], present: Bool[Tensor, "B J"] | None = None
    ) -> Gaussian:
        """The distribution of every pose; ``present`` is False for a keypoint that was not seen."""
        x = self.features(keypoints, present=present)
        with exact(x):
            mean, raw = x.float().chunk(2, dim=1)
            return Gaussian(mean, elu(raw) + 1 + torch.finfo(torch.float32).eps)


class MatchingProbability(nn.Module):
    """The probability sigmoid(-a d + b) that embeddings at distance d are of one pose; a, b are learnt.

    a = ELU(raw) + 1 is positive. The initial values are the authors'.
    """

    def __init__(self, raw: float = -0.65, offset: float = -0.5) -> None:
        super().__init__()
        self.raw, self.offset = nn.Parameter(torch.tensor(raw)), nn.Parameter(torch.tensor(offset))

    def forward(self, distance: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
        """The logarithm of the probability."""
        return logsigmoid(self.offset - (elu(self.raw) + 1) * distance)


def matching_distance(
    x: Float[Tensor, "B S dim"], y: Float[Tensor, "B S dim"], matching: MatchingProbability
) -> Float[Tensor, " B"]:
    """-log of the mean matching probability over all S x S pairs of draws (equations 2 and 5).

    Args:
        x, y: draws of two distributions a row.
    """
    logarithm = matching(torch.cdist(x, y)).flatten(1)
    return math.log(logarithm.shape[1]) - logarithm.logsumexp(1)


class SemiHard(NamedTuple):
    """Row of each anchor's negative, and whether it has one."""

    row: Int[Tensor, " B"]
    found: Bool[Tensor, " B"]


def semi_hard(
    distances: Float[Tensor, "B M"], positive: Float[Tensor, " B"], allowed: Bool[Tensor, "B M"]
) -> SemiHard:
    """The nearest of the allowed candidates that is farther than the positive (section 3.3).

    Args:
        distances: of every anchor's embedding to the candidates'.
        positive: of every anchor's embedding to its positive's.
        allowed: which candidates are negatives at all: poses at least 0.1 away after Procrustes.
    """
    nearest, row = distances.masked_fill(~allowed | (distances <= positive[:, None]), torch.inf).min(1)
    return SemiHard(row, nearest.isfinite())


def triplet_ratio(
    positive: Float[Tensor, " B"],
    negative: Float[Tensor, " B"],
    found: Bool[Tensor, " B"],
    margin: float = math.log(2),
) -> Float[Tensor, ""]:
    """Mean of max(0, margin + positive - negative), both matching distances (equation 3).

    In the logarithm a margin of log β asks that the positive match β times as probably. An anchor without a
    negative counts as met, as in the authors' code.
    """
    return torch.where(found, (margin + positive - negative).clamp_min(0), 0).mean()


def matching_terms(
    found: Gaussian,
    allowed: Bool[Tensor, "B B"],
    matching: MatchingProbability,
    draws: int,
    ratio: float,
    generator: torch.Generator,
) -> dict[str, Float[Tensor, ""]]:
    """The terms of the loss, each of weight 1 (section 3): `triplet`, `positive` pairs, divergence `kl`.

    Args:
        found: of two views of B poses, (2 B, dim), those of a pose side by side.
        allowed: as of `semi_hard`, of the first views to the second ones.
        draws: S, samples of each distribution that are matched.
        ratio: β, how many times as probably the positive must match.
    """
    drawn = found.sample(draws, generator).unflatten(0, (-1, 2))
    mean = found.mean.detach().unflatten(0, (-1, 2))
    between = torch.cdist(mean[:, 0], mean[:, 1])
    chosen = semi_hard(between, between.diagonal(), allowed)
    anchor, other = drawn[:, 0], drawn[:, 1]
    to_positive = matching_distance(anchor, other, matching)
    to_negative = matching_distance(anchor, other[chosen.row], matching)
    return {
        "triplet": triplet_ratio(to_positive, to_negative, chosen.found, math.log(ratio)),
        "positive": to_positive.mean(),
        "kl": found.kl_to_normal().mean(),
    }
