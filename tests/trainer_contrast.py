"""A contrastive toy whose loss needs the whole batch: run alone or by torchrun, it must do the same.

torchrun --nproc_per_node 2 tests/trainer_contrast.py FOLDER
"""

import sys
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.distributed as distributed
from posetrain.loop import Trainer
from posetrain.runs import Run
from posetrain.stage import LoopConfig, Stage
from torch import Tensor, nn
from torch.distributed.nn.functional import all_gather
from torch.nn.functional import cross_entropy, normalize


@dataclass(frozen=True)
class Recipe:
    loop: LoopConfig = LoopConfig(
        device="cpu",
        precision="no",
        accumulate=2,
        clip=0.5,
        ema=0.5,
        log_every=1,
        evaluate_every=2,
        checkpoint_every=3,
        trackers=(),
    )


def train(path: Path) -> dict[str, float]:
    torch.manual_seed(0)
    points = torch.randn(64, 5, dtype=torch.float64)
    left, right = (nn.Linear(5, 4, dtype=torch.float64) for _ in range(2))
    recipe = Recipe()
    trainer = Trainer(Run.start(path, recipe, "resume"), recipe.loop)
    trainer.fit(stage(trainer, "both", left, right, points))
    left.requires_grad_(False)
    metrics = trainer.fit(stage(trainer, "right", left, right, points))
    trainer.close()
    return metrics


def stage(trainer: Trainer, name: str, left: nn.Module, right: nn.Module, points: Tensor) -> Stage:
    modules = nn.ModuleDict({"left": left, "right": right})
    unused = nn.Linear(1, 1, dtype=torch.float64)  # a parameter that this loss does not reach

    def loss(batch: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        a, b = (gather(normalize(side(batch), dim=-1)) for side in (left, right))
        return {"loss": cross_entropy(a @ b.T / 0.1, torch.arange(len(a)))}

    parameters = [p for p in [*modules.parameters(), *unused.parameters()] if p.requires_grad]
    return Stage(
        name=name,
        modules={"left": left, "right": right, "unused": unused},
        optimizer=torch.optim.SGD(parameters, lr=0.5),
        steps=5,
        batch=lambda step, g: points[trainer.share(torch.randint(len(points), (8,), generator=g))],
        loss=loss,
        evaluate=lambda: {"size": float(sum(p.square().sum() for p in modules.parameters()))},
    )


def gather(features: Tensor) -> Tensor:
    """Features of every process, with gradient."""
    return torch.cat(all_gather(features)) if distributed.is_initialized() else features


if __name__ == "__main__":
    train(Path(sys.argv[1]))
