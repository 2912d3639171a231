import pytest
import torch
from contrastive import leading_eigenvalue_of_three
from contrastive.cubic import largest_root, slopes

DTYPES = {torch.float32: 6e-7, torch.float64: 5e-15}


def random_cosines(count: int, dimensions: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(count, 3, dimensions, generator=generator, dtype=torch.float64)
    x = x / x.norm(dim=-1, keepdim=True)
    g = x @ x.mT
    return torch.stack((g[:, 0, 1], g[:, 0, 2], g[:, 1, 2]))


def by_eigvalsh(cosines: torch.Tensor) -> torch.Tensor:
    a, b, c = cosines
    one = torch.ones_like(a)
    g = torch.stack((one, a, b, a, one, c, b, c, one), -1).unflatten(-1, (3, 3))
    return torch.linalg.eigvalsh(g)[..., -1]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("dimensions", [2, 3, 1024])
def test_matches_eigvalsh(dtype: torch.dtype, dimensions: int) -> None:
    cosines = random_cosines(2000, dimensions).to(dtype)
    ours = leading_eigenvalue_of_three(*cosines)
    torch.testing.assert_close(ours.double(), by_eigvalsh(cosines.double()), rtol=0, atol=DTYPES[dtype])
    assert ours.min() >= 1 - DTYPES[dtype]
    assert ours.max() <= 3 + DTYPES[dtype]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("noise", [1e-2, 1e-4, 1e-6])
def test_keeps_its_digits_next_to_the_double_root(dtype: torch.dtype, noise: float) -> None:
    star = -0.5 + noise * torch.randn(
        3, 1000, generator=torch.Generator().manual_seed(1), dtype=torch.float64
    )
    star = star.to(dtype)
    ours = leading_eigenvalue_of_three(*star)
    torch.testing.assert_close(ours.double(), by_eigvalsh(star.double()), rtol=0, atol=DTYPES[dtype])


def test_gradient_is_that_of_the_eigenvector() -> None:
    cosines = random_cosines(500, 8).requires_grad_()
    ours = torch.autograd.grad(leading_eigenvalue_of_three(*cosines).sum(), cosines)[0]
    theirs = torch.autograd.grad(by_eigvalsh(cosines).sum(), cosines)[0]
    torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-9)
    assert torch.autograd.gradcheck(
        leading_eigenvalue_of_three, tuple(random_cosines(20, 5).requires_grad_())
    )


