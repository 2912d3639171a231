"""What the digests of a checkpoint cost: written and read with them, and with the sums left out.

    python tests/benchmarks/bench_checkpoint.py --json docs/results/checkpoint.json

Rows: ``{megabytes, what, ms, ms_without}``: medians of the rounds.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from posedata.results import write_results
from posedata.writing import write_tensors, write_text
from posetrain.checkpoint import CheckpointStore, load_checkpoint
from safetensors.torch import load_file


def median_ms(work: Callable[[], object], rounds: int) -> float:
    taken = []
    for _ in range(rounds + 1):  # the first is the warm-up
        start = time.perf_counter()
        work()
        taken.append(time.perf_counter() - start)
    return 1e3 * statistics.median(taken[1:])


def measure(megabytes: int, rounds: int, folder: Path) -> list[dict[str, Any]]:
    tensors = {f"model/{i}": torch.randn(megabytes * (1 << 20) // 40) for i in range(10)}
    store, bare = CheckpointStore(folder / f"{megabytes}"), folder / f"bare-{megabytes}"

    def plain() -> None:
        write_tensors(bare / "tensors.safetensors", tensors)
        write_text(bare / "card.json", "{}")

    written = median_ms(lambda: store.save(1, tensors, {}) and clear(store), rounds)
    path = store.save(1, tensors, {})
    rows = (
        ("write", written, median_ms(plain, rounds)),
        (
            "read",
            median_ms(lambda: load_checkpoint(path), rounds),
            median_ms(lambda: load_file(path / "tensors.safetensors"), rounds),
        ),
    )
    return [{"megabytes": megabytes, "what": what, "ms": ms, "ms_without": bare} for what, ms, bare in rows]


def clear(store: CheckpointStore) -> None:
    for path in store.folder.glob("step-*/*"):
        path.unlink()
    for path in store.folder.glob("step-*"):
        path.rmdir()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--json", type=Path, help="write the rows here")
    parser.add_argument("--megabytes", type=int, nargs="+", default=[10, 100, 400])
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rows = [row for size in arguments.megabytes for row in measure(size, arguments.rounds, Path(folder))]
    print(f"{'MB':>6s}  {'':6s}{'ms':>9s}{'without':>9s}")
    for row in rows:
        print(f"{row['megabytes']:6d}  {row['what']:6s}{row['ms']:9.1f}{row['ms_without']:9.1f}")
    if arguments.json:
        write_results(arguments.json, rows)


if __name__ == "__main__":
    main()
