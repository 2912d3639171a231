"""Optimisers and learning rates that several tasks share."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

from torch import nn
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR


def adamw(parameters: Iterable[nn.Parameter], lr: float, weight_decay: float) -> AdamW:
    """AdamW where matrices decay; biases, norms and temperatures do not."""
    groups: dict[bool, list[nn.Parameter]] = {True: [], False: []}
    for parameter in parameters:
        groups[parameter.ndim > 1].append(parameter)
    decays: list[dict[str, Any]] = [
        {"params": some, "weight_decay": weight_decay if matrices else 0.0}
        for matrices, some in groups.items()
        if some
    ]
    return AdamW(decays, lr=lr)


def warmed(optimizer: Optimizer, steps: int, warmup: int, constant: bool = False) -> LambdaLR:
    """The learning rate that the optimiser was made with, by `warm_cosine`."""
    return LambdaLR(optimizer, partial(warm_cosine, steps=steps, warmup=warmup, constant=constant))


def warm_cosine(step: int, steps: int, warmup: int, constant: bool = False) -> float:
    """A share of the learning rate: it rises through the warm-up while it falls by a half cosine to nothing
    at the end; `constant`: stays."""
    warm = min(1.0, (step + 1) / (warmup + 1))
    return warm if constant else warm * 0.5 * (1 + math.cos(math.pi * min(1.0, step / max(1, steps))))


def warm_then(step: int, steps: int, warmup: int, drops: Sequence[int] = (), by: float = 0.2) -> float:
    """A share of the learning rate: a whole warm-up, and then a half cosine over what is left, or a fall to
    the share `by` of itself at every one of the steps `drops`."""
    if step < warmup:
        return (step + 1) / warmup
    if drops:
        return by ** sum(step >= drop for drop in drops)
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))
