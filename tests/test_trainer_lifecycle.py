"""A run's life, by a task whose every number is known beforehand (`trainer_task`)."""

import json
import shutil
from pathlib import Path

import pytest
from posedata.splits import Elsewhere
from posetrain.ablation import Variants, ablate, over_keys
from posetrain.commands import add_baseline, task_app
from posetrain.errors import plain_errors
from posetrain.lifecycle import measure, measure_beside, open_run, save_results, train
from posetrain.recipe import changed
from posetrain.runs import Run
from trainer_task import Recipe, Toy, toy, weight
from typer.testing import CliRunner

FIRST = 7.5  # 8 (1 - 0.5⁴)
SECOND = FIRST * (1 - 0.5**4)


def test_stages_are_made_one_after_the_other_and_measured_once(tmp_path: Path) -> None:
    task = Toy()
    trained, metrics = train(task, toy(), tmp_path / "run")
    assert task.made == ["data", "first", "second"]
    assert metrics == {"first": FIRST, "error": {"first": 0.5, "second": FIRST - SECOND}}
    assert json.loads((tmp_path / "run/metrics.json").read_text()) == metrics
    assert (tmp_path / "run/report.html").read_text() == str(FIRST)
    assert trained.stages == {"first", "second"}
    again = open_run(task, tmp_path / "run")
    assert task.made.count("data") == 1  # opened when they are asked for
    assert measure(again, "validation")["error"]["first"] == 4.0 - FIRST
    assert json.loads((tmp_path / "run/metrics.json").read_text()) == metrics
    assert json.loads((tmp_path / "run/metrics-validation.json").read_text())["first"] == FIRST


def test_a_group_goes_on_from_what_is_there(tmp_path: Path) -> None:
    task, run = Toy(), tmp_path / "run"
    with pytest.raises(FileNotFoundError, match="no last checkpoint of stage first"):
        train(task, toy(), run, group="second")
    assert not run.exists()
    assert train(task, toy(), run, group="first")[1] == {}
    assert open_run(task, run).stages == {"first"}
    with pytest.raises(ValueError, match=r"first in .*, which --overwrite would delete"):
        train(task, toy(), run, "replace", group="second")
    _, metrics = train(task, toy(), run, group="second")
    assert metrics["error"]["second"] == FIRST - SECOND
    shutil.rmtree(run / "checkpoints/second")
    shutil.rmtree(run / "checkpoints/first/step-00000004")
    with pytest.raises(ValueError, match="stage first is at step 2 of 4"):
        train(task, toy(), run, group="second")
    with pytest.raises(ValueError, match="--stage second: this recipe leaves it out; it has first"):
        train(task, toy("second.steps=0"), tmp_path / "other", group="second")


def test_a_run_is_of_its_own_data_unless_others_are_named(tmp_path: Path) -> None:
    task, run = Toy(), tmp_path / "run"
    trained, metrics = train(task, toy(), run, report=False)
    store = open_run(task, run, Elsewhere(Path("stores/10")))
    found = measure(store)
    assert found["error"]["first"] == 2.5
    save_results(tmp_path / "r.json", store, found)
    results = json.loads((tmp_path / "r.json").read_text())
    assert results["data"] == "store 8.0 10.0"
    assert results["rows"][0]["error.first"] == 2.5
    assert json.loads((run / "metrics.json").read_text()) == metrics  # which are of its own data
    train(task, toy("first.steps=2"), tmp_path / "peer", report=False)
    (row,) = measure_beside(trained, [tmp_path / "peer"])
    assert (row["run"], row["first"]) == ("peer", 6.0)
    train(task, toy("data.target=9"), tmp_path / "stranger", report=False)
    with pytest.raises(ValueError, match="was trained on other data"):
        measure_beside(trained, [tmp_path / "stranger"])


def test_validation_follows_every_stage(tmp_path: Path) -> None:
    train(Toy(), toy("loop.evaluate_every=2"), tmp_path / "run")
    curve = [(r["step"], r["eval/error"]) for r in Run(tmp_path / "run").curves("first") if "eval/error" in r]
    assert curve == [(2, 4.0 - 6.0), (4, 4.0 - FIRST)]


def test_over_is_the_product_and_brackets_hold_together() -> None:
    table = over_keys(["first.lr=0.125, 0.25", "loop.trackers=[],[tensorboard,wandb]"])
    assert list(table.variants.values()) == [
        ("first.lr=0.125", "loop.trackers=[]"),
        ("first.lr=0.125", "loop.trackers=[tensorboard,wandb]"),
        ("first.lr=0.25", "loop.trackers=[]"),
        ("first.lr=0.25", "loop.trackers=[tensorboard,wandb]"),
    ]
    assert changed(Recipe(), list(table.variants.values())[1]).loop.trackers == ("tensorboard", "wandb")
    assert table.title == "first.lr x loop.trackers"
    for wrong in ("first.lr", "=1,2", "first.lr="):
        with pytest.raises(ValueError, match="write it as key=a,b,c"):
            over_keys([wrong])
    with pytest.raises(ValueError, match=r"did you mean first\.lr"):
        ablate(Toy(), Recipe(), Path("none"), over_keys(["first.lt=1,2"]))


