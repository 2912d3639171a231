"""An index of poses at three sizes: what it costs, what it finds, how fast.

    python tests/benchmarks/bench_search.py data/mocap/open_joints.npz --json docs/results/search.json

The recorded poses are embedded as `polypose index add` does it. Larger galleries are made of their places:
between two neighbours in time, with noise of a tenth of the usual step. Queries are made likewise, of another
seed. Recall is of the ten (or the one) that exact search finds.
"""

import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from polypose.search.adding import add
from polypose.search.index import PoseIndex
from polypose.search.ivf import build, open_approximate
from polypose.search.manifest import SEGMENTS, Manifest
from polypose.search.rows import Rows
from polypose.search.segments import SegmentWriter
from posedata.results import write_results
from rich.console import Console

K, BATCH, SINGLE, CLIENTS = 10, 512, 200, 16
CHUNK = 200_000
console = Console()


def main(
    mocap: Annotated[Path, typer.Argument(help="a joints npz")],
    sizes: Annotated[str, typer.Option(help="poses of the larger galleries")] = "3000000,10000000",
    threads: Annotated[int, typer.Option(help="of torch and FAISS")] = 2,
    usearch: Annotated[int, typer.Option(help="the largest gallery that usearch is tried on")] = 3_000_000,
    work: Annotated[Path | None, typer.Option(help="a folder with room, some GB")] = None,
    json: Annotated[Path | None, typer.Option(help="write the results there")] = None,
) -> None:
    """Measure the engines of `polypose.search`, and FAISS and usearch beside them."""
    import faiss

    torch.set_num_threads(threads)
    faiss.omp_set_num_threads(threads)
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(dir=work) as folder:
        base = Path(folder) / "recorded"
        seconds, _ = timed(lambda: add(base, [mocap], say=lambda text: None))
        index = PoseIndex.open(base)
        rows.append(
            {"name": "recorded", "poses": len(index), "add_seconds": round(seconds, 1), **sizes_of(index)}
        )
        console.print(rows[-1])
        real = np.array(index.segments[0].places["invariant"])
        step = float(np.median(np.linalg.norm(np.diff(real, axis=0), axis=1)))
        measured(rows, engines(index, real, step, usearch), json, mocap)
        for size in map(int, sizes.split(",")) if sizes else ():
            place = Path(folder) / str(size)
            made(place, index.manifest, real, step, size)
            larger = PoseIndex.open(place)
            rows.append({"name": "made", "poses": size, **sizes_of(larger)})
            console.print(rows[-1])
            measured(rows, engines(larger, real, step, usearch), json, mocap)
            del larger
            shutil.rmtree(place)


def measured(
    rows: list[dict[str, Any]], more: Iterator[dict[str, Any]], json: Path | None, mocap: Path
) -> None:
    """Take in rows, each of which is written at once."""
    for row in more:
        rows.append(row)
        if json:
            save(json, rows, mocap)


def save(json: Path, rows: list[dict[str, Any]], mocap: Path) -> None:
    write_results(json, rows, data=f"{mocap.name}, and places made of it", seeds=[0, 1])


def between(real: np.ndarray, step: float, count: int, seed: int) -> np.ndarray:
    """Places between neighbours in time, with noise."""
    generator = np.random.default_rng(seed)
    first = generator.integers(0, len(real) - 1, count)
    share = generator.random((count, 1), np.float32)
    noise = generator.standard_normal((count, real.shape[1]), np.float32)
    noise *= 0.1 * step / np.sqrt(real.shape[1])
    return real[first] + share * (real[first + 1] - real[first]) + noise


def made(place: Path, manifest: Manifest, real: np.ndarray, step: float, size: int) -> None:
    """An index of one source with so many places."""
    folder = place / SEGMENTS / "made"
    folder.mkdir(parents=True)
    writer = SegmentWriter(folder, "made")
    for start in range(0, size, CHUNK):
        count = min(CHUNK, size - start)
        frame = np.arange(count)
        joints = torch.zeros(count, 1, 1)
        rows = Rows(frame / 30, frame, recording=str(start), joints=joints)
        writer.add(rows, {"invariant": between(real, step, count, start + 2)})
    files = writer.close()
    entry = replace(
        manifest.entries[0], name="made", path="/made", folder="made", rows=size, files=files, digest="made"
    )
    Manifest(manifest.models, (entry,)).write(place)


