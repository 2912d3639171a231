"""What the digests of a pose store cost: writing, opening, the first picture of a shard.

    python tests/benchmarks/bench_store.py --json docs/results/store.json

A store of made-up poses seen by cameras, with pictures. "Opened without" is the same store as an earlier
version wrote it, whose files nobody checks. Files are in the system's cache: from a slower disk the first
reading takes as long as the disk does, with digests or without. Seconds are the least of the repetitions.
"""

import json as jsonlib
import shutil
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from posedata.results import write_results
from posedata.store import PoseStore, StoreWriter, digests
from posedata.store.digests import write_digests
from rich.console import Console
from rich.table import Table


def main(
    rows: Annotated[int, typer.Option(help="Poses.")] = 2_000_000,
    images: Annotated[int, typer.Option(help="Pictures of 192x256; a shard holds 2,048.")] = 4096,
    repeat: Annotated[int, typer.Option(help="The fastest of so many is told.")] = 3,
    folder: Annotated[Path | None, typer.Option(help="Where to write; default: a temporary folder.")] = None,
    json: Annotated[Path | None, typer.Option(help="Write the results there.")] = None,
) -> None:
    """Write a store, and open it as a new process would."""
    place = Path(tempfile.mkdtemp(prefix="bench-store-", dir=folder))
    try:
        found = _measure(place, rows, images, repeat)
    finally:
        shutil.rmtree(place)
    table = Table("step", "MiB read", "seconds")
    for row in found:
        table.add_row(str(row["step"]), f"{row['mib']:,.0f}", f"{row['seconds']:.4f}")
    Console().print(table)
    if json is not None:
        write_results(json, found, seeds=[0])


def _measure(place: Path, rows: int, images: int, repeat: int) -> list[dict[str, float | str]]:
    path = place / "store"
    writing = _seconds(lambda: _write(path, rows, images), 1)
    columns = sum(file.stat().st_size for file in path.glob("*.npy")) / 2**20
    shards = [file.stat().st_size / 2**20 for file in sorted((path / "images").glob("*.npy"))]
    hashing = _seconds(lambda: write_digests(path), repeat)
    first = _seconds(lambda: PoseStore.open(path), repeat, digests._sound.clear)
    again = _seconds(lambda: PoseStore.open(path), repeat)
    store, one = PoseStore.open(path), np.array([5])
    picture = _seconds(lambda: store.images(one), repeat, digests._sound.clear)
    after = _seconds(lambda: store.images(one), repeat)
    (path / digests.NAME).unlink()
    meta = jsonlib.loads((path / "meta.json").read_text())
    del meta["digests"]
    (path / "meta.json").write_text(jsonlib.dumps(meta))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        without = _seconds(lambda: PoseStore.open(path), repeat)
    told = {
        "written": (columns + sum(shards), writing),
        "of that, digests": (columns + sum(shards), hashing),
        "opened": (columns, first),
        "opened again in the same process": (0.0, again),
        "opened without digests": (0.0, without),
        "the first picture of a shard": (shards[0], picture),
        "a picture after it": (0.0, after),
    }
    return [{"step": s, "mib": round(mib), "seconds": round(sec, 4)} for s, (mib, sec) in told.items()]


def _write(path: Path, rows: int, images: int) -> None:
    random = np.random.default_rng(0)
    meta = {"skeleton": "h36m17", "fps": 50, "source": "bench", "licence": "none"}
    with StoreWriter(path, meta | {"sequences": ["a"]}) as writer:
        for start in range(0, rows, 1 << 16):
            count = min(1 << 16, rows - start)
            writer.append_columns(
                {
                    "joints": random.random((count, 17, 3), np.float32),
                    "keypoints_true": random.random((count, 17, 3), np.float32),
                    "sequence": np.zeros(count, int),
                    "frame": np.arange(start, start + count),
                    "image": np.arange(start, start + count) % images,
                }
            )
        for start in range(0, images, 256):
            count = min(256, images - start)
            writer.add_images(random.integers(0, 255, (count, 256, 192, 3), np.uint8))


def _seconds(work: Callable[[], object], repeat: int, before: Callable[[], None] = lambda: None) -> float:
    least = float("inf")
    for _ in range(repeat):
        before()
        begun = time.perf_counter()
        work()
        least = min(least, time.perf_counter() - begun)
    return least


if __name__ == "__main__":
    typer.run(main)
