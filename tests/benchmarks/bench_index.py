"""Exact search in a gallery of poses: `EmbeddingIndex` beside FAISS's flat index and scikit-learn.

    python tests/benchmarks/bench_index.py --json docs/results/index_cpu.json

All three find the same rows, which is checked. Milliseconds are per query, of a batch of queries.
"""

import importlib.util
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from posedata.results import write_results
from poseenc import EmbeddingIndex, FaissIndex
from rich.console import Console
from rich.table import Table
from torch.nn.functional import normalize


def main(
    rows: Annotated[int, typer.Option(help="Embeddings in the gallery.")] = 3_000_000,
    dim: Annotated[int, typer.Option(help="Their width.")] = 32,
    queries: Annotated[int, typer.Option(help="Queries in a batch.")] = 512,
    k: Annotated[int, typer.Option(help="Neighbours asked for.")] = 20,
    repeat: Annotated[int, typer.Option(help="The fastest of so many is told.")] = 3,
    json: Annotated[Path | None, typer.Option(help="Write the results there.")] = None,
) -> None:
    """Time the peers that are installed, on random unit vectors."""
    generator = torch.Generator().manual_seed(0)
    gallery = normalize(torch.randn(rows, dim, generator=generator), dim=1)
    batch = normalize(torch.randn(queries, dim, generator=generator), dim=1)
    index = EmbeddingIndex(gallery)
    ours, reference = _time(lambda: index.search(batch, k).row, repeat)
    found: list[dict[str, Any]] = [_row("EmbeddingIndex", ours, queries, ours, 1.0)]
    for name, search in _peers(gallery, k).items():
        seconds, answer = _time(partial(search, batch), repeat)
        same = float((answer == reference).float().mean())
        found.append(_row(name, seconds, queries, ours, same))
    _print(
        found, f"{queries} queries, the {k} nearest of {rows:,} x {dim}, {torch.get_num_threads()} threads"
    )
    if json:
        write_results(json, found, data=f"random unit vectors, {rows} x {dim}, k {k}", seeds=[0])


def _peers(gallery: torch.Tensor, k: int) -> dict[str, Callable[[torch.Tensor], torch.Tensor]]:
    peers: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {}
    if importlib.util.find_spec("faiss"):
        flat = FaissIndex(EmbeddingIndex(gallery))
        peers["FAISS Flat"] = lambda q: flat.search(q, k).row
    if importlib.util.find_spec("sklearn"):
        from sklearn.neighbors import NearestNeighbors

        # on the unit sphere the Euclidean order is the order by cosine
        brute = NearestNeighbors(n_neighbors=k, algorithm="brute").fit(gallery.numpy())
        peers["scikit-learn brute"] = lambda q: torch.from_numpy(
            brute.kneighbors(q.numpy(), return_distance=False)
        )
    return peers


def _time(call: Callable[[], torch.Tensor], repeat: int) -> tuple[float, torch.Tensor]:
    best, answer = float("inf"), torch.empty(0)
    for _ in range(repeat):
        start = time.perf_counter()
        answer = call()
        best = min(best, time.perf_counter() - start)
    return best, answer


def _row(name: str, seconds: float, queries: int, ours: float, same: float) -> dict[str, Any]:
    return {
        "name": name,
        "milliseconds": round(1000 * seconds / queries, 3),
        "ratio": round(seconds / ours, 2),
        "same_rows": round(same, 6),
    }


def _print(found: list[dict[str, Any]], title: str) -> None:
    table = Table("index", "ms a query", "ratio", "same rows", title=title)
    for row in found:
        table.add_row(
            row["name"], f"{row['milliseconds']:.3f}", f"{row['ratio']:.2f}", f"{row['same_rows']:.4f}"
        )
    Console().print(table)


if __name__ == "__main__":
    typer.run(main)
