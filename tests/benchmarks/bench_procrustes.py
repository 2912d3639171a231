"""PA-MPJPE of many poses: ours, the same through torch.linalg.svd, and a loop of SciPy over poses.

    python tests/benchmarks/bench_procrustes.py --json procrustes.json

JSON: ``{poses, joints, threads, rows: [{name, poses_per_second, ratio_to_ours, max_difference_mm}]}``.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from posedata.scoring.metrics import mpjpe_mm, pa_mpjpe_mm
from scipy.spatial.transform import Rotation
from torch import Tensor


def with_svd(predicted: Tensor, true: Tensor) -> Tensor:
    source, target = predicted.double(), true.double()
    centre = target.mean(-2, keepdim=True)
    source, target = source - source.mean(-2, keepdim=True), target - centre
    u, s, vh = torch.linalg.svd(target.mT @ source)
    sign = torch.ones_like(s)
    sign[..., 2] = torch.linalg.det(u @ vh).sign()
    rotation = (u * sign[..., None, :]) @ vh
    scale = (s * sign).sum(-1) / source.square().sum((-2, -1))
    return mpjpe_mm(scale[..., None, None] * source @ rotation.mT, target)


def with_scipy_loop(predicted: Tensor, true: Tensor) -> Tensor:
    errors = []
    for source, target in zip(predicted.double().numpy(), true.double().numpy(), strict=True):
        source, target = source - source.mean(0), target - target.mean(0)
        rotation, _ = Rotation.align_vectors(target, source)
        turned = rotation.apply(source)
        scale = (turned * target).sum() / (source**2).sum()
        errors.append(1000 * np.linalg.norm(scale * turned - target, axis=1).mean())
    return torch.tensor(errors)


def seconds(work: Callable[[], object], repeats: int) -> float:
    """The best of several runs, after one to warm up (a single run where ``repeats`` is 1)."""
    times = []
    for _ in range(repeats + (repeats > 1)):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def measure(poses: int, loop_poses: int, repeats: int) -> list[dict[str, float | str]]:
    generator = torch.Generator().manual_seed(0)
    body = torch.randn(poses, 17, 3, generator=generator) * torch.tensor([0.25, 0.15, 0.5])
    predicted = body + 0.05 * torch.randn(body.shape, generator=generator)
    contestants: list[tuple[str, Callable[[Tensor, Tensor], Tensor], int, int]] = [
        ("posedata.scoring.metrics.pa_mpjpe_mm", pa_mpjpe_mm, poses, repeats),
        ("torch.linalg.svd, batched", with_svd, poses, repeats),
        ("scipy align_vectors, loop", with_scipy_loop, loop_poses, 1),
    ]
    rows: list[dict[str, float | str]] = []
    expected = pa_mpjpe_mm(predicted.double(), body.double())
    for name, metric, count, times in contestants:
        some, truth = predicted[:count], body[:count]
        found = metric(some, truth)
        rate = count / seconds(lambda m=metric, p=some, t=truth: m(p, t), times)  # type: ignore[misc]
        rows.append(
            {
                "name": name,
                "poses_per_second": rate,
                "ratio_to_ours": rate / float(rows[0]["poses_per_second"]) if rows else 1.0,
                "max_difference_mm": float((found - expected[:count]).abs().max()),
            }
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--poses", type=int, default=100_000)
    parser.add_argument("--loop-poses", type=int, default=5_000, help="poses given to the SciPy loop")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    rows = measure(options.poses, min(options.loop_poses, options.poses), options.repeats)
    print(f"PA-MPJPE, {options.poses} poses of 17 joints, {options.threads} threads")
    print(f"{'':32}{'poses/s':>12}{'ratio':>8}{'max diff mm':>14}")
    for row in rows:
        print(
            f"{row['name']:32}{row['poses_per_second']:12,.0f}{row['ratio_to_ours']:8.3f}"
            f"{row['max_difference_mm']:14.1e}"
        )
    if options.json:
        record = {"poses": options.poses, "joints": 17, "threads": options.threads, "rows": rows}
        options.json.write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
