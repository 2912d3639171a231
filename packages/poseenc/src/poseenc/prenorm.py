"""A residual MLP that is normalised before each block: no batch statistics, rows do not see each other."""

import torch
from jaxtyping import Float
from torch import Tensor, nn


class PreNormMLP(nn.Module):
    """``inputs → hidden``, residual blocks of LayerNorm, linear, SiLU, dropout, linear; LayerNorm at the end.

    Xiong et al., "On Layer Normalization in the Transformer Architecture", ICML 2020. Inputs are taken by
    their mean and deviation in the training data, which `fit_scale` sets and the state dict keeps.

    Args:
        inputs: width of the input.
        hidden: width of the trunk.
        blocks: number of residual blocks.
        dropout: probability in every block.
    """

    mean: Tensor
    gain: Tensor

    def __init__(self, inputs: int, hidden: int, blocks: int, *, dropout: float = 0.0) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(inputs))
        self.register_buffer("gain", torch.ones(inputs))
        self.input = nn.Linear(inputs, hidden)
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.LayerNorm(hidden),
                nn.Linear(hidden, hidden),
                nn.SiLU(),
                nn.Dropout(dropout),
                nn.Linear(hidden, hidden),
            )
            for _ in range(blocks)
        )
        self.norm = nn.LayerNorm(hidden)

    @torch.no_grad()
    def fit_scale(self, x: Float[Tensor, "N inputs"]) -> None:
        """Take mean and deviation of inputs; one that does not vary keeps its unit."""
        spread = x.std(0)
        self.mean.copy_(x.mean(0))
        self.gain.copy_(torch.where(spread > 1e-6, 1 / spread, 1))

    def forward(self, x: Float[Tensor, "B inputs"]) -> Float[Tensor, "B hidden"]:
        return self.rest(self.first(x))

    def first(self, x: Float[Tensor, "B inputs"]) -> Float[Tensor, "B hidden"]:
        """The layer that reads coordinates."""
        return self.input((x - self.mean) * self.gain)

    def rest(self, x: Float[Tensor, "B hidden"]) -> Float[Tensor, "B hidden"]:
        """What follows ``first``."""
        for block in self.blocks:
            x = x + block(x)
        return self.norm(x)
