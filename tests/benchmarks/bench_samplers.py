"""Samplers of one trained decoder against 1000 steps of Euler-Maruyama, and its network against GFPose's.

    python tests/benchmarks/bench_samplers.py [--json FILE] [--store FOLDER --split FILE] [--weights FILE]
    python tests/benchmarks/bench_samplers.py --run runs/mocap --store FOLDER --split FILE [--json FILE]

A 2D encoder and a `PoseDecoder` are trained to lift exact keypoints (or taken from a UniHPR run), then draw
hypotheses for views of test subjects. Without a store: the synthetic human. One thread; times are CPU time.

Rows of the JSON, told apart by `part`:
  decoder      the lifter: training steps and seconds; by subjects (train, test) the error of the mean and of
               one hypothesis, their ratio, diversity, and the share of truth in the central 50 % and 90 %
               intervals
  poses        sampler, evaluations (all, that of the mean included): MPJPE of one hypothesis and of the best
               of 5, 20, 200 (expected over all choices), diversity (mean distance of two hypotheses),
               interval coverage; one_off_percent, best_20_off_percent: difference to 1000 steps
  speed        poses a second, encoder included; ratio to 1000 steps of Euler-Maruyama
  gaussian     worst_std_error over normal data of std 0.3 to 3 spreads, exact denoiser, our schedule
  collapse     std of samples of normal data of std 5, exact denoiser, sub-VP, by number of steps
  network      see bench_denoiser.py
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from bench_denoiser import Poses, network_row, open_poses, print_network
from polypose.network import MODALITIES, UniHPR
from polypose.network import condition as as_condition
from polypose.samples import Sample
from posedata.results import write_results
from posedata.scoring.metrics import mpjpe_mm
from posediff import PoseDecoder
from posediff.difference import AROUND_MEAN
from posediff.hypotheses import coverage, diversity, expected_best_of
from posediff.sampler import LEVEL_SDE_SAMPLERS, ODE_SAMPLERS, SDE_SAMPLERS
from posediff.schedule import geometric, levels_of, uniform_time
from posediff.sde import SubVP
from poseenc import MLPPoseEncoder
from posetrain.errors import plain_errors
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn.functional import normalize
from unihpr.task import open_run

REFERENCE = ("euler_maruyama", 1000)
DEFAULT = ("dpmpp_2m_sde", 7)
"""What ``PoseDecoder.sample`` does when nothing is said: sampler and steps."""

BUDGETS = (5, 10, 20, 50)
AT_ONCE = 20
"""Hypotheses drawn together: few enough rows to stay in the cache."""


class Lifter(nn.Module):
    """An encoder of 2D poses and the decoder of 3D ones, as UniHPR puts them together."""

    def __init__(self, encoder: nn.Module, decoder: PoseDecoder) -> None:
        super().__init__()
        self.encoder, self.decoder = encoder, decoder
        self.modality = MODALITIES.index("2d")

    @classmethod
    def fresh(cls) -> Lifter:
        torch.manual_seed(0)
        return cls(MLPPoseEncoder(17, 3, 512, 1024), PoseDecoder(17, 3, 512, 512, dropout=0.0))

    @classmethod
    def of_run(cls, run: Path) -> Lifter:
        model: UniHPR = open_run(run).model
        decoder = model.decoders["3d"]
        if not isinstance(decoder, PoseDecoder):
            raise ValueError(f"{run}: its decoder is an MLP, which draws nothing; name a diffusion run")
        return cls(model.encoders["2d"], decoder)

    def encode(self, views: Sample) -> Tensor:
        pose = torch.cat([views.keypoints, views.confidence[..., None]], -1)
        return as_condition(normalize(self.encoder(pose, views.token, views.confidence > 0), dim=-1))

    def sample(self, condition: Tensor, hypotheses: int, seed: int, **how: Any) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        sizes = [min(AT_ONCE, hypotheses - i) for i in range(0, hypotheses, AT_ONCE)]
        draw = self.decoder.sample
        return torch.cat(
            [draw(condition, self.modality, hypotheses=n, generator=generator, **how) for n in sizes]
        )


def train(lifter: Lifter, poses: Poses, steps: int, batch: int = 512) -> float:
    """Encoder and decoder together by the decoder's loss; CPU seconds."""
    generator = torch.Generator().manual_seed(0)
    lifter.decoder.fit_scale(poses.draw("train", 10_000, generator).joints)
    optimiser = torch.optim.Adam(lifter.parameters(), 1e-3, fused=True)
    rate = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda i: min(1.0, (i + 1) / 50) * 0.5 * (1 + math.cos(math.pi * i / steps))
    )
    begin = time.process_time()
    for step in range(steps):
        views = poses.draw("train", batch, generator)
        with torch.autocast("cpu", torch.bfloat16):
            condition = lifter.encode(views)
            terms = lifter.decoder.terms(views.joints, condition, lifter.modality, generator=generator)
            loss = terms.loss.mean()
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(lifter.parameters(), 1.0)
        optimiser.step()
        lifter.decoder.follow(terms.residual)
        rate.step()
        if step % 100 == 99:
            print(f"step {step + 1}: loss {loss.item():.3f}, {time.process_time() - begin:.0f} s", flush=True)
    return time.process_time() - begin


