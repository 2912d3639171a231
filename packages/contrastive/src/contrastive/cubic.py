"""The largest eigenvalue of a 3 x 3 Gram matrix of unit vectors, in closed form.

For cosines a, b, c the matrix has unit diagonal, so with t = λ - 1 its characteristic polynomial is
t³ - s t - 2 q, where s = a² + b² + c² and q = abc: three real roots, no quadratic term.
"""

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable

_SQRT27 = 27.0**0.5


def excess(a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    """λ1 - 1, in [0, 2], with exact first derivatives; see `leading_eigenvalue_of_three`."""
    dtype = torch.promote_types(torch.promote_types(a.dtype, b.dtype), c.dtype)
    wide = torch.promote_types(dtype, torch.float32)
    result: Tensor = _Excess.apply(*torch.broadcast_tensors(a.to(wide), b.to(wide), c.to(wide)))
    return result.to(dtype)


def leading_eigenvalue_of_three(a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    """Largest eigenvalue of [[1, a, b], [a, 1, c], [b, c, 1]], in [1, 3] for cosines of unit vectors.

    Args:
        a, b, c: cosines between vectors 1-2, 1-3 and 2-3; any shapes that broadcast together.

    Returns:
        λ1 in the broadcast shape. It is the squared leading singular value of the three stacked vectors
        (UniHPE, section 3.2). The gradient is 2 v_i v_j with v the top eigenvector; where the top
        eigenvalue is double or triple (a 120° star, orthogonal vectors) it is the mean of that over the
        top space, which is a subgradient. Only first derivatives are defined.
    """
    return 1 + excess(a, b, c)


class _Excess(torch.autograd.Function):
    @staticmethod
    def forward(ctx: FunctionCtx, a: Tensor, b: Tensor, c: Tensor) -> Tensor:
        t = largest_root(a, b, c)
        ctx.save_for_backward(a, b, c, t)
        return t

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, grad: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        a, b, c, t = ctx.saved_tensors  # type: ignore[attr-defined]
        da, db, dc = slopes(a, b, c, t)
        return grad * da, grad * db, grad * dc


def largest_root(a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    """Largest root t of t³ - (a² + b² + c²) t - 2abc = 0, to rounding even where it is a double root.

    t = 2 √(s/3) cos(θ/3) with cos θ = √27 q / s^1.5. Near the double root θ = π an arccos would lose half
    of the digits, so sin θ comes from s³ - 27 q² written as a sum of squares of differences (AM-GM).
    """
    size = _size(a, b, c)
    a, b, c = a / size, b / size, c / size
    x, y, z = a * a, b * b, c * c
    s = x + y + z
    xy, yz, zx = (a - b) * (a + b), (b - c) * (b + c), (c - a) * (c + a)
    xy, yz, zx = xy * xy, yz * yz, zx * zx
    discriminant = s * (xy + yz + zx) / 2 + 3 * (x * yz + y * zx + z * xy)
    angle = torch.atan2(discriminant.sqrt(), _SQRT27 * (a * b * c))
    return size * (s * (4 / 3)).sqrt() * torch.cos(angle / 3)


def slopes(a: Tensor, b: Tensor, c: Tensor, t: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Derivatives of the largest root by a, b, c: 2(a t + bc) / (3t² - s), a subgradient where 0/0."""
    info = torch.finfo(t.dtype)
    size = _size(a, b, c)
    a, b, c, t = a / size, b / size, c / size, t / size
    s = a * a + b * b + c * c
    gap = (3 * t * t - s).clamp_min(0)
    # The mean of 2 v_i v_j over a double top space is a / 3t. Its weight is comparable to the gap where the
    # gap is lost in rounding, and vanishes elsewhere.
    noise = 1024 * info.eps * s + info.tiny
    weight = noise * (noise / (gap + noise))
    scale, pull = 2 / (gap + weight), weight / (3 * t + info.tiny)
    return (
        scale * (a * t + b * c) + pull * scale * a / 2,
        scale * (b * t + a * c) + pull * scale / 2 * b,
        scale * (c * t + a * b) + pull * scale / 2 * c,
    )


def _size(a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    """What to divide by so that powers of tiny cosines do not underflow."""
    return torch.maximum(torch.maximum(a.abs(), b.abs()), c.abs()).clamp_min(torch.finfo(a.dtype).tiny)
