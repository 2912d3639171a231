"""A pose straight from its condition: one pass of a residual MLP."""

from __future__ import annotations

from torch import Tensor, nn


class Regression(nn.Module):
    """Linear, residual blocks of two linears, linear; the blocks are normalised before, not after.

    So the sum of all blocks reaches the output as it is (Xiong et al. 2020, On Layer Normalization in the
    Transformer Architecture). inputs: width of the condition; outputs: of the flat pose.
    """

    def __init__(self, inputs: int, hidden: int, blocks: int, outputs: int, dropout: float) -> None:
        super().__init__()
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
        self.output = nn.Sequential(nn.LayerNorm(hidden), nn.Linear(hidden, outputs))

    def forward(self, condition: Tensor) -> Tensor:
        """(..., inputs) to (..., outputs)."""
        h = self.input(condition)
        for block in self.blocks:
            h = h + block(h)
        return self.output(h)
