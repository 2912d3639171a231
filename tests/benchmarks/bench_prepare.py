"""`posedata prepare` of a made-up Human3.6M of full size: time, memory, and what a kill leaves.

    python tests/benchmarks/bench_prepare.py --frames 1500000 --json docs/results/prepare.json

Writes the official layout (D3_Positions as CDF, metadata.xml; poses only) with a streaming writer: seven
subjects, thirty sequences each, four cameras, so the store has four rows a frame. Then prepares it three
times with the command line: uninterrupted; killed (SIGKILL to the command, when a random number of units is
read); and again, to go on. Memory is the sum over all processes of the command, sampled ten times a second:
resident counts pages that processes share once for each, proportional once in all. Processor seconds tell how
much of the time was work where others use the machine too; those of a killed run leave its workers out. Linux
only.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
SUBJECTS = (1, 5, 6, 7, 8, 9, 11)
ACTIONS = (
    "Directions", "Discussion", "Eating", "Greeting", "Phoning", "Photo", "Posing", "Purchases", "Sitting",
    "SittingDown", "Smoking", "Waiting", "Walking", "WalkDog", "WalkTogether",
)  # fmt: skip
SEQUENCES = 2 * len(ACTIONS)


@dataclass
class Ran:
    """A run of the command: wall and processor seconds, the greatest sums of memory in MiB, how it ended."""

    seconds: float
    cpu_seconds: float
    resident_mib: float
    proportional_mib: float
    code: int


def make(folder: Path, frames: int) -> None:
    """The archives, with the same number of frames in every sequence: that many in all, or a few more."""
    sys.path.insert(0, str(ROOT / "packages/posedata/tests"))
    from formats_h36m import H36mWriter

    each = -(-frames // (len(SUBJECTS) * SEQUENCES))
    writer = H36mWriter(folder)
    writer.metadata()
    for subject in SUBJECTS:
        for sequence in range(SEQUENCES):
            world = writer.poses(each)
            world[..., 1] -= np.arange(each)[:, None] % 2000  # to and fro
            writer.action(subject, f"{ACTIONS[sequence // 2]}{' 1' * (sequence % 2)}", world, pixels=False)


def run(source: Path, out: Path, workers: int, kill_at: int | None = None) -> Ran:
    """`posedata prepare h36m`, watched; killed when so many units are read, if given."""
    command = [sys.executable, "-m", "posedata.cli", "prepare", "h36m", str(source), str(out)]
    begun, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    process = subprocess.Popen(
        [*command, "--workers", str(workers)], start_new_session=True, stdout=subprocess.DEVNULL
    )
    resident = proportional = 0.0
    while process.poll() is None:
        if kill_at is not None and units(out) >= kill_at:
            process.send_signal(signal.SIGKILL)
            process.wait()
            break
        some, shared = memory(process.pid)
        resident, proportional = max(resident, some), max(proportional, shared)
        time.sleep(0.1)
    seconds, after = time.monotonic() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Ran(seconds, spent, resident, proportional, process.returncode)


def units(out: Path) -> int:
    """How many units of an unfinished store are read."""
    return sum(part.suffix != ".partial" for part in (out.parent / f".{out.name}.prepare/parts").glob("*"))


def memory(session: int) -> tuple[float, float]:
    """Resident and proportional MiB of all processes of a session."""
    resident = proportional = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            if int(stat.read_text().rpartition(")")[2].split()[3]) != session:
                continue
            lines = (stat.parent / "smaps_rollup").read_text().splitlines()[1:]
        except (OSError, IndexError):
            continue  # it ended meanwhile
        sizes = {line.split(":")[0]: int(line.split()[1]) for line in lines}
        resident += sizes["Rss"]
        proportional += sizes["Pss"]
    return resident / 1024, proportional / 1024


def content(store: Path) -> str:
    """sha256 of every file of a store, names included."""
    total = hashlib.sha256()
    for file in sorted(p for p in store.rglob("*") if p.is_file()):
        total.update(f"{file.relative_to(store)} {file.stat().st_size}\n".encode())
        with file.open("rb") as handle:
            while block := handle.read(1 << 22):
                total.update(block)
    return total.hexdigest()


def made(folder: Path, frames: int) -> Path:
    """The archives in a folder, made unless they are there."""
    source = folder / f"h36m-{frames}"
    if not source.is_dir():
        begun, unfinished = time.monotonic(), folder / f"h36m-{frames}.partial"
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        make(unfinished, frames)
        unfinished.rename(source)
        size = sum(file.stat().st_size for file in source.rglob("*") if file.is_file())
        print(f"made {size / 2**20:,.0f} MiB in {time.monotonic() - begun:.0f} s", flush=True)
    return source


def measure(source: Path, folder: Path, workers: int, moment: float) -> list[dict[str, Any]]:
    """Rows: uninterrupted, killed, resumed."""
    whole = run(source, folder / "whole", workers)
    store = json.loads((folder / "whole/meta.json").read_text())
    hashes = [content(folder / "whole")]
    shutil.rmtree(folder / "whole")
    goal = max(1, round(moment * len(SUBJECTS) * SEQUENCES))
    killed = run(source, folder / "again", workers, kill_at=goal)
    if killed.code != -signal.SIGKILL or (folder / "again").exists():
        raise RuntimeError(f"the kill at {goal} units came too late: exit code {killed.code}")
    parts = units(folder / "again")
    resumed = run(source, folder / "again", workers)
    hashes.append(content(folder / "again"))
    shutil.rmtree(folder / "again")
    rows = [
        {"run": "uninterrupted", **vars(whole), "sha256": hashes[0]},
        {
            "run": f"killed with {parts} of {len(SUBJECTS) * SEQUENCES} units read",
            **vars(killed),
            "sha256": None,
        },
        {"run": "run again", **vars(resumed), "sha256": hashes[1]},
    ]
    known = {"frames": store["rows"] // 4, "cameras": 4, "rows": store["rows"], "processes": workers}
    return [known | row for row in rows]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--frames", type=int, default=42_000, help="1500000 for the full size")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--moment", type=float, help="when to kill: the share of units that are read by then")
    parser.add_argument("--folder", type=Path, help="where to work, 6 GB at full size; keeps what is made")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    moment = random.uniform(0, 1) if options.moment is None else options.moment
    with tempfile.TemporaryDirectory(prefix="prepare", dir=options.folder) as folder:
        source = made(options.folder or Path(folder), options.frames)
        rows = measure(source, Path(folder), options.workers, moment)
    for row in rows:
        print(
            f"{row['run']:40} {row['seconds']:7.1f} s {row['cpu_seconds']:7.1f} CPU s"
            f" {row['resident_mib']:7.0f} MiB resident {row['proportional_mib']:7.0f} MiB proportional"
            f"  {(row['sha256'] or '')[:16]}"
        )
    same = rows[0]["sha256"] == rows[2]["sha256"]
    print(f"{rows[0]['rows']:,} rows; the same bytes: {same}")
    if options.json:
        from posedata.results import write_results

        write_results(options.json, rows, same_bytes=same)


if __name__ == "__main__":
    main()
