"""How far the weights of two processes are from those of one after ten steps, by stage (processes_tiny.py).

    python tests/benchmarks/bench_processes.py --json docs/results/processes.json

Rows: ``{app, stage, damped, undamped, nudged}``, millionths: the largest difference of a number in the whole
state, buffers and averages included. Damped as the tests are; undamped, with learning rates and Adam's eps as
the recipes have them; nudged, one process from another, undamped, whose weights began one unit in the last
place larger: what rounding alone does.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from posedata.results import write_results
from posetrain.checkpoint import load_checkpoint

SCRIPT = Path(__file__).resolve().parents[1] / "processes_tiny.py"
APPS = ("unihpr", "baseline", "vvipe", "unipose", "hands")
LAUNCHER = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2")


def train(launcher: tuple[str, ...], cache: Path, folder: Path, app: str, *how: str) -> None:
    command = [sys.executable, *launcher, str(SCRIPT), str(cache), str(folder), app, *how]
    subprocess.run(command, check=True, env={**os.environ, "OMP_NUM_THREADS": "1"}, stdout=subprocess.DEVNULL)


def apart(one: Path, two: Path) -> float:
    """The largest difference of a number in two checkpoints' modules and averages, in millionths."""
    a, b = (load_checkpoint(path).tensors for path in (one, two))
    names = [name for name, value in a.items() if name.startswith(("model/", "ema/")) and value.numel()]
    return max(1e6 * float((a[name].double() - b[name].double()).abs().max()) for name in names)


def measure(app: str, folder: Path) -> list[dict[str, Any]]:
    alone, together = folder / "alone", folder / "together"
    train((), folder / "cache", alone, app, "damped", "undamped", "nudged")
    train(LAUNCHER, folder / "cache", together, app, "damped", "undamped")
    rows, alone, together = [], alone / app, together / app
    for step in sorted((alone / "damped").glob("*/checkpoints/*/step-*")):
        stage = step.relative_to(alone / "damped")
        row = {name: apart(alone / name / stage, together / name / stage) for name in ("damped", "undamped")}
        row["nudged"] = apart(alone / "undamped" / stage, alone / "nudged" / stage)
        rows.append({"app": stage.parts[0], "stage": stage.parts[2], **row})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--json", type=Path, help="write the rows here")
    parser.add_argument("--apps", nargs="+", choices=APPS, default=APPS)
    arguments = parser.parse_args()
    rows: list[dict[str, Any]] = []
    print(f"{'app':18s}{'stage':26s}{'damped':>10s}{'undamped':>10s}{'nudged':>10s}")
    for app in arguments.apps:
        with tempfile.TemporaryDirectory() as folder:
            found = measure(app, Path(folder))
        for row in found:
            numbers = "".join(f"{row[name]:10.1f}" for name in ("damped", "undamped", "nudged"))
            print(f"{row['app']:18s}{row['stage']:26s}{numbers}", flush=True)
        rows += found
    if arguments.json:
        write_results(arguments.json, rows)


if __name__ == "__main__":
    main()
