"""One process of test_gather_processes: its rows of the batch, every loss, value and gradients to a file."""

from collections.abc import Callable
from pathlib import Path

import torch
import torch.distributed as dist
from contrastive import (
    joint_info_nce,
    multimodal_info_nce,
    pairwise_info_nce,
    pmrl,
    supervised_info_nce,
    symile,
    tiles,
    triplet_info_nce,
    tuple_info_nce,
)
from torch import Tensor

LABELS = torch.tensor([0, 1, 1, 2, 2, 2, 3, 4, 4, 5, 6])
PRESENT = torch.ones(11, 3, dtype=torch.bool)
PRESENT[1, 0] = PRESENT[4, 2] = PRESENT[9, 1] = False
CONCENTRATIONS = torch.arange(1, 34).view(3, 11).remainder(7) + 0.5
Loss = Callable[..., Tensor]


def losses(own: slice, *, gather: bool) -> dict[str, Loss]:
    labels, present = LABELS[own], PRESENT[own]
    mask = (LABELS[:, None] == LABELS)[own]

    def drawn(negatives: str, **more: object) -> Loss:
        return lambda x, tau: triplet_info_nce(
            x, tau, negatives, torch.Generator().manual_seed(7), gather=gather, **more
        )

    def named(x: list[Tensor], tau: Tensor, cells: int) -> Tensor:
        """Every term of the one call, with concentrations and masks, in tiles of so many cells."""
        before = tiles.CELLS["cpu"], tiles.ROWS
        tiles.CELLS["cpu"], tiles.ROWS = cells, 2
        names = ("a", "b", "c")
        value = multimodal_info_nce(
            dict(zip(names, x, strict=True)),
            dict(zip(names, present.unbind(1), strict=True)),
            tau,
            {"pairwise": 1, "sharpened": 2, "triplet": 3, "triangle": 4, "fused": 5, "gram": 6, "symile": 7},
            concentrations=dict(zip(names, CONCENTRATIONS[:, own].to(x[0]), strict=True)),
            positives=labels,
            generator=torch.Generator().manual_seed(7),
            gather=gather,
        )
        tiles.CELLS["cpu"], tiles.ROWS = before
        return value

    return {
        "all terms": lambda x, tau: named(x, tau, 2**20),
        "all terms in tiles": lambda x, tau: named(x, tau, 9),
        "pairs": lambda x, tau: pairwise_info_nce(x, tau, gather=gather),
        "pairs labelled": lambda x, tau: pairwise_info_nce(x, tau, positives=labels, gather=gather),
        "supervised": lambda x, tau: supervised_info_nce(
            x, tau, positives=mask, present=present, gather=gather
        ),
        "all": lambda x, tau: triplet_info_nce(x, tau, gather=gather),
        "all masked": lambda x, tau: triplet_info_nce(x, tau, present=present, positives=mask, gather=gather),
        "joint": lambda x, tau: joint_info_nce(x, tau, present=present, positives=labels, gather=gather),
        "sampled": drawn("sampled"),
        "sampled masked": drawn("sampled", present=present, positives=labels),
        "paper sampled": drawn("paper_sampled"),
        "gram": lambda x, tau: tuple_info_nce(x, tau, "gram", present=present, gather=gather),
        "symile": lambda x, tau: symile(x, tau, torch.Generator().manual_seed(7), gather=gather),
        "pmrl": lambda x, tau: pmrl(x, tau, present=present, gather=gather),
    }


def batch(dtype: torch.dtype) -> Tensor:
    x = torch.randn(3, 11, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return (x / x.norm(dim=-1, keepdim=True)).to(dtype)


def results(own: slice, dtype: torch.dtype, *, gather: bool) -> dict[str, list[Tensor]]:
    found = {}
    for name, loss in losses(own, gather=gather).items():
        x = batch(dtype)[:, own].clone().requires_grad_()
        tau = torch.tensor(0.3, dtype=dtype, requires_grad=True)
        value = loss(list(x), tau)
        found[name] = [value.detach(), *torch.autograd.grad(value, (x, tau))]
    return found


def main(rank: int, sizes: list[int], folder: Path) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=len(sizes))
    own = slice(sum(sizes[:rank]), sum(sizes[: rank + 1]))
    for dtype in (torch.float32, torch.float64):
        torch.save(results(own, dtype, gather=True), folder / f"{dtype}-{rank}.pt")
    x = list(batch(torch.float64)[:, own])
    torch.save(triplet_info_nce(x, 0.3, "sampled", gather=True), folder / f"seed-{rank}.pt")
    dist.destroy_process_group()
