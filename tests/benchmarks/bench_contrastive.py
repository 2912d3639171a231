"""Contrastive losses of three modalities, forward + backward: ours, its peers and the papers' algorithms.

    python tests/benchmarks/bench_contrastive.py --json contrastive.json
    python tests/benchmarks/bench_contrastive.py --batch 180 --device cuda

Cases run in turn, round after round, so that a busy machine slows all of them alike; the fastest round
counts. `sampled` and `all` include L_pair and share its matrices; `paper_svd` and `paper_eigvalsh` are
UniHPE's Algorithms 1 and 2 as printed, without L_pair, run once where once is long. They are left out where
they do not fit in half of the free memory or, by the next smaller batch, would take over `--limit` seconds.

JSON: `{rows: [{name, batch, milliseconds, times_pair, faster_than_eigvalsh, beyond_pair_ms, peak_mib}],
dimensions, threads, device, clock}`; `name` is one of `pair`, `paper_svd`, `paper_eigvalsh`, `sampled`,
`all`, `gram`, `triangle`, `pmrl`, `symile`, or `products`: L_pair's nine matrix products and no loss, the
floor under all that reads cosines. `beyond_pair_ms` is what `sampled` and `all` take beside L_pair, whose
matrices they share; `peak_mib` is the memory that one run adds at its highest, features aside (null where the
system cannot tell).
"""

import argparse
import ctypes
import os
import time
from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import torch
from contrastive import joint_info_nce, pairwise_info_nce, pmrl, symile, tuple_info_nce
from contrastive.negatives import paper_sample
from posedata.results import write_results
from torch import Tensor

DIMENSIONS = 1024
TAU = 0.2
Loss = Callable[[list[Tensor]], Tensor]


def paper(features: list[Tensor], score: Callable[[Tensor], Tensor]) -> Tensor:
    """UniHPE's Algorithms 1 and 2: gather (B, B, 3, D), then a decomposition of every cell."""
    size, device = len(features[0]), features[0].device
    second, third = paper_sample(size, None, device)
    first = torch.arange(size, device=device)[:, None].expand(size, size)
    index = torch.stack((first, second, third), 2)
    stacked = torch.stack(features, 1)[index, torch.arange(3, device=device)]
    label = torch.zeros(size, dtype=torch.long, device=device)
    # Small decompositions are faster on one thread, the SVD by two orders of magnitude.
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        values = score(stacked)
    finally:
        torch.set_num_threads(threads)
    return torch.nn.functional.cross_entropy(values / TAU, label)


def by_eigenvalue(stacked: Tensor) -> Tensor:
    return torch.linalg.eigvalsh(stacked @ stacked.mT)[..., -1]


def by_singular_value(stacked: Tensor) -> Tensor:
    return torch.linalg.svd(stacked, full_matrices=False)[1][..., 0]


def products(features: list[Tensor]) -> Tensor:
    """Three matrices of cosines, each of which comes back as its own gradient."""
    cosines = [x @ y.mT for x, y in combinations(features, 2)]
    return torch.stack([(c * c.detach()).sum() for c in cosines]).sum()


CASES: dict[str, Loss] = {
    "products": products,
    "pair": lambda x: pairwise_info_nce(x, TAU),
    "sampled": lambda x: joint_info_nce(x, TAU, "sampled"),
    "all": lambda x: joint_info_nce(x, TAU, "all"),
    "gram": lambda x: tuple_info_nce(x, TAU, "gram"),
    "triangle": lambda x: tuple_info_nce(x, TAU, "triangle"),
    "pmrl": lambda x: pmrl(x, TAU),
    "symile": lambda x: symile(x, TAU),
    "paper_eigvalsh": lambda x: paper(x, by_eigenvalue),
    "paper_svd": lambda x: paper(x, by_singular_value),
}


CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}


def run(loss: Loss, features: list[Tensor], clock: str) -> float:
    """Seconds of one forward and backward pass."""
    for x in features:
        x.grad = None
    start = CLOCKS[clock]()
    loss(features).backward()
    if features[0].is_cuda:
        torch.cuda.synchronize()
    return CLOCKS[clock]() - start


def peak_mib(loss: Loss, features: list[Tensor], clock: str) -> tuple[float, float | None]:
    """Seconds of one run, and the memory that it adds at its highest."""
    if features[0].is_cuda:
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        return run(loss, features, clock), (torch.cuda.max_memory_allocated() - before) / 2**20
    reset, status = Path("/proc/self/clear_refs"), Path("/proc/self/status")
    if not reset.exists():
        return run(loss, features, clock), None
    ctypes.CDLL(None).malloc_trim(0)  # else an earlier case's free pages would hide this one's
    reset.write_text("5")
    before = _status_kib(status, "VmRSS")
    return run(loss, features, clock), (_status_kib(status, "VmHWM") - before) / 2**10