def decoder_rows(lifter: Lifter, poses: Poses) -> Iterator[dict[str, Any]]:
    for part in ("train", "test"):
        views = poses.draw(part, 512, torch.Generator().manual_seed(1))
        condition = lifter.encode(views)
        mean = float(mpjpe_mm(lifter.decoder.mean(condition, lifter.modality), views.joints).mean())
        found = quality(lifter.sample(condition, 40, 0), views.joints, (20,))
        yield {"subjects": part, "mean_mm": mean, **found, "one_over_mean": found["one_mm"] / mean}


def quality(drawn: Tensor, truth: Tensor, best_of: tuple[int, ...]) -> dict[str, float]:
    errors = mpjpe_mm(drawn, truth.expand_as(drawn))
    levels = torch.tensor([0.5, 0.9])
    # The root is at the origin by definition: its spread says nothing.
    half, most = coverage(drawn[..., 1:, :], truth[..., 1:, :], levels).tolist()
    return {
        "one_mm": float(errors.mean()),
        **{f"best_{k}_mm": float(expected_best_of(errors, k).mean()) for k in best_of},
        "diversity_mm": 1000 * float(diversity(drawn).mean()),
        "inside_50": half,
        "inside_90": most,
    }


def plan(sampler: str, budget: int) -> tuple[int, int]:
    """Steps that a budget of network evaluations allows, the mean's among them, and what they spend."""
    if sampler == "heun":
        return budget // 2, 2 * (budget // 2)
    if sampler == "predictor_corrector":
        return (budget - 1) // 2, 2 * ((budget - 1) // 2) + 1
    return budget - 1, budget


def pose_rows(lifter: Lifter, poses: Poses, count: int, hypotheses: int) -> Iterator[dict[str, Any]]:
    views = poses.draw("test", count, torch.Generator().manual_seed(3))
    condition = lifter.encode(views)
    reference: dict[str, float] = {}
    runs = [(REFERENCE[0], REFERENCE[1], REFERENCE[1] + 1)]
    runs += [
        (name, *plan(name, n))
        for name in (*LEVEL_SDE_SAMPLERS, *ODE_SAMPLERS, *SDE_SAMPLERS)
        for n in BUDGETS
    ]
    runs += [(DEFAULT[0], *plan(DEFAULT[0], n)) for n in (8, 12)]
    for name, steps, evaluations in sorted(runs, key=lambda run: (run[1] != REFERENCE[1], *run)):
        drawn = lifter.sample(condition, hypotheses, 0, sampler=name, steps=steps)
        found = quality(drawn, views.joints, tuple(k for k in (5, 20, 200) if k <= hypotheses))
        reference = reference or found
        off = {
            f"{k}_off_percent": 100 * (found[f"{k}_mm"] / reference[f"{k}_mm"] - 1)
            for k in ("one", "best_20")
        }
        yield {"sampler": name, "evaluations": evaluations, "steps": steps, **found, **off}


@torch.no_grad()
def speed_rows(lifter: Lifter, poses: Poses) -> Iterator[dict[str, Any]]:
    for count, hypotheses in ((256, 1), (8, 20)):
        views = poses.draw("test", count, torch.Generator().manual_seed(2))
        slow = 0.0
        for (name, steps), repeats in ((REFERENCE, 1), (DEFAULT, 10)):
            seconds = float("inf")
            for _ in range(repeats):
                begin = time.process_time()
                lifter.sample(lifter.encode(views), hypotheses, 0, sampler=name, steps=steps)
                seconds = min(seconds, time.process_time() - begin)
            rate = count / seconds
            slow = slow or rate
            yield {
                "sampler": name,
                "evaluations": steps + 1,
                "hypotheses": hypotheses,
                "poses_per_second": rate,
                "ratio": rate / slow,
            }


