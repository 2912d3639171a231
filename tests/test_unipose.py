"""UniPose end to end, small: the commands, what they leave behind, and that no 3D label gets into them."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from pointcloud_weak.clips import Clips
from pointcloud_weak.frames import Frames
from pointcloud_weak.isolated import views_of
from pointcloud_weak.losses import TERMS
from pointcloud_weak.pseudo import Labels
from posedata.views.batch import DETECTED
from poseenc.anchor.backbone import Backbone
from posetrain.ablation import ablate
from posetrain.lifecycle import measure, train
from posetrain.loop import Trainer
from posetrain.recipe import changed, load_recipe
from posetrain.runs import Run
from safetensors.torch import save_file
from typer.testing import CliRunner
from typer_front import typer_front
from unipose import steps
from unipose.ablate import WEAK_LOSSES
from unipose.cli import app
from unipose.data import prepare
from unipose.model import make_student, make_teacher
from unipose.recipe import RECIPES, Recipe
from unipose.report import LABELS
from unipose.task import UNIPOSE, open_run
from unipose_tiny import TINY, tiny

ROOT = Path(__file__).resolve().parents[1]
STAGES = [f"{name}{twin}" for name in ("student_depth", "student_rgb", "teacher") for twin in ("", "_twin")]


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("unipose")


@pytest.fixture(scope="session")
def trained(cache: Path) -> Path:
    """A run folder made by the owner's spelling of the command."""
    runs = cache / "runs"
    typer_front("apps/unipose", "train", "--runs", runs, "--name", "tiny", *overrides(cache))
    return runs / "tiny"


def command(*arguments: object, code: int = 0) -> str:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output
    return result.output


def told(*arguments: object) -> str:
    """The one line of a command that fails."""
    return " ".join(command(*arguments, code=2).split())


def overrides(cache: Path) -> list[str]:
    return [part for item in (*TINY, f"data.cache={cache}") for part in ("--set", item)]


def test_training_leaves_a_whole_run_folder(trained: Path) -> None:
    metrics = json.loads((trained / "metrics.json").read_text())
    assert sorted(metrics["test"]) == sorted(LABELS)
    for row in metrics["test"].values():
        assert 0 <= row["map"] <= 100
        assert row["mpjpe_mm"] > 0
    # looking depth up at true people is within decimetres; untrained networks are not
    assert metrics["test"]["depth_lookup_skin"]["mpjpe_mm"] < 250
    assert metrics["pseudo"]["kept"] > 0
    assert sorted(p.name for p in (trained / "checkpoints").iterdir()) == sorted(STAGES)
    assert "<img" in (trained / "report.html").read_text()
    assert (trained / "gallery.png").stat().st_size > 10_000


def test_evaluation_of_the_saved_run_repeats_the_numbers(trained: Path, tmp_path: Path) -> None:
    before = json.loads((trained / "metrics.json").read_text())
    command("evaluate", trained, "--json", tmp_path / "r.json")
    found = json.loads((tmp_path / "r.json").read_text())["rows"]
    rows = {(row["frames"], row["key"]): row for row in found}
    for key, row in before["test"].items():
        assert rows["test", key]["mpjpe_mm"] == pytest.approx(row["mpjpe_mm"], rel=1e-4)
    assert str(ROOT) not in (tmp_path / "r.json").read_text()


def test_a_run_is_scored_by_the_protocol_of_a_data_set(trained: Path, tmp_path: Path) -> None:
    """Without alignment and on every joint, ITOP's errors are those of `evaluate`; published rows follow."""
    said = " ".join(command("evaluate", trained, "--protocol", "itop", "--json", tmp_path / "p.json").split())
    scored = json.loads((tmp_path / "p.json").read_text())
    rows = {row["method"]: row for row in scored["rows"] if row["source"] == "computed here"}
    metrics = json.loads((trained / "metrics.json").read_text())["test"]
    for key, label in LABELS.items():
        if key.startswith(("teacher", "student")):
            assert rows[label]["mpjpe_mm"] == pytest.approx(metrics[key]["mpjpe_mm"], rel=1e-4)
            assert rows[label]["map_percent"] == pytest.approx(metrics[key]["map"], abs=1e-3)
    assert "published" in {row["source"] for row in scored["rows"]}
    assert "ITOP" in said
    for words, message in (
        (("--protocol", "itop", "--predictions", tmp_path / "p.npz"), "are scored without a run"),
        (("--protocol", "h36m-p9"), "protocol 'h36m-p9' is not known"),
        (("--protocol", "itop", "--part", "validation"), "leave --part out"),
    ):
        assert message in told("evaluate", trained, *words)


