"""The pages for contributors, followed as a new contributor would follow them."""

import importlib
import json
import shlex
import shutil
import sys
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from contributor import commands, copied, follow, run
from posedata.cli import app as posedata_app
from posedata.skeleton import get_skeleton
from posedata.store import PoseStore
from posetrain.runs import Run
from typer.testing import CliRunner

SIGMOID = """
import math
import torch
from contrastive import Cosines
from torch.nn.functional import normalize
from unihpr.recipe import RECIPES, Recipe
from unihpr.steps import _beside
from posetrain.recipe import load_recipe

config = load_recipe("quickstart", Recipe, ["align_image.beside=sigmoid"], RECIPES).align_image
g = torch.Generator().manual_seed(0)
f = [normalize(torch.randn(7, 5, generator=g, dtype=torch.float64), dim=1) for _ in range(3)]
value = _beside(Cosines.of(f), config, torch.tensor(0.2, dtype=torch.float64), g, False)
plain = 0.0
for x, y in ((f[0], f[1]), (f[0], f[2]), (f[1], f[2])):
    for i in range(7):
        for j in range(7):
            logit = float(x[i] @ y[j]) / 0.2 - 10
            plain += math.log1p(math.exp(-logit if i == j else logit)) / 7
assert abs(value.item() - plain) < 1e-6, (value, plain)
"""
"""What step 2 of UniHPR computes by a recipe that names the page's loss, and the same by loops."""


def test_a_loss(tmp_path: Path) -> None:
    root = copied(tmp_path, "packages/contrastive/src", "apps/unihpr")
    follow("loss", root)
    assert commands("loss") == ["pytest packages/contrastive/tests/test_sigmoid.py"]
    assert "7 passed" in run(commands("loss")[0], root)
    (root / "recipe.py").write_text(SIGMOID)
    run("python recipe.py", root)


def test_a_reader(tmp_path: Path) -> None:
    root = copied(tmp_path, "packages/posedata/src")
    follow("reader", root)
    write_offers, prepare, inspect, own_tests = commands("reader")
    poses = np.random.default_rng(3).uniform(-1, 1, (5, 17, 3)).round(3)  # metres, z up
    lines = [" ".join(reversed(get_skeleton("h36m17").joints))]
    for pose in poses:
        lines.append(" ".join(f"{1000 * x:.0f} {1000 * z:.0f} {-1000 * y:.0f}" for x, y, z in pose[::-1]))
    (root / "recordings/anna").mkdir(parents=True)
    (root / "recordings/anna/wave.pose").write_text("\n".join(lines))
    run(write_offers, root)
    assert "--rate" in run("posedata prepare example --help", root)
    run(prepare, root)
    store = PoseStore.open(root / "stores/example")
    np.testing.assert_allclose(store.column("joints"), poses[::2], atol=1e-6)
    assert (store.names("subject"), store.names("sequence")) == (["anna"], ["wave"])
    assert (store.meta["fps"], store.meta["source"]) == (25, "Example")
    assert "8 passed" in run(own_tests, root)
    assert inspect == "posedata inspect stores/example"


def test_a_modality(tmp_path: Path) -> None:
    root = copied(
        tmp_path, "packages/poseenc/src", "packages/polypose/src", "apps/unihpr", "tests/unihpr_tiny.py"
    )
    follow("modality", root)
    (own_tests,) = commands("modality")
    assert "4 passed" in run(own_tests, root)


def away_from_mean(store: PoseStore, names: list[str], mean: np.ndarray) -> float:
    """Mean distance of people's root-relative joints from a pose, mm."""
    return float(1000 * np.linalg.norm(relative(store, names) - mean, axis=-1).mean())


def relative(store: PoseStore, names: list[str]) -> np.ndarray:
    """Joints of people, less the pelvis."""
    joints = store.column("joints")[store.rows(subjects=names)].astype(np.float64)
    return joints - joints[:, :1]


@pytest.fixture
def invoke(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs a command of the page's app, or `posedata`, in this process, where torch is loaded already."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path / "apps"))

    def call(command: str) -> str:
        program, *words = shlex.split(command)
        app = posedata_app
        if program == "typer":
            app = importlib.import_module(f"{words.pop(0).removeprefix('apps/')}.cli").app
        done = CliRunner().invoke(app, words)
        assert done.exit_code == 0, f"{command}\n{done.output}"
        return " ".join(done.output.split())

    yield call
    for name in [name for name in sys.modules if name.partition(".")[0] == "meanpose"]:
        del sys.modules[name]


def test_an_app(tmp_path: Path, invoke: Any) -> None:
    follow("app", copied(tmp_path))
    (tmp_path / "apps/meanpose/py.typed").touch()
    train, evaluate, resume, synth, there, ablate = commands("app")
    run(train, tmp_path)
    (store,) = map(PoseStore.open, (tmp_path / "data").glob("synthetic-*"))
    people = store.names("subject")
    mean = relative(store, people[:4]).mean(0)
    learned = (1 - 0.75**20) * mean  # from zeros, by 20 steps at rate 1/8
    error = away_from_mean(store, people[4:], learned)
    metrics = tmp_path / "runs/meanpose-quickstart/metrics.json"
    assert json.loads(metrics.read_text()) == {"mpjpe_mm": pytest.approx(error, abs=1e-3)}

    trained = metrics.read_text()
    metrics.unlink()
    shutil.rmtree(tmp_path / "runs/meanpose-quickstart/checkpoints/fit/step-00000020")
    invoke(resume)
    steps = [record["step"] for record in Run(metrics.parent).curves("fit") if "loss" in record]
    assert steps[-4:] == [17, 18, 19, 20]  # from the checkpoint at 16
    assert metrics.read_text() == trained

    invoke(evaluate)
    results = json.loads((tmp_path / "meanpose.json").read_text())
    assert [row["mpjpe_mm"] for row in results["rows"]] == [json.loads(trained)["mpjpe_mm"]]
    invoke(synth)
    others = PoseStore.open(tmp_path / "elsewhere")
    assert f"{away_from_mean(others, others.names('subject'), learned):.1f}" in invoke(there)
    shown = invoke(ablate)
    for count in (1, 2, 4):
        wanted = away_from_mean(store, people[4:], (1 - 0.75**count) * mean)
        assert f"fit.steps={count} │ {wanted:.1f}" in shown

    assert "1 passed" in run("pytest tests/test_meanpose.py", tmp_path)
    project = tomllib.loads((tmp_path / "pyproject.toml").read_text())
    assert project["project"]["scripts"]["meanpose"] == "meanpose.cli:app"
    assert "apps/meanpose" in project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
