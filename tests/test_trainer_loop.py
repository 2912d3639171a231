"""The loop against closed forms: accumulation, clipping, averaging, and what it does when a loss fails."""

import json
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from contrastive import Temperature
from posetrain.loop import DivergedError, Trainer, seed_of
from posetrain.runs import Existing, Run
from posetrain.stage import LoopConfig, Stage
from safetensors.torch import load_file
from torch import Tensor, nn

CONFIG = LoopConfig(device="cpu", precision="no", clip=None, log_every=1, trackers=())


@dataclass(frozen=True)
class Recipe:
    loop: LoopConfig = CONFIG


def open_trainer(
    path: Path, config: LoopConfig = CONFIG, existing: Existing = "refuse", data: str = ""
) -> Trainer:
    return Trainer(Run.start(path, Recipe(config), existing), config, data=data)


def line(weight: float = 1.0) -> nn.Linear:
    net = nn.Linear(1, 1, bias=False)
    nn.init.constant_(net.weight, weight)
    return net


def stage(net: nn.Module, batch: Any, **more: Any) -> Stage:
    """Minimise mean(w * x) by plain gradient descent with rate 1: each step takes mean(x) off the weight."""

    def loss(x: Any, generator: torch.Generator) -> dict[str, Tensor]:
        return {"loss": net(x if isinstance(x, Tensor) else x["x"][0]).mean()}

    settings = {"steps": 1, **more}
    optimizer = torch.optim.SGD(net.parameters(), lr=1.0)
    return Stage("demo", {"net": net}, optimizer, batch=batch, loss=loss, **settings)


def test_the_seed_decides_the_first_weights(tmp_path: Path) -> None:
    def weights(name: str, seed: int) -> Tensor:
        open_trainer(tmp_path / name, replace(CONFIG, seed=seed))
        return nn.Linear(5, 5).weight

    first = weights("a", 1)
    torch.rand(3)
    assert torch.equal(weights("b", 1), first)
    assert not torch.equal(weights("c", 2), first)


def test_accumulated_steps_take_the_mean_gradient(tmp_path: Path) -> None:
    drawn = iter([1.0, 3.0, 5.0, 7.0])
    net = line()
    trainer = open_trainer(tmp_path / "run", replace(CONFIG, accumulate=2))
    trainer.fit(stage(net, lambda step, g: torch.full((4, 1), next(drawn)), steps=2))
    assert net.weight.item() == 1.0 - 2.0 - 6.0
    # means over the two batches of a step: w (1 + 3) / 2 with w = 1, then w (5 + 7) / 2 with w = -1
    assert [record["loss"] for record in trainer.run.curves()] == [2.0, -6.0]


def test_clipping_bounds_the_step(tmp_path: Path) -> None:
    net = line()
    trainer = open_trainer(tmp_path / "run", replace(CONFIG, clip=0.25))
    trainer.fit(stage(net, lambda step, g: torch.full((4, 1), 8.0)))
    assert net.weight.item() == pytest.approx(0.75, abs=1e-6)


def test_what_learns_apart_is_clipped_by_its_own_norm(tmp_path: Path) -> None:
    """Of gradients 3 and 8 the first, below the bound, is whole; together both would be shorter."""

    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.other = line(), line()

        def forward(self, x: Tensor) -> Tensor:
            return self.one(3 * x) + self.other(8 * x)

    for apart, expected in ((True, (-2.0, -3.0)), (False, (1 - 4 * 3 / 73**0.5, 1 - 4 * 8 / 73**0.5))):
        net = Two()
        trainer = open_trainer(tmp_path / f"{apart}", replace(CONFIG, clip=4.0))
        more = {"apart": [net.other]} if apart else {}
        trainer.fit(stage(net, lambda step, g: torch.ones(4, 1), **more))
        assert (net.one.weight.item(), net.other.weight.item()) == pytest.approx(expected, abs=1e-5)


