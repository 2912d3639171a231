"""The network inside a decoder: a residual MLP whose time and condition paths are computed apart.

Shape of GFPose's score network (Ci et al. 2023): a first linear, then blocks of two linears, each followed
by normalisation, SiLU and dropout, each with its own projection of time and of condition added before the
normalisation. Here all projections of the condition are one matrix product that does not depend on x or on
the noise level, so a sampler computes it once for all its steps and all its hypotheses; and a noise level
shared by a batch is embedded once, not once a row. A gain per level carries x straight to the output: what a
normal posterior needs, and what normalised layers, which lose x's magnitude, are slow to learn.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional


class ResidualMLP(nn.Module):
    """``F(x, label, features)`` on flat vectors.

    width: D, length of x. condition_dim: length of the condition, 0 for none. groups: groups of the
    normalisation; 1 is LayerNorm, 32 GFPose's GroupNorm.
    """

    settled_added: Tensor | None
    settled_gain: Tensor | None

    def __init__(
        self,
        width: int,
        condition_dim: int,
        *,
        hidden: int = 1024,
        blocks: int = 2,
        time_dim: int = 512,
        dropout: float = 0.1,
        groups: int = 1,
    ) -> None:
        super().__init__()
        if hidden % groups or time_dim % 2:
            raise ValueError(f"hidden={hidden} must divide by groups={groups}, and time_dim={time_dim} by 2")
        layers = 1 + 2 * blocks
        self.layers = layers
        self.time_dim = time_dim
        self.input = nn.Linear(width, hidden)
        self.linears = nn.ModuleList(nn.Linear(hidden, hidden) for _ in range(2 * blocks))
        self.norms = nn.ModuleList(ChannelNorm(hidden, groups) for _ in range(layers))
        self.output = nn.Linear(hidden, width)
        self.dropout = nn.Dropout(dropout)
        self.time_embed = nn.Sequential(nn.Linear(time_dim, time_dim), nn.SiLU())
        self.time_project = nn.Linear(time_dim, layers * hidden)
        self.no_signal = nn.Parameter(torch.randn(time_dim))
        self.gain = nn.Linear(time_dim, width)
        nn.init.zeros_(self.gain.weight)
        nn.init.zeros_(self.gain.bias)
        self.condition_embed = (
            nn.Sequential(nn.Linear(condition_dim, hidden), nn.SiLU()) if condition_dim else None
        )
        self.condition_project = nn.Linear(hidden, layers * hidden) if condition_dim else None
        self.register_buffer("settled_added", None, persistent=False)
        self.register_buffer("settled_gain", None, persistent=False)

    @torch.no_grad()
    def settle(self) -> None:
        """Compute once what infinite noise adds, which reads a third of all weights: for those who only ask.

        Weights must stay as they are until ``train()`` ends it, or ``settle`` does it anew.
        """
        self.settled_added = self.settled_gain = None
        self.settled_added, self.settled_gain = self._time(None)

    def train(self, mode: bool = True) -> ResidualMLP:
        if mode:
            self.settled_added = self.settled_gain = None
        return super().train(mode)

    def project(self, condition: Tensor) -> Tensor:
        """The condition's share of every layer: (..., condition_dim) to (..., layers, hidden)."""
        if self.condition_embed is None or self.condition_project is None:
            raise ValueError("this network was built with condition_dim=0; it takes no condition")
        return self.condition_project(self.condition_embed(condition)).unflatten(-1, (self.layers, -1))

    def forward(self, x: Tensor, label: Tensor | None, features: Tensor | None = None) -> Tensor:
        """x: (..., D); label: scalar or (...), None is infinite noise; features: of ``project``. (..., D)."""
        added, gain = self._time(label)
        if features is not None:
            added = added + features
        h = self._layer(0, self.input(x), added)
        for first in range(1, self.layers, 2):
            inner = self._layer(first, self.linears[first - 1](h), added)
            h = h + self._layer(first + 1, self.linears[first](inner), added)
        return self.output(h) + gain * x

    def _time(self, label: Tensor | None) -> tuple[Tensor, Tensor]:
        """A noise level's share of every layer, (..., layers, hidden), and its gain, (..., D)."""
        if label is None and self.settled_added is not None and self.settled_gain is not None:
            return self.settled_added, self.settled_gain
        time = self.time_embed(self.no_signal if label is None else sinusoidal(label, self.time_dim))
        return self.time_project(time).unflatten(-1, (self.layers, -1)), self.gain(time)

    def _layer(self, index: int, h: Tensor, added: Tensor) -> Tensor:
        return self.dropout(functional.silu(self.norms[index](h + added[..., index, :])))


class ChannelNorm(nn.Module):
    """GroupNorm over the last axis, for any leading shape (``nn.GroupNorm`` wants channels second)."""

    def __init__(self, channels: int, groups: int = 1) -> None:
        super().__init__()
        self.groups = groups
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        channels = x.shape[-1]
        if self.groups == 1:
            return functional.layer_norm(x, (channels,), self.weight, self.bias)
        size = channels // self.groups
        normal = functional.layer_norm(x.unflatten(-1, (self.groups, size)), (size,)).flatten(-2)
        return torch.addcmul(self.bias, normal, self.weight)


def sinusoidal(label: Tensor, dim: int, *, max_period: float = 10_000.0) -> Tensor:
    """Sines, then cosines, of label times dim/2 geometric frequencies from 1 down to 1 / max_period.

    label: (...); returns (..., dim). Vaswani et al. 2017, in the layout of the DDPM code line.
    """
    half = dim // 2
    steps = torch.arange(half, dtype=torch.float32, device=label.device)
    frequencies = torch.exp(steps * (-math.log(max_period) / (half - 1)))
    angles = label[..., None] * frequencies.to(label.dtype)
    return torch.cat([angles.sin(), angles.cos()], dim=-1)
