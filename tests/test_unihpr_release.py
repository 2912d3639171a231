"""The release of a tiny run: what is written is what was trained, calibrated, and measured."""

import functools
import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from polypose.loading import load
from polypose.measuring import calibrate, estimates
from polypose.spread import fit
from posetrain.lifecycle import train
from posetrain.recipe import load_recipe
from typer.testing import CliRunner
from unihpr.cli import app
from unihpr.data import TrainingData
from unihpr.recipe import RECIPES, Recipe
from unihpr.release import branches_of, release
from unihpr.task import UNIHPR, open_run
from unihpr_tiny import TINY

PEOPLE = "data.synthetic={subjects: 6, test_subjects: 2, validation_subjects: 2, clips: 2, frames: 40}"


def test_a_release_is_the_run_with_its_spread_set_right(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("unihpr.release.fit", functools.partial(fit, steps=40))
    recipe = load_recipe("quickstart", Recipe, [*TINY, PEOPLE, f"data.cache={tmp_path / 'cache'}"], RECIPES)
    train(UNIHPR, recipe, tmp_path / "release", report=False)
    weights, results = tmp_path / "unihpr.safetensors", tmp_path / "release.json"
    data = open_run(tmp_path / "release").data
    assert isinstance(data, TrainingData)
    shown = release(tmp_path / "release", recipe, weights, results, say=lambda text: None)
    rows = json.loads(results.read_text())["rows"]

    model = load(weights)
    assert model.network.spread is not None
    told = json.loads(results.read_text())["stretch"]
    factors = [told[name] for name in ("image", "2d", "3d")]
    assert model.network.spread.stretch.tolist() == pytest.approx(factors, rel=2e-3)
    validation = branches_of(data.on("validation", lambda text: None))
    again = calibrate(model.network, list(validation.values()), 512)
    assert list(again.values()) == pytest.approx([1, 1, 1], rel=0.02)
    found = estimates(model.network, "image", [validation["image"][1]], 512)
    sd = model.network.spread(found.embedding, found.confidence, "image")
    assert float((found.residual / sd.detach())[:, 1:].square().mean()) == pytest.approx(1, rel=0.01)

    metrics = json.loads((tmp_path / "release" / "metrics.json").read_text())
    ours = {(row["rig"], row["branch"]): row for row in rows if "by" not in row}
    for branch in ("lift", "lift_detector", "image", "reconstruct"):
        row = ours["mocap", branch]
        assert ("mocap", branch, f"{row['mpjpe_mm']:.1f}") in shown.rows
        assert row["mpjpe_mm"] == pytest.approx(metrics[branch]["mpjpe_mm"], rel=5e-3)
        assert row["people"] == 2
        assert row["low_mm"] <= row["mpjpe_mm"] <= row["high_mm"]
    parts = [row for row in rows if row.get("by") == "roll"]
    whole = ours["anywhere", "lift"]
    assert sum(row["views"] for row in parts) == whole["views"]
    mean = sum(row["views"] * row["mpjpe_mm"] for row in parts) / whole["views"]
    assert mean == pytest.approx(whole["mpjpe_mm"], rel=1e-5)
    card = weights.with_suffix(".md").read_text()
    assert f"| mocap | 3D from the image | 40 | 2 | {ours['mocap', 'image']['mpjpe_mm']:.1f} |" in card
    assert "$" not in card
    again = replace(recipe, encodes=("2d",))
    release(tmp_path / "release", again, tmp_path / "lifter.safetensors", results, say=lambda text: None)
    assert {row["branch"] for row in json.loads(results.read_text())["rows"]} == {"lift", "lift_detector"}
    assert load(tmp_path / "lifter.safetensors").modalities == ("2d",)
    assert "without those of images" in (tmp_path / "lifter.md").read_text()
    assert all(value.dtype != torch.float16 for value in model.network.state_dict().values())


def test_a_recipe_of_senses_is_no_release(tmp_path: Path) -> None:
    files = ["--weights", str(tmp_path / "w.safetensors"), "--json", str(tmp_path / "w.json")]
    told = CliRunner().invoke(
        app, ["release", "--recipe", "senses", "--runs", str(tmp_path / "runs"), *files]
    )
    assert told.exit_code == 2
    assert "--recipe senses: trains Senses, which no release is of" in told.output
    assert not [*tmp_path.iterdir()]
