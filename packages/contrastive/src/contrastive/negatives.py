"""Which triplets stand against the positive one: all of them, or a sample."""

from typing import Literal

import torch
from torch import Tensor

from contrastive.cosines import Cosines
from contrastive.kernels import Cube, Sample, faces, sampled

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
    whole = slabs - overlaps + (positive - shift).exp()
    complete = shared.complete(0, 1, 2)
    if complete is not None:
        whole = torch.where(complete[own], whole, 1)  # a row that lacks all members may have underflown
    return whole.log() + shift


def sampled_loss(
    shared: Cosines, temperature: float | Tensor, negatives: Negatives, generator: torch.Generator | None
) -> Tensor:
    """Cross-entropy of every local anchor's own triplet against B - 1 sampled ones, shape (b,)."""
    if negatives not in _DRAW:
        raise ValueError(f"negatives: {negatives!r}; choose all, sampled or paper_sampled")
    if shared.size < 2:
        raise ValueError(
            f"features: a batch of {shared.size} row has no triplet to sample; take at least two rows"
        )
    a, b, c = shared.rows(0, 1), shared.rows(0, 2), shared.full(1, 2)
    if generator is None and shared.gather is not None:
        seed = shared.gather.first(torch.randint(2**62, (1,), device=c.device))
        generator = torch.Generator(c.device).manual_seed(int(seed))
    members = _DRAW[negatives](shared.size, generator, c.device)
    second, third = (index[shared.own] for index in members)
    rate = 1 / torch.as_tensor(temperature, dtype=a.dtype, device=a.device)
    return sampled(Sample(a, b, c, rate, second, third, _masked(shared, second, third)))


def sample(batch: int, generator: torch.Generator | None, device: torch.device) -> tuple[Tensor, Tensor]:
    """Members of modalities two and three for every row: draw n of row i at [i, n], both (B, B).

    Draw 0 is the positive, and no other ever is. As in the papers' shuffles every draw takes each member
    once: it shifts both modalities against the first, by offsets drawn evenly from the B² - 1 that move at
    least one of them. Every row thus meets B - 1 even draws from its negatives.
    """
    offsets = 1 + torch.randint(max(1, batch * batch - 1), (batch - 1,), generator=generator, device=device)
    offsets = torch.cat((offsets.new_zeros(1), offsets))
    turned = torch.arange(2 * batch, device=device).remainder(batch).unfold(0, batch, 1)[:batch]
    second, third = (offset.expand(batch, batch) for offset in (offsets // batch, offsets % batch))
    return turned.gather(1, second), turned.gather(1, third)


def paper_sample(
    batch: int, generator: torch.Generator | None, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Algorithm 1 of UniHPE: draw 0 is the positive, every other an independent shuffle; laid out as above.

    A shuffle keeps row i with chance 1 / B in each modality, so that a row meets its own positive among the
    negatives in about one batch of B: the flaw is the algorithm's.
    """
    keys = torch.rand((2, batch - 1, batch), generator=generator, device=device)
    own = torch.arange(batch, device=device).expand(2, 1, batch)
    second, third = torch.cat((own, keys.argsort(dim=2)), 1).mT
    return second, third


_DRAW = {"sampled": sample, "paper_sampled": paper_sample}


def _shift(shared: Cosines, cosines: Triplets, rate: Tensor) -> Tensor:
    """What to subtract from logits: an upper bound of all of them, less the headroom."""
    largest = [part.detach().abs().amax() if part.numel() else part.new_zeros(()) for part in cosines]
    bounds = shared.maximum(torch.stack(largest))
    # λ1 - 1 = 2 √(s/3) cos(θ/3), so this bounds every cell. No anchor's sum is below a cell that holds the
    # largest cosine, where λ1 - 1 is at least that cosine.
    top = (4 / 3 * bounds.square().sum()).sqrt()
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
    if shared.present is not None:
        masked |= ~(shared.present[second, 1] & shared.present[third, 2])
    masked[:, 0] = False  # an incomplete anchor keeps a finite loss, which the caller does not count
    return masked
