"""Killed at any moment and resumed, a run is the uninterrupted run, to the bit."""

import random
import time
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest
import torch
from nursery import NURSERY
from posetrain.checkpoint import load_checkpoint
from posetrain.runs import Run
from trainer_toy import Recipe, train

RECIPE = Recipe(pause=0.03)  # so that it still trains when a slow machine comes to kill it


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Run:
    run = Run(tmp_path_factory.mktemp("runs") / "whole")
    process = start(run)
    process.join()
    assert process.exitcode == 0
    return run


@pytest.mark.parametrize("attempt", range(2))
def test_killed_and_resumed_run_is_the_uninterrupted_one(whole: Run, tmp_path: Path, attempt: int) -> None:
    run = Run(tmp_path / "killed")
    chance = random.Random(attempt)
    for _ in range(3):
        process = start(run)
        stop_at = len(run.curves()) + chance.randrange(2, 13)
        while process.is_alive() and len(run.curves()) < stop_at:
            time.sleep(0.005)
        time.sleep(0.06 * chance.random())
        process.kill()
        process.join()
        assert process.exitcode == -9
    process = start(run)
    process.join()
    assert process.exitcode == 0
    assert curves(run) == curves(whole)
    for stage in ("first", "second"):
        killed, uninterrupted = (load_checkpoint(r.checkpoint(stage)) for r in (run, whole))
        assert killed.tensors.keys() == uninterrupted.tensors.keys()
        for name, value in uninterrupted.tensors.items():
            assert torch.equal(killed.tensors[name], value), name
        assert killed.card["metrics"] == uninterrupted.card["metrics"]
        assert killed.card["scheduler"] == uninterrupted.card["scheduler"]


def test_curve_falls_and_is_complete(whole: Run) -> None:
    for stage in ("first", "second"):
        losses = [r["loss"] for r in whole.curves(stage) if "loss" in r]
        assert [r["step"] for r in whole.curves(stage) if "loss" in r] == list(range(1, 26))
        assert len(set(losses)) == 25
    evaluated = [r["eval/mse"] for r in whole.curves() if "eval/mse" in r]
    assert len(evaluated) == 10
    assert evaluated[-1] < evaluated[0]


def start(run: Run) -> BaseProcess:
    process = NURSERY.Process(target=train, args=(run.path, RECIPE))
    process.start()
    return process


def curves(run: Run) -> list[dict[str, float]]:
    return [{key: value for key, value in record.items() if key != "seconds"} for record in run.curves()]
