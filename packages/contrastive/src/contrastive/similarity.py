"""How alike n unit vectors are, as pure functions of their pairwise cosines.

`edges` are the n (n - 1) / 2 cosines in the order 1-2, 1-3, ..., 2-3, ...: tensors that broadcast together,
entries of matrices that a pairwise loss has computed already, or `cosines(vectors)`.

All gradients are finite. Where a slope diverges (volume or area zero) it is defined as zero.
"""

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


def gram_volume(edges: Sequence[Tensor]) -> Tensor:
    """√det G, the volume that the vectors span, in [0, 1]: 0 when dependent, 1 when orthogonal (GRAM)."""
    if modalities(edges) == 3:
        a, b, c = edges
        return _root(1 - a * a - b * b - c * c + 2 * (a * b * c))
    return _root(torch.linalg.det(gram(edges)))


def triangle_area(edges: Sequence[Tensor]) -> Tensor:
    """Area of the triangle with the three vectors' tips as corners, in [0, 3√3 / 4] (TRIANGLE).

    With u and v the sides from the first tip, 4 area² = u² v² - (u·v)², all of it in cosines.
    """
    if len(edges) != 3:
        raise ValueError(f"{len(edges)} cosines: a triangle has 3; for more modalities use gram_volume")
    a, b, c = edges
    uv = 1 - a - b + c
    return _root((2 - 2 * a) * (2 - 2 * b) - uv * uv) / 2


def mean_cosine(edges: Sequence[Tensor]) -> Tensor:
    """Mean of the pairwise cosines: the one similarity here that sees signs for every n."""
    modalities(edges)
    return torch.stack(torch.broadcast_tensors(*edges)).mean(0)


def singular_values(edges: Sequence[Tensor]) -> Tensor:
    """All n singular values of the stacked vectors, ascending, (..., n); their squares sum to n."""
    values: Tensor = torch.linalg.eigvalsh(gram(edges))
    return _root(values)


def multilinear_product(vectors: Sequence[Tensor]) -> Tensor:
    """Σ_d of the product over modalities (Symile); of vectors (..., D), as no cosine determines it."""
    return multilinear_rows(vectors).sum(-1)


def multilinear_rows(vectors: Sequence[Tensor]) -> Tensor:
    """The elementwise product over modalities, (..., D)."""
    product = vectors[0]
    for vector in vectors[1:]:
        product = product * vector
    return product


def _root(square: Tensor) -> Tensor:
    """√ with value and slope 0 where rounding cannot tell the square from 0."""
    positive = square > 16 * torch.finfo(square.dtype).eps
    return torch.where(positive, torch.where(positive, square, 1).sqrt(), 0)
