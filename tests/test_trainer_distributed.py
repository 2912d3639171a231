"""Two gloo processes give the loss, the gradients and the weights of one."""

import json
import re
import subprocess
import sys
from pathlib import Path

import nursery
import processes_tiny
import pytest
import torch
import trainer_contrast
from contrastive.whole import WholeBatch
from posetrain.checkpoint import load_checkpoint
from posetrain.runs import Run
from posetrain.stage import LoopConfig
from torch import Tensor, nn
from torch.nn import functional
from typer.testing import CliRunner
from vvipe.cli import app
from vvipe_tiny import overrides

ONE_HOST = Path(__file__).parents[1] / "docs/pages/launch/one_host.yaml"


def test_two_processes_do_what_one_does(tmp_path: Path) -> None:
    alone, together = Run(tmp_path / "alone"), Run(tmp_path / "together")
    trainer_contrast.train(alone.path)
    torchrun("trainer_contrast.py", 2, together.path)
    assert len(alone.curves()) == len(together.curves()) == 16
    for one, two in zip(alone.curves(), together.curves(), strict=True):
        assert one.keys() == two.keys()
        for key in one.keys() - {"seconds", "stage"}:
            assert two[key] == pytest.approx(one[key], rel=1e-6), key  # the log holds float32
    for stage in ("both", "right"):
        one, two = (load_checkpoint(run.checkpoint(stage)).tensors for run in (alone, together))
        assert one.keys() == two.keys()
        for name, value in one.items():
            torch.testing.assert_close(two[name], value, rtol=1e-12, atol=1e-14)
    assert not torch.equal(one["model/right.weight"], one["ema/right.weight"])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What two processes, which import everything once, have learnt: `APP/damped` of every app."""
    folder = tmp_path_factory.mktemp("two")
    torchrun("processes_tiny.py", 2, folder / "theirs", folder, ",".join(processes_tiny.APPS), "damped")
    return folder


@pytest.mark.parametrize("name", processes_tiny.APPS)
def test_two_processes_learn_the_weights_of_one(folder: Path, name: str) -> None:
    """Ten steps of every stage, dropout, noise, augmentation and batch statistics included, in float32.

    And of equal weights they measure the same, to the last digit, on data that they have made together.
    """
    alone, together = folder / name / "alone", folder / name / "damped"
    processes_tiny.APPS[name](folder / "cache" / name, alone)
    measured = sorted(path.name for path in alone.glob("measured-*.json"))
    assert len(measured) == (0 if name in ("baseline", "senses") else 1)
    for file in measured:
        assert (together / file).read_bytes() == (alone / file).read_bytes()
    stages = sorted(path.relative_to(alone) for path in alone.glob("*/checkpoints/*/step-*"))
    count = {"unihpr": 3, "senses": 2, "baseline": 2, "vvipe": 4, "unipose": 4, "hands": 2}
    assert len(stages) == count[name]
    for stage in stages:
        run, _, named, _ = stage.parts
        for one, two in zip(Run(alone / run).curves(named), Run(together / run).curves(named), strict=True):
            for key in one.keys() - {"seconds", "stage"}:
                assert two[key] == pytest.approx(one[key], rel=1e-4, abs=1e-5), f"{stage} {key}"
        one, two = (load_checkpoint(way / stage).tensors for way in (alone, together))
        assert one.keys() == two.keys()
        for key, value in one.items():
            if key.startswith(("model/", "ema/")) and not (
                stage.parts[0] == "unpretrained" and MOOT.search(key)
            ):
                apart = 1e-4 if "running_" in key else 1e-5  # sums over pixels round otherwise
                torch.testing.assert_close(two[key], value, rtol=0, atol=apart, msg=f"{stage} {key}")


MOOT = re.compile(r"encoder\.out\.bias|decoder\.first\.1\.running_mean")
"""Without an autoencoder nothing depends on where the embeddings' mean lies."""


