"""Training on two hosts is training on one, whatever the number of processes was before; where a host is lost
the other says so within the recipe's time.
"""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from posetrain.checkpoint import load_checkpoint
from posetrain.runs import Run
from typer.testing import CliRunner
from vvipe.cli import app
from vvipe_tiny import overrides

CONFIG = Path(__file__).parents[2] / "docs/pages/launch/two_hosts.yaml"
NAMESPACES = Path(__file__).with_name("namespaces.py")
ALONE = ("unshare", "--map-root-user", "--net", "--mount")
PROGRAM = Path(sys.executable).with_name("vvipe")
STEPS = 40
TIMEOUT = 15
MORE = (
    *(f"vae={{steps: {STEPS}, batch: 32}}", f"mapping={{steps: {STEPS}, batch: 16}}"),
    *("loop.precision=no", "loop.checkpoint_every=10"),
)


def missing() -> str:
    """Why two hosts cannot be made here; "" where they can."""
    if not all(map(shutil.which, ("unshare", "ip"))):
        return "needs unshare and ip: apt-get install util-linux iproute2"
    tried = subprocess.run(
        [*ALONE, "sh", "-c", "mount -t tmpfs tmpfs /run && ip netns add try"],
        check=False,
        capture_output=True,
    )
    return (
        "" if tried.returncode == 0 else "needs leave to make network namespaces (user namespaces, or root)"
    )


pytestmark = pytest.mark.skipif(bool(missing()), reason=missing())


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("hosts")


@pytest.fixture(scope="module")
def alone(cache: Path) -> Run:
    """What one process learns."""
    result = CliRunner().invoke(app, train(cache, "alone"))
    assert result.exit_code == 0, result.output
    return Run(cache / "runs/alone")


@pytest.mark.parametrize("how", [1, 2, CONFIG], ids=["1", "2", "accelerate"])
def test_two_hosts_learn_what_one_process_learns(alone: Run, cache: Path, how: int | Path) -> None:
    """By `torchrun` of so many processes a host, or by `accelerate launch` and the documented file."""
    name = f"hosts-{getattr(how, 'stem', how)}"
    for host in hosts(how, *train(cache, name)):
        assert host["code"] == 0, host["said"]
        assert host["bytes"] > 0
    assert_same(Run(cache / "runs" / name), alone)


def test_a_lost_host_ends_the_other_and_one_process_goes_on(alone: Run, cache: Path) -> None:
    run, words = Run(cache / "runs/lost"), train(cache, "lost", f"loop.timeout={TIMEOUT}")
    left, lost = hosts(1, *words, lose=f"{run.path / 'log.jsonl'}:{STEPS + 15}")
    assert (left["code"], lost["code"]) == (1, -9)
    assert left["lived_on"] < TIMEOUT + 20  # torchrun's own leave-taking included
    said = [line for line in left["said"].splitlines() if line.startswith("error: ")]
    assert len(said) == 1
    assert "another process of this training ended, or kept this one waiting for longer" in said[0]
    assert f"loop.timeout ({TIMEOUT} s)" in said[0]
    assert run.checkpoints("mapping").path() is not None
    assert len(run.curves("mapping")) < STEPS
    result = CliRunner().invoke(app, [*words, "--resume"])
    assert result.exit_code == 0, result.output
    assert_same(run, alone)


def test_one_process_begins_and_four_go_on(alone: Run, cache: Path) -> None:
    """Checkpoints say nothing of how many wrote them: batch and draws are those of the recipe."""
    run = Run(shutil.copytree(cache / "runs/alone", cache / "runs/more"))
    shutil.rmtree(run.checkpoint("mapping"))  # as if it had been killed before the last
    assert (begun := run.checkpoints("mapping").path())
    assert begun.name == f"step-{STEPS - 10:08d}"
    for host in hosts(2, *train(cache, "more"), "--resume"):
        assert host["code"] == 0, host["said"]
    assert_same(run, alone)


def test_a_host_that_does_not_see_the_run_is_named(cache: Path) -> None:
    """Each host a folder of its own: at the first stage both begin, but one alone has what to go on with."""
    shutil.copytree(cache / "runs/alone", cache / "elsewhere/one/whole")
    shutil.rmtree(cache / "elsewhere/one/whole/checkpoints/mapping")
    words = train(cache, "whole")
    words[words.index(str(cache / "runs"))] = "RUNS"
    script = cache / "apart.sh"
    script.write_text(f'exec {PROGRAM} "${{@/RUNS/{cache}/elsewhere/$(ip netns identify)}}"\n')
    found = hosts(1, *words, "--resume", program=("--no-python", "bash", str(script)))
    said = "".join(host["said"] for host in found)
    assert {host["code"] for host in found} == {1}
    assert "the last checkpoint of vae is not the same everywhere" in said
    assert f"process 0: {STEPS}" in said
    assert "process 1: 0" in said
    assert "put the run's folder where every host reads it (--runs)" in said


def train(cache: Path, name: str, *more: str) -> list[str]:
    words = ["train", "--runs", str(cache / "runs"), "--name", name, "--no-report"]
    return [*words, *overrides(cache, *MORE, *more)]


def hosts(
    how: int | Path, *words: str, lose: str | None = None, program: tuple[str, ...] = (str(PROGRAM),)
) -> list[dict[str, Any]]:
    """A program on two hosts, each of so many processes, or started by a configuration file."""
    option = ("--lose", lose) if lose else ()
    command = [*ALONE, sys.executable, str(NAMESPACES), str(how), *option, *program, *words]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr
    found: list[dict[str, Any]] = json.loads(done.stdout.splitlines()[-1])
    return found


def assert_same(run: Run, other: Run) -> None:
    """What every step lost, and all weights, averaged ones and batch statistics included, to 1e-5."""
    for stage in ("vae", "mapping"):
        lost, expected = ([(line["step"], line["loss"]) for line in r.curves(stage)] for r in (run, other))
        assert lost == [(step, pytest.approx(loss, rel=1e-5)) for step, loss in expected]
        one, two = (load_checkpoint(r.checkpoint(stage)).tensors for r in (run, other))
        assert one.keys() == two.keys()
        for key, value in two.items():
            if key.startswith(("model/", "ema/")):
                torch.testing.assert_close(one[key], value, rtol=0, atol=1e-5, msg=f"{stage} {key}")