def _status_kib(status: Path, field: str) -> int:
    return int(next(line for line in status.read_text().splitlines() if line.startswith(field)).split()[1])


def fits(name: str, batch: int, device: str) -> bool:
    """Whether the papers' (B, B, 3, D) tensor, its gradient and their copies find room."""
    if not name.startswith("paper"):
        return True
    need = 6 * batch * batch * 3 * DIMENSIONS * 4
    free = torch.cuda.mem_get_info()[0] if device == "cuda" else _free_bytes()
    return need < free / 2


def _free_bytes() -> int:
    lines = Path("/proc/meminfo").read_text().splitlines() if Path("/proc/meminfo").exists() else []
    kib = [int(line.split()[1]) for line in lines if line.startswith("MemAvailable")]
    return kib[0] * 1024 if kib else os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def measure(batch: int, known: dict[str, float], options: argparse.Namespace) -> list[dict[str, object]]:
    """Rows of one batch size; `known` holds seconds per cell of cases that smaller batches have run."""
    generator = torch.Generator().manual_seed(0)
    raw = torch.randn(3, batch, DIMENSIONS, generator=generator)
    features = [x.to(options.device).requires_grad_() for x in raw / raw.norm(dim=-1, keepdim=True)]
    times: dict[str, list[float]] = {}
    peaks: dict[str, float | None] = {}
    for name, loss in CASES.items():
        papers, expected = name.startswith("paper"), known.get(name, 0.0) * batch * batch
        if papers and (expected > options.limit or not fits(name, batch, options.device)):
            continue
        if not papers and expected < options.patience:
            run(loss, features, options.clock)  # builds and loads kernels
        seconds, peaks[name] = peak_mib(loss, features, options.clock)
        times[name] = [seconds]
    for _ in range(options.rounds):
        for name in times:
            if sum(times[name]) < options.patience:  # slow cases have fewer rounds
                times[name].append(run(CASES[name], features, options.clock))
    known.update({name: min(spent) / batch**2 for name, spent in times.items()})
    return rows_of(batch, {name: 1000 * min(spent) for name, spent in times.items()}, peaks)


def rows_of(batch: int, spent: dict[str, float], peaks: dict[str, float | None]) -> list[dict[str, object]]:
    """Milliseconds by name as rows, each beside L_pair and the papers' algorithm where they were measured."""
    papers, pair = spent.get("paper_eigvalsh"), spent["pair"]
    return [
        {
            "name": name,
            "batch": batch,
            "milliseconds": took,
            "times_pair": took / pair,
            "faster_than_eigvalsh": papers / took if papers else None,
            "beyond_pair_ms": took - pair if name in ("sampled", "all") else None,
            "peak_mib": peaks[name],
        }
        for name, took in spent.items()
    ]


def show(rows: list[dict[str, object]]) -> None:
    print(f"\nB = {rows[0]['batch']}, D = {DIMENSIONS}")
    columns = {
        "milliseconds": "ms",
        "times_pair": "x pair",
        "faster_than_eigvalsh": "faster than paper_eigvalsh",
    }
    columns |= {"beyond_pair_ms": "ms beyond pair", "peak_mib": "peak MiB"}
    print(f"{'loss':16}" + "".join(f"{head:>{len(head) + 4}}" for head in columns.values()))
    for row in rows:
        cells = [
            f"{'-' if row[key] is None else format(row[key], '.2f'):>{len(head) + 4}}"
            for key, head in columns.items()
        ]
        print(f"{row['name']!s:16}" + "".join(cells), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", type=Path, help="write the rows here")
    parser.add_argument("--batch", type=int, nargs="*", default=[64, 180, 512, 2048], help="batch sizes")
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--rounds", type=int, default=100, help="rounds over all cases, at most")
    parser.add_argument("--patience", type=float, default=2.0, help="seconds that are enough for one case")
    parser.add_argument("--limit", type=float, default=30.0, help="longest run of the papers' algorithms")
    parser.add_argument(
        "--clock", default="wall", choices=list(CLOCKS), help="cpu, with --threads 1, for a busy machine"
    )
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    rows: list[dict[str, object]] = []
    known: dict[str, float] = {}
    for batch in sorted(options.batch):
        part = measure(batch, known, options)
        show(part)
        rows += part
    if options.json:
        setting = {key: getattr(options, key) for key in ("threads", "device", "clock")}
        write_results(options.json, rows, seeds=[0], dimensions=DIMENSIONS, **setting)


if __name__ == "__main__":
    main()