def test_ablation_trains_each_variant_once_and_shares_what_is_alike(tmp_path: Path) -> None:
    task, out = Toy(), tmp_path / "a.json"
    table = over_keys(["first.lr=0.125,0.25", "second.steps=1,4"])
    shown = ablate(task, toy(), tmp_path / "runs", table, seeds=2, json=out)
    assert task.made.count("data") == 1
    assert len(list((tmp_path / "runs").glob("*/metrics.json"))) == 8
    results = json.loads(out.read_text())
    assert results["seeds"] == [0, 1]
    slow = weight(toy("first.lr=0.125"))
    firsts = [row["first"] for row in results["rows"]]
    assert firsts == pytest.approx([slow, slow, FIRST, FIRST])
    assert results["rows"][1]["error.second"] == pytest.approx(slow / 16)
    assert results["rows"][2]["minus_first.first"] == pytest.approx(FIRST - slow)
    assert [row[0] for row in shown.rows] == list(table.variants)
    assert shown.header == ["variant", "w"]
    # the first stage of 1 and of 4 second steps is one: taken over, not trained again
    trained = [len(Run(f.parent).curves("first")) for f in sorted((tmp_path / "runs").glob("*/recipe.yaml"))]
    assert sorted(trained) == [0] * 4 + [4] * 4
    then = {f: f.stat().st_mtime_ns for f in (tmp_path / "runs").glob("*/metrics.json")}
    shutil.rmtree(tmp_path / "runs/first.lr=0.25-second.steps=4-seed1/checkpoints/second/step-00000004")
    assert ablate(task, toy(), tmp_path / "runs", table, seeds=2).rows == shown.rows
    assert [f.parent.name for f in then if f.stat().st_mtime_ns != then[f]] == [
        "first.lr=0.25-second.steps=4-seed1"
    ]


def test_the_same_recipe_is_not_trained_twice_in_a_folder(tmp_path: Path) -> None:
    runs = Variants(Toy())
    runs.metrics(toy(), tmp_path / "one")
    assert runs.metrics(toy(), tmp_path / "another")["first"] == FIRST
    assert not (tmp_path / "another").exists()


def test_a_run_that_diverges_leaves_the_others_finished(tmp_path: Path) -> None:
    table = over_keys(["first.lr=1e30,0.25"])
    with pytest.raises(ValueError, match=r"first\.lr=1e30-seed0: (loss|gradient) is"):
        ablate(Toy(), toy("first.steps=9"), tmp_path, table)
    assert (tmp_path / "first.lr=0.25-seed0/metrics.json").is_file()


def test_the_commands_of_a_task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from posetrain.recipe import to_yaml

    monkeypatch.chdir(tmp_path)
    (tmp_path / "toy.yaml").write_text(to_yaml(toy()))
    app = task_app(Toy.about, "A toy.")
    add_baseline(app, Toy.about)

    def said(*words: str, code: int = 0) -> str:
        with plain_errors():
            result = CliRunner().invoke(app, list(words))
        assert result.exit_code == code, result.output
        return " ".join(result.output.split())

    recipe, evaluate = ("--recipe", "toy.yaml"), ("evaluate", "runs/toy")
    assert "run runs/toy, report runs/toy/report.html" in said("train", *recipe)
    assert "holds a run" in said("train", *recipe, code=2)
    assert "7.5" in said("train", *recipe, "--overwrite", "--no-report", "--json", "t.json")
    assert json.loads((tmp_path / "t.json").read_text())["rows"][0]["first"] == FIRST
    said("baseline", *recipe, "--name", "b", "--set", "first.steps=2", "--part", "validation")
    assert "6.0" in said(*evaluate, "--peer", "runs/b", "--json", "e.json")
    assert [row["first"] for row in json.loads((tmp_path / "e.json").read_text())["rows"]] == [FIRST, 6.0]
    assert "h36m-p1 on somewhere" in said(*evaluate, "--protocol", "h36m-p1", "--store", "somewhere")
    assert "leave --part out" in said(*evaluate, "--protocol", "p", "--part", "validation", code=2)
    assert "--split is of what --data names" in said(*evaluate, "--split", "s.json", code=2)
    assert "report runs/toy/report.html" in said("report", "runs/toy")
    assert "Rates" in said("ablate", *recipe)
    assert (tmp_path / "runs/toy-ablation/slow-seed0/metrics.json").is_file()
    said("ablate", *recipe, "--over", "first.steps=1,2", "--seeds", "2", "--json", "o.json")
    rows = json.loads((tmp_path / "o.json").read_text())["rows"]
    assert [(row["variant"], row["first"]) for row in rows] == [
        ("first.steps=1", 4.0),
        ("first.steps=2", 6.0),
    ]
    assert (tmp_path / "runs/toy-over-first.steps/first.steps=2-seed1").is_dir()
    assert "exclude each other" in said("ablate", "--over", "a=1", "--variants", "rates", *recipe, code=2)
    assert "choose rates" in said("ablate", "--variants", "no", *recipe, code=2)
    assert "No such option" not in said("train", *recipe, "--name", "s", "--stage", "first")
