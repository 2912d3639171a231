"""An index of poses at several sizes: what it costs, what it finds, how fast.

    python tests/benchmarks/bench_search.py data/mocap/open_joints.npz --json docs/results/search.json
    python tests/benchmarks/bench_search.py data/mocap/open_joints.npz --sizes 100000000 --work FOLDER

The recorded poses are embedded as `polypose index add` does it. Larger galleries are made of their places:
between two neighbours in time, with noise of a tenth of the usual step. Queries are made likewise, of other
seeds; what is timed was not asked before. Recall is of the ten (or the one) that exact search finds.

An approximate index is built, and then searched, in processes of their own, whose memory is told; with
`--memory` the one that searches has no more than that, what it maps of files included. With `--work` every
stage leaves what it made and measured there, and the same command goes on after the last: 100 million poses
take 17 GB of disk.
"""

import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from importlib.util import find_spec
from json import dumps, loads
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from polypose.search.adding import add
from polypose.search.index import PoseIndex
from polypose.search.ivf import build
from polypose.search.manifest import NAME, SEGMENTS, Manifest
from polypose.search.rows import Rows
from polypose.search.segments import SegmentWriter
from posedata.results import write_results
from process_memory import Peak
from rich.console import Console

K, BATCH, SINGLE, CLIENTS, EACH = 10, 512, 200, 16, 6
CHUNK = 200_000
HUGE = 10_000_000
"""Poses beyond which exact search is timed by fewer queries, and not by clients at once."""
Row = dict[str, Any]
console = Console()


def main(
    mocap: Annotated[Path, typer.Argument(help="a joints npz")],
    sizes: Annotated[str, typer.Option(help="poses of the larger galleries")] = "3000000,10000000",
    threads: Annotated[int, typer.Option(help="of torch and FAISS")] = 2,
    usearch: Annotated[int, typer.Option(help="the largest gallery that usearch is tried on")] = 3_000_000,
    flat: Annotated[int, typer.Option(help="the largest gallery that FAISS Flat is tried on")] = HUGE,
    memory: Annotated[float, typer.Option(help="GiB within which approximate search is timed")] = 0.0,
    work: Annotated[Path | None, typer.Option(help="keep there what is made, and go on with it")] = None,
    json: Annotated[Path | None, typer.Option(help="write the results there")] = None,
) -> None:
    """Measure the engines of `polypose.search`, and FAISS and usearch beside them."""
    use(threads)
    how: Row = {"threads": threads, "memory": memory, "usearch": usearch, "most": flat}
    rows: list[Row] = []

    def told(row: Row) -> None:
        console.print(row)
        rows.append(row)
        if json:
            write_results(json, rows, data=f"{mocap.name}, and places made of it", seeds=[0, 1])

    with tempfile.TemporaryDirectory() as temporary:
        folder = work or Path(temporary)
        base = folder / "recorded"

        def recorded() -> Row:
            seconds, _ = timed(lambda: add(base, [mocap], say=lambda text: None))
            index = PoseIndex.open(base)
            return {
                "name": "recorded",
                "poses": len(index),
                "add_seconds": round(seconds, 1),
                **sizes_of(index),
            }

        told(kept(folder, "recorded", recorded))
        index = PoseIndex.open(base)
        real = np.array(index.segments[0].places["invariant"])
        step = float(np.median(np.linalg.norm(np.diff(real, axis=0), axis=1)))
        for row in engines(folder, "recorded", real, step, **how):
            told(row)
        for size in map(int, sizes.split(",")) if sizes else ():
            place = folder / str(size)
            if not (place / NAME).exists():
                shutil.rmtree(place, ignore_errors=True)
                made(place, index.manifest, real, step, size)
            told({"name": "made", "poses": size, **sizes_of(PoseIndex.open(place))})
            for row in engines(folder, str(size), real, step, **how):
                told(row)
            if work is None:
                shutil.rmtree(place)


def kept(folder: Path, name: str, measure: Callable[[], Row]) -> Row:
    """What a stage measured, by an earlier run if that came so far."""
    path = folder / f"{name}.json"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        path.write_text(dumps(measure()))
    return dict(loads(path.read_text()))


