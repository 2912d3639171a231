"""The decoder's network against the described GFPose one, at equal width and equal training.

    python tests/benchmarks/bench_denoiser.py [--json FILE] [--store FOLDER --split FILE] [--steps N]

Both complete root-relative poses of a pose store from their x and y by noise prediction on the sub-VP
process, with the same data, seeds, optimiser, dropout and number of steps. Without a store: the synthetic
human.

Rows of the JSON (`part` is `network`): `rows` poses at width 1024; sampling_ms, one evaluation while
sampling; training_ms, one training step; ratios, described over ours; training_loss, on held-out subjects
after `steps` steps. Times are the least CPU time of one thread, taken in turns: others disturb them little.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from polypose.samples import Sample
from posedata.results import write_results
from posedata.store import PoseStore
from posedata.synthetic.people.build import build_synthetic
from posedata.views import get_rig, sample_cameras
from posedata.views.batch import see
from posediff.draws import SHARE
from posediff.network import ResidualMLP
from posediff.reference import GFPoseNetwork
from posediff.schedule import draw_times
from posediff.sde import SubVP
from posetrain.errors import plain_errors
from torch import Tensor, nn

SEEN = torch.tensor([1.0, 1.0, 0.0])


@dataclass(frozen=True)
class Poses:
    """World joints of the training and the test subjects, (N, 17, 3) metres."""

    train: Tensor
    test: Tensor
    fingerprint: str
    name: str

    def draw(self, part: str, count: int, generator: torch.Generator) -> Sample:
        """Poses at random, each seen by a camera drawn for it, with exact keypoints."""
        joints: Tensor = getattr(self, part)
        rows = torch.randint(len(joints), (count,), generator=generator)
        return Sample.of(see(joints[rows], sample_cameras(joints[rows], get_rig("mocap"), generator)))


def open_poses(store: Path | None, split: Path | None) -> Poses:
    """Poses of a store split by subject; without one, of 24 synthetic people, 4 of them for the test."""
    if store is not None:
        if split is None:
            raise ValueError("--store needs --split: a JSON file with the subjects of train and test")
        opened = PoseStore.open(store)
        return _split(opened, opened.split(split), store.name)
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "poses"
        build_synthetic(made, subjects=24, clips=12, frames=90, seed=0)
        opened = PoseStore.open(made)
        test = opened.names("subject")[-4:]
        return _split(opened, opened.split({"test": test, "train": "all other subjects"}), "synthetic")


def _split(store: PoseStore, parts: dict[str, Any], name: str) -> Poses:
    joints = [store.tensors(["joints"], rows=parts[part])["joints"] for part in ("train", "test")]
    return Poses(*joints, store.fingerprint, name)


class Ours(nn.Module):
    """Our network on the described one's interface; neighbours share a level, as in the decoder's loss."""

    def __init__(self) -> None:
        super().__init__()
        self.net = ResidualMLP(51, 51, dropout=0.25)

    def forward(self, x: Tensor, label: Tensor, observed: Tensor, known: Tensor) -> Tensor:
        share = len(x) // len(label)
        features = self.net.project((observed * known).flatten(1)).unflatten(0, (-1, share))
        grouped = x.flatten(1).unflatten(0, (-1, share))
        return self.net(grouped, label[:, None], features).reshape(x.shape)


def network_row(poses: Poses, rows: int, steps: int) -> dict[str, Any]:
    torch.manual_seed(0)
    described, ours = GFPoseNetwork(), Ours()
    generator = torch.Generator().manual_seed(0)
    drawn = poses.draw("train", 10_000, generator).joints
    centre, std = drawn.mean(0), drawn.std()

    def batch(part: str, count: int) -> Tensor:
        return (poses.draw(part, count, generator).joints - centre) / std

    sampling = _sampling(described, ours, batch("train", rows))
    optimisers = [torch.optim.Adam(net.parameters(), 2e-4, fused=True) for net in (described, ours)]
    example = batch("train", rows)
    training = in_turns(
        lambda: _train_step(described, optimisers[0], example, 1, generator),
        lambda: _train_step(ours, optimisers[1], example, SHARE, generator),
    )
    losses = []
    for start, share in ((GFPoseNetwork, 1), (Ours, SHARE)):
        torch.manual_seed(1)
        net = start()
        optimiser = torch.optim.Adam(net.parameters(), 2e-4, fused=True)
        generator.manual_seed(1)
        for _ in range(steps):
            _train_step(net, optimiser, batch("train", rows), share, generator)
        net.eval()
        generator.manual_seed(2)
        with torch.no_grad():
            losses.append(float(_loss(net, batch("test", 4096), 1, generator)))
    return {
        "part": "network",
        "rows": rows,
        "steps": steps,
        "sampling_ms": dict(zip(("described", "ours"), sampling, strict=True)),
        "sampling_ratio": sampling[0] / sampling[1],
        "training_ms": dict(zip(("described", "ours"), training, strict=True)),
        "training_ratio": training[0] / training[1],
        "training_loss": dict(zip(("described", "ours"), losses, strict=True)),
    }


def _sampling(described: nn.Module, ours: Ours, poses: Tensor) -> tuple[float, float]:
    described.eval(), ours.eval()
    label, known = torch.full((len(poses),), 500.0), SEEN.expand_as(poses)
    with torch.no_grad():
        features = ours.net.project((poses * SEEN).flatten(1))  # once a run, not once an evaluation
        times = in_turns(
            lambda: described(poses, label, poses, known),
            lambda: ours.net(poses.flatten(1), label[0], features),
        )
    described.train(), ours.train()
    return times


def _loss(net: nn.Module, poses: Tensor, share: int, generator: torch.Generator) -> Tensor:
    """Noise prediction, |F - n|², time uniform: GFPose's."""
    sde, t = SubVP(), draw_times(len(poses) // share, generator=generator)
    noise = torch.randn(poses.shape, generator=generator)
    column = t.repeat_interleave(share)[:, None, None]
    noisy = sde.scale(column) * poses + sde.std(column) * noise
    return ((net(noisy, 999 * t, poses * SEEN, SEEN.expand_as(poses)) - noise) ** 2).mean()


def _train_step(
    net: nn.Module, optimiser: torch.optim.Optimizer, poses: Tensor, share: int, generator: torch.Generator
) -> None:
    loss = _loss(net, poses, share, generator)
    optimiser.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(net.parameters(), 1.0)
    optimiser.step()


def in_turns(first: Callable[[], Any], second: Callable[[], Any], repeats: int = 8) -> tuple[float, float]:
    """Least CPU time of each in ms, after a run of each to warm up."""
    best = [float("inf"), float("inf")]
    for attempt in range(repeats + 1):
        for which, run in enumerate((first, second)):
            begin = time.process_time()
            run()
            if attempt:
                best[which] = min(best[which], 1e3 * (time.process_time() - begin))
    return best[0], best[1]


def print_network(row: dict[str, Any]) -> None:
    for what in ("sampling", "training"):
        times = row[f"{what}_ms"]
        both = f"described {times['described']:.1f} ms, ours {times['ours']:.1f} ms"
        print(f"{what}, {row['rows']} poses: {both}, {row[f'{what}_ratio']:.2f} x")
    losses = row["training_loss"]
    print(f"loss after {row['steps']} steps: described {losses['described']:.4f}, ours {losses['ours']:.4f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--store", type=Path, help="a pose store; the synthetic human by default")
    parser.add_argument("--split", type=Path, help="JSON: subjects of train and test")
    parser.add_argument("--rows", type=int, default=256, help=f"poses in a batch, a multiple of {SHARE}")
    parser.add_argument("--steps", type=int, default=200, help="steps before the losses are compared")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with plain_errors():
        poses = open_poses(options.store, options.split)
    row = network_row(poses, options.rows, options.steps)
    print_network(row)
    if options.json:
        write_results(options.json, [row], data=poses.fingerprint, seeds=[0, 1, 2])


if __name__ == "__main__":
    main()
