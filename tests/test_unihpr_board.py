"""The board, tiny: rows that resume and repeat to the digit, and what it says of differences."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from polypose.peers import PEERS
from polypose.standings import pairwise, row
from posedata.splits import Elsewhere
from posetrain.ablation import Variants
from posetrain.recipe import load_recipe
from typer.testing import CliRunner
from unihpr.board import Board
from unihpr.cli import app
from unihpr.data import POSE, TrainingData, prepare_stores
from unihpr.lifters import LIFTER, LIFTERS, views

TINY = (
    "data.test_images=40",
    "data.synthetic={subjects: 5, test_subjects: 2, validation_subjects: 1, clips: 2, frames: 40}",
    "data.workers=1",
    "lifter.steps=2",
    "lifter.batch=16",
    "lifter.hypotheses=6",
    "lifter.drawn=10",
    "loop.trackers=[]",
    "loop.precision=no",
)


def test_rows_resume_and_repeat_to_the_digit(tmp_path: Path) -> None:
    recipe = load_recipe("quickstart", LIFTERS.schema, [*TINY, f"data.cache={tmp_path}"], LIFTERS.recipes)
    folder, json_file = tmp_path / "board", tmp_path / "board.json"
    place = Elsewhere(
        prepare_stores(recipe.data).test_views.store.path
    )  # its own test, as if it were another
    board = Board(recipe, folder, ("semgcn", "normal"), ("detector",), seeds=2, tries=2, place=place)
    board.run(json_file)
    first = json.loads(json_file.read_text())
    rows = {r["lifter"]: r for r in first["rows"] if r["part"] == "rows"}
    assert {name: r["views"] for name, r in rows.items()} == {"semgcn": 32, "normal": 32}
    assert rows["semgcn"]["parameters"] == 267_373
    assert rows["semgcn"]["lr"] in (1e-3, 3e-3)
    drawn = [r for r in first["rows"] if r["part"] == "hypotheses"]
    assert [(r["lifter"], r["spread"]) for r in drawn] == [("normal", "as drawn"), ("normal", "calibrated")]
    for each in drawn:
        assert each["best_of_5_mpjpe_mm"] < each["best_of_1_mpjpe_mm"]
    assert 1 / 8 <= drawn[1]["stretch"] <= 8
    (again,) = (r for r in first["rows"] if r["part"] == "refined")
    assert again["lifter"] == "normal"
    assert again["mean_mpjpe_mm"] == drawn[0]["mean_mpjpe_mm"]
    assert again["hypotheses"] == 6
    assert rows["semgcn"]["low_mm"] <= rows["semgcn"]["mpjpe_mm"] <= rows["semgcn"]["high_mm"]
    where = [r for r in first["rows"] if r["part"] == "breakdown" and r["lifter"] == "semgcn"]
    assert {r["by"] for r in where} == {"joint", "action", "elevation", "distance"}
    for by in {r["by"] for r in where}:
        own = [r for r in where if r["by"] == by]
        whole = sum(r["views"] * r["mpjpe_mm"] for r in own) / sum(r["views"] for r in own)
        assert whole == pytest.approx(rows["semgcn"]["mpjpe_mm"], rel=1e-4)
    pair = next(r for r in first["rows"] if r["part"] == "pairs")
    expected = rows["semgcn"]["mpjpe_mm"] - rows["normal"]["mpjpe_mm"]
    assert pair["difference_mm"] == pytest.approx(expected, abs=0.02)
    for away in (r for r in first["rows"] if r["part"] == "elsewhere"):
        same = rows[away["lifter"]]
        for key in ("mpjpe_mm", "pa_mpjpe_mm", "low_mm", "high_mm"):
            assert away[key] == pytest.approx(same[key], rel=0.1), key  # the noise is drawn anew
        assert (away["views"], away["people"]) == (40, 2)
    kept = folder / "views-semgcn-detector-seed0"
    before = (kept / "metrics.json").read_bytes()
    shutil.rmtree(folder / "views-normal-detector-seed1")
    board.run(json_file)
    assert (kept / "metrics.json").read_bytes() == before
    again = {r["lifter"]: r for r in json.loads(json_file.read_text())["rows"] if r["part"] == "rows"}
    for name, old in rows.items():
        same = {k: v for k, v in old.items() if k not in ("poses_per_second", "training_seconds")}
        assert {k: again[name][k] for k in same} == same


def test_clips_are_the_test_s_views_with_what_is_around_them(tmp_path: Path) -> None:
    recipe = load_recipe("quickstart", LIFTERS.schema, [*TINY, f"data.cache={tmp_path}"], LIFTERS.recipes)
    data = TrainingData(prepare_stores(recipe.data), recipe.data)
    alone, joints = data.clips(1, False)
    clips, around = data.clips(5, False)
    assert len(clips) == 5 * len(alone) == around.shape[0] * around.shape[1]
    torch.testing.assert_close(around[:, 2], joints[:, 0])
    torch.testing.assert_close(clips.keypoints[2::5], alone.keypoints)
    torch.testing.assert_close(clips.joints[2::5], alone.joints, atol=1e-5, rtol=1e-4)
    moved = (around[:, 1:] - around[:, :-1]).norm(dim=-1).mean((1, 2))
    assert 0 < float(moved.median()) < 0.1  # metres in a thirtieth of a second
    noisy = data.clips(5, True)[0]
    assert float((noisy.keypoints - clips.keypoints).abs().median()) > 0.005
    drawn = data.draw_views(6, torch.Generator().manual_seed(0), lambda rows: rows[:2], noise=0.0, frames=5)
    assert len(drawn) == 10
    step = drawn.keypoints.unflatten(0, (2, 5)).diff(dim=1).abs().mean()
    assert float(step) < 0.2 * float((drawn.keypoints[0] - drawn.keypoints[5]).abs().mean())


def test_what_differs_in_drawing_alone_is_trained_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(PEERS, "twin", replace(PEERS["semgcn"], trained_as="semgcn"))
    monkeypatch.setitem(PEERS, "apart", PEERS["semgcn"])
    recipe = load_recipe("quickstart", LIFTERS.schema, [*TINY, f"data.cache={tmp_path}"], LIFTERS.recipes)
    runs, found = Variants(LIFTER), {}
    for name in ("semgcn", "twin", "apart"):
        found[name] = runs.metrics(replace(recipe, lifter=replace(recipe.lifter, name=name)), tmp_path / name)
    assert found["twin"]["test"] == found["apart"]["test"] == found["semgcn"]["test"]
    assert found["twin"]["training_seconds"] == found["semgcn"]["training_seconds"]
    assert found["apart"]["training_seconds"] != found["semgcn"]["training_seconds"]
    same = [replace(recipe, lifter=replace(recipe.lifter, name=name)) for name in ("gfpose", "gfpose_1000")]
    assert LIFTER.shared(same[0]) == LIFTER.shared(same[1])


def test_half_of_poseaug_s_views_are_of_poses_nobody_took(tmp_path: Path) -> None:
    recipe = load_recipe("quickstart", LIFTERS.schema, [*TINY, f"data.cache={tmp_path}"], LIFTERS.recipes)
    data = TrainingData(prepare_stores(recipe.data), recipe.data)
    config = replace(recipe.lifter, name="poseaug", batch=400)
    drawn = views(data, config, lambda rows: rows, 0, torch.Generator().manual_seed(0))
    assert len(drawn) == 400

    def of_thighs(joints: torch.Tensor) -> torch.Tensor:
        hips = joints[:, POSE.index("left_hip")], joints[:, POSE.index("right_hip")]
        return torch.cosine_similarity(*hips, dim=-1)  # about the pelvis: on one line in whoever lives

    apart = of_thighs(drawn.joints)
    assert float(apart[:200].max()) < -0.9
    assert float((apart[200:] > -0.9).float().mean()) > 0.4


def test_a_rate_that_diverges_where_it_is_tried_is_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("unihpr.board.TRIED", (1e30, 1.0))
    changes = [*TINY, f"data.cache={tmp_path}", "lifter.steps=40", "lifter.batch=2"]
    recipe = load_recipe("quickstart", LIFTERS.schema, changes, LIFTERS.recipes)
    for _ in range(2):  # and none the more when it is called again
        Board(recipe, tmp_path / "b", ("semgcn",), ("exact",), seeds=1, tries=2).run(tmp_path / "b.json")
        rows = [r for r in json.loads((tmp_path / "b.json").read_text())["rows"] if r["part"] == "rows"]
        assert [r["lr"] for r in rows] == [1e-3]
    monkeypatch.setattr("unihpr.board.TRIED", (1e30, 1e31))
    with pytest.raises(ValueError, match="semgcn: all 2 rates tried diverged; leave it out of --lifters"):
        Board(recipe, tmp_path / "c", ("semgcn",), ("exact",), seeds=1, tries=2).run()


def test_a_row_whose_run_is_another_s_is_measured_elsewhere_too(tmp_path: Path) -> None:
    """Of one step, a try is its row's run; and so is the row of a budget of time for one step."""
    changes = [*TINY, f"data.cache={tmp_path}", "lifter.steps=1"]
    recipe = load_recipe("quickstart", LIFTERS.schema, changes, LIFTERS.recipes)
    place = Elsewhere(prepare_stores(recipe.data).test_views.store.path)
    board = Board(
        recipe, tmp_path / "b", ("semgcn",), ("exact",), seeds=1, seconds=1e-9, tries=2, place=place
    )
    board.run(tmp_path / "b.json")
    rows = json.loads((tmp_path / "b.json").read_text())["rows"]
    whole = {r["budget"]: r for r in rows if r["part"] == "rows"}
    away = {r["budget"]: r for r in rows if r["part"] == "elsewhere"}
    assert whole.keys() == away.keys() == {"views", "time"}
    for budget, row_ in whole.items():
        assert away[budget]["mpjpe_mm"] == pytest.approx(row_["mpjpe_mm"], rel=1e-4)