def test_accelerate_launches_two_processes_by_the_documented_file(tmp_path: Path) -> None:
    words = ["train", "--no-report", "--runs", tmp_path, *overrides(tmp_path / "cache", "loop.precision=no")]
    result = CliRunner().invoke(app, [*map(str, words), "--name", "alone"])
    assert result.exit_code == 0, result.output
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--config_file", ONE_HOST]
    program = [Path(sys.executable).with_name("vvipe"), *words, "--name", "together"]
    command = list(map(str, [*launch, "--main_process_port", 0, *program]))
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    alone, together = Run(tmp_path / "alone"), Run(tmp_path / "together")
    began = [json.loads((run.path / "starts.jsonl").read_text())["processes"] for run in (alone, together)]
    assert began == [1, 2]
    for stage in ("vae", "mapping"):
        one, two = (load_checkpoint(run.checkpoint(stage)).tensors for run in (alone, together))
        for key in one:
            if key.startswith(("model/", "ema/")):
                torch.testing.assert_close(two[key], one[key], rtol=0, atol=1e-5, msg=f"{stage} {key}")


def test_draws_of_two_shares_are_those_of_the_whole_batch() -> None:
    attention = nn.MultiheadAttention(8, 2, 0.3, batch_first=True)
    whole = torch.randn(8, 5, 8)

    def draw(x: Tensor, generator: torch.Generator) -> list[Tensor]:
        torch.manual_seed(3)
        across = x.transpose(0, 1).contiguous().transpose(0, 1)  # rows are not the slowest axis in memory
        found = [
            functional.dropout(y, 0.4) for y in (x, across, x.transpose(1, 2), x[:, :1].expand(-1, 3, -1))
        ]
        found += [attention(x, x, x, need_weights=need)[0] for need in (True, False)]
        found += [functional.scaled_dot_product_attention(x, x, x, dropout_p=0.2), torch.rand_like(x)]
        return [*found, torch.randn(len(x), 2), torch.empty_like(across).uniform_(), torch.rand(len(x), 3)]

    def by_generator(x: Tensor, generator: torch.Generator) -> list[Tensor]:
        drawn = torch.randn(len(x), 3, generator=generator), torch.randint(9, (len(x),), generator=generator)
        return [*drawn, torch.rand(len(x), 2, 2, generator=generator)]

    for parts in ((4,), (1, 3)):
        for make, inside in ((draw, lambda w: w), (by_generator, lambda w: w.draws())):
            expected = make(whole, torch.Generator().manual_seed(0))
            for rank in range(2):
                mine = WholeBatch(2, rank)
                size, rows = mine.own(*parts) or (0, ())
                assert size == 8
                with inside(mine), mine.rows(*parts):
                    found = make(whole[list(rows)], torch.Generator().manual_seed(0))
                for one, two in zip(expected, found, strict=True):
                    assert torch.equal(one[list(rows)], two)


def test_processes_share_work_and_have_what_one_would() -> None:
    torchrun("processes_shared.py", 2)


def test_a_slow_first_process_is_waited_for_as_long_as_the_recipe_says(tmp_path: Path) -> None:
    said = torchrun("processes_slow.py", 2, tmp_path / "short", 2, 5, code=2)
    assert "error: another process of this training ended, or kept this one waiting for longer" in said
    assert "loop.timeout (2 s)" in said
    assert "Traceback (most recent call last):\n  File" not in said.split("error: another process")[0]
    torchrun("processes_slow.py", 2, tmp_path / "long", LoopConfig().timeout, 3)
    assert Run(tmp_path / "long").curves("slow")[-1]["eval/slept"] == 3


def torchrun(script: str, processes: int, *arguments: object, code: int = 0) -> str:
    done = nursery.torchrun(Path(__file__).with_name(script), processes, *arguments)
    assert done.returncode == code, done.stderr
    return done.stderr
