"""Which triplets stand against the positive one: all of them, or a sample."""

from typing import Literal

import torch
from torch import Tensor

from contrastive.cosines import Cosines
from contrastive.cubic import largest_root
from contrastive.kernels import Cube, faces

Negatives = Literal["all", "sampled", "paper_sampled"]
Triplets = tuple[Tensor, Tensor, Tensor]

# float32 holds e^-87 to e^88. The largest possible cell is put at e^60, which leaves room for a sum of
# 1e12 of them; every anchor's sum must then lie within 140 of it.
_HEADROOM = 60.0
_SPAN = 140.0


def log_partition(shared: Cosines, temperature: float | Tensor, positive: Tensor) -> Tensor:
    """log Z_n of every local anchor n: its positive triplet and all negatives that share a member with it.

    Z_n = three slabs of the cube of triplets, less their pairwise overlaps, plus the corner. Every process
    sums the part that its own rows of the first modality span, so that a cell is evaluated once in all.

    Args:
        positive: logits λ1 / τ - 1 / τ of the anchors' own triplets, shape (b,).

    Returns:
        Shape (b,), on the scale of `positive`; incomplete samples hold something finite.

    Raises:
        ValueError: in float32 on a CPU, where τ is so small that sums would underflow (below about 1/128).
    """
    own = shared.own
    a, b, c = shared.rows(0, 1), shared.rows(0, 2), shared.full(1, 2)
    rate = 1 / torch.as_tensor(temperature, dtype=a.dtype, device=a.device)
    shift = _shift(shared, (a, b, c), rate.detach())
    same = None if shared.same is None else (shared.same[own], shared.same[own], shared.same)
    ab, ac, bc = _present_faces(shared, Cube(a, b, c, rate, shift, same))
    slabs = ab.sum(1) + shared.total(ab.sum(0))[own] + shared.total(ac.sum(0))[own]
    overlaps = ab.diagonal(own.start) + ac.diagonal(own.start) + shared.total(bc.diagonal())[own]
    # Where `positives` are left out, the cube lacks the corner in slabs and overlaps alike.
    return (slabs - overlaps + (positive - shift).exp()).log() + shift


def sampled_triplets(
    shared: Cosines, negatives: Negatives, generator: torch.Generator | None
) -> tuple[Triplets, Tensor | None]:
    """Cosines 1-2, 1-3, 2-3 of the sampled triplets, and which of them do not count.

    Returns:
        Three tensors (b, B), the positive triplet in column 0, and a boolean mask (b, B) or None.
    """
    if negatives not in ("sampled", "paper_sampled"):
        raise ValueError(f"negatives: {negatives!r}; choose all, sampled or paper_sampled")
    c = shared.full(1, 2)
    if generator is None and shared.gather is not None:
        seed = shared.gather.first(torch.randint(2**62, (1,), device=c.device))
        generator = torch.Generator(c.device).manual_seed(int(seed))
    draw = sample if negatives == "sampled" else paper_sample
    second, third = (index[shared.own] for index in draw(shared.size, generator, c.device))
    flat = (second * shared.size + third).flatten()
    cosines = (
        shared.rows(0, 1).gather(1, second),
        shared.rows(0, 2).gather(1, third),
        c.reshape(-1).index_select(0, flat).view_as(second),
    )
    masked = _masked(shared, second, third)
    return cosines, masked


def sample(batch: int, generator: torch.Generator | None, device: torch.device) -> tuple[Tensor, Tensor]:
    """Members (B, B) from modalities two and three; column 0 is the positive, the others never are.

    Every other column is drawn evenly, with replacement, from the B² - 1 triplets that keep the row's own
    first member.
    """
    positive = torch.arange(batch, device=device)[:, None] * (batch + 1)
    shape = (batch, batch - 1)
    cells = torch.randint(max(1, batch * batch - 1), shape, generator=generator, device=device)
    cells = torch.cat((positive, cells + (cells >= positive)), 1)
    second = cells.div(batch, rounding_mode="floor")
    return second, cells - second * batch


def paper_sample(
    batch: int, generator: torch.Generator | None, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Algorithm 1 of UniHPE: column 0 is the positive, every other column an independent shuffle.

    A shuffle keeps row n with chance 1 / B in each modality, so that about one row in B of the batch's
    B (B - 1) samples is a positive counted as a negative: the flaw is the algorithm's.
    """
    keys = torch.rand((2, batch - 1, batch), generator=generator, device=device)
    own = torch.arange(batch, device=device).expand(2, batch)[..., None]
    second, third = torch.cat((own, keys.argsort(dim=2).mT), 2)
    return second, third


def _shift(shared: Cosines, cosines: Triplets, rate: Tensor) -> Tensor:
    """What to subtract from logits: an upper bound of all of them, less the headroom."""
    bounds = shared.maximum(torch.stack([part.detach().abs().amax() for part in cosines]))
    # λ1 grows with the size of every cosine when all are positive (Perron), so this bounds every cell. No
    # anchor's sum is below a cell that holds the largest cosine, where λ1 - 1 is at least that cosine.
    top = largest_root(*bounds)
    if rate.dtype == torch.float32 and rate.device.type == "cpu" and (top - bounds.amax()) * rate > _SPAN:
        raise ValueError(
            f"temperature {1 / rate.item():.2g} underflows float32; keep it above 1/128, or use float64"
        )
    return top * rate - _HEADROOM


def _present_faces(shared: Cosines, cube: Cube) -> Triplets:
    """Faces of the cube of the members that are present, with zeros for the rest."""
    if shared.present is None:
        return faces(cube)
    members = (shared.present[shared.own, 0], shared.present[:, 1], shared.present[:, 2])
    keep = [on.nonzero()[:, 0] for on in members]
    grids = [(keep[x][:, None], keep[y]) for x, y in ((0, 1), (0, 2), (1, 2))]
    a, b, c = (part[grid] for part, grid in zip(cube[:3], grids, strict=True))
    same = None
    if cube.same is not None:
        ab, ac, bc = (part[grid].contiguous() for part, grid in zip(cube.same, grids, strict=True))
        same = ab, ac, bc
    small = faces(Cube(a, b, c, cube.rate, cube.shift, same))
    ab, ac, bc = (
        torch.zeros_like(part).index_put(grid, face)
        for part, grid, face in zip(cube[:3], grids, small, strict=True)
    )
    return ab, ac, bc


def _masked(shared: Cosines, second: Tensor, third: Tensor) -> Tensor | None:
    if shared.same is None and shared.present is None:
        return None
    masked = torch.zeros_like(second, dtype=torch.bool)
    if shared.same is not None:
        own = shared.same[shared.own]
        masked |= own.gather(1, second) & own.gather(1, third) & shared.same[second, third]
        masked[:, 0] = False
    if shared.present is not None:
        masked |= ~(shared.present[second, 1] & shared.present[third, 2])
    return masked
