"""What a run does on a lesser CPU, emulated by the caller's environment; prints it as JSON.

ONEDNN_MAX_CPU_ISA=AVX2 ATEN_CPU_CAPABILITY=avx2 python tests/trainer_lesser.py FOLDER
"""

import json
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from accelerate.state import AcceleratorState
from posedata.machine import native_bf16
from posetrain.loop import Trainer
from posetrain.runs import Existing, Run
from posetrain.stage import LoopConfig, Stage
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

CONFIG = LoopConfig(device="cpu", log_every=1, checkpoint_every=1, trackers=())


@dataclass(frozen=True)
class Recipe:
    loop: LoopConfig = CONFIG


class Dtypes(TorchDispatchMode):
    """Collects the types of everything that is computed."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: set[str] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        self.seen |= {str(x.dtype) for x in tree_leaves(result) if isinstance(x, Tensor)}
        return result


@dataclass
class Told:
    """What a training did: its losses, the types it computed in, what it chose."""

    losses: list[float]
    card: str
    dtypes: list[str] = field(default_factory=list)


def train(path: Path, precision: str, steps: int, existing: Existing = "refuse") -> Told:
    """Some steps of a small regression."""
    AcceleratorState._reset_state(reset_partial_state=True)  # which holds one precision a process
    config = replace(CONFIG, precision=precision)  # type: ignore[arg-type]
    run = Run(path)
    trainer = Trainer(run, config, existing=existing)
    trainer.start(Recipe(config), existing)
    net = nn.Sequential(nn.Linear(8, 64), nn.Tanh(), nn.Linear(64, 1))

    def loss(x: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        return {"loss": (net(x).float() - x.sum(1, keepdim=True)).square().mean()}

    stage = Stage(
        "demo", {"net": net}, torch.optim.SGD(net.parameters(), lr=0.01), steps,
        lambda step, generator: torch.randn(32, 8, generator=generator), loss,
    )  # fmt: skip
    with Dtypes() as types:
        trainer.fit(stage)
    trainer.close()
    card = json.loads((run.checkpoint("demo") / "card.json").read_text())
    losses = [record["loss"] for record in run.curves()]
    started = (path / "starts.jsonl").read_text().splitlines()
    assert json.loads(started[-1])["precision"] == card["precision"]
    return Told(losses, card["precision"], sorted(types.seen))


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    told = {name: vars(train(folder / name, name, 2)) for name in ("auto", "no")}
    told["resumed"] = vars(train(folder / "bf16", "auto", 3, "resume"))
    print(json.dumps({"native": native_bf16(torch.device("cpu")), **told}))