def test_stages_apart_are_the_stages_together(trained: Path, cache: Path, tmp_path: Path) -> None:
    given = ("--runs", tmp_path, "--name", "tiny", "--no-report", *overrides(cache))
    said = command("train", "--stage", "student", *given, code=2)
    assert "train first" in said
    assert "stored_points: 96" in command("train", "--stage", "teacher", *given)  # the recipe, in whole
    assert "student_rgb" not in json.loads((tmp_path / "tiny" / "metrics.json").read_text())["test"]
    command("train", "--stage", "student", *given)
    assert curves(tmp_path / "tiny") == curves(trained)


def test_resumed_training_repeats_to_the_bit(trained: Path, cache: Path, tmp_path: Path) -> None:
    """Lose the last checkpoints of a stage of each kind, as a kill would: the curves come out the same."""
    runs = tmp_path / "runs"
    shutil.copytree(trained, runs / "tiny")
    for stage in ("teacher", "student_depth"):
        shutil.rmtree(runs / "tiny" / "checkpoints" / stage / "step-00000004")
    command("train", "--runs", runs, "--name", "tiny", "--resume", "--no-report", *overrides(cache))
    assert curves(runs / "tiny") == curves(trained)


def test_a_half_trained_run_is_neither_measured_nor_taught_from(
    trained: Path, cache: Path, tmp_path: Path
) -> None:
    """What a kill leaves; a run that ended with its teacher is whole."""
    run = tmp_path / "tiny"
    shutil.copytree(trained, run)
    shutil.rmtree(run / "checkpoints" / "student_depth" / "step-00000004")
    assert "stage student_depth is at step 2 of 4" in told("evaluate", run)
    shutil.rmtree(run / "checkpoints" / "student_depth")
    assert "no last checkpoint of stage student_depth" in told("evaluate", run)
    for folder in (run / "checkpoints").glob("student_*"):
        shutil.rmtree(folder)
    command("evaluate", run)
    assert "student_rgb" not in json.loads((run / "metrics.json").read_text())["test"]
    shutil.rmtree(run / "checkpoints" / "teacher_twin" / "step-00000004")
    for words in (["evaluate", run], ["train", "--stage", "student", "--runs", tmp_path, "--name", "tiny"]):
        more = overrides(cache) if words[0] == "train" else []
        assert "stage teacher_twin is at step 2 of 4" in told(*words, *more)
    assert not list((run / "checkpoints").glob("student_*"))


def test_a_run_is_measured_on_its_own_data_alone(trained: Path, tmp_path: Path) -> None:
    run = tmp_path / "tiny"
    shutil.copytree(trained, run)
    recipe = run / "recipe.yaml"
    recipe.write_text(recipe.read_text().replace("test_clips: 5", "test_clips: 4"))
    assert "was trained on other data than its recipe gives now" in told("evaluate", run)


def test_nothing_is_deleted_for_a_recipe_that_is_wrong(trained: Path, cache: Path, tmp_path: Path) -> None:
    shutil.copytree(trained, tmp_path / "tiny")
    kept = sorted((tmp_path / "tiny" / "checkpoints").glob("*/*"))
    given = ("train", "--runs", tmp_path, "--name", "tiny", "--overwrite", *overrides(cache))
    assert "gone.safetensors" in told(*given, "--set", "student_model.weights=gone.safetensors")
    assert "fp16" in told(*given, "--set", "loop.precision=fp16")
    assert "leave --overwrite out" in told(*given, "--stage", "student")
    assert sorted((tmp_path / "tiny" / "checkpoints").glob("*/*")) == kept
    assert len(kept) == 2 * len(STAGES)


def test_what_students_began_from_is_not_needed_any_more(cache: Path, tmp_path: Path) -> None:
    weights = tmp_path / "light.safetensors"
    save_file(Backbone("light").net.state_dict(), weights)
    more = ("twins=false", f"student_model.weights={weights}", "teacher.steps=1", "student.steps=1")
    trained, metrics = train(UNIPOSE, tiny(cache, *more), tmp_path / "run", report=False)
    weights.unlink()
    again = measure(open_run(trained.run.path))
    key = "student_rgb"
    assert again["test"][key]["mpjpe_mm"] == pytest.approx(metrics["test"][key]["mpjpe_mm"], rel=1e-5)