def use(threads: int) -> None:
    """So many of the processor."""
    import faiss

    torch.set_num_threads(threads)
    faiss.omp_set_num_threads(threads)


def apart(function: Callable[..., Row], *arguments: Any) -> Row:
    """A stage in a process of its own, which does nothing else."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


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


def engines(
    folder: Path,
    name: str,
    real: np.ndarray,
    step: float,
    *,
    threads: int,
    memory: float,
    usearch: int,
    most: int,
) -> Iterator[Row]:
    """A row of results for each engine, of the index of that name."""
    index = PoseIndex.open(folder / name)
    queries, fresh = (torch.from_numpy(between(real, step, n, s)) for n, s in ((BATCH, 1), (1000, 0)))
    answers = folder / f"{name}.npz"

    if not answers.exists():
        np.savez(answers, queries=queries.numpy(), fresh=fresh.numpy())
    yield kept(folder, f"{name}-exact", lambda: apart(exact, index.path, answers, threads))
    truth = torch.from_numpy(np.load(answers)["truth"])
    if len(index) <= most:
        yield kept(folder, f"{name}-flat", lambda: flat(index, queries, truth, fresh))
    built = kept(folder, f"{name}-build", lambda: apart(building, index.path, threads))
    served = kept(folder, f"{name}-ivf", lambda: apart(serving, index.path, answers, threads, memory))
    yield {**served, **built}
    if len(index) <= usearch and find_spec("usearch"):
        yield kept(folder, f"{name}-usearch", lambda: with_usearch(index, queries, truth, fresh))


def exact(path: Path, answers: Path, threads: int) -> Row:
    """Looks at all places, and keeps what is found; in the end it holds nothing of them in memory."""
    use(threads)
    index = PoseIndex.open(path)
    with np.load(answers) as held:
        queries, fresh = (torch.from_numpy(held[name]) for name in ("queries", "fresh"))
    seconds, found = timed(lambda: index.search(queries, K, exact=True).row)
    np.savez(answers, queries=queries.numpy(), fresh=fresh.numpy(), truth=found.numpy())
    few = SINGLE if len(index) <= HUGE else 10
    return row_of(
        "exact", index, queries, found, lambda q: index.search(q, K, exact=True).row, fresh, few, seconds
    )


def building(path: Path, threads: int) -> Row:
    """Builds the approximate index."""
    use(threads)
    with Peak() as peak:
        seconds, about = timed(lambda: build(PoseIndex.open(path)))
    held = (path / "engine/invariant/index.faiss").stat().st_size / sum(n for _, n in about.segments)
    told = {"factory": about.factory, "probes": about.probes, "candidates": about.candidates}
    return {
        **told,
        "bytes_a_pose": round(held, 1),
        "build_seconds": round(seconds, 1),
        "build_anon_mib": peak.anonymous,
    }


def serving(path: Path, answers: Path, threads: int, memory: float) -> Row:
    """Opens an index that nothing of is in memory yet, and searches."""
    use(threads)
    with np.load(answers) as held:
        queries, fresh, truth = (torch.from_numpy(held[name]) for name in ("queries", "fresh", "truth"))
    for file in path.rglob("*"):
        if file.is_file():
            forget(file)
    with confined(memory), Peak() as peak:
        index = PoseIndex.open(path)
        cold = [timed(lambda q=q: index.search(q[None], K))[0] for q in fresh[-SINGLE:]]
        row = row_of("ivf", index, queries, truth, lambda q: index.search(q, K).row, fresh)
    told = {"cold_p50_ms": round(1e3 * float(np.quantile(cold, 0.5)), 2)}
    held_mib = {"peak_mib": peak.most, "anon_mib": peak.anonymous, "file_mib": peak.mapped}
    return {**row, **told, **held_mib, **({"within_gib": memory} if memory else {})}


@contextmanager
def confined(memory: float) -> Iterator[None]:
    """So many GiB for this process, files that it maps included, by a control group; all of it for 0."""
    if not memory:
        yield
        return
    old = Path("/sys/fs/cgroup/memory")  # version 1
    above = old if old.is_dir() else Path("/sys/fs/cgroup")
    group = above / f"bench-search-{os.getpid()}"
    group.mkdir()
    limit = group / ("memory.limit_in_bytes" if above == old else "memory.max")
    try:
        limit.write_text(str(int(memory * 2**30)))
        (group / "cgroup.procs").write_text(str(os.getpid()))
        yield
    finally:
        (above / "cgroup.procs").write_text(str(os.getpid()))
        group.rmdir()


def forget(file: Path) -> None:
    """Ask the system to hold nothing of a file in memory."""
    with file.open("rb") as opened:
        os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def flat(index: PoseIndex, queries: torch.Tensor, truth: torch.Tensor, fresh: torch.Tensor) -> Row:
    """FAISS' own exact index, in memory."""
    import faiss

    places = np.array(index.segments[0].places["invariant"])
    engine = faiss.IndexFlatL2(places.shape[1])
    seconds, _ = timed(lambda: engine.add(places))
    row = row_of(
        "FAISS Flat",
        index,
        queries,
        truth,
        lambda q: torch.from_numpy(engine.search(q.numpy(), K)[1]),
        fresh,
    )
    return {**row, "build_seconds": round(seconds, 1), "bytes_a_pose": 4.0 * places.shape[1]}