KNOWN = {  # cosines: λ1, and the gradient of the first cosine (mean of 2 v1 v2 over the top space)
    "identical": ((1.0, 1.0, 1.0), 3.0, 2 / 3),
    "antipodal": ((-1.0, 1.0, -1.0), 3.0, -2 / 3),
    "orthogonal": ((0.0, 0.0, 0.0), 1.0, 0.0),
    "star of 120 degrees": ((-0.5, -0.5, -0.5), 1.5, -1 / 3),
    "frustrated": ((0.3, 0.3, -0.3), 1.3, 1 / 3),
    "one pair": ((0.5, 0.0, 0.0), 1.5, 1.0),
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", KNOWN)
def test_value_and_subgradient_where_inputs_degenerate(dtype: torch.dtype, name: str) -> None:
    cosines, value, slope = KNOWN[name]
    leaves = [torch.tensor(cosine, dtype=dtype, requires_grad=True) for cosine in cosines]
    ours = leading_eigenvalue_of_three(*leaves)
    ours.backward()
    assert ours.item() == pytest.approx(value, abs=1e-6)
    assert leaves[0].grad is not None
    assert leaves[0].grad.item() == pytest.approx(
        slope, abs=2e-2 if name in ("star of 120 degrees", "frustrated") else 1e-5
    )


def test_gradient_stays_a_subgradient_next_to_degeneracy() -> None:
    """2 v_i v_j never exceeds 1, however close the two top eigenvalues come."""
    for scale in (1e-30, 1e-12, 1e-6, 1e-3):
        near_zero = scale * torch.randn(3, 500, generator=torch.Generator().manual_seed(2))
        for cosines in (near_zero, near_zero - 0.5):
            leaf = cosines.clone().requires_grad_()
            grad = torch.autograd.grad(leading_eigenvalue_of_three(*leaf).sum(), leaf)[0]
            assert grad.isfinite().all()
            assert grad.abs().max() <= 1.05


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("signs", [(-1, -1, -1), (1, 1, -1), (1, -1, 1), (-1, 1, 1)])
def test_every_slope_at_a_double_root_is_the_mean_over_the_top_space(
    dtype: torch.dtype, signs: tuple[int, int, int]
) -> None:
    """Two top eigenvectors: the mean of 2 v_i v_j is a third, with the cosine's sign, at any size."""
    for size in (0.5, 0.3, 1e-3, 1e-15):
        cosines = torch.tensor([size * sign for sign in signs], dtype=dtype)
        found = torch.stack(slopes(*cosines, largest_root(*cosines)))
        torch.testing.assert_close(found, torch.tensor(signs, dtype=dtype) / 3, rtol=0, atol=5e-3)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("cosines", [(0.0, 0.0, 0.0), (0.5, 0.0, 0.0), (0.0, -0.5, 0.0), (0.0, 0.0, 0.5)])
def test_slopes_where_cosines_vanish(dtype: torch.dtype, cosines: tuple[float, float, float]) -> None:
    """Of a single pair |a| grows by its sign; the others, and all at the triple root, stand still."""
    given = torch.tensor(cosines, dtype=dtype)
    found = torch.stack(slopes(*given, largest_root(*given)))
    torch.testing.assert_close(found, given.sign(), rtol=0, atol=1e-5)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("noise", [1e-1, 1e-2, 1e-3, 1e-4, 3e-5, 1e-5, 1e-6, 1e-8])
def test_slopes_obey_eulers_identity_through_the_double_root(dtype: torch.dtype, noise: float) -> None:
    """λ1 - 1 is homogeneous of degree one: a ∂a + b ∂b + c ∂c gives it back, where slopes are blended too."""
    generator = torch.Generator().manual_seed(3)
    offset = noise * torch.randn(3, 2000, generator=generator, dtype=torch.float64)
    for signs in ((-1, -1, -1), (1, -1, 1)):
        cosines = (0.5 * torch.tensor(signs)[:, None] + offset).to(dtype)
        t = largest_root(*cosines)
        back = (torch.stack(slopes(*cosines, t)) * cosines).sum(0)
        torch.testing.assert_close(back, t, rtol=0, atol=2e-3 if dtype == torch.float32 else 1e-6)


def test_slopes_are_blended_between_the_exact_ones_and_their_mean() -> None:
    """Where the gap nears rounding they lie between both: what is left of the exact slope keeps its sign."""
    generator = torch.Generator().manual_seed(5)
    for noise in (3e-5, 1e-5, 5e-6):
        cosines = (-0.5 + noise * torch.randn(3, 5000, generator=generator, dtype=torch.float64)).float()
        leaf = cosines.double().requires_grad_()
        exact = torch.autograd.grad(by_eigvalsh(leaf).sum(), leaf)[0] + 1 / 3
        found = torch.stack(slopes(*cosines, largest_root(*cosines))).double() + 1 / 3
        share = (found * exact).sum() / (exact * exact).sum()
        assert 0.005 < share < 1
        assert ((found * exact).sum(0) > -0.005).all()


def test_broadcasts() -> None:
    a, b, c = random_cosines(4, 8)
    full = leading_eigenvalue_of_three(a[:, None], b[None], c[0])
    assert full[2, 3].item() == pytest.approx(leading_eigenvalue_of_three(a[2], b[3], c[0]).item())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_rounded_only_at_the_end(dtype: torch.dtype) -> None:
    for cosines in ((1.0, 1.0, 1.0), (0.5, 0.375, 0.25), (-0.5, 0.25, 0.125)):
        half = [torch.tensor(value, dtype=dtype, requires_grad=True) for value in cosines]
        exact = [torch.tensor(value, dtype=torch.float64, requires_grad=True) for value in cosines]
        ours, theirs = leading_eigenvalue_of_three(*half), leading_eigenvalue_of_three(*exact)
        assert ours.dtype == dtype
        assert ours.item() == pytest.approx(theirs.item(), rel=1e-2)
        for x, y in zip(torch.autograd.grad(ours, half), torch.autograd.grad(theirs, exact), strict=True):
            assert x.item() == pytest.approx(y.item(), rel=1e-2)
