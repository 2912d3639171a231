"""Validation: people that neither training nor the test has, in every app.

`loop.evaluate_every` follows training on them, `evaluate --part validation` measures a run on them.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import polypose
import pytest
import unihpr.cli
import unihpr.data
import unipose.cli
import unipose.data
import unipose_tiny
import vvipe.cli
import vvipe.data
import vvipe_tiny
from posedata.store import PoseStore
from posetrain.runs import Run
from typer import Typer
from typer.testing import CliRunner
from unihpr_tiny import TINY as UNIHPR
from unihpr_tiny import tiny as unihpr_tiny
from unipose.hands_cli import app as hands
from unipose_tiny import TINY as UNIPOSE

PEOPLE = "data.synthetic={subjects: 5, test_subjects: 1, validation_subjects: 2, clips: 2, frames: 24}"
KEPT = {2, 3}
HANDS = (
    "data={images: 24, test_images: 16, size: 32, workers: 1}",
    "model={backbone: light, weights: null, dim: 32, heads: 2, hidden: 32}",
    "train={steps: 4, batch: 4}",
    "loop={log_every: 1, trackers: []}",
)


def run(app: Typer, *words: object) -> str:
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == 0, result.output
    return result.output


def followed(app: Typer, runs: Path, settings: tuple[str, ...], every: int, *more: str) -> Path:
    """A tiny run with people for validation, followed on them every so many steps; 0: not at all."""
    name = f"every-{every}"
    given = (*settings, f"loop.evaluate_every={every}")
    words = [word for item in given for word in ("--set", item)]
    run(app, "train", "--runs", runs, "--name", name, *more, *words)
    return runs / name


def followed_by(path: Path, stage: str) -> dict[int, dict[str, float]]:
    """By step: what a stage was followed by."""
    records = [r for r in Run(path).curves(stage) if any(key.startswith("eval/") for key in r)]
    return {
        r["step"]: {k.removeprefix("eval/"): v for k, v in r.items() if k.startswith("eval/")}
        for r in records
    }


def learnt(path: Path) -> list[tuple[str, int, float]]:
    return [(r["stage"], r["step"], r["loss"]) for r in Run(path).curves() if "loss" in r]


def validated(app: Typer, path: Path, out: Path) -> dict[str, Any]:
    """`evaluate --part validation`, which leaves what is known of the test alone."""
    test = (path / "metrics.json").read_bytes()
    run(app, "evaluate", path, "--part", "validation", "--json", out)
    assert (path / "metrics.json").read_bytes() == test
    found = json.loads((path / "metrics-validation.json").read_text())
    assert found != json.loads(test)
    results, card = json.loads(out.read_text()), next(path.glob("checkpoints/*/step-*/card.json"))
    assert results["part"] == "validation"
    assert results["data"] != json.loads(card.read_text())["data"]
    return found


def subjects(store: PoseStore, rows: np.ndarray | None = None) -> set[int]:
    people = np.asarray(store.column("subject"))
    return set((people if rows is None else people[rows]).tolist())


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("validation")


@pytest.fixture(scope="module")
def alone(cache: Path) -> Path:
    """A run of UniHPR that was not followed."""
    return followed(unihpr.cli.app, cache, (*UNIHPR, PEOPLE, f"data.cache={cache}"), 0, "--no-report")


def test_unihpr(cache: Path, alone: Path, tmp_path: Path) -> None:
    path = followed(unihpr.cli.app, tmp_path, (*UNIHPR, PEOPLE, f"data.cache={cache}"), 2)
    found = validated(unihpr.cli.app, path, tmp_path / "r.json")
    curve = followed_by(path, "finetune")
    assert sorted(curve) == [2, 4]
    assert sorted(followed_by(path, "align_poses")) == [2, 4, 6]
    assert set(followed_by(path, "align_poses")[6]) == {"2d_to_3d.mpjpe_mm"}
    for name in ("lift", "image"):
        assert curve[4][f"{name}.mpjpe_mm"] == pytest.approx(found[name]["mpjpe_mm"], rel=1e-4)
    for name in ("2d_to_3d", "image_to_3d"):
        expected = found["retrieval"][name]["mpjpe_mm"]
        assert curve[4][f"{name}.mpjpe_mm"] == pytest.approx(expected, rel=1e-4)
    config = unihpr_tiny(cache, PEOPLE).data
    data = unihpr.data.TrainingData(unihpr.data.prepare_stores(config), config)
    assert subjects(data.on("validation").stores.test_views) == KEPT
    assert subjects(data.stores.test_views) == {4}
    assert subjects(data.stores.train_views) == {0, 1}
    results = json.loads((tmp_path / "r.json").read_text())
    assert results["data"] == data.on("validation").stores.fingerprint
    assert learnt(path) == learnt(alone)
    assert "kept for validation" in (path / "report.html").read_text()


def test_simple_baseline_beside_unihpr(cache: Path, alone: Path, tmp_path: Path) -> None:
    settings = (*UNIHPR, PEOPLE, f"data.cache={cache}", "loop.evaluate_every=5")
    given = [word for item in settings for word in ("--set", item)]
    words = ("baseline", "--runs", tmp_path, "--name", "b", *given)
    run(unihpr.cli.app, *words)
    test = (tmp_path / "b" / "metrics.json").read_bytes()
    asked = (
        "evaluate",
        alone,
        "--baseline",
        tmp_path / "b",
        "--part",
        "validation",
        "--json",
        tmp_path / "r",
    )
    run(unihpr.cli.app, *words, "--resume", "--part", "validation")
    assert (tmp_path / "b" / "metrics.json").read_bytes() == test
    run(unihpr.cli.app, *asked)
    ours, theirs = json.loads((tmp_path / "r").read_text())["rows"]
    assert (ours["method"], theirs["method"]) == ("UniHPR", "SimpleBaseline")
    for branch, stage in (("lift", "simple_baseline"), ("lift_detector", "simple_baseline_detector")):
        last = followed_by(tmp_path / "b", stage)[5]["mpjpe_mm"]
        assert theirs[f"{branch}.mpjpe_mm"] == pytest.approx(last, rel=1e-4)
    exact = json.loads(test)["exact"]["mpjpe_mm"]
    assert theirs["lift.mpjpe_mm"] != exact
    run(unihpr.cli.app, "evaluate", tmp_path / "b", "--json", tmp_path / "alone")
    assert json.loads((tmp_path / "alone").read_text())["rows"][0]["mpjpe_mm"] == pytest.approx(
        exact, rel=1e-4
    )


def test_vvipe(tmp_path: Path) -> None:
    settings = (*vvipe_tiny.TINY, PEOPLE, f"data.cache={tmp_path}")
    path = followed(vvipe.cli.app, tmp_path, settings, 3)
    found = validated(vvipe.cli.app, path, tmp_path / "r.json")
    last = followed_by(path, "mapping")[6]
    for rig in ("same_rig", "all", "unseen"):
        for name, value in found[rig].items():
            assert last[f"{rig}.{name}"] == pytest.approx(value, rel=1e-4)
    rebuilt = followed_by(path, "vae")
    assert sorted(rebuilt) == [3, 6, 8]
    expected = found["reconstruct"]["mpjpe_mm"]
    assert rebuilt[8]["reconstruct.mpjpe_mm"] == pytest.approx(expected, rel=1e-4)
    data = vvipe.data.open_data(vvipe_tiny.tiny(tmp_path, PEOPLE).data)
    assert subjects(data.store, data.on("validation").test_rows) == KEPT
    assert subjects(data.store, data.test_rows) == {4}
    assert learnt(path) == learnt(followed(vvipe.cli.app, tmp_path, settings, 0, "--no-report"))
    assert "kept for validation" in (path / "report.html").read_text()


def test_unipose(tmp_path: Path) -> None:
    settings = (*UNIPOSE, PEOPLE, f"data.cache={tmp_path}")
    path = followed(unipose.cli.app, tmp_path, settings, 2)
    found = validated(unipose.cli.app, path, tmp_path / "r.json")
    for stage in ("teacher", "student_depth", "student_rgb_twin"):
        curve = followed_by(path, stage)
        assert sorted(curve) == [2, 4]
        for name, value in curve[4].items():
            assert value == pytest.approx(found["validation"][stage][name], rel=1e-4, abs=1e-6)
    clips = unipose.data.open_part(unipose_tiny.tiny(tmp_path, PEOPLE).data, "validation")
    assert subjects(clips.store) == KEPT
    rows = json.loads((tmp_path / "r.json").read_text())["rows"]
    assert {row["frames"] for row in rows} == {"validation"}
    assert learnt(path) == learnt(followed(unipose.cli.app, tmp_path, settings, 0, "--no-report"))
    assert "kept for validation" in (path / "report.html").read_text()
    weights, told = tmp_path / "depth.safetensors", tmp_path / "release.json"
    given = [word for item in (*settings, "twins=false") for word in ("--set", item)]
    run(unipose.cli.app, "release", "--from", path, "--weights", weights, "--json", told, *given)
    row = json.loads(told.read_text())["rows"][0]
    before = json.loads((path / "metrics.json").read_text())["test"]["student_depth"]
    assert row["mpjpe_mm"] == pytest.approx(before["mpjpe_mm"], rel=0.2)  # another square, about a silhouette
    assert f"alignment: {row['mpjpe_mm']:.1f} mm" in weights.with_suffix(".md").read_text()
    assert polypose.load(weights).settings.size == unipose_tiny.tiny(tmp_path).data.image_size
    off = np.sqrt(np.square(row["mpjpe_mm"] / 1000) / 3)
    assert 0.2 * off < polypose.load(weights).network.sd.mean() < 2 * off


def test_hands(tmp_path: Path) -> None:
    settings = (*HANDS, f"data.cache={tmp_path}")
    path = followed(hands, tmp_path, settings, 2)
    ours, *_ = validated(hands, path, tmp_path / "r.json")["rows"]
    curve = followed_by(path, "hands")
    assert sorted(curve) == [2, 4]
    for name, value in curve[4].items():
        assert value == pytest.approx(ours[name], rel=1e-4)
    kept, test = (PoseStore.open(next(tmp_path.glob(f"hands-{part}-*"))) for part in ("validation", "test"))
    scenes = [{scene.tobytes() for scene in np.asarray(store.column("joints"))} for store in (kept, test)]
    assert len(scenes[0]) == len(scenes[1]) == 16
    assert scenes[0].isdisjoint(scenes[1])
    assert learnt(path) == learnt(followed(hands, tmp_path, settings, 0))
