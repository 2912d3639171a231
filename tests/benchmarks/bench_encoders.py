"""Forward and backward of the pose and image encoders, beside torch's own transformer encoder.

    python tests/benchmarks/bench_encoders.py --json docs/results/encoders_cpu.json

Rows: ``{name, precision, batch, ms, us_per_item, ratio}``: best of the rounds; ``ratio`` is the time over
that of the first row of the same group (``nn.TransformerEncoder`` in float32 for poses, ``light`` in float32
for images), below 1 where it is faster. Contestants take turns, so that a busy moment hits all alike.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import torch
from posedata.results import write_results
from poseenc import MLPPoseEncoder, PoseEncoder2D, image_encoder
from torch import Tensor, nn

Work = Callable[[], Tensor]


class TorchEncoder(PoseEncoder2D):
    """The same encoder with torch's layers in place of ours."""

    def __init__(self) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(256, 8, 1024, 0.0, "gelu", batch_first=True, norm_first=True)
        self.torch_blocks = nn.TransformerEncoder(layer, 3, enable_nested_tensor=False)

    def forward(self, pose: Tensor, box_token: Tensor) -> Tensor:
        return self.out(self.norm(self.torch_blocks(self.tokens(pose, box_token))[:, 0]))


def pose_work(batch: int) -> dict[str, Work]:
    keypoints, box = torch.randn(batch, 17, 2), torch.randn(batch, 3)
    encoders = {
        "nn.TransformerEncoder": TorchEncoder(),
        "PoseEncoder2D": PoseEncoder2D(),
        "MLPPoseEncoder": MLPPoseEncoder(),
    }
    return {name: lambda encoder=encoder: encoder(keypoints, box) for name, encoder in encoders.items()}


def image_work(batch: int, names: list[str]) -> dict[str, Work]:
    images = torch.randint(0, 256, (batch, 3, 128, 96), dtype=torch.uint8)
    encoders = {name: image_encoder(name) for name in names}
    return {name: lambda encoder=encoder: encoder(images) for name, encoder in encoders.items()}


def seconds(work: dict[str, Work], rounds: int) -> dict[tuple[str, str], float]:
    """Best forward + backward of every contestant in float32 and under bfloat16 autocast."""
    best: dict[tuple[str, str], float] = {}
    for _ in range(rounds + 1):  # the first is also the warm-up
        for precision in ("float32", "bfloat16"):
            for name, forward in work.items():
                start = time.perf_counter()
                with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
                    output = forward()
                output.float().square().mean().backward()
                taken = time.perf_counter() - start
                best[name, precision] = min(taken, best.get((name, precision), taken))
    return best


def rows(work: dict[str, Work], batch: int, rounds: int) -> list[dict[str, float | int | str]]:
    best = seconds(work, rounds)
    reference = next(iter(best.values()))
    return [
        {
            "name": name,
            "precision": precision,
            "batch": batch,
            "ms": 1e3 * taken,
            "us_per_item": 1e6 * taken / batch,
            "ratio": taken / reference,
        }
        for (name, precision), taken in best.items()
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--json", type=Path, help="write the rows here")
    parser.add_argument("--poses", type=int, default=512, help="poses in a batch")
    parser.add_argument("--images", type=int, default=64, help="images in a batch")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--encoders", nargs="+", default=["light", "efficientnet_lite0"])
    arguments = parser.parse_args()
    torch.manual_seed(0)
    measured = rows(pose_work(arguments.poses), arguments.poses, arguments.rounds)
    measured += rows(image_work(arguments.images, arguments.encoders), arguments.images, arguments.rounds)
    print(f"{'':24s}{'precision':>10s}{'batch':>7s}{'ms':>10s}{'us/item':>10s}{'ratio':>8s}")
    for row in measured:
        print(
            f"{row['name']:24s}{row['precision']:>10s}{row['batch']:7d}"
            f"{row['ms']:10.1f}{row['us_per_item']:10.1f}{row['ratio']:8.2f}"
        )
    if arguments.json:
        write_results(arguments.json, measured, threads=torch.get_num_threads())


if __name__ == "__main__":
    main()
