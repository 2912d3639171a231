"""Each similarity against its definition on the vectors themselves."""

from itertools import combinations

import pytest
import torch
from contrastive import (
    cosines,
    gram,
    gram_volume,
    leading_eigenvalue,
    leading_singular_value,
    mean_cosine,
    multilinear_product,
    singular_values,
    triangle_area,
)
from contrastive.similarity import modalities
from torch import Tensor

HALF = 0.75**0.5
DEGENERATE = {
    "identical": [[1.0, 0.0, 0.0]] * 3,
    "orthogonal": [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]],
    "antipodal": [[1.0, 0.0, 0.0], [-1.0, 0.0, 0.0], [1.0, 0.0, 0.0]],
    "star": [[1.0, 0.0, 0.0], [-0.5, HALF, 0.0], [-0.5, -HALF, 0.0]],
}
FUNCTIONS = {
    "eigenvalue": (leading_eigenvalue, [3.0, 1.0, 3.0, 1.5]),
    "singular": (leading_singular_value, [3**0.5, 1.0, 3**0.5, 1.5**0.5]),
    "volume": (gram_volume, [0.0, 1.0, 0.0, 0.0]),
    "area": (triangle_area, [0.0, HALF, 0.0, 1.5 * HALF]),
    "cosine": (mean_cosine, [1.0, 0.0, -1 / 3, -0.5]),
    "values": (lambda edges: singular_values(edges)[..., 0], [0.0, 1.0, 0.0, 0.0]),
}


def vectors(n: int, rows: int = 40, dimensions: int = 6) -> list[Tensor]:
    x = torch.randn(n, rows, dimensions, generator=torch.Generator().manual_seed(n), dtype=torch.float64)
    return list(x / x.norm(dim=-1, keepdim=True))


def by_svd(x: list[Tensor]) -> Tensor:
    return torch.linalg.svdvals(torch.stack(x, 1))


@pytest.mark.parametrize("n", [3, 4, 5])
def test_singular_values_and_volume(n: int) -> None:
    x = vectors(n)
    edges, values = cosines(x), by_svd(x)
    torch.testing.assert_close(leading_singular_value(edges), values[:, 0])
    torch.testing.assert_close(leading_eigenvalue(edges), values[:, 0] ** 2)
    torch.testing.assert_close(singular_values(edges), values.flip(1))
    torch.testing.assert_close(gram_volume(edges), values.prod(1))
    torch.testing.assert_close(gram(edges), torch.stack(x, 1) @ torch.stack(x, 1).mT)


@pytest.mark.parametrize("n", [2, 3, 4, 5, 8])
def test_every_number_of_modalities_is_told_from_its_pairs_alone(n: int) -> None:
    pairs = n * (n - 1) // 2
    assert modalities([torch.zeros(2)] * pairs) == n
    for wrong in {pairs - 1, pairs + 1} - {m * (m - 1) // 2 for m in range(2, 10)}:
        with pytest.raises(ValueError, match="pass every pair once"):
            modalities([torch.zeros(2)] * wrong)


def test_any_leading_shape() -> None:
    x = [part.unflatten(0, (5, 8)) for part in vectors(3)]
    for function in (
        multilinear_product,
        lambda x: gram_volume(cosines(x)),
        lambda x: mean_cosine(cosines(x)),
    ):
        flat = function([part.flatten(0, 1) for part in x])
        torch.testing.assert_close(function(x), flat.unflatten(0, (5, 8)))


def test_two_modalities_keep_the_sign() -> None:
    x, y = vectors(2)
    torch.testing.assert_close(leading_eigenvalue(cosines([x, y])), 1 + (x * y).sum(1))
    assert leading_eigenvalue([torch.tensor(-1.0)]).item() == 0


def test_triangle_area_by_heron() -> None:
    x = vectors(3)
    sides = torch.stack([(p - q).norm(dim=1) for p, q in combinations(x, 2)])
    half = sides.sum(0) / 2
    heron = (half * (half - sides[0]) * (half - sides[1]) * (half - sides[2])).sqrt()
    torch.testing.assert_close(triangle_area(cosines(x)), heron)


def test_mean_cosine_and_multilinear_product() -> None:
    x = vectors(4)
    pairs = [(p * q).sum(1) for p, q in combinations(x, 2)]
    torch.testing.assert_close(mean_cosine(cosines(x)), torch.stack(pairs).mean(0))
    torch.testing.assert_close(multilinear_product(x), torch.einsum("bd,bd,bd,bd->b", *x))


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("n", [3, 4])
def test_gradcheck(name: str, n: int) -> None:
    if name == "area" and n == 4:
        pytest.skip("a triangle has three corners")
    edges = [edge.requires_grad_() for edge in cosines(vectors(n, rows=5))]
    assert torch.autograd.gradcheck(lambda *e: FUNCTIONS[name][0](e), edges)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_defined_and_finite_where_vectors_degenerate(name: str, dtype: torch.dtype) -> None:
    function, expected = FUNCTIONS[name]
    for x, value in zip(DEGENERATE.values(), expected, strict=True):
        leaf = torch.tensor(x, dtype=dtype, requires_grad=True)
        result = function(cosines(list(leaf)))
        result.backward()
        assert result.item() == pytest.approx(value, abs=2e-3 if dtype == torch.float32 else 1e-7)
        assert leaf.grad is not None
        assert leaf.grad.isfinite().all()


def test_wrong_number_of_cosines() -> None:
    with pytest.raises(ValueError, match="2 cosines"):
        leading_eigenvalue([torch.zeros(3)] * 2)
    with pytest.raises(ValueError, match="use gram_volume"):
        triangle_area([torch.zeros(3)] * 6)
