"""Anchor-to-joint networks beside naive implementations, and their frames a second.

    python tests/benchmarks/bench_anchor.py --json docs/results/anchor.json

Groups, best of the rounds, contestants taking turns; `ratio` is the time over that of the group's first row:

    ensemble  (B, 5184, 15) logits to joints: by sums over the anchors; with S + O spelled out for every
              anchor; as the papers write it, one joint of one picture after the other
    sample    deformable sampling for 768 queries: by grid_sample; by four gathers a sample; by a loop (timed
              on a hundredth of the queries of one picture, and scaled)
    network   forward passes of A2J at 288 px (ITOP's 15 joints) and A2J-Transformer at 256 px (42 joints) as
              published, and of small ones that train on two cores; no ratio
"""

import argparse
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from posedata.results import write_results
from poseenc.anchor import (
    A2J,
    A2JTransformer,
    AnchorGrid2D,
    deformable_sample,
    deformable_sample_naive,
    ensemble,
    ensemble_naive,
)
from torch import Tensor

Work = Callable[[], object]
LOOP_SHARE = 100


def spelled_out(anchors: Tensor, offsets: Tensor, logits: Tensor) -> Tensor:
    """The ensemble with S + O in memory for every anchor and joint."""
    voted = offsets + torch.nn.functional.pad(anchors, (0, 1))[:, None]
    return (logits.softmax(1)[..., None] * voted).sum(1)


def gathered(value: Tensor, shapes: list[tuple[int, int]], places: Tensor, weights: Tensor) -> Tensor:
    """Deformable sampling by four gathers a sample, without grid_sample."""
    batch, _, heads, width = value.shape
    out = value.new_zeros(batch, places.shape[1], heads, width)
    index = torch.arange(batch)[:, None, None, None], torch.arange(heads)[None, None, :, None]
    start = 0
    for level, (rows, columns) in enumerate(shapes):
        x = places[..., level, :, 0] * columns - 0.5
        y = places[..., level, :, 1] * rows - 0.5
        for dx in (0, 1):
            for dy in (0, 1):
                column, row = x.floor() + dx, y.floor() + dy
                inside = (column >= 0) & (column < columns) & (row >= 0) & (row < rows)
                share = (1 - (x - column).abs()) * (1 - (y - row).abs()) * inside * weights[..., level, :]
                token = start + row.clamp(0, rows - 1).long() * columns + column.clamp(0, columns - 1).long()
                out = out + (share[..., None] * value[index[0], token, index[1]]).sum(3)
        start += rows * columns
    return out.flatten(2)


def ensemble_work(batch: int) -> dict[str, Work]:
    anchors = AnchorGrid2D((288, 288)).points()
    offsets, logits = torch.randn(batch, len(anchors), 15, 3), torch.randn(batch, len(anchors), 15)
    return {
        "ensemble": lambda: ensemble(anchors, offsets, logits),
        "S + O for every anchor": lambda: spelled_out(anchors, offsets, logits),
        "python loop": lambda: ensemble_naive(anchors, offsets, logits),
    }


def sample_work(batch: int) -> dict[str, Work]:
    shapes = [(32, 32), (16, 16), (16, 16), (8, 8)]
    value = torch.randn(batch, 1600, 8, 32)
    places, weights = torch.rand(batch, 768, 8, 4, 4, 2), torch.rand(batch, 768, 8, 4, 4)
    few = slice(0, 768 // LOOP_SHARE)
    return {
        "grid_sample": lambda: deformable_sample(value, shapes, places, weights),
        "four gathers": lambda: gathered(value, shapes, places, weights),
        "python loop": lambda: deformable_sample_naive(value[:1], shapes, places[:1, few], weights[:1, few]),
    }


def network_work(batch: int) -> dict[str, Work]:
    published = A2JTransformer(42), A2J(15)
    small = (
        A2JTransformer(
            42, size=64, backbone="light", dim=64, heads=4, layers=(1, 2), hidden=128, points=2, dropout=0.0
        ),
        A2J(15, size=96, backbone="light", channels=64),
    )
    names = ("A2J-Transformer", "A2J", "A2J-Transformer, small", "A2J, small")
    sizes = (256, 288, 64, 96)
    work: dict[str, Work] = {}
    for name, size, net in zip(names, sizes, (*published, *small), strict=True):
        work[name] = partial(net.eval(), torch.rand(batch, 3, size, size))
    return work


@torch.no_grad()
def seconds(work: dict[str, Work], rounds: int) -> dict[str, float]:
    best: dict[str, float] = {}
    for _ in range(rounds + 1):  # the first is also the warm-up
        for name, call in work.items():
            start = time.perf_counter()
            call()
            best[name] = min(time.perf_counter() - start, best.get(name, float("inf")))
    return best


def rows(group: str, work: dict[str, Work], batch: int, rounds: int) -> list[dict[str, object]]:
    best = seconds(work, rounds)
    if group == "sample":
        best["python loop"] *= batch * 768 / (768 // LOOP_SHARE)
    reference = next(iter(best.values()))
    return [
        {
            "group": group,
            "name": name,
            "batch": batch,
            "ms": 1e3 * taken,
            "ratio": None if group == "network" else taken / reference,
            "fps": batch / taken,
        }
        for name, taken in best.items()
    ]


def check() -> None:
    """The contestants say the same."""
    generator = torch.Generator().manual_seed(0)
    shapes = [(4, 5), (2, 3)]
    value = torch.randn(2, 26, 2, 3, generator=generator)
    places = 1.4 * torch.rand(2, 3, 2, 2, 2, 2, generator=generator) - 0.2
    weights = torch.rand(2, 3, 2, 2, 2, generator=generator)
    torch.testing.assert_close(
        gathered(value, shapes, places, weights), deformable_sample(value, shapes, places, weights)
    )
    anchors, offsets = torch.randn(7, 2, generator=generator), torch.randn(2, 7, 3, 3, generator=generator)
    logits = torch.randn(2, 7, 3, generator=generator)
    torch.testing.assert_close(
        spelled_out(anchors, offsets, logits), ensemble(anchors, offsets, logits).joints
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--json", type=Path, help="write the rows here")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--groups", nargs="+", default=["ensemble", "sample", "network"])
    arguments = parser.parse_args()
    torch.manual_seed(0)
    check()
    makers = {"ensemble": ensemble_work, "sample": sample_work, "network": network_work}
    table = []
    for group in arguments.groups:
        rounds = min(arguments.rounds, 2) if group == "network" else arguments.rounds
        table += rows(group, makers[group](arguments.batch), arguments.batch, rounds)
    for row in table:
        ratio = "" if row["ratio"] is None else f"x{row['ratio']:.2f}"
        print(f"{row['group']:9} {row['name']:24} {row['ms']:9.1f} ms {ratio:>9} {row['fps']:8.1f} /s")
    if arguments.json:
        write_results(arguments.json, table, seeds=[0], threads=torch.get_num_threads())


if __name__ == "__main__":
    main()
