"""What another modality costs: a step of the loss of named modalities, forward + backward, at a large batch.

    python tests/benchmarks/bench_contrastive_modalities.py --json docs/results/contrastive_modalities.json

A fifth of the rows lack each modality. Cases run in turn, round after round; the fastest round counts.
`triplet` is "sampled": with all negatives it sums a cube of B³ (bench_contrastive.py), which `--exact`
measures too.

JSON: `{rows: [{term, modalities, batch, milliseconds, times_two, peak_mib}], dimensions, threads, device,
clock}`; `times_two` is over two modalities' `pairwise`; `peak_mib` is the memory that one run adds at its
highest, features aside (null where the system cannot tell). That is resident memory, with what glibc keeps of
freed tiles: under MALLOC_MMAP_THRESHOLD_=65536, which gives them back and is slower, it is what is needed.
"""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from bench_contrastive import CLOCKS, TAU, peak_mib, run
from contrastive import multimodal_info_nce
from posedata.results import write_results
from torch import Tensor
from torch.nn.functional import normalize

CASES = [
    *(("pairwise", modalities) for modalities in (2, 3, 4, 5)),
    *((term, 3) for term in ("sharpened", "fused", "gram", "triangle", "symile", "triplet")),
]
LACKING = 0.2


def case(term: str, modalities: int, negatives: Any, device: str) -> Callable[[list[Tensor]], Tensor]:
    """The loss of the first so many features."""

    def loss(features: list[Tensor]) -> Tensor:
        names = [str(number) for number in range(modalities)]
        generator = torch.Generator(device).manual_seed(0)
        rows = len(features[0])
        there = torch.rand(modalities, rows, generator=generator, device=device) >= LACKING
        sure = torch.rand(modalities, rows, generator=generator, device=device) + 0.5
        return multimodal_info_nce(
            dict(zip(names, features, strict=False)),
            dict(zip(names, there, strict=True)),
            TAU,
            {term: 1.0},
            concentrations=dict(zip(names, sure, strict=True)),
            negatives=negatives,
            generator=generator,
        )

    return loss


def measure(options: argparse.Namespace) -> list[dict[str, object]]:
    most = max(modalities for _, modalities in CASES)
    raw = torch.randn(most, options.batch, options.dimensions, generator=torch.Generator().manual_seed(0))
    features = [x.to(options.device).requires_grad_() for x in normalize(raw, dim=-1)]
    losses = {(term, n): case(term, n, "sampled", options.device) for term, n in CASES}
    if options.exact:
        losses["triplet, all", 3] = case("triplet", 3, "all", options.device)
    times: dict[tuple[str, int], list[float]] = {}
    peaks: dict[tuple[str, int], float | None] = {}
    for key, loss in losses.items():
        seconds, peaks[key] = peak_mib(loss, features, options.clock)
        times[key] = [seconds]
    for _ in range(options.rounds - 1):
        for key, loss in losses.items():
            if sum(times[key]) < options.patience:
                times[key].append(run(loss, features, options.clock))
    two = min(times["pairwise", 2])
    return [
        {
            "term": term,
            "modalities": n,
            "batch": options.batch,
            "milliseconds": 1000 * min(spent),
            "times_two": min(spent) / two,
            "peak_mib": peaks[term, n],
        }
        for (term, n), spent in times.items()
    ]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", type=Path, help="write the rows here")
    parser.add_argument("--batch", type=int, default=4096)
    parser.add_argument("--dimensions", type=int, default=256)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--rounds", type=int, default=5, help="rounds over all cases, at most")
    parser.add_argument("--patience", type=float, default=30.0, help="seconds that are enough for one case")
    parser.add_argument("--exact", action="store_true", help="also the triplet loss with all negatives")
    parser.add_argument(
        "--clock", default="wall", choices=list(CLOCKS), help="cpu, with --threads 1, for a busy machine"
    )
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    rows = measure(options)
    print(f"B = {options.batch}, D = {options.dimensions}")
    for row in rows:
        memory = "-" if row["peak_mib"] is None else f"{row['peak_mib']:.0f}"
        print(
            f"{row['term']!s:14}{row['modalities']:3}{row['milliseconds']:10.0f} ms"
            f"{row['times_two']:8.2f} x{memory:>8} MiB"
        )
    if options.json:
        setting = {key: getattr(options, key) for key in ("dimensions", "threads", "device", "clock")}
        write_results(options.json, rows, seeds=[0], lacking=LACKING, **setting)


if __name__ == "__main__":
    main()
