"""What evaluating costs each of several processes, which share it, and that they measure what one does.

    python tests/benchmarks/bench_evaluation.py --json docs/results/evaluation.json

A UniHPR and a V-VIPE of the recipe quickstart, of few steps, are measured by one process and by two. Rows
{app, views, processes, seconds, cpu_s, cpu_other_s, equal}: wall time of `posetrain.lifecycle.measure` once
the run and its data are open; processor time of the process that worked most, and of the one that worked
least, threads included; whether the metrics are those of one process, to the last digit. Seconds mean
something where each process has a core of its own.
"""

import argparse
import importlib
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from accelerate.utils import gather_object
from posedata.results import write_results
from posedata.sharing import processes
from posetrain.lifecycle import measure, open_run

TASKS = {"unihpr": ("unihpr.task", "UNIHPR"), "vvipe": ("vvipe.task", "VVIPE_TASK")}
FEW = {
    "unihpr": ("align_poses.steps=2", "align_image.steps=2", "finetune.steps=2", "data.images=64"),
    "vvipe": ("vae.steps=2", "mapping.steps=2"),
}
VIEWS = {"unihpr": "data.test_images", "vvipe": "data.test_poses"}


def apart(app: str, run: Path, out: Path) -> None:
    """What each process does; the first one writes what all took."""
    module, name = TASKS[app]
    trained = open_run(getattr(importlib.import_module(module), name), run)
    trained.on("test")  # opens it
    gather_object([0])  # all begin at once
    wall, cpu = time.perf_counter(), time.process_time()
    metrics = measure(trained)
    took = time.perf_counter() - wall, time.process_time() - cpu
    every = gather_object([took])
    if processes()[0] == 0:
        out.write_text(json.dumps({"took": every, "metrics": metrics}))


def rows_of(app: str, views: int, folder: Path) -> list[dict[str, Any]]:
    settings = (*FEW[app], f"{VIEWS[app]}={views}", f"data.cache={folder / 'data'}", "loop.trackers=[]")
    words = ["train", "--recipe", "quickstart", "--runs", folder, "--name", app, "--no-report"]
    words += [word for setting in settings for word in ("--set", setting)]
    subprocess.run([Path(sys.executable).with_name(app), *words], check=True, stdout=subprocess.DEVNULL)
    rows: list[dict[str, Any]] = []
    alone = None
    for count in (1, 2):
        out = folder / f"{app}-{count}.json"
        launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(count)]
        command = [sys.executable, *launcher, __file__, "--apart", app, folder / app, out]
        subprocess.run(list(map(str, command)), check=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
        found = json.loads(out.read_text())
        alone = alone or found["metrics"]
        cpu = [used for _, used in found["took"]]
        row = {"app": app, "views": views, "processes": count, "seconds": max(s for s, _ in found["took"])}
        row |= {"cpu_s": max(cpu), "cpu_other_s": min(cpu), "equal": found["metrics"] == alone}
        rows.append(row)
        print(json.dumps(row), flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--json", type=Path, help="write the rows here")
    parser.add_argument("--apps", nargs="+", choices=list(TASKS), default=list(TASKS))
    parser.add_argument("--views", type=int, default=2000, help="to measure on")
    parser.add_argument("--apart", nargs=3, metavar=("APP", "RUN", "OUT"), help="(one of the processes)")
    options = parser.parse_args()
    if options.apart:
        apart(options.apart[0], Path(options.apart[1]), Path(options.apart[2]))
        return
    with tempfile.TemporaryDirectory() as folder:
        rows = [row for app in options.apps for row in rows_of(app, options.views, Path(folder))]
    if options.json:
        write_results(options.json, rows, seeds=[0])


if __name__ == "__main__":
    main()
