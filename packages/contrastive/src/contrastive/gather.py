"""Rows of every process, with gradients.

Every process holds some rows of the batch and evaluates the loss of the whole. All collectives below are
the true adjoints of each other for the *sum* of the processes' losses; with gradients averaged across
processes afterwards, as DistributedDataParallel does, a step equals that of one process on all rows.
"""

import torch
import torch.distributed as dist
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable


class Gather:
    """Collects the rows of all processes of a group; in a single process every method is the identity.

    Args:
        group: a torch.distributed process group; None is the default one.
    """

    def __init__(self, group: dist.ProcessGroup | None = None) -> None:
        if not (dist.is_available() and dist.is_initialized()):
            raise RuntimeError(
                "gather=True needs torch.distributed: call init_process_group first, or pass False"
            )
        self.group = group
        self.size, self.rank = dist.get_world_size(group), dist.get_rank(group)

    def counts(self, rows: int, device: torch.device) -> list[int]:
        """How many rows every process holds; they may differ."""
        own = torch.tensor([rows], device=device)
        every = [torch.empty_like(own) for _ in range(self.size)]
        dist.all_gather(every, own, group=self.group)
        return [int(count) for count in every]

    def rows(self, x: Tensor, counts: list[int]) -> Tensor:
        """(b, ...) of each process to (B, ...) of all, in the order of ranks; differentiable."""
        result: Tensor = _Rows.apply(x, counts, self)
        return result

    def total(self, x: Tensor) -> Tensor:
        """Sum over processes, elementwise; differentiable."""
        result: Tensor = _Total.apply(x, self)
        return result

    @torch.no_grad()
    def maximum(self, x: Tensor) -> Tensor:
        """Maximum over processes, elementwise; a constant to autograd."""
        x = x.clone()
        dist.all_reduce(x, dist.ReduceOp.MAX, group=self.group)
        return x

    @torch.no_grad()
    def first(self, x: Tensor) -> Tensor:
        """The value that the group's first process holds."""
        x = x.clone()
        dist.broadcast(x, group=self.group, group_src=0)
        return x


class _Rows(torch.autograd.Function):
    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor, counts: list[int], gather: Gather) -> Tensor:
        ctx.gather, ctx.counts = gather, counts  # type: ignore[attr-defined]
        # Collectives want equal shapes; uneven last batches are padded to the longest.
        padded = x.new_zeros((max(counts), *x.shape[1:]))
        padded[: len(x)] = x
        every = [torch.empty_like(padded) for _ in counts]
        dist.all_gather(every, padded, group=gather.group)
        return torch.cat([rows[:count] for rows, count in zip(every, counts, strict=True)])

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, grad: Tensor) -> tuple[Tensor, None, None]:
        gather, counts = ctx.gather, ctx.counts  # type: ignore[attr-defined]
        grad = grad.contiguous().clone()
        dist.all_reduce(grad, group=gather.group)
        start = sum(counts[: gather.rank])
        return grad[start : start + counts[gather.rank]], None, None


class _Total(torch.autograd.Function):
    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor, gather: Gather) -> Tensor:
        ctx.gather = gather  # type: ignore[attr-defined]
        x = x.clone()
        dist.all_reduce(x, group=gather.group)
        return x

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, grad: Tensor) -> tuple[Tensor, None]:
        grad = grad.contiguous().clone()
        dist.all_reduce(grad, group=ctx.gather.group)  # type: ignore[attr-defined]
        return grad, None
