"""A learnable temperature that stays within its range."""

import math

import torch
from torch import Tensor, nn


class Temperature(nn.Module):
    """τ = exp(parameter), clamped to [minimum, maximum]; calling it gives the scalar tensor τ.

    The paper's setting is `Temperature(1 / 5, 1 / 10, 1e4)` (UniHPE, section 4.1). At a limit the gradient
    still flows, so that τ can come back; `clamp_` pins the parameter itself after an optimiser step.
    """

    def __init__(self, initial: float, minimum: float = 0.01, maximum: float = 1e4) -> None:
        super().__init__()
        if not 0 < minimum <= initial <= maximum:
            raise ValueError(
                f"temperature {initial} is outside [{minimum}, {maximum}], or the range is not positive"
            )
        self.minimum, self.maximum = minimum, maximum
        self.log = nn.Parameter(torch.tensor(math.log(initial)))

    def forward(self) -> Tensor:
        tau = self.log.exp()
        return tau + (tau.detach().clamp(self.minimum, self.maximum) - tau.detach())

    @torch.no_grad()
    def clamp_(self) -> None:
        """Put the parameter back into its range; call it after the optimiser's step."""
        self.log.clamp_(math.log(self.minimum), math.log(self.maximum))