def metrics(errors: list[float]) -> dict[str, object]:
    places = ("test", "anywhere", "steep", "chest")
    score = {"mpjpe_mm": sum(errors) / len(errors), "pa_mpjpe_mm": 1.0}
    cost = dict.fromkeys(("parameters", "mflops", "poses_per_second", "training_seconds"), 2.0)
    about = {"steps": 3, "batch": 5, "lr": 0.1}
    return {**dict.fromkeys(places, score), "errors_mm": dict.fromkeys(places, errors), **cost, **about}


def test_differences_beyond_chance_are_those_that_all_people_share() -> None:
    people = torch.arange(4).repeat_interleave(2)
    found = {
        "semgcn": [metrics([50.0, 52, 60, 62, 40, 42, 70, 72])],
        "dcgct": [metrics([45.0, 47, 55, 57, 35, 37, 65, 67])],
        "gfpose": [metrics([40.0, 42, 70, 72, 30, 32, 80, 82])],
    }
    one, other, third = pairwise(found, people)  # type: ignore[arg-type]
    assert (one["one"], one["other"]) == ("semgcn", "dcgct")
    assert (one["difference_mm"], one["low_mm"], one["high_mm"]) == (5, 5, 5)
    assert one["beyond_chance"]
    assert not other["beyond_chance"]  # 10 better for two people, 10 worse for the others
    assert not third["beyond_chance"]
    told = row("semgcn", [metrics([10.0] * 8), metrics([20.0] * 8)], people)  # type: ignore[list-item]
    assert (told["mpjpe_mm"], told["views"], told["low_mm"], told["high_mm"]) == (15, 15, 15, 15)
    assert told["seeds_sd_mm"] == pytest.approx(50**0.5)


def test_the_synthetic_human_s_board_has_people_to_try_rates_on() -> None:
    made = load_recipe("quickstart", LIFTERS.schema, [], LIFTERS.recipes).data.synthetic
    assert made.validation_subjects > 0
    assert made.subjects > made.validation_subjects + made.test_subjects


def test_what_cannot_be_run_is_refused(tmp_path: Path) -> None:
    for wrong, said in ((("--lifters", "nosuch"), "nosuch"), (("--keypoints", "seen"), "seen")):
        found = CliRunner().invoke(app, ["board", "--runs", str(tmp_path), *wrong])
        assert found.exit_code == 2
        assert said in found.output
    few = CliRunner().invoke(app, ["board", "--runs", str(tmp_path), "--set", "lifter.hypotheses=3"])
    assert few.exit_code == 2
    assert "lifter.hypotheses" in few.output
    assert "at least 4" in few.output
    assert list(tmp_path.iterdir()) == []
