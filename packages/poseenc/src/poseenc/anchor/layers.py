"""Layers of a deformable transformer, post-norm with ReLU as in Deformable DETR."""

from itertools import pairwise

from jaxtyping import Float
from torch import Tensor, nn

from .deformable import DeformableAttention, Shapes


class EncoderLayer(nn.Module):
    """Deformable self-attention over the tokens of all levels, then a feed-forward network."""

    def __init__(self, dim: int, heads: int, levels: int, points: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.attention = DeformableAttention(dim, heads, levels, points)
        self.norm = nn.LayerNorm(dim)
        self.drop = nn.Dropout(dropout)
        self.feed = FeedForward(dim, hidden, dropout)

    def forward(
        self,
        tokens: Float[Tensor, "B T dim"],
        positions: Float[Tensor, "T dim"],
        references: Float[Tensor, "1 T 2"],
        shapes: Shapes,
    ) -> Float[Tensor, "B T dim"]:
        read = self.attention(tokens + positions, references, tokens, shapes)
        return self.feed(self.norm(tokens + self.drop(read)))


class DecoderLayer(nn.Module):
    """Self-attention among the queries, deformable attention to the tokens, a feed-forward network."""

    def __init__(self, dim: int, heads: int, levels: int, points: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.among = nn.MultiheadAttention(dim, heads, dropout, batch_first=True)
        self.across = DeformableAttention(dim, heads, levels, points)
        self.norm_among, self.norm_across = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.drop = nn.Dropout(dropout)
        self.feed = FeedForward(dim, hidden, dropout)

    def forward(
        self,
        content: Float[Tensor, "B Q dim"],
        positions: Float[Tensor, "B Q dim"] | Float[Tensor, "Q dim"],
        references: Float[Tensor, "1 Q 2"],
        tokens: Float[Tensor, "B T dim"],
        shapes: Shapes,
    ) -> Float[Tensor, "B Q dim"]:
        placed = content + positions
        told, _ = self.among(placed, placed, content, need_weights=False)
        content = self.norm_among(content + self.drop(told))
        read = self.across(content + positions, references, tokens, shapes)
        return self.feed(self.norm_across(content + self.drop(read)))


class FeedForward(nn.Module):
    """norm(x + W2 relu(W1 x)), with dropout after both."""

    def __init__(self, dim: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.inner = nn.Sequential(
            nn.Linear(dim, hidden),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(hidden, dim),
            nn.Dropout(dropout),
        )
        self.norm = nn.LayerNorm(dim)

    def forward(self, x: Float[Tensor, "*any dim"]) -> Float[Tensor, "*any dim"]:
        return self.norm(x + self.inner(x))


def mlp(*widths: int) -> nn.Sequential:
    """Linear layers of these widths with ReLU between them."""
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(widths):
        layers += [nn.Linear(inputs, outputs), nn.ReLU()]
    return nn.Sequential(*layers[:-1])
