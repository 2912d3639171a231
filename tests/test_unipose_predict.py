"""From recorded RGB-D to joints: people found, isolated, followed, and what the network says of them."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from pillars import pillars, recording
from posedata.readers import open_rgbd
from posedata.store.digests import write_digests
from posetrain.recipe import to_plain
from posetrain.runs import Run
from typer.testing import CliRunner
from unipose.cli import app
from unipose.model import make_teacher
from unipose.predict import predict
from unipose.task import open_teacher
from unipose_tiny import tiny


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with a teacher whose weights are chance; it is a function of points all the same."""
    import yaml

    folder = tmp_path_factory.mktemp("run")
    recipe = tiny(folder / "cache")
    torch.manual_seed(0)
    teacher = make_teacher(recipe)
    (folder / "recipe.yaml").write_text(yaml.safe_dump(to_plain(recipe)), encoding="utf-8")
    tensors = {f"model/model.{name}": value for name, value in teacher.state_dict().items()}
    Run(folder).checkpoints("teacher").save(recipe.teacher.steps, tensors, {"metrics": {}})
    return folder


def test_what_is_lost_of_the_depth_is_told(run: Path, tmp_path: Path) -> None:
    source = recording(tmp_path, [[(0.0, 2.5)]])
    metres = pillars([(0.0, 2.5)]) / 1000
    metres[0, :7] = np.nan
    (source / "depth/000.png").unlink()
    np.save(source / "depth/000.npy", metres)
    said: list[str] = []
    predict(run, open_rgbd(source), draws=1, say=said.append)
    assert any(text.endswith("pixels of depth left out: 7 not finite") for text in said)
    np.save(source / "depth/000.npy", metres * 1000)
    words = ["predict", str(run), str(source), str(tmp_path / "joints.npz")]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 2
    assert "these look like millimetres" in " ".join(result.output.split())
    assert CliRunner().invoke(app, [*words, "--depth-scale", "1000"]).exit_code == 0


def test_the_command_writes_joints_and_a_picture(run: Path, tmp_path: Path) -> None:
    source = recording(tmp_path / "clip", [[(0.0, 2.5)]])
    picture = tmp_path / "picture.png"
    for ending, more in (("npz", []), ("json", ["--picture", str(picture)])):
        words = ["predict", str(run), str(source), str(tmp_path / f"joints.{ending}"), *more]
        result = CliRunner().invoke(app, words)
        assert result.exit_code == 0, result.output
        assert "1 people in 1 frames" in result.output
    assert picture.stat().st_size > 20_000
    assert sorted(p.name for p in tmp_path.iterdir()) == ["clip", "joints.json", "joints.npz", "picture.png"]
    with np.load(tmp_path / "joints.npz", allow_pickle=False) as file:
        assert str(file["skeleton"]) == "itop15"
        assert file["joint_names"].tolist()[:2] == ["head_centre", "shoulder_centre"]
        assert str(file["unit"]) == "metres, camera frame, y down"
        joints = file["joints"]
    told = json.loads((tmp_path / "joints.json").read_text())
    named = told["people"][0]["joints"]
    np.testing.assert_allclose(list(named.values()), joints[0], atol=1e-3)
    assert next(iter(named)) == "head_centre"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nothing"], "no such file or folder"),
        (["clip", "--frame", "3"], "has frames 0 to 0"),
        (["clip", "--keypoints", "none.json"], "none.json: no such file"),
        (["clip", "--detector", "sharp"], "no 2D detector is called sharp"),
        (["clip", "--picture", "p.pdf"], "p.pdf: write to a file that ends in .png"),
        (["clip", "joints.txt"], "write to a file that ends in .npz or .json"),
        (["empty"], "nobody was found"),
        (["clip", "--view"], "there is no display here"),
    ],
)
def test_faults_are_one_line_and_exit_code_2(
    run: Path, tmp_path: Path, words: list[str], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    recording(tmp_path / "clip", [[(0.0, 2.5)]])
    recording(tmp_path / "empty", [[]])
    result = CliRunner().invoke(app, ["predict", str(run), *words])
    assert result.exit_code == 2
    assert said in " ".join(result.output.split())


def test_what_is_read_is_not_written_over(run: Path, tmp_path: Path) -> None:
    folder = recording(tmp_path / "raw", [[(0.0, 2.5)]])
    depth, joints = folder / "depth/000.png", tmp_path / "joints.json"
    joints.write_text("{}")
    for words in (
        ["o.npz", "--picture", depth],
        [joints, "--keypoints", joints],
        [folder / "intrinsics.json"],
    ):
        before = [path.read_bytes() for path in (depth, joints)]
        result = CliRunner().invoke(app, ["predict", str(run), str(folder), *map(str, words)])
        assert result.exit_code == 2
        assert "is read, and would be written over" in " ".join(result.output.split())
        assert [path.read_bytes() for path in (depth, joints)] == before


def test_a_folder_without_a_run_is_named(tmp_path: Path) -> None:
    clip = open_rgbd(recording(tmp_path / "clip", [[(0.0, 2.5)]]))
    with pytest.raises(FileNotFoundError, match="no such run"):
        predict(tmp_path, clip)


def test_a_half_trained_teacher_is_not_asked(run: Path, tmp_path: Path) -> None:
    last = Run(run).checkpoint("teacher")
    shutil.copytree(run, tmp_path / "run")
    card = tmp_path / "run" / "checkpoints" / "teacher" / last.name / "card.json"
    card.write_text(card.read_text().replace('"step": 4', '"step": 3'))
    write_digests(card.parent)
    with pytest.raises(ValueError, match="stage teacher is at step 3 of 4"):
        open_teacher(tmp_path / "run")
