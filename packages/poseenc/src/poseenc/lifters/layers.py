"""What several lifters are made of: graph convolutions, attention over tokens, and their MLP."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from posedata.skeleton import Skeleton
from torch import Tensor, nn
from torch.nn import functional


def adjacent(skeleton: Skeleton) -> Bool[Tensor, "J J"]:
    """Which joints a bone connects, and each with itself."""
    found = torch.eye(len(skeleton), dtype=torch.bool)
    for child, parent in skeleton.edges:
        found[child, parent] = found[parent, child] = True
    return found


def hops(skeleton: Skeleton, centre: str) -> list[int]:
    """How many bones each joint is away from the centre."""
    reach = torch.eye(len(skeleton), dtype=torch.bool)[skeleton.index(centre)]
    away = [0 if here else len(skeleton) for here in reach.tolist()]
    for step in range(1, len(skeleton)):
        reach = adjacent(skeleton)[reach].any(0)
        away = [min(far, step) if here else far for far, here in zip(away, reach.tolist(), strict=True)]
    return away


def partitions(skeleton: Skeleton, centre: str = "spine") -> Float[Tensor, "4 J J"]:
    """Four graphs: each joint itself, bones seen outwards and inwards from the centre, and left to right.

    The spatial partition of Yan et al. 2018 (ST-GCN, section 3.3) with Cai et al. 2019's symmetric pairs
    (section 3.2). Joints gather over columns; what they gather has weight 1 in total over all four.
    """
    links, away = adjacent(skeleton), torch.tensor(hops(skeleton, centre))
    itself, bones = (
        torch.eye(len(skeleton), dtype=torch.bool),
        links & ~torch.eye(len(links), dtype=torch.bool),
    )
    pairs = torch.zeros_like(links)
    for joint, other in enumerate(skeleton.mirror):
        pairs[joint, other] = joint != other
    further = away[:, None] > away
    found = torch.stack([itself, bones & further & ~pairs, bones & ~further & ~pairs, pairs]).float()
    return found / found.sum((0, 1))


class PartitionConv(nn.Module):
    """Graph convolution with one matrix for each of some graphs: ``sum_k graph_kᵀ (x W_k + b_k)``."""

    graphs: Tensor

    def __init__(self, inputs: int, outputs: int, graphs: Float[Tensor, "K J J"]) -> None:
        super().__init__()
        self.register_buffer("graphs", graphs.clone(), persistent=False)
        self.linear = nn.Linear(inputs, outputs * len(graphs))

    def forward(self, x: Float[Tensor, "B J inputs"]) -> Float[Tensor, "B J outputs"]:
        each = self.linear(x).unflatten(-1, (len(self.graphs), -1))
        return torch.einsum("bvkc,kvw->bwc", each, self.graphs)


class Attention(nn.Module):
    """Multi-head attention among the tokens of the last axis but one, projected."""

    def __init__(self, width: int, heads: int, *, bias: bool = True, dropout: float = 0.0) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width, bias=bias)
        self.out = nn.Linear(width, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Float[Tensor, "*B T width"]) -> Float[Tensor, "*B T width"]:
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).movedim(-3, 0).transpose(-3, -2)
        return self.dropout(
            self.out(functional.scaled_dot_product_attention(q, k, v).transpose(-3, -2).flatten(-2))
        )


def mlp(width: int, hidden: int, dropout: float = 0.0) -> nn.Sequential:
    """A transformer's: linear, GELU, linear, with dropout after both."""
    return nn.Sequential(
        nn.Linear(width, hidden),
        nn.GELU(),
        nn.Dropout(dropout),
        nn.Linear(hidden, width),
        nn.Dropout(dropout),
    )


class Channels(nn.BatchNorm1d):
    """Batch normalisation of the last axis over all others."""

    def forward(self, x: Float[Tensor, "*B channels"]) -> Float[Tensor, "*B channels"]:
        return super().forward(x.flatten(0, -2)).view_as(x)
