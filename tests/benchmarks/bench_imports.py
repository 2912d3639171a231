"""What it costs to start: helps, faults in arguments and imports, as whole processes.

    python tests/benchmarks/bench_imports.py --json docs/results/import_times.json

This process imports nothing heavy and runs one other at a time. A first run of each, which reads the files
from the disk, is not counted.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

from posedata.results import write_results

ROOT = Path(__file__).resolve().parents[2]
COMMANDS = (
    "python -c pass",
    "posedata --help",
    "posedata prepare --help",
    "posedata prepare h36m --help",
    "polypose --help",
    "unihpr --help",
    "vvipe --help",
    "unipose --help",
    "typer apps/unihpr train --help",
    "unihpr train --recipe nosuch",
    "unihpr lift --nosuch",
    "python -c 'import posedata'",
    "python -c 'import poseenc'",
    "python -c 'import polypose'",
    "python -c 'import pointcloud_weak'",
    "python -c 'import torch'",
    "python -c 'import contrastive'",
    "python -c 'import posediff'",
    "python -c 'from posedata import Camera'",
    "python -c 'from poseenc import PoseEncoder2D'",
)


def main() -> None:
    """Time every command; print a line each, write JSON where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--repeat", type=int, default=7, help="runs of each; the median is told")
    parser.add_argument("--json", type=Path, help="write the results there")
    options = parser.parse_args()
    rows = []
    for command in COMMANDS:
        seconds = measured(command, options.repeat)
        rows.append({"command": command, "seconds": seconds})
        print(f"{command:42} {seconds:6.3f} s")
    if options.json:
        write_results(options.json, rows, repeat=options.repeat)


def measured(command: str, repeat: int) -> float:
    """Median of wall seconds."""
    run(command)
    times = []
    for _ in range(repeat):
        begun = time.perf_counter()
        run(command)
        times.append(time.perf_counter() - begun)
    return round(statistics.median(times), 3)


def run(command: str) -> None:
    """As a shell would, with this Python and its commands first."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        command, shell=True, cwd=ROOT, env=os.environ | {"PATH": path}, capture_output=True, check=False
    )
    assert done.returncode == (2 if "nosuch" in command else 0), done.stderr.decode()


if __name__ == "__main__":
    main()
