"""What `loop.precision: auto` costs: a training step beside one in float32, on this CPU and on a lesser one.

    python tests/benchmarks/bench_precision.py --json docs/results/precision.json

Rows: ``{cpu, capability, precision, computes, ms, ratio}``: best of the rounds; ``ratio`` is the time over
that of float32 on the same CPU, in the same process. The lesser CPU is this one told to hide what AVX2 lacks
(``ONEDNN_MAX_CPU_ISA=AVX2 ATEN_CPU_CAPABILITY=avx2``). Contestants take turns, so that a busy moment hits
all.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

LESSER = {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2"}


def measure(batch: int, rounds: int) -> list[dict[str, Any]]:
    """Steps of an image and a pose encoder of UniHPR's quickstart, in this process."""
    import torch
    from poseenc import MLPPoseEncoder, image_encoder
    from posetrain.precision import choose_precision

    torch.manual_seed(0)
    encoders = torch.nn.ModuleList([image_encoder("light", 512), MLPPoseEncoder(17, 3, 512, 512, 2)])
    optimizer = torch.optim.AdamW(encoders.parameters())
    images = torch.randint(0, 256, (batch, 3, 128, 96), dtype=torch.uint8)
    keypoints, box = torch.randn(batch, 17, 3), torch.randn(batch, 3)

    def step(precision: str) -> float:
        start = time.perf_counter()
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            x, y = encoders[0](images), encoders[1](keypoints, box)
        (x.float() - y.float()).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()
        return time.perf_counter() - start

    chosen = choose_precision("auto", torch.device("cpu"))[0]
    contestants = {"no": "no", "auto": chosen, "bf16": "bf16"}
    best = dict.fromkeys(contestants, float("inf"))
    for _ in range(rounds + 1):  # the first is also the warm-up
        for name, precision in contestants.items():
            best[name] = min(best[name], step(precision))
    return [
        {
            "capability": torch.backends.cpu.get_cpu_capability(),
            "precision": name,
            "computes": precision,
            "ms": 1e3 * best[name],
            "ratio": best[name] / best["no"],
        }
        for name, precision in contestants.items()
    ]


def rows(batch: int, rounds: int) -> list[dict[str, Any]]:
    """Both CPUs, a process each: torch asks what it has once."""
    found = []
    for cpu, settings in (("this", {}), ("lesser", LESSER)):
        command = [sys.executable, __file__, "--worker", "--batch", str(batch), "--rounds", str(rounds)]
        done = subprocess.run(
            command, env={**os.environ, **settings}, stdout=subprocess.PIPE, text=True, check=True
        )
        found += [{"cpu": cpu, **row} for row in json.loads(done.stdout)]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--json", type=Path, help="write the rows here")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--worker", action="store_true", help="measure this process alone, print JSON")
    arguments = parser.parse_args()
    if arguments.worker:
        print(json.dumps(measure(arguments.batch, arguments.rounds)))
        return
    measured = rows(arguments.batch, arguments.rounds)
    print(f"{'cpu':8s}{'has':>10s}{'precision':>10s}{'computes':>10s}{'ms':>10s}{'ratio':>8s}")
    for row in measured:
        print(
            f"{row['cpu']:8s}{row['capability']:>10s}{row['precision']:>10s}{row['computes']:>10s}"
            f"{row['ms']:10.1f}{row['ratio']:8.2f}"
        )
    if arguments.json:
        from posedata.results import write_results

        write_results(arguments.json, measured, batch=arguments.batch)


if __name__ == "__main__":
    main()
