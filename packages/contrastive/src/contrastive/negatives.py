"""Which triplets stand against the positive one: all of them, or a sample."""

from collections.abc import Iterable
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from contrastive.cosines import Cosines, product
from contrastive.kernels import Cube, Sample, faces, sampled
from contrastive.tiles import again, blocks, side

Negatives = Literal["all", "sampled", "paper_sampled"]
Triplets = tuple[Tensor, Tensor, Tensor]
Triple = tuple[int, int, int]

# float32 holds e^-87 to e^88. The largest possible cell is put at e^60, which leaves room for a sum of
# 1e12 of them; every anchor's sum must then lie within 140 of it.
_HEADROOM = 60.0
_SPAN = 140.0


def log_partition(shared: Cosines, members: Triple, temperature: float | Tensor, positive: Tensor) -> Tensor:
    """log Z_n of every local anchor n: its positive triplet and all negatives that share a member with it.

    Z_n = three slabs of the cube of triplets, less their pairwise overlaps, plus the corner. Every process
    sums the part that its own rows of the first modality span, so that a cell is evaluated once in all. A
    cube whose cosines are no tile (`contrastive.tiles`) is summed block by block, in O(B D + tile) memory.

    Args:
        members: numbers of the three modalities.
        positive: logits λ1 / τ - 1 / τ of the anchors' own triplets, shape (b,).

    Returns:
        Shape (b,), on the scale of `positive`; incomplete samples hold something finite.

    Raises:
        ValueError: in float32 on a CPU, where τ is so small that sums would underflow (below about 1/128).
    """
    rate = 1 / torch.as_tensor(temperature, dtype=positive.dtype, device=positive.device)
    shift = _shift(shared, members, rate.detach())
    slabs = _slabs(shared, members, rate, shift)
    sums = slabs.first + shared.total(slabs.second)[shared.own] + shared.total(slabs.third)[shared.own]
    overlaps = slabs.first_second + slabs.first_third + shared.total(slabs.second_third)[shared.own]
    # Where `positives` are left out, the cube lacks the corner in slabs and overlaps alike.
    whole = sums - overlaps + (positive - shift).exp()
    complete = shared.complete(*members)
    if complete is not None:
        # a row that lacks all members may have underflown
        whole = torch.where(complete[shared.own], whole, 1)
    return whole.log() + shift


class Slabs(NamedTuple):
    """Sums over the cube: of every slab of an axis, and of the lines in which two axes have the same number.

    first, first_second, first_third: (b,); second, third, second_third: (B,), of this process's part.
    """

    first: Tensor
    second: Tensor
    third: Tensor
    first_second: Tensor
    first_third: Tensor
    second_third: Tensor


def _slabs(shared: Cosines, members: Triple, rate: Tensor, shift: Tensor) -> Slabs:
    x, y, z = members
    start, rows, everyone = shared.own.start, len(shared.local[x]), slice(0, shared.size)

    def part(i: slice, j: slice) -> tuple[Tensor, ...]:
        here = slice(start + i.start, start + i.stop)
        between = shared.full(y, z) if shared.whole else product(shared.all[y][j], shared.all[z])
        a, b = shared.tile(x, y, i, j), shared.tile(x, z, i, everyone)
        ab, ac, bc = (shared.alike(*pair) for pair in ((here, j), (here, everyone), (j, everyone)))
        same = None if ab is None or ac is None or bc is None else (ab, ac, bc)
        there = None
        if shared.present is not None:
            there = tuple(shared.present[at, m] for at, m in zip((here, j, everyone), members, strict=True))
        ab, ac, bc = _present_faces(Cube(a, b, between, rate, shift, same), there)
        crossing = ((ab, here.start - j.start), (ac, here.start), (bc, j.start))
        # copies, as a view would keep its whole face
        lines = (face.diagonal(offset).clone() for face, offset in crossing)
        return ab.sum(1), ab.sum(0), ac.sum(0), *lines

    if shared.whole:
        return Slabs(*part(slice(0, rows), everyone))
    step = side(shared.size, rate.device)
    grid = [[again(part, i, j) for j in blocks(shared.size, step)] for i in blocks(rows, step)]
    columns = list(zip(*grid, strict=True))

    def total(parts: Iterable[tuple[Tensor, ...]], field: int) -> Tensor:
        return torch.stack([part[field] for part in parts]).sum(0)

    return Slabs(
        first=torch.cat([total(line, 0) for line in grid]),
        second=torch.cat([total(line, 1) for line in columns]),
        third=total((part for line in grid for part in line), 2),
        first_second=torch.cat([part[3] for line in grid for part in line]),
        first_third=torch.cat([total(line, 4) for line in grid]),
        second_third=torch.cat([total(line, 5) for line in columns]),
    )


