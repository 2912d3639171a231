"""Samplers against their number of evaluations, and the decoder's network against the described GFPose one.

    python tests/benchmarks/bench_samplers.py [--json FILE] [--rows N] [--threads N] [--train-steps N]

Rows of the JSON, told apart by `part`:
  gaussian  sampler, evaluations; worst_std_error: greatest relative error of the std over normal data of std
            0.1 to 0.8, exact denoiser, the decoder's own schedule (SDE samplers: from 1000 evaluations down,
            sub-VP, uniform time, 20,000 particles)
  network   sampling_ms, training_ms: one evaluation while sampling, and one training step, of `rows` poses at
            width 1024, by the described network and by ours; ratio: described over ours; training_loss: noise
            prediction loss on held-out synthetic poses after the same steps at the same settings
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from posediff.network import ResidualMLP
from posediff.reference import GFPoseNetwork
from posediff.sampler import ODE_SAMPLERS, SDE_SAMPLERS
from posediff.schedule import draw_times, geometric, uniform_time
from posediff.sde import SubVP
from torch import Tensor, nn
from trainer.results import write_results

STDS = torch.tensor([0.1, 0.2, 0.4, 0.8], dtype=torch.float64)


def gaussian_rows() -> list[dict[str, Any]]:
    """The ODE samplers are affine maps here, so two particles tell their std exactly."""

    def denoise(x: Tensor, sigma: Tensor) -> Tensor:
        return STDS**2 / (STDS**2 + sigma**2) * x

    rows = []
    for name, sampler in ODE_SAMPLERS.items():
        for evaluations in (5, 10, 12, 20, 50):
            steps = (evaluations + 1) // 2 if name == "heun" else evaluations
            end = sampler(denoise, torch.full_like(STDS, 5.0), geometric(steps, 0.01, 5.0).double())
            spent = 2 * steps - 1 if name == "heun" else steps
            rows.append({"sampler": name, "evaluations": spent, "worst_std_error": _worst(end / STDS)})
    generator = torch.Generator().manual_seed(0)
    start = torch.randn(20_000, len(STDS), generator=generator, dtype=torch.float64)
    for name, stochastic in SDE_SAMPLERS.items():
        for steps in (50, 1000):
            times = uniform_time(steps).double()
            end = stochastic(denoise, start, times, SubVP(), generator=generator)
            spent = steps * (2 if name == "predictor_corrector" else 1)
            rows.append({"sampler": name, "evaluations": spent, "worst_std_error": _worst(end.std(0) / STDS)})
    return [{"part": "gaussian", **row} for row in rows]


def _worst(ratio: Tensor) -> float:
    return float((ratio - 1).abs().max())


def synthetic_poses(count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Smooth functions of 12 hidden variables: poses (N, 17, 3) of std about 1, and what is seen, z = 0."""
    mixing = torch.randn(12, 51, generator=torch.Generator().manual_seed(7)) / 12**0.5
    poses = torch.tanh(torch.randn(count, 12, generator=generator) @ mixing).unflatten(-1, (17, 3)) * 1.6
    return poses, poses * torch.tensor([1.0, 1.0, 0.0])


class Ours(nn.Module):
    """Our network with the same raw 2D condition."""

    def __init__(self) -> None:
        super().__init__()
        self.net = ResidualMLP(51, 51, dropout=0.25)

    def forward(self, x: Tensor, label: Tensor, observed: Tensor, known: Tensor) -> Tensor:
        features = self.net.project((observed * known).flatten(1))
        return self.net(x.flatten(1), label, features).reshape(x.shape)


