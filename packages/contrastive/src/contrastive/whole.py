"""Several processes train as one would: what chance and batch statistics need to know of the whole batch.

Every process holds some rows of a batch. A loss that is a plain mean over rows needs no more; any other
gathers what it compares (`WholeBatch.gather`). What is left is hidden in the networks, and is arranged around
the loss by entering a `WholeBatch`:

- Dropout, and whatever else draws from torch's own source, draws for the whole batch, on every process alike,
  and keeps the process's own rows.
- Batch normalisation in training takes the statistics of the whole batch, gradient included.

Draws by a generator are the whole batch's only where that is asked for (`WholeBatch.draws`).
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from contrastive.gather import Gather

aten = torch.ops.aten


class WholeBatch(TorchFunctionMode):
    """One process's view of a batch that several share; alone, everything here is the identity.

    Args:
        processes: that hold equal shares of the rows, in the order of their ranks.
        rank: of this one.
    """

    def __init__(self, processes: int = 1, rank: int = 0) -> None:
        super().__init__()
        self.processes, self.rank = processes, rank
        self._parts: tuple[int, ...] = ()
        self._joined: Gather | None = None

    @property
    def _gather(self) -> Gather | None:
        if self.processes > 1 and self._joined is None:
            self._joined = Gather()
        return self._joined

    def share(self, rows: Tensor) -> Tensor:
        """This process's part of rows that every process holds alike: equal, contiguous, in rank order.

        Raises:
            ValueError: they do not divide by the number of processes.
        """
        if len(rows) % self.processes:
            raise ValueError(
                f"a batch of {len(rows)} does not divide by {self.processes} processes; change its size"
            )
        return rows.chunk(self.processes)[self.rank]

    def gather(self, x: Tensor, dim: int = 0) -> Tensor:
        """The rows of all processes, with gradient, for a loss that every process computes of all of them.

        Averaged over processes, as the loop does, the gradients of such a loss are those of one process.
        """
        if self._gather is None:
            return x
        rows = x.movedim(dim, 0).contiguous()
        return self._gather.rows(rows, [len(rows)] * self.processes).movedim(0, dim)

    def total(self, x: Tensor) -> Tensor:
        """The sum over processes, elementwise."""
        return x if self._gather is None else self._gather.total(x)

    def own(self, *parts: int) -> tuple[int, tuple[int, ...]] | None:
        """How large the whole batch is, and which rows of it are this process's; None alone.

        Args:
            parts: rows of this process, in the order in which they stand: (a, b) where the whole batch is the
                a of all processes, then the b of all.
        """
        if self.processes == 1:
            return None
        rows: list[int] = []
        before = 0
        for count in parts:
            start = before + self.rank * count
            rows += range(start, start + count)
            before += self.processes * count
        return before, tuple(rows)

    @contextlib.contextmanager
    def rows(self, *parts: int) -> Iterator[None]:
        """Inside the block a batch is put together of parts, each a share of its own (`own`)."""
        before, self._parts = self._parts, parts
        try:
            yield
        finally:
            self._parts = before

    def draws(self) -> AbstractContextManager[object]:
        """Inside the block generators draw for the whole batch too, and the process's own rows are kept.

        Rows must be the slowest axis of what is drawn, and the generator in one state on all processes.
        """
        return contextlib.nullcontext() if self.processes == 1 else _Draws(self, generators=True)

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is functional.batch_norm:
            return self._batch_norm(*args, **kwargs)
        if getattr(func, "__name__", "") not in _CHANCE:
            return func(*args, **kwargs)
        # fused attention draws inside its kernel, where no row can be told from another
        with _Draws(self), sdpa_kernel(SDPBackend.MATH):
            return func(*args, **kwargs)

    def _own(self, whole: Tensor, axis: int = 0) -> Tensor:
        """Of what was drawn for all rows, flat or by row, what belongs to this process's rows."""
        count = whole.shape[axis] // self.processes
        rows = sum(self._parts)
        parts = [n * (count // rows) for n in self._parts] if rows and count % rows == 0 else [count]
        blocks = whole.split([self.processes * n for n in parts], axis)
        return torch.cat([block.chunk(self.processes, axis)[self.rank] for block in blocks], axis)

    def _batch_norm(
        self,
        x: Tensor,
        running_mean: Tensor | None,
        running_var: Tensor | None,
        weight: Tensor | None = None,
        bias: Tensor | None = None,
        training: bool = False,
        momentum: float = 0.1,
        eps: float = 1e-5,
    ) -> Tensor:
        if not training:
            return functional.batch_norm(x, running_mean, running_var, weight, bias, training, momentum, eps)
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        over = [axis for axis in range(x.ndim) if axis != 1]
        shape = [1, -1] + [1] * (x.ndim - 2)
        count = self.total(wide.new_tensor(float(x.numel() // x.shape[1])))
        mean = self.total(wide.sum(over)) / count
        centred = wide - mean.view(shape)
        var = self.total(centred.square().sum(over)) / count
        with torch.no_grad():
            for running, now in ((running_mean, mean), (running_var, var * count / (count - 1))):
                if running is not None:
                    running.lerp_(now.to(running), momentum)
        scale = (var + eps).rsqrt() if weight is None else (var + eps).rsqrt() * weight
        result = centred * scale.view(shape)
        return (result if bias is None else result + bias.view(shape)).to(x.dtype)


ALONE = WholeBatch()
"""A single process."""

_CHANCE = {
    *("dropout", "dropout1d", "dropout2d", "dropout3d", "dropout_", "alpha_dropout", "feature_dropout"),
    *("feature_alpha_dropout", "scaled_dot_product_attention", "multi_head_attention_forward", "rrelu"),
    *("rand", "randn", "randint", "rand_like", "randn_like", "randint_like", "bernoulli", "normal"),
    *("bernoulli_", "normal_", "uniform_", "random_", "exponential_"),
}
"""Names of functions that may draw."""

_FILL = {aten.bernoulli_, aten.normal_, aten.uniform_, aten.random_, aten.exponential_}
_MAKE = {aten.rand, aten.randn, aten.randint}
_LIKE = {aten.rand_like, aten.randn_like, aten.randint_like}


class _Draws(TorchDispatchMode):
    """Replaces draws by a share of the whole batch's, below autograd, where there are few kinds of them."""

    def __init__(self, whole: WholeBatch, generators: bool = False) -> None:
        super().__init__()
        self.whole, self.generators = whole, generators

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        packet = func.overloadpacket
        if isinstance(kwargs.get("generator"), torch.Generator) and not self.generators:
            return func(*args, **kwargs)
        if packet in _FILL and args[0].numel() and args[0].ndim:
            drawn = self._like(args[0], lambda x: func(x, *args[1:], **kwargs))
            return args[0].copy_(drawn)
        if packet in _LIKE and args[0].numel() and args[0].ndim:
            return self._like(args[0], lambda x: func(x, *args[1:], **kwargs))
        if packet in _MAKE:
            at = next(i for i, value in enumerate(args) if isinstance(value, list | tuple))
            shape = list(args[at])
            if shape and math.prod(shape):
                size = [self.whole.processes * math.prod(shape)]
                return self.whole._own(func(*args[:at], size, *args[at + 1 :], **kwargs)).view(shape)
        if packet is aten.native_dropout and args[2] is not False:
            x, p = args[0], args[1]
            mask = self._like(x, lambda whole: func(torch.ones_like(whole), p, True)[1])
            return x * mask / (1 - p), mask
        return func(*args, **kwargs)

    def _like(self, x: Tensor, draw: Callable[[Tensor], Tensor]) -> Tensor:
        """A draw of x's shape: of the whole batch's, in which numbers are laid out as they are in x."""
        processes = self.whole.processes
        if x.is_contiguous():
            return self.whole._own(draw(x.new_empty(processes * x.numel()))).view(x.shape)
        by_stride = sorted(range(x.ndim), key=x.stride, reverse=True)
        shape = [processes * x.shape[axis] if axis == 0 else x.shape[axis] for axis in by_stride]
        whole = x.new_empty(shape).permute([by_stride.index(axis) for axis in range(x.ndim)])
        return self.whole._own(draw(whole))
