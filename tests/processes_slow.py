"""Two processes, the first of which takes some seconds more to evaluate; what comes of it is the exit code.

torchrun --nproc_per_node 2 tests/processes_slow.py FOLDER TIMEOUT SECONDS
"""

import sys
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from posetrain.errors import plain_errors
from posetrain.loop import Trainer
from posetrain.processes import first_alone
from posetrain.runs import Run
from posetrain.stage import LoopConfig, Stage
from torch import Tensor, nn


@dataclass(frozen=True)
class Recipe:
    loop: LoopConfig


@plain_errors()
def train(path: Path, timeout: float, seconds: float) -> None:
    recipe = Recipe(LoopConfig(device="cpu", evaluate_every=1, trackers=(), timeout=timeout))
    with first_alone(recipe.loop):
        pass
    trainer = Trainer(Run(path), recipe.loop)
    trainer.start(recipe, "refuse")
    net = nn.Linear(1, 1)

    def evaluate() -> dict[str, float]:
        time.sleep(seconds if trainer.accelerator.is_main_process else 0)
        return {"slept": seconds}

    def loss(x: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        return {"loss": net(x).mean()}

    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    stage = Stage(
        "slow", {"net": net}, optimizer, 1, lambda step, g: torch.ones(2, 1), loss, evaluate=evaluate
    )
    trainer.fit(stage)
    trainer.close()


if __name__ == "__main__":
    train(Path(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3]))
