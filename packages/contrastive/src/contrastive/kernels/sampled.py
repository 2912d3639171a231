"""Cross-entropy over a sample of the cube's cells, differentiable."""

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable

from contrastive.cubic import excess
from contrastive.kernels import native
from contrastive.kernels.cube import Sample


def sampled(sample: Sample) -> Tensor:
    """-log softmax of the positive cell among its row's sample, logits (λ1 - 1) rate; shape (I,).

    Differentiable once by a, b, c and rate.
    """
    if sample.a.dtype == torch.float32 and sample.a.device.type == "cpu" and native.library() is not None:
        result: Tensor = _Sampled.apply(*sample)
        return result
    second, third = sample.second, sample.third
    flat = (second * sample.c.shape[1] + third).flatten()
    c = sample.c.reshape(-1)[flat].view_as(second)
    logits = excess(sample.a.gather(1, second), sample.b.gather(1, third), c) * sample.rate
    if sample.masked is not None:
        logits = logits.masked_fill(sample.masked, -torch.inf)
    return logits.logsumexp(1) - logits[:, 0]


class _Sampled(torch.autograd.Function):
    """One pass there and one back, instead of some forty over tensors of the sample's size."""

    @staticmethod
    def forward(ctx: FunctionCtx, *inputs: Tensor) -> Tensor:
        sample = Sample(*(x if x is None else x.contiguous() for x in inputs))
        result = native.sampled_forward(sample)
        ctx.save_for_backward(result.slopes, sample.second, sample.third, result.by_rate)
        ctx.shape = sample.c.shape  # type: ignore[attr-defined]
        return result.loss

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, grad: Tensor) -> tuple[Tensor | None, ...]:
        slopes, second, third, by_rate = ctx.saved_tensors  # type: ignore[attr-defined]
        da, db, dc = native.sampled_backward(slopes, second, third, ctx.shape, grad)  # type: ignore[attr-defined]
        return da, db, dc, by_rate @ grad, None, None, None
