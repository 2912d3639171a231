"""Between two embeddings."""

import torch
from jaxtyping import Float
from torch import Tensor


def great_arc(a: Float[Tensor, " D"], b: Float[Tensor, " D"], steps: int) -> Float[Tensor, "steps D"]:
    """Unit vectors from `a` to `b` at equal angles (spherical linear interpolation; Shoemake 1985).

    Args:
        a, b: unit vectors. Opposite ones have no shortest arc; the result is then some arc between them.
        steps: at least 2, both ends included.
    """
    if steps < 2:
        raise ValueError(f"steps is {steps}; give 2 or more, the ends are among them")
    # atan2 is exact for close and for opposite vectors, where acos is not.
    angle = 2 * torch.atan2((a - b).norm(), (a + b).norm())
    across = b - (a @ b) * a
    if across.norm() < 1e-6:
        across = torch.eye(len(a), dtype=a.dtype, device=a.device)[a.abs().argmin()]
        across = across - (a @ across) * a
    across = across / across.norm()
    at = torch.linspace(0, 1, steps, dtype=a.dtype, device=a.device)[:, None] * angle
    return torch.cos(at) * a + torch.sin(at) * across
