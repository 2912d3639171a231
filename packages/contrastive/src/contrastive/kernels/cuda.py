"""The cube on a GPU, in Triton: every cell is evaluated once, in registers, and added to three faces.

A program owns a block of i and a block of j and walks over k. Its (I, J) sums stay in registers; the other
two faces receive atomic adds, so the last bits of a result depend on the order in which blocks finish.
"""

import torch
import triton  # type: ignore[import-untyped]
import triton.language as tl  # type: ignore[import-untyped]
from torch import Tensor

from contrastive.kernels.cube import Cube

_I, _J, _K = 4, 16, 64


def forward(cube: Cube) -> tuple[Tensor, Tensor, Tensor]:
    """The three faces of `contrastive.kernels.faces`; float32."""
    ab, ac, bc = torch.empty_like(cube.a), torch.zeros_like(cube.b), torch.zeros_like(cube.c)
    none = (cube.a, cube.b, cube.c)  # never read
    outputs = (*none, ab, ac, bc, *_sizes(cube))
    with torch.cuda.device_of(cube.a):  # Triton launches on the current device, whatever the tensors' is
        _cube[_grid(cube)](*_inputs(cube), *outputs, **_constants(cube, gradient=False))
    return ab, ac, bc


def backward(cube: Cube, grads: tuple[Tensor, Tensor, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients by a, b, c of the faces' sums weighted by `grads`."""
    da, db, dc = torch.empty_like(cube.a), torch.zeros_like(cube.b), torch.zeros_like(cube.c)
    grads = tuple(grad.contiguous() for grad in grads)  # type: ignore[assignment]
    outputs = (*grads, da, db, dc, *_sizes(cube))
    with torch.cuda.device_of(cube.a):
        _cube[_grid(cube)](*_inputs(cube), *outputs, **_constants(cube, gradient=True))
    return da, db, dc


def _grid(cube: Cube) -> tuple[int, int]:
    rows, columns = cube.a.shape
    return triton.cdiv(columns, _J), triton.cdiv(rows, _I)


def _inputs(cube: Cube) -> list[Tensor]:
    masks = cube.same if cube.same is not None else (cube.a, cube.b, cube.c)
    bytes_or_floats = [mask.view(torch.uint8) if mask.dtype == torch.bool else mask for mask in masks]
    return [cube.a, cube.b, cube.c, cube.rate, cube.shift, *(part.contiguous() for part in bytes_or_floats)]


def _sizes(cube: Cube) -> tuple[int, int, int]:
    return (*cube.a.shape, cube.c.shape[1])


def _constants(cube: Cube, *, gradient: bool) -> dict[str, int | bool]:
    return {
        "GRADIENT": gradient,
        "MASKED": cube.same is not None,
        "BI": _I,
        "BJ": _J,
        "BK": _K,
        "num_warps": 4,
    }


@triton.jit
def _solve(a, b, c):  # type: ignore[no-untyped-def]
    # As in cube.cpp: u = cos(θ / 2), and the root is √s times a polynomial in u.
    s = a * a + b * b + c * c + 1e-24
    w = tl.rsqrt(s)
    x, y, z = a * w, b * w, c * w
    half = 0.5 + 2.598076211 * (x * y * z)
    xy, yz, zx = (a - b) * (a + b) * w * w, (b - c) * (b + c) * w * w, (c - a) * (c + a) * w * w
    xy, yz, zx = xy * xy, yz * yz, zx * zx
    sine = 0.5 * (xy + yz + zx) + 3.0 * (x * x * yz + y * y * zx + z * z * xy)
    u = tl.sqrt(tl.where(half < 0.002, 0.25 * sine / (1.0 - half), half))
    p = -0.00242890 * u + 0.01212638
    p = p * u - 0.03048380
    p = p * u + 0.05943794
    p = p * u - 0.12794714
    p = p * u + 0.66664547
    p = p * u
    return s * w * (0.57735050 + p), s * (3.0 * p * (1.15470100 + p) + 1e-6)


@triton.jit
def _cube(  # type: ignore[no-untyped-def]
    A, B, C, rate, shift, same_ab, same_ac, same_bc, g_ab, g_ac, g_bc, out_ab, out_ac, out_bc,
    I, J, K,  # noqa: E741
    GRADIENT: tl.constexpr, MASKED: tl.constexpr, BI: tl.constexpr, BJ: tl.constexpr, BK: tl.constexpr,
):  # fmt: skip
    i = tl.program_id(1) * BI + tl.arange(0, BI)
    j = tl.program_id(0) * BJ + tl.arange(0, BJ)
    at_ab = i[:, None].to(tl.int64) * J + j[None, :]
    in_ab = (i[:, None] < I) & (j[None, :] < J)
    per, origin = tl.load(rate), tl.load(shift)
    a = tl.load(A + at_ab, in_ab, 0.0)[:, :, None]
    total = tl.zeros((BI, BJ), tl.float32)
    for start in range(0, K, BK):
        k = start + tl.arange(0, BK)
        at_ac, in_ac = i[:, None].to(tl.int64) * K + k[None, :], (i[:, None] < I) & (k[None, :] < K)
        at_bc, in_bc = j[:, None].to(tl.int64) * K + k[None, :], (j[:, None] < J) & (k[None, :] < K)
        b = tl.load(B + at_ac, in_ac, 0.0)[:, None, :]
        c = tl.load(C + at_bc, in_bc, 0.0)[None, :, :]
        t, gap = _solve(a, b, c)
        weight = tl.exp(t * per - origin)
        weight = tl.where(in_ab[:, :, None] & in_ac[:, None, :], weight, 0.0)
        if MASKED:
            ab = tl.load(same_ab + at_ab, in_ab, 0)[:, :, None] != 0
            ac = tl.load(same_ac + at_ac, in_ac, 0)[:, None, :] != 0
            bc = tl.load(same_bc + at_bc, in_bc, 0)[None, :, :] != 0
            weight = tl.where(ab & ac & bc, 0.0, weight)
        if GRADIENT:
            pull = tl.load(g_ab + at_ab, in_ab, 0.0)[:, :, None]
            pull += tl.load(g_ac + at_ac, in_ac, 0.0)[:, None, :]
            pull += tl.load(g_bc + at_bc, in_bc, 0.0)[None, :, :]
            m = 2.0 * per * weight * pull / gap
            n = m * t
            total += tl.sum(n * a + m * b * c, 2)
            tl.atomic_add(out_ac + at_ac, tl.sum(n * b + m * a * c, 1), in_ac, sem="relaxed")
            tl.atomic_add(out_bc + at_bc, tl.sum(n * c + m * a * b, 0), in_bc, sem="relaxed")
        else:
            total += tl.sum(weight, 2)
            tl.atomic_add(out_ac + at_ac, tl.sum(weight, 1), in_ac, sem="relaxed")
            tl.atomic_add(out_bc + at_bc, tl.sum(weight, 0), in_bc, sem="relaxed")
    tl.store(out_ab + at_ab, total, in_ab)
