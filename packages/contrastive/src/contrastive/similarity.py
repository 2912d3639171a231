"""How alike n unit vectors are, from their pairwise cosines."""

from collections.abc import Sequence
from itertools import combinations

import torch
from torch import Tensor

from contrastive.cubic import leading_eigenvalue_of_three


def cosines(vectors: Sequence[Tensor]) -> list[Tensor]:
    """The n (n - 1) / 2 cosines of n unit vectors (..., D), ordered 1-2, 1-3, ..., 2-3, ...; each (...)."""
    return [(x * y).sum(-1) for x, y in combinations(vectors, 2)]


def gram(edges: Sequence[Tensor]) -> Tensor:
    """The Gram matrices (..., n, n) of unit vectors with the given pairwise cosines."""
    n = modalities(edges)
    edges = torch.broadcast_tensors(*edges)
    place = dict(zip(combinations(range(n), 2), edges, strict=True))
    one = torch.ones_like(edges[0])
    cells = [one if i == j else place[min(i, j), max(i, j)] for i in range(n) for j in range(n)]
    return torch.stack(cells, -1).unflatten(-1, (n, n))


def modalities(edges: Sequence[Tensor]) -> int:
    """How many modalities have that many pairs."""
    n = round((1 + (1 + 8 * len(edges)) ** 0.5) / 2)
    if n < 2 or n * (n - 1) // 2 != len(edges):
        raise ValueError(
            f"{len(edges)} cosines: n modalities have n (n - 1) / 2 of them; pass every pair once"
        )
    return n


def leading_eigenvalue(edges: Sequence[Tensor]) -> Tensor:
    """λ1 of the Gram matrix, in [1, n]; for n = 2 it is 1 + cos, with the sign that the true λ1 drops."""
    n = modalities(edges)
    if n == 2:
        return 1 + edges[0]
    if n == 3:
        return leading_eigenvalue_of_three(*edges)
    values: Tensor = torch.linalg.eigvalsh(gram(edges))
    return values[..., -1]


def leading_singular_value(edges: Sequence[Tensor]) -> Tensor:
    """σ1 = √λ1 of the stacked vectors, in [1, √n] (n = 2: √(1 + cos), in [0, √2])."""
    return leading_eigenvalue(edges).sqrt()