def sampled_loss(
    shared: Cosines,
    members: Triple,
    temperature: float | Tensor,
    negatives: Negatives,
    generator: torch.Generator | None,
) -> Tensor:
    """Cross-entropy of every local anchor's own triplet against B - 1 sampled ones, shape (b,)."""
    if negatives not in _DRAW:
        raise ValueError(f"negatives: {negatives!r}; choose all, sampled or paper_sampled")
    if shared.size < 2:
        raise ValueError(
            f"features: a batch of {shared.size} row has no triplet to sample; take at least two rows"
        )
    x, y, z = members
    a, b, c = shared.rows(x, y), shared.rows(x, z), shared.full(y, z)
    if generator is None and shared.gather is not None:
        seed = shared.gather.first(torch.randint(2**62, (1,), device=c.device))
        generator = torch.Generator(c.device).manual_seed(int(seed))
    drawn = _DRAW[negatives](shared.size, generator, c.device)
    second, third = (index[shared.own] for index in drawn)
    rate = 1 / torch.as_tensor(temperature, dtype=a.dtype, device=a.device)
    return sampled(Sample(a, b, c, rate, second, third, _masked(shared, members, second, third)))


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


def _shift(shared: Cosines, members: Triple, rate: Tensor) -> Tensor:
    """What to subtract from logits: an upper bound of all of them, less the headroom."""
    bounds = shared.maximum(_largest(shared, members))
    # λ1 - 1 = 2 √(s/3) cos(θ/3), so this bounds every cell. No anchor's sum is below a cell that holds the
    # largest cosine, where λ1 - 1 is at least that cosine.
    top = (4 / 3 * bounds.square().sum()).sqrt()
    if rate.dtype == torch.float32 and rate.device.type == "cpu" and (top - bounds.amax()) * rate > _SPAN:
        raise ValueError(
            f"temperature {1 / rate.item():.2g} underflows float32; keep it above 1/128, or use float64"
        )
    return top * rate - _HEADROOM


def _largest(shared: Cosines, members: Triple) -> Tensor:
    """(3,): the largest size of a cosine of this process's rows with all, of each pair of modalities."""
    x, y, z = members
    if shared.whole:
        matrices = [[shared.rows(x, y)], [shared.rows(x, z)], [shared.full(y, z)]]
    else:
        step = side(shared.size, shared.all[z].device)
        pairs = (
            (shared.local[x], shared.all[y]),
            (shared.local[x], shared.all[z]),
            (shared.local[y], shared.all[z]),
        )
        matrices = [
            [product(p[rows].detach(), q.detach()) for rows in blocks(len(p), step)] for p, q in pairs
        ]
    sizes = [
        [part.detach().abs().amax() if part.numel() else part.new_zeros(()) for part in m] for m in matrices
    ]
    return torch.stack([torch.stack(m).amax() for m in sizes])


def _present_faces(cube: Cube, members: tuple[Tensor, ...] | None) -> Triplets:
    """Faces of the cube of the members that are present (I,), (J,), (K,), with zeros for the rest."""
    if members is None:
        return faces(cube)
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


def _masked(shared: Cosines, members: Triple, second: Tensor, third: Tensor) -> Tensor | None:
    same, present = shared.same, shared.present
    if same is None and present is None:
        return None
    masked = torch.zeros_like(second, dtype=torch.bool)
    if same is not None:
        own = same[shared.own]
        masked |= own.gather(1, second) & own.gather(1, third) & same[second, third]
    if present is not None:
        masked |= ~(present[second, members[1]] & present[third, members[2]])
    masked[:, 0] = False  # an incomplete anchor keeps a finite loss, which the caller does not count
    return masked
