"""Searching a recipe's values: a task of closed form, whose best rate is known."""

import json
import math
import shutil
from pathlib import Path
from typing import Any

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from posetrain.lifecycle import Trained
from posetrain.task import Metrics
from posetrain.tuning import Search, spaces_of, tune
from trainer_task import Points, Recipe, Toy, Weights, toy, weight

RATES = ["first.lr=0.05..0.95", "second.steps=2,4"]


def test_trials_are_runs_on_validation_and_the_best_is_first(tmp_path: Path) -> None:
    """The weight comes nearest its target, 8, at a rate of a half."""
    search = Search(RATES, "first", maximise=True, trials=7)
    shown = tune(Toy(), toy("first.steps=2"), tmp_path / "runs", search, tmp_path / "t.json")
    rows = json.loads((tmp_path / "t.json").read_text())["rows"]
    assert [row["first"] for row in rows] == sorted((row["first"] for row in rows), reverse=True)
    for row in rows:
        rate = row["values"].split()[0]
        assert row["first"] == pytest.approx(weight(toy("first.steps=2", rate)), abs=1e-4)
    own = next(row for row in rows if row["trial"] == 0)
    assert own["values"] == "first.lr=0.25 second.steps=4"  # the recipe as it is
    assert rows[0]["first"] > own["first"]
    assert len(shown.rows) == 7
    assert not list((tmp_path / "runs").glob("*/metrics.json"))  # nobody looked at the test


def test_a_search_that_was_stopped_comes_to_the_same_trials(tmp_path: Path) -> None:
    search = Search(["first.lr=log:1e-3..0.9"], "first", maximise=True, trials=4)
    whole = tune(Toy(), toy(), tmp_path / "whole", search)
    tune(Toy(), toy(), tmp_path / "stopped", Search(search.over, "first", maximise=True, trials=4))
    for number in (2, 3):
        shutil.rmtree(tmp_path / f"stopped/trial-{number:03d}")
    kept = {
        file: file.stat().st_mtime_ns for file in (tmp_path / "stopped").glob("*/metrics-validation.json")
    }
    assert tune(Toy(), toy(), tmp_path / "stopped", search).rows == whole.rows
    assert len(kept) == 2
    assert all(file.stat().st_mtime_ns == then for file, then in kept.items())


def test_what_diverges_is_left_out(tmp_path: Path) -> None:
    search = Search(["first.lr=0.25,1e30"], "first", maximise=True, trials=4)
    shown = tune(Toy(), toy("first.steps=9"), tmp_path, search)
    assert {row[-1] for row in shown.rows} == {"first.lr=0.25"}
    with pytest.raises(ValueError, match="all 2 trials diverged"):
        tune(Toy(), toy("first.steps=9"), tmp_path / "all", Search(["first.lr=1e30"], "first", trials=2))


class Blind(Toy):
    """At a rate of a half it has nothing to measure, as a mean of no rows has."""

    def measure(self, trained: Trained[Recipe, Weights, Points], held_out: Points, part: Any) -> Metrics:
        found = super().measure(trained, held_out, part)
        return found | ({"first": math.nan} if trained.recipe.first.lr == 0.5 else {})


def test_a_trial_whose_metric_is_no_number_is_left_out_now_and_when_read_again(tmp_path: Path) -> None:
    search = Search(["first.lr=0.25,0.5"], "first", trials=5)
    shown = tune(Blind(), toy(), tmp_path, search)
    assert {row[-1] for row in shown.rows} == {"first.lr=0.25"}
    assert 0 < len(shown.rows) < 5
    assert tune(Blind(), toy(), tmp_path, search).rows == shown.rows


def test_ranges() -> None:
    assert spaces_of(["a=1e-4..1", "b=log:1e-4..1e-2", "c = 2..8", "d=relu, gelu"]) == {
        "a": FloatDistribution(1e-4, 1),
        "b": FloatDistribution(1e-4, 1e-2, log=True),
        "c": IntDistribution(2, 8),
        "d": CategoricalDistribution(["relu", "gelu"]),
    }
    for wrong in ("1..", "a..b", "3..1", "log:0..1"):
        with pytest.raises(ValueError, match=r"--over k=.*: low and high are two numbers"):
            spaces_of([f"k={wrong}"])
    for text in ("k", "=1..2", "k="):
        with pytest.raises(ValueError, match=r"write it as key=low\.\.high"):
            spaces_of([text])


def test_keys_and_metrics_that_are_none_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"did you mean first\.lr"):
        tune(Toy(), toy(), tmp_path, Search(["first.lt=0.1..0.2"], "first"))
    with pytest.raises(ValueError, match=r"--metric mpjpe: is not measured; choose of first, error\.first"):
        tune(Toy(), toy(), tmp_path, Search(["first.lr=0.1..0.2"], "mpjpe", trials=1))
