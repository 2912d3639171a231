"""Fuzzes every format of `posedata prepare`:
`python tests/fuzz_formats.py --cases 10000 --json docs/results/fuzz.json`.

Each case damages one file of a small data set (truncated, bit-flipped, forged, spliced, hostile; also inside
its compression) and reads the set. It must end in a right answer or in an error that names the file: never in
another exception, a warning, a crash, more than ten seconds, more than 1 GiB, a write outside, or anything
started. A case is its format and seed; `--format 3dpw --seed 17 --cases 1` repeats one.

With `--engine atheris` (pip install atheris) coverage chooses the bytes instead, for one format.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import multiprocessing
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "packages/posedata/tests"))

LIMIT_S, WALL_S, LIMIT_BYTES = 10.0, 120.0, 1 << 30
"""Seconds of the processor, and of the clock for a process that sleeps; machines that measure are busy."""
ROUND = 500
FORMATS = (
    "joints",
    "bvh",
    "asf_amc",
    "c3d",
    "trc",
    "h36m",
    "h36m_npz",
    "mpi_inf_3dhp",
    "3dpw",
    "coco",
    "coco_results",
    "openpose",
    "alphapose",
    "mmpose",
    "amass",
    "interhand",
    "itop",
    "ntu",
    "panoptic",
    "rgbd",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=1000, help="per format")
    parser.add_argument("--seed", type=int, default=0, help="of the first case")
    parser.add_argument("--format", action="append", choices=FORMATS, help="only this one (may be repeated)")
    parser.add_argument("--json", type=Path, help="results; a run that stopped goes on from what is there")
    parser.add_argument("--engine", choices=("seeds", "atheris"), default="seeds")
    args = parser.parse_args()
    names = args.format or list(FORMATS)
    if args.engine == "atheris":
        return guided(names[0])
    tally = Tally(names)
    if args.json and args.json.is_file():
        tally.go_on(json.loads(args.json.read_text()), args.seed)
    jobs = [
        (name, args.seed + case)
        for start in range(0, args.cases, ROUND)
        for name in names
        for case in range(start, min(start + ROUND, args.cases))
        if case >= tally.rows[name]["cases"]
    ]
    done = 0
    while done < len(jobs):
        for result in worker(jobs[done:]):
            done += 1
            tally.add(result)
            if done % ROUND == 0 or done == len(jobs):
                tally.tell(args.json, args.seed)
    sys.exit(1 if tally.faults else 0)


class Tally:
    """Rows by format, and the faults."""

    def __init__(self, names: list[str]) -> None:
        counts = {"cases": 0, "right": 0, "named": 0, "violations": 0, "slowest_s": 0.0, "memory_mib": 0}
        self.rows: dict[str, dict[str, Any]] = {name: {"format": name, **counts} for name in names}
        self.faults: list[dict[str, Any]] = []

    def go_on(self, results: dict[str, Any], seed: int) -> None:
        """Take over the rows of a run with this first seed that has not come to its end."""
        known = {row["format"]: row for row in results["rows"]}
        if results["seeds"] == [seed] and set(known) == set(self.rows):
            self.rows, self.faults = known, results["faults"]

    def add(self, result: dict[str, Any]) -> None:
        row, end = self.rows[result["format"]], result["end"]
        row["cases"] += 1
        row[end if end in ("right", "named") else "violations"] += 1
        row[result["kind"]] = row.get(result["kind"], 0) + 1
        row["slowest_s"] = max(row["slowest_s"], round(result["seconds"], 3))
        row["memory_mib"] = max(row["memory_mib"], round(result["rss"] / 2**20))
        if end not in ("right", "named"):
            self.faults.append({key: result[key] for key in ("format", "seed", "file", "kind", "end", "why")})
            print(json.dumps(self.faults[-1]), flush=True)

    def tell(self, path: Path | None, seed: int) -> None:
        """As far as the run has come, to the file and in short to the terminal."""
        print({name: (row["cases"], row["violations"]) for name, row in self.rows.items()}, flush=True)
        if path:
            from posedata.results import write_results

            limits = {"limit_s": LIMIT_S, "limit_bytes": LIMIT_BYTES}
            write_results(path, list(self.rows.values()), seeds=[seed], faults=self.faults, **limits)


def worker(jobs: list[tuple[str, int]]) -> Iterator[dict[str, Any]]:
    """Results of these cases in order; where the process hangs or dies, the case it had is the last."""
    context = multiprocessing.get_context("spawn")
    mine, theirs = context.Pipe(duplex=False)
    process = context.Process(target=work, args=(jobs, theirs), daemon=True)
    process.start()
    theirs.close()
    told: dict[str, Any] = {}
    lost = {"seconds": 0.0, "rss": 0}
    try:
        while True:
            if not mine.poll(WALL_S if told else 900):
                yield told | lost | {"end": "hang", "why": f"over {WALL_S} s"}
                return
            try:
                told = mine.recv()
            except EOFError:
                process.join()
                if not told:
                    raise SystemExit("the process ended before its first case") from None
                if "end" not in told:
                    yield told | lost | {"end": "crash", "why": f"the process ended with {process.exitcode}"}
                return
            if "end" in told:
                yield told
    finally:
        process.kill()
        process.join()
        mine.close()


def work(jobs: list[tuple[str, int]], out: Connection) -> None:
    """Read the cases one after the other; what is about to be read is told first."""
    from formats_fuzz import Violation, damage, hostile, judge, read_all, watch
    from formats_sets import SETS, DataSet

    warnings.simplefilter("error")
    shared = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="fuzz-", dir=shared) as top:
        scratch, canary = Path(top) / "scratch", Path(top).parent / f"{Path(top).name}-canary"
        scratch.mkdir()
        sets: dict[str, tuple[DataSet, list[bytes]]] = {}
        for name in dict.fromkeys(name for name, _ in jobs):
            folder = Path(top) / name
            folder.mkdir()
            data = SETS[name](folder)
            sets[name] = data, [file.read_bytes() for file in data.files]
            if not read_all(name, data, scratch):
                raise SystemExit(f"{name}: the whole data set gives no row")
        os.environ["TMPDIR"] = tempfile.tempdir = top
        hostile(canary)
        seen, base = watch(Path(top)), bound_memory()
        signal.signal(signal.SIGPROF, too_long)
        for name, seed in jobs:
            data, whole = sets[name]
            rng = random.Random(f"{name} {seed}")
            number = rng.randrange(len(whole))
            kind, made = damage(whole[number], rng, canary)
            data.files[number].write_bytes(made)
            told = {"format": name, "seed": seed, "file": data.files[number].name, "kind": kind}
            out.send(told)
            shutil.rmtree(scratch, ignore_errors=True)
            scratch.mkdir()
            seen.clear()
            began, why = time.process_time(), ""
            signal.setitimer(signal.ITIMER_PROF, LIMIT_S)
            try:
                end = judge(name, data, scratch)
            except Violation as error:
                end, why = "violation", str(error)
            except TooLong:
                end, why = "hang", f"over {LIMIT_S} s"
            finally:
                signal.setitimer(signal.ITIMER_PROF, 0)
            seconds = time.process_time() - began
            if seen or canary.exists():
                end, why = "violation", "; ".join(seen) or "the canary was written"
                canary.unlink(missing_ok=True)
            rss = max(0, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - base)
            out.send({**told, "end": end, "why": why, "seconds": seconds, "rss": rss})
            data.files[number].write_bytes(whole[number])
    out.close()


class TooLong(BaseException):
    """Not an Exception, so that no reader can take it for a fault of the file."""


def too_long(number: int, frame: Any) -> None:
    raise TooLong


def bound_memory() -> int:
    """From now on the process may take 1 GiB more; returns the largest it has been, in bytes."""
    with contextlib.suppress(OSError, ValueError):
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        size = pages * resource.getpagesize() + LIMIT_BYTES
        resource.setrlimit(resource.RLIMIT_AS, (size, size))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def guided(name: str) -> None:
    """Coverage-guided, without end: atheris gives the bytes of the set's first file."""
    import atheris

    with atheris.instrument_imports(include=["posedata"]):
        from formats_fuzz import judge
        from formats_sets import SETS
    top = Path(tempfile.mkdtemp())
    (top / "in").mkdir()
    (top / "scratch").mkdir()
    data = SETS[name](top / "in")
    (top / "corpus").mkdir()
    (top / "corpus" / "whole").write_bytes(data.files[0].read_bytes())

    def once(content: bytes) -> None:
        data.files[0].write_bytes(content)
        judge(name, data, top / "scratch")

    atheris.Setup([sys.argv[0], str(top / "corpus")], once)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