def curves(run: Path) -> dict[str, list[dict[str, float]]]:
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    return {
        stage: [{k: v for k, v in line.items() if k != "seconds"} for line in lines if line["stage"] == stage]
        for stage in STAGES
    }


def test_no_3d_label_reaches_training(trained: Path, cache: Path, tmp_path: Path) -> None:
    """Stage A and stage B give the same losses, to the bit, when every stored joint is NaN."""
    recipe = tiny(cache, "loop.ema=null")
    clips = prepare(recipe.data, say=lambda text: None).train
    blind = blinded(clips)
    assert torch.isnan(blind.truth()).all()
    seen = losses(clips, recipe, tmp_path / "seeing")
    assert losses(blind, recipe, tmp_path / "blind") == seen
    assert all(np.isfinite(list(record.values())).all() for record in seen)


def blinded(clips: Clips) -> Clips:
    views = views_of(clips.store)
    assert views.joints is not None
    nothing = replace(
        views,
        joints=torch.full_like(views.joints, torch.nan),
        keypoints={DETECTED: views.keypoints[DETECTED]},
    )
    return Clips(clips.store, nothing, clips.frames, clips.count, clips.origin)


def losses(clips: Clips, recipe: Recipe, folder: Path) -> list[dict[str, float]]:
    """The curves of a short stage A, and of a student on its labels."""
    torch.manual_seed(0)
    run = Run.start(folder, recipe)
    trainer = Trainer(run, recipe.loop)
    model = make_teacher(recipe)
    pupil = make_student(recipe, "rgb")
    trainer.fit(steps.teacher(model, clips, recipe, trainer))
    told = Labels.taught(model, clips, recipe.pseudo)
    trainer.fit(steps.student("student", pupil, Frames.of(clips), told.joints, told.weight, recipe, trainer))
    trainer.close()
    return [{k: v for k, v in r.items() if k not in ("stage", "seconds")} for r in run.curves()]


def test_ablation_leaves_out_one_thing_at_a_time(cache: Path, tmp_path: Path) -> None:
    recipe = Recipe()
    for name, overrides in WEAK_LOSSES.variants.items():
        made = changed(recipe, overrides)
        for term in TERMS:
            off = getattr(made.losses, term) == 0
            assert off == (name == f"no {term}")
        assert made.model.image == (name != "no interaction")
        assert replace(made, losses=recipe.losses, model=recipe.model, twins=True) == recipe
    few = ("everything", "no ray", "no interaction")
    table = replace(WEAK_LOSSES, variants={name: WEAK_LOSSES.variants[name] for name in few})
    short = tiny(cache, "teacher.steps=2")
    ablate(UNIPOSE, short, tmp_path / "runs", table, json=tmp_path / "a.json")
    rows = json.loads((tmp_path / "a.json").read_text())["rows"]
    assert [row["variant"] for row in rows] == list(few)
    assert len({row["mpjpe_mm"] for row in rows}) > 1  # two steps in, the pictures add nothing yet


@pytest.mark.parametrize("name", ["quickstart", "mocap", "paper", "release", "itop", "panoptic", "ntu"])
def test_recipes_are_whole(name: str) -> None:
    recipe = load_recipe(name, Recipe, (), RECIPES)
    assert recipe.data.points <= recipe.data.stored_points
    assert recipe.model.dim % recipe.model.heads == 0
    assert recipe.student_model.dim % 32 == 0


def test_faults_are_one_line_and_exit_code_2(trained: Path, cache: Path, tmp_path: Path) -> None:
    said = command("train", "--runs", trained.parent, "--name", "tiny", *overrides(cache), code=2)
    assert "holds a run" in said
    assert "did you mean teacher.steps?" in command("train", "--set", "teacher.step=3", code=2)
    given = ("--runs", tmp_path, *overrides(cache))
    few = ("--set", "data.points=97", "--name", "few")
    assert "data.points: 97, but data.stored_points is 96; raise that" in told("train", *given, *few)
    assert not (tmp_path / "few").exists()
    strict = ("--set", "pseudo.ray=1e-9")
    assert "no frame passed the filter" in command("train", *given, *strict, "--name", "strict", code=2)
    coco = ("--set", "data.detector=coco")
    assert "set data.format=rgbd" in told("train", *given, *coco)  # files cannot know the rows of films
    assert "no such run" in command("evaluate", tmp_path / "none", code=2)