def network_row(rows: int, train_steps: int) -> dict[str, Any]:
    torch.manual_seed(0)
    described, ours = GFPoseNetwork(), Ours()
    generator = torch.Generator().manual_seed(0)
    poses, observed = synthetic_poses(rows, generator)
    known = torch.tensor([1.0, 1.0, 0.0]).expand_as(poses)
    label = torch.full((rows,), 500.0)

    @torch.no_grad()
    def sampling() -> tuple[float, float]:
        features = ours.net.project((observed * known).flatten(1))  # once a run, not once an evaluation
        flat = poses.flatten(1)
        return _interleaved(
            lambda: described(poses, label, observed, known), lambda: ours.net(flat, label[0], features)
        )

    described.eval(), ours.eval()
    sampling_described, sampling_ours = sampling()
    described.train(), ours.train()
    optimisers = [torch.optim.Adam(net.parameters(), 2e-4) for net in (described, ours)]
    training_described, training_ours = _interleaved(
        lambda: _train_step(described, optimisers[0], rows, generator),
        lambda: _train_step(ours, optimisers[1], rows, generator),
        repeats=7,
    )
    losses = []
    for net, optimiser in zip((described, ours), optimisers, strict=True):
        generator.manual_seed(1)
        for _ in range(train_steps):
            _train_step(net, optimiser, rows, generator)
        net.eval()
        with torch.no_grad():
            generator.manual_seed(2)
            losses.append(float(_loss(net, 4096, generator)))
    return {
        "part": "network",
        "rows": rows,
        "train_steps": train_steps,
        "sampling_ms": {"described": sampling_described, "ours": sampling_ours},
        "sampling_ratio": sampling_described / sampling_ours,
        "training_ms": {"described": training_described, "ours": training_ours},
        "training_ratio": training_described / training_ours,
        "training_loss": {"described": losses[0], "ours": losses[1]},
    }


def _loss(net: nn.Module, rows: int, generator: torch.Generator) -> Tensor:
    poses, observed = synthetic_poses(rows, generator)
    sde, t = SubVP(), draw_times(rows, generator=generator)
    noise = torch.randn(poses.shape, generator=generator)
    column = t[:, None, None]
    noisy = sde.scale(column) * poses + sde.std(column) * noise
    known = torch.tensor([1.0, 1.0, 0.0]).expand_as(poses)
    return ((net(noisy, 999 * t, observed, known) - noise) ** 2).mean()


def _train_step(
    net: nn.Module, optimiser: torch.optim.Optimizer, rows: int, generator: torch.Generator
) -> None:
    loss = _loss(net, rows, generator)
    optimiser.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(net.parameters(), 1.0)
    optimiser.step()


def _interleaved(
    first: Callable[[], Any], second: Callable[[], Any], repeats: int = 15
) -> tuple[float, float]:
    """Least time of each in ms, taken in turns, so that a busy machine is busy for both."""
    best = [float("inf"), float("inf")]
    for attempt in range(repeats + 2):
        for which, run in enumerate((first, second)):
            begin = time.perf_counter()
            run()
            if attempt >= 2:
                best[which] = min(best[which], 1e3 * (time.perf_counter() - begin))
    return best[0], best[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--rows", type=int, default=256, help="poses in a batch")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--train-steps", type=int, default=150, help="steps before the losses are compared")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    rows = gaussian_rows()
    for row in rows:
        error = f"{row['worst_std_error']:.1%}"
        print(f"{row['sampler']:20s} {row['evaluations']:5d} evaluations, std off by {error}")
    network = network_row(options.rows, options.train_steps)
    for what in ("sampling", "training"):
        times = network[f"{what}_ms"]
        both = f"described {times['described']:.1f} ms, ours {times['ours']:.1f} ms"
        print(f"{what}, {options.rows} poses: {both}, {network[f'{what}_ratio']:.2f} x")
    losses = network["training_loss"]
    both = f"described {losses['described']:.4f}, ours {losses['ours']:.4f}"
    print(f"loss after {options.train_steps} steps: {both}")
    if options.json:
        write_results(
            options.json, [*rows, network], data="synthetic, made in the benchmark", seeds=[0, 1, 2, 7]
        )


if __name__ == "__main__":
    main()