def gaussian_rows() -> Iterator[dict[str, Any]]:
    """The ODE samplers are affine maps here, so one particle one std away tells the std exactly."""
    stds = torch.tensor([0.3, 0.6, 1.0, 3.0], dtype=torch.float64)
    top, end = AROUND_MEAN
    for name, sampler in ODE_SAMPLERS.items():
        for steps in (5, 8, 10, 20, 50):
            levels = geometric(steps, end, top).double()
            x = sampler(_normal_denoiser(stds), torch.full_like(stds, top), levels)
            evaluations = 2 * steps - 1 if name == "heun" else steps
            error = float((x / stds - 1).abs().max())
            yield {"sampler": name, "evaluations": evaluations, "worst_std_error": error}


def collapse_rows() -> Iterator[dict[str, Any]]:
    sde, std = SubVP(), torch.tensor(5.0, dtype=torch.float64)
    start = torch.randn(20_000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for steps in (10, 30, 100, 300, 1000):
        times = uniform_time(steps).double()
        for name in ("euler_maruyama", "mode_seeking"):
            generator = torch.Generator().manual_seed(1)
            x = SDE_SAMPLERS[name](
                _normal_denoiser(std), start * sde.std(times[0]), times, sde, generator=generator
            )
            yield {"sampler": name, "steps": steps, "std": float(x.std())}
        levels = levels_of(sde, times)
        x = ODE_SAMPLERS["euler"](_normal_denoiser(std), start * levels[0], levels)
        yield {"sampler": "euler", "steps": steps, "std": float(x.std())}


def _normal_denoiser(std: Tensor) -> Any:
    return lambda x, sigma: std**2 / (std**2 + sigma**2) * x


def told(part: str, rows: Iterator[dict[str, Any]]) -> list[dict[str, Any]]:
    kept = []
    for row in rows:
        values = (f"{v:.3g}" if isinstance(v, float) and abs(v) < 10 else v for v in row.values())
        words = (f"{v:.1f}" if isinstance(v, float) else str(v) for v in values)
        print(f"{part}: " + ", ".join(f"{k} {v}" for k, v in zip(row, words, strict=True)), flush=True)
        kept.append({"part": part, **row})
    return kept


def make_lifter(options: argparse.Namespace, poses: Poses) -> tuple[Lifter, dict[str, Any]]:
    if options.run is not None:
        return Lifter.of_run(options.run).eval(), {"source": "UniHPR run"}
    lifter = Lifter.fresh()
    if options.weights is not None and options.weights.is_file():
        state = load_file(options.weights)
        trained = {"steps": int(state.pop("steps")), "training_seconds": float(state.pop("seconds"))}
        lifter.load_state_dict(state)
    else:
        trained = {"steps": options.steps, "training_seconds": train(lifter, poses, options.steps)}
        if options.weights is not None:
            extra = {"steps": trained["steps"], "seconds": trained["training_seconds"]}
            tensors = {name: torch.tensor(float(value)) for name, value in extra.items()}
            save_file({**lifter.state_dict(), **tensors}, options.weights)
    return lifter.eval(), {"source": "trained here", **trained}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--json", type=Path)
    parser.add_argument(
        "--run", type=Path, help="a finished UniHPR run, whose lifting branch is then measured"
    )
    parser.add_argument("--store", type=Path, help="a pose store; the synthetic human by default")
    parser.add_argument("--split", type=Path, help="JSON: subjects of train and test")
    parser.add_argument("--weights", type=Path, help="keeps the trained lifter; used if it is there")
    parser.add_argument("--steps", type=int, default=1000, help="to train the lifter for")
    parser.add_argument("--poses", type=int, default=24, help="test views to draw hypotheses for")
    parser.add_argument("--hypotheses", type=int, default=200)
    parser.add_argument("--network-steps", type=int, default=100, help="before the networks are compared")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with plain_errors():
        poses = open_poses(options.store, options.split)
        lifter, origin = make_lifter(options, poses)
    with torch.no_grad():
        rows = told("decoder", ({**origin, **row} for row in decoder_rows(lifter, poses)))
        rows += told("gaussian", gaussian_rows()) + told("collapse", collapse_rows())
        rows += told("speed", speed_rows(lifter, poses))
        rows += told("poses", pose_rows(lifter, poses, options.poses, options.hypotheses))
    network = network_row(poses, 256, options.network_steps)
    print_network(network)
    if options.json:
        write_results(options.json, [*rows, network], data=poses.fingerprint, seeds=[0, 1, 2, 3])


if __name__ == "__main__":
    main()
