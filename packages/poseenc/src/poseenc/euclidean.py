"""Euclidean nearest neighbours by an index of cosines.

|q - x|² is least where q·x - |x|²/2 is greatest: an inner product of (q, 1) and (x, -|x|²/2). One more
coordinate gives all gallery vectors the same length (Bachrach et al., RecSys 2014), and then the order of
inner products is that of cosines, which is what `EmbeddingIndex` searches by.
"""

import torch
from jaxtyping import Float
from torch import Tensor


def gallery_on_sphere(embeddings: Float[Tensor, "N D"]) -> Float[Tensor, "N D+2"]:
    """Gallery vectors of one length, to build an `EmbeddingIndex` of."""
    embeddings = _wide(embeddings)
    half = -embeddings.square().sum(-1, keepdim=True) / 2
    lifted = torch.cat([embeddings, half], dim=-1)
    square = lifted.square().sum(-1, keepdim=True)
    longest = square.max() if len(square) else square.new_zeros(())
    return torch.cat([lifted, (longest - square).sqrt()], dim=-1)


def queries_for_sphere(embeddings: Float[Tensor, "Q D"]) -> Float[Tensor, "Q D+2"]:
    """Queries that find in such an index the neighbours nearest by Euclidean distance."""
    embeddings = _wide(embeddings)
    one, zero = torch.ones_like(embeddings[:, :1]), torch.zeros_like(embeddings[:, :1])
    return torch.cat([embeddings, one, zero], dim=-1)


def from_sphere(vectors: Float[Tensor, "*n E"]) -> Float[Tensor, "*n E-2"]:
    """What gallery vectors were made of, whatever length an index has since given them."""
    x, half = vectors[..., :-2], vectors[..., -2:-1]
    square = x.square().sum(-1, keepdim=True)
    return x * torch.where(square > 0, -2 * half / square.clamp(min=torch.finfo(x.dtype).tiny), 0)


def _wide(x: Tensor) -> Tensor:
    """float32 at least: squares of half precision overflow."""
    return x.to(torch.promote_types(x.dtype, torch.float32))
