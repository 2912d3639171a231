"""Which triplets stand against the positive one."""

from typing import Literal

import torch
from torch import Tensor

Negatives = Literal["all", "sampled", "paper_sampled"]


def sample(batch: int, generator: torch.Generator | None, device: torch.device) -> tuple[Tensor, Tensor]:
    """Indices j, k (B, B) into modalities two and three; column 0 is the positive, no other cell is."""
    own = torch.arange(batch, device=device)[:, None]
    flat = torch.randint(max(batch * batch - 1, 1), (batch, batch - 1), generator=generator, device=device)
    flat = flat + (flat >= own * (batch + 1))  # skip the positive (n, n) itself
    flat = torch.cat((own * (batch + 1), flat), 1)
    return flat // batch, flat % batch


def paper_sample(
    batch: int, generator: torch.Generator | None, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Algorithm 1 of UniHPE: column 0 is the positive, every other column an independent shuffle."""
    keys = torch.rand((2, batch - 1, batch), generator=generator, device=device)
    shuffled = keys.argsort(dim=2).mT
    own = torch.arange(batch, device=device).expand(2, batch)[..., None]
    j, k = torch.cat((own, shuffled), 2)
    return j, k
