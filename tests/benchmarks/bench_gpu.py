"""What a GPU does with the project's hot operations; on a CPU the same code at whatever sizes are given.

    python tests/benchmarks/bench_gpu.py --device cuda --json docs/results/gpu.json
    python tests/benchmarks/bench_gpu.py --tiny         (every row, in seconds: that the code runs)

Rows: ``{part, name, batch, ms, per_s, peak_mib}``, the fastest of the rounds and what memory the work adds at
its highest, beside features and weights; ``times_plain`` of a step is its time over that without L_triplet.
Null numbers and a ``note``: it did not fit, or cannot run there. Parts:

    contrastive   L_pair of 2 and 3 modalities, and with L_triplet (sampled, all), both ways, D = 1024
    samplers      hypotheses of `PoseDecoder.sample`, 7 steps
    anchor        frames of A2J-Transformer at 256 px, float32, bf16 and compiled
    step          optimizer steps of UniHPR's losses, with and without L_triplet, in float32 and bf16
"""

import argparse
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch
from contrastive import joint_info_nce, pairwise_info_nce
from posedata.results import write_results
from posediff import PoseDecoder
from poseenc import MLPPoseEncoder, image_encoder
from poseenc.anchor import A2JTransformer
from torch import Tensor, nn
from torch.nn.functional import normalize

TAU = 0.2
Work = Callable[[], object]
Row = dict[str, Any]
FULL = {
    "contrastive": (2048, 4096, 16_384, 65_536),
    "samplers": (4096,),
    "anchor": (1, 64),
    "step": (180, 1024),
}
TINY = {"contrastive": (8,), "samplers": (2,), "anchor": (1,), "step": (4,)}


def contrastive(batch: int, device: str, tiny: bool) -> Iterator[tuple[str, Work]]:
    dimensions = 16 if tiny else 1024
    generator = torch.Generator().manual_seed(0)
    for count in (2, 3):
        features = [
            normalize(torch.randn(batch, dimensions, generator=generator), dim=-1).to(device).requires_grad_()
            for _ in range(count)
        ]
        losses: dict[str, Callable[[], Tensor]] = {"pair": partial(pairwise_info_nce, features, TAU)}
        if count == 3:
            losses |= {n: partial(joint_info_nce, features, TAU, n) for n in ("sampled", "all")}
        for name, loss in losses.items():
            yield f"{name}, M = {count}", partial(_both_ways, loss, features)


def samplers(batch: int, device: str, tiny: bool) -> Iterator[tuple[str, Work]]:
    torch.manual_seed(0)
    width = 16 if tiny else 1024
    decoder = PoseDecoder(17, 3, width, width).to(device).eval()
    condition = normalize(torch.randn(batch, width), dim=-1).to(device)
    for sampler in ("dpmpp_2m_sde", "heun"):
        yield sampler, partial(_drawn, decoder, condition, sampler)


def anchor(batch: int, device: str, tiny: bool) -> Iterator[tuple[str, Work]]:
    torch.manual_seed(0)
    small = {
        "size": 64,
        "backbone": "light",
        "dim": 32,
        "heads": 2,
        "layers": (1, 1),
        "hidden": 32,
        "points": 2,
    }
    net = A2JTransformer(42, weights=None, **(small if tiny else {})).to(device).eval()  # type: ignore[arg-type]
    pictures = torch.rand(batch, 3, 64 if tiny else 256, 64 if tiny else 256, device=device)
    yield "A2J-Transformer, float32", partial(_seen, net, pictures, device, False)
    yield "A2J-Transformer, bf16", partial(_seen, net, pictures, device, True)
    if device == "cuda":
        yield "A2J-Transformer, bf16, compiled", partial(_seen, torch.compile(net), pictures, device, True)


