"""GFPose's score network as its authors describe it: oracle of the conversion, peer of the benchmark.

Plain on purpose. Every projection is its own linear layer, and all of them run at every evaluation. The
names of the parameters are the published ones, so its state dict is laid out as their checkpoints are.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from posediff.network import sinusoidal


class GFPoseNetwork(nn.Module):
    """``F(x, label, observed, known)`` on (B, J, 3) (Ci et al. 2023, section 3 and supplement).

    The condition is relative: what the noisy pose lacks to the observed one, where it is known. With
    conditional=False it is ZeDO's prior, which lacks the condition's layers.
    """

    def __init__(
        self,
        joints: int = 17,
        dims: int = 3,
        hidden: int = 1024,
        time_dim: int = 512,
        blocks: int = 2,
        *,
        conditional: bool = True,
        dropout: float = 0.25,
    ) -> None:
        super().__init__()
        self.blocks, self.time_dim, self.conditional, self.dropout = blocks, time_dim, conditional, dropout
        width = joints * dims
        self.register_buffer("sigmas", torch.logspace(0, 1, 1000, base=0.01 / 50) * 50)
        self.pre_dense = nn.Linear(width, hidden)
        self.pre_dense_t = nn.Linear(time_dim, hidden)
        if conditional:
            self.pre_dense_cond = nn.Linear(hidden, hidden)
        self.pre_gnorm = nn.GroupNorm(32, hidden)
        self.shared_time_embed = nn.Sequential(nn.Linear(time_dim, time_dim), nn.SiLU())
        if conditional:
            self.cond_embed = nn.Sequential(nn.Linear(width, hidden), nn.SiLU())
        for block in range(1, blocks + 1):
            for half in (1, 2):
                self.add_module(f"b{block}_dense{half}", nn.Linear(hidden, hidden))
                self.add_module(f"b{block}_dense{half}_t", nn.Linear(time_dim, hidden))
                if conditional:
                    self.add_module(f"b{block}_dense{half}_cond", nn.Linear(hidden, hidden))
                self.add_module(f"b{block}_gnorm{half}", nn.GroupNorm(32, hidden))
        self.post_dense = nn.Linear(hidden, width)

    def forward(
        self, x: Tensor, label: Tensor, observed: Tensor | None = None, known: Tensor | None = None
    ) -> Tensor:
        """x: (B, J, d); label: (B,), 999 t; observed, known: (B, J, d). Returns (B, J, d)."""
        time = self.shared_time_embed(sinusoidal(label, self.time_dim))
        condition = None
        if self.conditional:
            residual = torch.zeros_like(x) if observed is None else x - observed
            condition = self.cond_embed((residual if known is None else residual * known).flatten(1))
        h = self._layer("pre_dense", "pre_gnorm", x.flatten(1), time, condition)
        for block in range(1, self.blocks + 1):
            inner = self._layer(f"b{block}_dense1", f"b{block}_gnorm1", h, time, condition)
            h = h + self._layer(f"b{block}_dense2", f"b{block}_gnorm2", inner, time, condition)
        return self.post_dense(h).reshape(x.shape)

    def _layer(self, dense: str, norm: str, h: Tensor, time: Tensor, condition: Tensor | None) -> Tensor:
        h = self.get_submodule(dense)(h) + self.get_submodule(f"{dense}_t")(time)
        if condition is not None:
            h = h + self.get_submodule(f"{dense}_cond")(condition)
        h = functional.silu(self.get_submodule(norm)(h))
        return functional.dropout(h, self.dropout, self.training)
