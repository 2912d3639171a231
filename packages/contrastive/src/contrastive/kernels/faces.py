"""The differentiable sum over the cube, and the choice of the kernel that does it."""

import importlib
import importlib.util
from types import ModuleType

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable

from contrastive.kernels import native, tiled
from contrastive.kernels.cube import Cube

Faces = tuple[Tensor, Tensor, Tensor]


def faces(cube: Cube) -> Faces:
    """Sums of the cube's weights over k (I, J), over j (I, K) and over i (J, K).

    Differentiable once by a, b, c and rate; shift counts as a constant. The backward pass evaluates the
    cube again, so that memory stays with the faces. See `contrastive.kernels.cube.Cube`.
    """
    result: Faces = _Faces.apply(*cube[:5], cube.same)
    return result


def kernel(cube: Cube) -> ModuleType:
    """The module whose `forward` and `backward` serve these tensors best."""
    if cube.a.dtype != torch.float32:
        return tiled
    if cube.a.device.type == "cpu" and native.library() is not None:
        return native
    if cube.a.device.type == "cuda" and importlib.util.find_spec("triton") is not None:
        return importlib.import_module("contrastive.kernels.cuda")
    return tiled


class _Faces(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: FunctionCtx,
        a: Tensor,
        b: Tensor,
        c: Tensor,
        rate: Tensor,
        shift: Tensor,
        same: tuple[Tensor, Tensor, Tensor] | None,
    ) -> Faces:
        cube = Cube(a.contiguous(), b.contiguous(), c.contiguous(), rate, shift, same)
        ctx.save_for_backward(*cube[:5])
        ctx.same = same  # type: ignore[attr-defined]
        result: Faces = kernel(cube).forward(cube)
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, *grads: Tensor) -> tuple[Tensor | None, ...]:
        a, b, c, rate, shift = ctx.saved_tensors  # type: ignore[attr-defined]
        cube = Cube(a, b, c, rate, shift, ctx.same)  # type: ignore[attr-defined]
        da, db, dc = kernel(cube).backward(cube, grads)
        # t is homogeneous of degree one in the cosines, so the derivative by the rate is Euler's sum.
        by_rate = None
        if ctx.needs_input_grad[3]:  # type: ignore[attr-defined]
            by_rate = ((cube.a * da).sum() + (cube.b * db).sum() + (cube.c * dc).sum()) / cube.rate
        return da, db, dc, by_rate, None, None