def engines(index: PoseIndex, real: np.ndarray, step: float, usearch: int) -> Iterator[dict[str, Any]]:
    """A row of results for each engine."""
    queries = torch.from_numpy(between(real, step, BATCH, 1))
    truth = index.search(queries, K, exact=True).row
    yield row_of("exact", index, queries, truth, lambda q: index.search(q, K, exact=True).row)
    yield flat(index, queries, truth)
    seconds, about = timed(lambda: build(index))
    opened = PoseIndex.open(index.path)
    engine = open_approximate(index.path, "invariant")
    assert engine is not None
    held = (index.path / "engine/invariant/index.faiss").stat().st_size / len(index)
    found = row_of("ivf", index, queries, truth, lambda q: opened.search(q, K).row)
    told = {"factory": about.factory, "probes": about.probes, "build_seconds": round(seconds, 1)}
    yield {**found, **told, "bytes_a_pose": round(held, 1)}
    if len(index) <= usearch and (peer := with_usearch(index, queries, truth)) is not None:
        yield peer


def flat(index: PoseIndex, queries: torch.Tensor, truth: torch.Tensor) -> dict[str, Any]:
    """FAISS' own exact index, in memory."""
    import faiss

    places = np.array(index.segments[0].places["invariant"])
    engine = faiss.IndexFlatL2(places.shape[1])
    seconds, _ = timed(lambda: engine.add(places))
    row = row_of(
        "FAISS Flat", index, queries, truth, lambda q: torch.from_numpy(engine.search(q.numpy(), K)[1])
    )
    return {**row, "build_seconds": round(seconds, 1), "bytes_a_pose": 4.0 * places.shape[1]}


def with_usearch(index: PoseIndex, queries: torch.Tensor, truth: torch.Tensor) -> dict[str, Any] | None:
    """usearch's HNSW with half precision, as it comes."""
    try:
        from usearch.index import Index
    except ModuleNotFoundError:
        return None
    places = np.array(index.segments[0].places["invariant"])
    engine = Index(ndim=places.shape[1], metric="l2sq", dtype="f16")
    threads = torch.get_num_threads()
    seconds, _ = timed(lambda: engine.add(np.arange(len(places)), places, threads=threads))

    def find(q: torch.Tensor) -> torch.Tensor:
        keys = engine.search(q.numpy(), K, threads=threads).keys
        return torch.from_numpy(np.atleast_2d(keys).astype(np.int64))

    row = row_of("usearch", index, queries, truth, find)
    return {
        **row,
        "build_seconds": round(seconds, 1),
        "bytes_a_pose": round(engine.memory_usage / len(places), 1),
    }


def row_of(
    name: str,
    index: PoseIndex,
    queries: torch.Tensor,
    truth: torch.Tensor,
    find: Callable[[torch.Tensor], torch.Tensor],
) -> dict[str, Any]:
    """Recall, and milliseconds a query: in a batch, one by one, and of each of 16 clients."""
    batch = min(timed(lambda: find(queries))[0] for _ in range(3)) / len(queries)
    found = find(queries)
    singles = [timed(lambda q=query: find(q[None]))[0] for query in queries[:SINGLE]]
    clients = together(find, queries)
    row = {
        "name": name,
        "poses": len(index),
        "recall_1": round(float((found[:, :1] == truth[:, :1]).float().mean()), 4),
        "recall_10": round(float((found[:, :, None] == truth[:, None]).any(1).float().mean()), 4),
        "batch_ms": round(1e3 * batch, 3),
        "p50_ms": round(1e3 * float(np.quantile(singles, 0.5)), 2),
        "p99_ms": round(1e3 * float(np.quantile(singles, 0.99)), 2),
        "clients_p50_ms": round(1e3 * float(np.quantile(clients, 0.5)), 2),
        "clients_p99_ms": round(1e3 * float(np.quantile(clients, 0.99)), 2),
    }
    console.print(row)
    return row


def together(find: Callable[[torch.Tensor], torch.Tensor], queries: torch.Tensor) -> list[float]:
    """Seconds of queries that 16 clients ask at once, one after the other each."""
    seconds: list[float] = []

    def client(mine: torch.Tensor) -> None:
        seconds.extend(timed(lambda q=query: find(q[None]))[0] for query in mine)

    clients = [threading.Thread(target=client, args=(queries[i::CLIENTS][:6],)) for i in range(CLIENTS)]
    for each in clients:
        each.start()
    for each in clients:
        each.join()
    return seconds


def sizes_of(index: PoseIndex) -> dict[str, float]:
    """Bytes a pose on the disk."""
    (segment,) = index.segments
    sizes = {name: (segment.folder / name).stat().st_size / len(index) for name in segment.entry.files}
    return {"vector_bytes": round(sizes["invariant.npy"], 1), "table_bytes": round(sizes["table.parquet"], 2)}


def timed(call: Callable[[], Any]) -> tuple[float, Any]:
    start = time.perf_counter()
    answer = call()
    return time.perf_counter() - start, answer


if __name__ == "__main__":
    typer.run(main)
