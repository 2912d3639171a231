"""Training on two hosts, made of network namespaces: poses a second, and bytes that a process sends a step.

    python tests/benchmarks/bench_hosts.py --json docs/results/hosts.json

UniHPR's first step (2D and 3D, which all processes compare) by the recipe quickstart, on one process and on
two hosts of one and of two. Needs leave to make network namespaces (Linux; root, or user namespaces). Poses a
second mean something where each process has a core of its own; bytes do anywhere (`--bytes`).

Bytes are those that left a host by any of its network cards, headers included, over its processes and the
steps. Beside them what must be sent by P processes in rings, 4 bytes a number: of what they add up, the
gradients of all parameters and of one modality's B embeddings, 2 (P - 1) / P; of what they gather, the
embeddings of both, (P - 1) / P.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import torch
from polypose.network import UniHPR
from posedata.results import write_results
from posetrain.lifecycle import open_data
from posetrain.loop import Trainer
from posetrain.recipe import load_recipe, to_plain
from posetrain.runs import Run
from unihpr.recipe import RECIPES, Recipe
from unihpr.steps import align_poses
from unihpr.task import UNIHPR

NAMESPACES = Path(__file__).resolve().parents[1] / "hosts/namespaces.py"
ALONE = ("unshare", "--map-root-user", "--net", "--mount")
WARM = 3
LAYOUTS = ((1, 1), (2, 1), (2, 2))
"""Hosts, and processes of each."""
SETTINGS = (
    *("data.images=8", "data.test_images=8", "loop.precision=no", "loop.trackers=[]"),
    *("loop.log_every=100000", "loop.checkpoint_every=100000"),
)


def train(folder: Path, name: str, steps: int, size: int) -> None:
    """What each process does: some steps, of which the first one tells."""
    own = f"align_poses={{steps: {steps + WARM + 1}, batch: {size}}}", f"data.cache={folder / 'data'}"
    settings = (*SETTINGS, *own)
    recipe = load_recipe("quickstart", Recipe, settings, RECIPES)
    data = open_data(UNIHPR, recipe)
    trainer = Trainer(Run(folder / name), recipe.loop, {"recipe": to_plain(recipe)})
    model = UniHPR(recipe.model)
    model.fit_scale(data.scale())
    trainer.start(recipe, "refuse")
    stage = align_poses(model, data, recipe, trainer)
    marks: list[tuple[float, float, int]] = []

    def batch(step: int, generator: torch.Generator) -> Any:
        if step in (WARM, WARM + steps):
            trainer.accelerator.wait_for_everyone()
            marks.append((time.perf_counter(), time.process_time(), sent()))
        return stage.batch(step, generator)

    trainer.fit(replace(stage, batch=batch))
    wall, cpu, left = (b - a for a, b in zip(*marks, strict=True))
    count = trainer.accelerator.num_processes
    learnt = sum(p.numel() for module in stage.modules.values() for p in module.parameters())
    if trainer.accelerator.is_main_process:
        row = {
            "batch": size,
            "poses_per_s": size * steps / wall,
            "cpu_ms": 1000 * cpu / steps,
            "host_bytes": left / steps,
            "gradient_bytes": 2 * (count - 1) / count * 4 * learnt,
            "embedding_bytes": (2 + 2) * (count - 1) / count * 4 * size * recipe.model.dim,
        }
        (folder / f"{name}.json").write_text(json.dumps(row))


def sent() -> int:
    """Bytes that have left this host, by what the kernel counts of its cards."""
    cards = Path("/proc/net/dev").read_text().splitlines()[2:]
    return sum(int(card.split(":")[1].split()[8]) for card in cards)


def measure(folder: Path, hosts: int, processes: int, steps: int, size: int) -> dict[str, Any]:
    name = f"{hosts}x{processes}-{size}"
    program = [str(Path(__file__).resolve()), "--apart", str(folder), name]
    program += ["--steps", str(steps), "--batch", str(size)]
    command = [sys.executable, *program]
    if hosts > 1:
        command = [*ALONE, sys.executable, str(NAMESPACES), str(processes), *program]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    for host in json.loads(done.stdout.splitlines()[-1]) if hosts > 1 else ():
        if host["code"]:
            raise RuntimeError(host["said"])
    row = json.loads((folder / f"{name}.json").read_text())
    left = row.pop("host_bytes")
    row["sent_bytes"] = left / processes if hosts > 1 else 0.0
    return {"hosts": hosts, "processes": hosts * processes, **{key: round(row[key], 1) for key in row}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--json", type=Path, help="write the rows here")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--batch", type=int, nargs="+", default=[512, 4096], help="the recipe has 512")
    parser.add_argument("--apart", nargs=2, metavar=("FOLDER", "NAME"), help="(one of the processes)")
    parser.add_argument("--bytes", action="store_true", help="leave out what a busy machine makes wrong")
    options = parser.parse_args()
    if options.apart:
        train(Path(options.apart[0]), options.apart[1], options.steps, options.batch[0])
        return
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for size, (hosts, processes) in product(options.batch, LAYOUTS):
            row = measure(Path(folder), hosts, processes, options.steps, size)
            if options.bytes:
                row = {key: value for key, value in row.items() if key not in ("poses_per_s", "cpu_ms")}
            rows.append(row)
            print(json.dumps(row), flush=True)
    if options.json:
        write_results(options.json, rows, seeds=[0])


if __name__ == "__main__":
    main()