def step(batch: int, device: str, tiny: bool) -> Iterator[tuple[str, Work]]:
    torch.manual_seed(0)
    width = 32 if tiny else 1024
    encoders = nn.ModuleList(
        [
            image_encoder("light", width),
            MLPPoseEncoder(17, 3, width, width, 2),
            MLPPoseEncoder(17, 3, width, width, 2),
        ]
    ).to(device)
    optimizer = torch.optim.AdamW(encoders.parameters())
    images = torch.rand(batch, 3, 64 if tiny else 256, 48 if tiny else 192, device=device)
    points, box = torch.randn(batch, 17, 3, device=device), torch.randn(batch, 3, device=device)

    def one(triplet: bool, bf16: bool) -> None:
        with torch.autocast(device, torch.bfloat16, enabled=bf16):
            found = [encoders[0](images), encoders[1](points, box), encoders[2](points, box)]
        features = [normalize(x.float(), dim=-1) for x in found]
        loss = joint_info_nce(features, TAU, "all") if triplet else pairwise_info_nce(features, TAU)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    for bf16 in (False, True):
        for triplet in (False, True):
            name = f"{'L_pair + L_triplet' if triplet else 'L_pair'}, {'bf16' if bf16 else 'float32'}"
            yield name, partial(one, triplet, bf16)


PARTS = {"contrastive": contrastive, "samplers": samplers, "anchor": anchor, "step": step}


def _both_ways(loss: Callable[[], Tensor], features: list[Tensor]) -> None:
    for x in features:
        x.grad = None
    loss().backward()


@torch.no_grad()
def _drawn(decoder: PoseDecoder, condition: Tensor, sampler: str) -> None:
    generator = torch.Generator(condition.device).manual_seed(0)
    decoder.sample(condition, 0, steps=7, sampler=sampler, generator=generator)


@torch.no_grad()
def _seen(net: nn.Module, pictures: Tensor, device: str, bf16: bool) -> None:
    with torch.autocast(device, torch.bfloat16, enabled=bf16):
        net(pictures)


def measure(part: str, batch: int, device: str, tiny: bool, rounds: int) -> list[Row]:
    rows = []
    for name, work in PARTS[part](batch, device, tiny):
        row: Row = {"part": part, "name": name, "batch": batch, "ms": None, "per_s": None, "peak_mib": None}
        try:
            row |= timed(work, batch, device, rounds)
        except (torch.OutOfMemoryError, NotImplementedError, RuntimeError) as error:
            row["note"] = str(error).partition("\n")[0][:120]
            if device == "cuda":
                torch.cuda.empty_cache()
        rows.append(row)
        print(f"{part:12} {name:32} {batch:6}  {row['ms'] or 0:10.2f} ms  {row.get('note', '')}", flush=True)
    for row in rows:
        plain = next((r["ms"] for r in rows if r["name"] == row["name"].replace(" + L_triplet", "")), None)
        if part == "step" and plain and row["ms"]:
            row["times_plain"] = row["ms"] / plain
    return rows


def timed(work: Work, batch: int, device: str, rounds: int) -> Row:
    gpu = device == "cuda"
    work()  # builds and loads kernels
    if gpu:
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
    best = float("inf")
    for _ in range(rounds):
        start = time.perf_counter()
        work()
        if gpu:
            torch.cuda.synchronize()
        best = min(best, time.perf_counter() - start)
    peak = (torch.cuda.max_memory_allocated() - before) / 2**20 if gpu else None
    return {"ms": 1000 * best, "per_s": batch / best, "peak_mib": peak}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--json", type=Path, help="write the rows here")
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--tiny", action="store_true", help="every row at sizes that take no time")
    parser.add_argument("--parts", nargs="+", choices=list(PARTS), default=list(PARTS))
    parser.add_argument("--rounds", type=int, default=20)
    options = parser.parse_args()
    sizes = TINY if options.tiny else FULL
    rows = [
        row
        for part in options.parts
        for batch in sizes[part]
        for row in measure(part, batch, options.device, options.tiny, options.rounds)
    ]
    if options.json:
        name = torch.cuda.get_device_name() if options.device == "cuda" else "cpu"
        write_results(options.json, rows, seeds=[0], device=name, tiny=options.tiny)


if __name__ == "__main__":
    main()