def test_averages_follow_the_recursion_and_are_what_is_evaluated(tmp_path: Path) -> None:
    net = line()
    net.eval()
    seen: list[tuple[float, bool]] = []

    def evaluate() -> dict[str, float]:
        seen.append((net.weight.item(), net.training))
        return {"w": net.weight.item()}

    trainer = open_trainer(tmp_path / "run", replace(CONFIG, ema=0.2, evaluate_every=1))
    metrics = trainer.fit(stage(net, lambda step, g: torch.ones(4, 1), steps=3, evaluate=evaluate))
    average, expected = 1.0, []
    for t, weight in enumerate([0.0, -1.0, -2.0], start=1):
        decay = min(0.2, (1 + t) / (10 + t))
        average = decay * average + (1 - decay) * weight
        expected.append(average)
    assert [w for w, _ in seen] == pytest.approx(expected, abs=1e-6)
    assert metrics["w"] == pytest.approx(expected[-1], abs=1e-6)
    assert net.weight.item() == pytest.approx(expected[-1], abs=1e-6)
    assert not any(training for _, training in seen)
    assert not net.training, "a module the app left in eval mode stays there"


def test_batches_depend_on_seed_and_step_alone(tmp_path: Path) -> None:
    drawn: dict[str, list[float]] = {"a": [], "b": []}
    for name, seed in (("a", 0), ("b", 1)):

        def batch(step: int, generator: torch.Generator, name: str = name) -> Tensor:
            drawn[name].append(torch.rand(1, generator=generator).item())
            return torch.ones(1, 1)

        open_trainer(tmp_path / name, replace(CONFIG, seed=seed)).fit(stage(line(), batch, steps=5))
    assert len({*drawn["a"], *drawn["b"]}) == 10
    third = torch.Generator().manual_seed(seed_of(0, "demo", 2, 0))
    assert drawn["a"][2] == torch.rand(1, generator=third).item()


def test_a_loss_that_is_not_finite_stops_with_its_batch_saved(tmp_path: Path) -> None:
    def batch(step: int, generator: torch.Generator) -> dict[str, Any]:
        return {
            "x": (torch.full((2, 1), float("nan") if step == 3 else 1.0), torch.arange(2)),
            "name": "pose",
        }

    trainer = open_trainer(tmp_path / "run")
    with pytest.raises(DivergedError, match="loss is nan at step 3 of demo") as caught:
        trainer.fit(stage(line(), batch, steps=9))
    path = tmp_path / "run" / "diverged-demo-00000003.safetensors"
    assert str(path) in str(caught.value)
    saved = load_file(path)
    assert saved.keys() == {"x/0", "x/1"}
    assert saved["x/0"].isnan().all()
    assert saved["x/1"].tolist() == [0, 1]
    assert [record["step"] for record in trainer.run.curves()] == [1, 2, 3]


def test_a_finished_stage_is_only_loaded_and_other_data_refused(tmp_path: Path) -> None:
    def batch(step: int, generator: torch.Generator) -> Tensor:
        return torch.ones(1, 1)

    net = line()
    open_trainer(tmp_path / "run", data="aaa").fit(stage(net, batch, steps=4))
    assert net.weight.item() == -3.0
    again = line(weight=50.0)
    open_trainer(tmp_path / "run", existing="resume", data="aaa").fit(stage(again, batch, steps=4))
    assert again.weight.item() == -3.0
    with pytest.raises(ValueError, match="trained on data aaa, resumed on bbb"):
        open_trainer(tmp_path / "run", existing="resume", data="bbb").fit(stage(line(), batch, steps=4))


def test_run_folders_are_not_mixed_up(tmp_path: Path) -> None:
    run = Run.start(tmp_path / "run", Recipe(replace(CONFIG, seed=2)))
    Run.start(run.path, Recipe())  # nothing was trained in it yet
    (run.path / "old").touch()
    (run.path / "checkpoints" / "step" / "step-00000001").mkdir(parents=True)
    with pytest.raises(ValueError, match="holds a run: pass --resume"):
        Run.start(run.path, Recipe())
    with pytest.raises(ValueError, match=r"another recipe \(loop.seed: 0 -> 1\)"):
        Run.start(run.path, Recipe(replace(CONFIG, seed=1)), "resume")
    Run.start(run.path, Recipe(), "resume")
    assert (run.path / "old").exists()
    Run.start(run.path, Recipe(replace(CONFIG, seed=1)), "replace")
    assert not (run.path / "old").exists()
    with pytest.raises(FileNotFoundError, match="no last checkpoint of stage align; train first"):
        run.checkpoint("align")


