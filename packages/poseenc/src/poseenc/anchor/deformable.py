"""Multi-scale deformable attention in plain torch (Zhu et al., Deformable DETR, ICLR 2021, section 4.1)."""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from poseenc.heads import check_heads

Shapes = Sequence[tuple[int, int]]
"""Height and width of every level, in the order in which their tokens follow one another."""


class DeformableAttention(nn.Module):
    """Every query reads a few points of every level, near its reference, at places it chooses itself.

    Args:
        dim: width of queries and tokens.
        heads: must divide ``dim``.
        levels, points: per head.
    """

    def __init__(self, dim: int = 256, heads: int = 8, levels: int = 4, points: int = 4) -> None:
        super().__init__()
        check_heads("width", dim, heads)
        self.heads, self.levels, self.points = heads, levels, points
        self.offsets = nn.Linear(dim, heads * levels * points * 2)
        self.weights = nn.Linear(dim, heads * levels * points)
        self.value, self.out = nn.Linear(dim, dim), nn.Linear(dim, dim)
        self._initialise()

    def forward(
        self,
        queries: Float[Tensor, "B Q dim"],
        references: Float[Tensor, "#B Q 2"],
        tokens: Float[Tensor, "B T dim"],
        shapes: Shapes,
    ) -> Float[Tensor, "B Q dim"]:
        """What the queries read.

        Args:
            queries: with their position added.
            references: (x, y) of the queries in [0, 1], the crop's edges.
            tokens: of all levels.
            shapes: (height, width) of the levels.
        """
        grid = (self.heads, self.levels, self.points)
        value = self.value(tokens).unflatten(-1, (self.heads, -1))
        offsets = self.offsets(queries).unflatten(-1, (*grid, 2)).float()
        weights = self.weights(queries).unflatten(-1, (self.heads, -1)).softmax(-1).unflatten(-1, grid[1:])
        extent = offsets.new_tensor([(width, height) for height, width in shapes])
        places = references[:, :, None, None, None] + offsets / extent[:, None]
        return self.out(deformable_sample(value, shapes, places, weights))

    def _initialise(self) -> None:
        """Head h begins by looking in direction 2πh/H, its points 1, 2, ... pixels away, all alike."""
        angle = torch.arange(self.heads) * (2 * math.pi / self.heads)
        direction = torch.stack([angle.cos(), angle.sin()], -1)
        direction = direction / direction.abs().amax(-1, keepdim=True)
        away = torch.arange(1, self.points + 1)[:, None]
        bias = (direction[:, None, None] * away).expand(-1, self.levels, -1, -1)
        nn.init.zeros_(self.offsets.weight)
        self.offsets.bias.data = bias.flatten().clone()
        nn.init.zeros_(self.weights.weight)
        nn.init.zeros_(self.weights.bias)
        for layer in (self.value, self.out):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)


def deformable_sample(
    value: Float[Tensor, "B T heads d"],
    shapes: Shapes,
    places: Float[Tensor, "B Q heads levels points 2"],
    weights: Float[Tensor, "B Q heads levels points"],
) -> Float[Tensor, "B Q heads*d"]:
    """Weighted sum of bilinear samples of every level; zero beyond its edges.

    Args:
        value: tokens of the levels one after the other, rows first.
        shapes: (height, width) of the levels, whose products sum to T.
        places: (x, y) in [0, 1]: 0 and 1 are the outer edges of the outermost pixels.
        weights: of the samples.
    """
    batch, _, heads, width = value.shape
    queries = places.shape[1]
    grid = (
        (2 * places - 1).permute(0, 2, 3, 1, 4, 5).flatten(0, 1).to(value)
    )  # (B heads, levels, Q, points, 2)
    maps = value.permute(0, 2, 3, 1).flatten(0, 1)  # (B heads, d, T)
    shares = weights.permute(0, 2, 3, 1, 4).flatten(0, 1).to(value)  # (B heads, levels, Q, points)
    read = value.new_zeros(batch * heads, width, queries)
    for level, (shape, tokens) in enumerate(
        zip(shapes, maps.split([h * w for h, w in shapes], dim=-1), strict=True)
    ):
        samples = functional.grid_sample(tokens.unflatten(-1, shape), grid[:, level], align_corners=False)
        read = read + (samples * shares[:, None, level]).sum(-1)
    return read.view(batch, heads * width, queries).mT


def deformable_sample_naive(
    value: Float[Tensor, "B T heads d"],
    shapes: Shapes,
    places: Float[Tensor, "B Q heads levels points 2"],
    weights: Float[Tensor, "B Q heads levels points"],
) -> Float[Tensor, "B Q heads*d"]:
    """`deformable_sample`, one sample after the other."""
    batch, _, heads, width = value.shape
    out = value.new_zeros(batch, places.shape[1], heads, width)
    for b, q, h, level, point in torch.cartesian_prod(*map(torch.arange, places.shape[:5])).tolist():
        start = sum(rows * columns for rows, columns in shapes[:level])
        rows, columns = shapes[level]
        picture = value[b, start : start + rows * columns, h].view(rows, columns, width)
        x, y = (
            float(c) * n - 0.5 for c, n in zip(places[b, q, h, level, point], (columns, rows), strict=True)
        )
        for row in (math.floor(y), math.floor(y) + 1):
            for column in (math.floor(x), math.floor(x) + 1):
                if 0 <= row < rows and 0 <= column < columns:
                    share = (1 - abs(y - row)) * (1 - abs(x - column))
                    out[b, q, h] += weights[b, q, h, level, point] * share * picture[row, column]
    return out.flatten(2)