def with_usearch(index: PoseIndex, queries: torch.Tensor, truth: torch.Tensor, fresh: torch.Tensor) -> Row:
    """usearch's HNSW with half precision, as it comes."""
    from usearch.index import Index

    places = np.array(index.segments[0].places["invariant"])
    engine = Index(ndim=places.shape[1], metric="l2sq", dtype="f16")
    threads = torch.get_num_threads()
    seconds, _ = timed(lambda: engine.add(np.arange(len(places)), places, threads=threads))

    def find(q: torch.Tensor) -> torch.Tensor:
        keys = engine.search(q.numpy(), K, threads=threads).keys
        return torch.from_numpy(np.atleast_2d(keys).astype(np.int64))

    row = row_of("usearch", index, queries, truth, find, fresh)
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
    fresh: torch.Tensor,
    few: int = SINGLE,
    batch: float | None = None,
) -> Row:
    """Recall, and milliseconds a query: one by one, of each of 16 clients, and in a batch.

    Args:
        fresh: what is asked one by one, by nobody before.
        few: of these; where it is less than `SINGLE` no clients ask at once.
        batch: seconds of the queries together, where that was measured.
    """
    singles = [timed(lambda q=query: find(q[None]))[0] for query in fresh[:few]]
    clients = together(find, fresh[few:]) if few == SINGLE else []
    if batch is None or few == SINGLE:
        batch = min(timed(lambda: find(queries))[0] for _ in range(3))
    found = find(queries)
    return {
        "name": name,
        "poses": len(index),
        "recall_1": round(float((found[:, :1] == truth[:, :1]).float().mean()), 4),
        "recall_10": round(float((found[:, :, None] == truth[:, None]).any(1).float().mean()), 4),
        "batch_ms": round(1e3 * batch / len(queries), 3),
        **quantiles("", singles),
        **quantiles("clients_", clients),
    }


def quantiles(prefix: str, seconds: list[float]) -> Row:
    """p50 and p99 in milliseconds."""
    parts = (0.5, 0.99) if seconds else ()
    return {f"{prefix}p{100 * p:.0f}_ms": round(1e3 * float(np.quantile(seconds, p)), 2) for p in parts}


def together(find: Callable[[torch.Tensor], torch.Tensor], queries: torch.Tensor) -> list[float]:
    """Seconds of queries that 16 clients ask at once, one after the other each."""
    seconds: list[float] = []

    def client(mine: torch.Tensor) -> None:
        seconds.extend(timed(lambda q=query: find(q[None]))[0] for query in mine)

    parts = [queries[i::CLIENTS][:EACH] for i in range(CLIENTS)]
    clients = [threading.Thread(target=client, args=(part,)) for part in parts]
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