def test_a_log_cut_short_by_a_kill_is_read_and_truncated(tmp_path: Path) -> None:
    run = Run.start(tmp_path / "run", Recipe())
    for step in (1, 2, 3):
        run.log({"stage": "a", "step": step, "loss": step / 3})
    with run.log_file.open("a") as file:
        file.write('{"stage": "a", "st')
    run.truncate("a", 2)
    lines = [json.loads(text) for text in run.log_file.read_text().splitlines()]
    assert [(r["step"], r["loss"]) for r in lines] == [(1, 1 / 3), (2, 2 / 3)]


def test_the_loss_runs_in_the_recipe_s_precision(tmp_path: Path) -> None:
    net = line()
    x = torch.full((1, 1), 1.001)
    trainer = open_trainer(tmp_path / "run", replace(CONFIG, precision="bf16"))
    trainer.fit(stage(net, lambda step, g: x))
    assert trainer.run.curves()[0]["loss"] == 1.0, "1.001 is 1 in bfloat16"
    assert net.weight.dtype == torch.float32


def test_a_temperature_pushed_past_its_limit_comes_back_at_once(tmp_path: Path) -> None:
    """Three steps downwards, then one up; only the last leaves the limit, by a whole step."""
    temperature = Temperature(0.2, minimum=0.1)
    directions = (1.0, 1.0, 1.0, -1.0)
    seen: list[float] = []

    def loss(sign: float, generator: torch.Generator) -> dict[str, Tensor]:
        return {"loss": sign * temperature()}

    def after_step() -> None:
        temperature.clamp_()
        seen.append(temperature.log.exp().item())

    optimizer = torch.optim.SGD(temperature.parameters(), lr=5.0)
    open_trainer(tmp_path / "run", replace(CONFIG, ema=0.0)).fit(
        Stage(
            "demo",
            {"temperature": temperature},
            optimizer,
            4,
            lambda step, g: directions[step],
            loss,
            after_step=after_step,
        )
    )
    assert seen == pytest.approx([0.1, 0.1, 0.1, 0.1 * math.exp(5.0 * 0.1)], rel=1e-6)
    assert temperature.log.exp().item() == pytest.approx(seen[-1], rel=1e-6), "averages follow the hook"


def test_away_from_a_terminal_it_says_a_plain_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    open_trainer(tmp_path / "run").fit(stage(line(), lambda step, g: torch.ones(1, 1), steps=3))
    (said,) = capsys.readouterr().out.splitlines()
    assert said.startswith("demo 3/3  loss -1  ")


def test_tensorboard_gets_every_scalar(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    trainer = open_trainer(tmp_path / "run", replace(CONFIG, trackers=("tensorboard",)))
    trainer.fit(stage(line(), lambda step, g: torch.ones(1, 1), steps=3))
    trainer.close()
    events = EventAccumulator(str(tmp_path / "run" / "tensorboard" / "polypose"))
    events.Reload()
    assert [(e.step, e.value) for e in events.Scalars("demo/loss")] == [(1, 1.0), (2, 0.0), (3, -1.0)]


def test_tensorboard_forgets_the_steps_that_a_resumed_training_repeats(tmp_path: Path) -> None:
    """Killed after step 3 of 4 with a checkpoint at 2, it trains the third step again."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    config = replace(CONFIG, trackers=("tensorboard",), checkpoint_every=2)

    def killed(step: int, generator: torch.Generator) -> Tensor:
        if step == 3:
            raise KeyboardInterrupt
        return torch.ones(1, 1)

    trainer = open_trainer(tmp_path / "run", config)
    with pytest.raises(KeyboardInterrupt):
        trainer.fit(stage(line(), killed, steps=4))
    trainer.close()
    trainer = open_trainer(tmp_path / "run", config, "resume")
    trainer.fit(stage(line(), lambda step, g: torch.full((1, 1), 10.0 * step), steps=4))
    trainer.close()
    folder = tmp_path / "run" / "tensorboard" / "polypose"
    assert len(list(folder.iterdir())) == 2
    events = EventAccumulator(str(folder)).Reload()
    found = [(e.step, e.value) for e in events.Scalars("demo/loss")]
    assert found == [(1, 1.0), (2, 0.0), (3, -20.0), (4, -630.0)]
