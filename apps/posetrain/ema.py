"""Exponential moving average of weights (Polyak and Juditsky, 1992), with the usual warm-up."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn


class EMA:
    """Keeps `average = d * average + (1 - d) * weight` with d = min(decay, (1 + t) / (10 + t)).

    Buffers and parameters that are not floating point are copied, not averaged.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.module = module
        self.decay = decay
        self.updates = 0
        self.average = {name: value.detach().clone() for name, value in module.state_dict().items()}

    @torch.no_grad()
    def update(self) -> None:
        """Take the module's present weights into the average."""
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        weights = self.module.state_dict()
        averaged = [
            name
            for name, value in self.module.named_parameters(remove_duplicate=False)
            if value.is_floating_point()
        ]
        torch._foreach_lerp_([self.average[n] for n in averaged], [weights[n] for n in averaged], 1 - decay)
        for name in weights.keys() - set(averaged):
            self.average[name].copy_(weights[name])

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Inside the block the module holds the averaged weights."""
        trained = {name: value.detach().clone() for name, value in self.module.state_dict().items()}
        self.copy_to_module()
        try:
            yield
        finally:
            self.module.load_state_dict(trained)

    def copy_to_module(self) -> None:
        """Leave the averaged weights in the module for good."""
        self.module.load_state_dict(self.average)
