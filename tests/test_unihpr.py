"""UniHPR end to end, small: the commands as subprocesses, and what they leave behind."""

import json
import math
import re
import shutil
import subprocess
import sys
import typing
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from contrastive import Temperature
from polypose.config import Sampler
from polypose.network import UniHPR
from posedata.store import PoseStore
from posedata.store.digests import write_digests
from posediff.sampler import LEVEL_SDE_SAMPLERS, ODE_SAMPLERS, SDE_SAMPLERS
from poseenc import image_encoder
from posetrain.ablation import ablate, summary
from posetrain.loop import Trainer
from posetrain.recipe import changed
from posetrain.runs import Run
from posetrain.stage import Stage
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner
from unihpr.ablate import COMPONENTS, LOSSES
from unihpr.cli import app
from unihpr.data import TrainingData, prepare_stores
from unihpr.recipe import Recipe
from unihpr.steps import STEPS
from unihpr.task import UNIHPR
from unihpr_tiny import TINY, tiny

BIN = Path(sys.executable).parent
ROOT = Path(__file__).resolve().parents[1]
PAIRS = [f"{a}_to_{b}" for a in ("image", "2d", "3d") for b in ("image", "2d", "3d") if a != b]


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def trained(cache: Path) -> Path:
    """A run folder made by the owner's spelling of the command."""
    runs = cache / "runs"
    command("typer", "apps/unihpr", "train", "--runs", runs, "--name", "tiny", *overrides(cache))
    return runs / "tiny"


def command(program: str, *arguments: object, code: int = 0) -> str:
    """Run a command at the repository's root; its output, once the exit code is right.

    `typer` is the installed program in a process of its own; `unihpr` runs in this process, where torch is
    loaded already.
    """
    words = [str(argument) for argument in arguments]
    if program == "typer":
        done = subprocess.run(
            [str(BIN / "typer"), *words], cwd=ROOT, capture_output=True, text=True, timeout=300, check=False
        )
        returned, said = done.returncode, done.stdout + done.stderr
    else:
        result = CliRunner().invoke(app, words)
        returned, said = result.exit_code, result.output
    assert returned == code, said
    return said


def overrides(cache: Path) -> list[str]:
    return [part for item in (*TINY, f"data.cache={cache}") for part in ("--set", item)]


def test_training_leaves_a_whole_run_folder(trained: Path) -> None:
    metrics = json.loads((trained / "metrics.json").read_text())
    for branch in ("lift", "lift_detector", "image", "reconstruct"):
        error = metrics[branch]
        assert 0 < error["pa_mpjpe_mm"] < error["mpjpe_mm"]
        assert error["best_of_2_mpjpe_mm"] <= error["one_hypothesis_mpjpe_mm"]
        assert 0 < error["inside_50"] < error["inside_80"] < error["inside_90"] < 1
    assert 0 <= metrics["keypoints"]["pck_005"] <= 1 < metrics["keypoints"]["epe_px"]
    assert sorted(metrics["retrieval"]) == sorted(PAIRS)
    for row in metrics["retrieval"].values():
        assert 0 <= row["top1"] <= row["top3"] <= 1
    # Without the true pose and its neighbours a retrieval can only be worse than perfect.
    assert all(row["mpjpe_mm"] > 0 for row in metrics["retrieval_without_neighbours"].values())
    assert set(metrics["cosine"]) == {"image_2d", "image_3d", "2d_3d"}
    # A random pose is about √2 as far off as the mean pose.
    ratio = (
        metrics["baselines"]["random_retrieval"]["mpjpe_mm"] / metrics["baselines"]["mean_pose"]["mpjpe_mm"]
    )
    assert 1.05 < ratio < 1.8
    assert "<img" in (trained / "report.html").read_text()
    assert (trained / "recipe.yaml").is_file()
    assert sorted(p.name for p in (trained / "checkpoints").iterdir()) == [
        "align_image",
        "align_poses",
        "finetune",
    ]


def test_spreads_follow_each_branch_and_only_those_that_are_trained(trained: Path) -> None:
    """The 2D decoder learns from images alone; four steps move a spread by at most 1 - 0.98⁴."""
    state = load_file(trained / "checkpoints" / "finetune" / "step-00000004" / "tensors.safetensors")
    three, two = (state[f"model/model.decoders.{target}.spread"] for target in ("3d", "2d"))
    assert len(set(three.tolist())) == 3
    assert ((three - 1).abs() > 1e-4).all()
    assert ((three - 1).abs() < 0.1).all()
    assert two[0] != 1
    assert two[1:].tolist() == [1, 1]
    assert state["model/model.decoders.3d.profile"][0, 0].max() < 0.96  # the pelvis does not move


def test_evaluation_of_the_saved_run_repeats_the_numbers(trained: Path, tmp_path: Path) -> None:
    before = json.loads((trained / "metrics.json").read_text())
    said = command("unihpr", "evaluate", trained, "--json", tmp_path / "r.json")
    assert re.search(r"3D from image[ │]+\d+%[ │]+\d+%[ │]+\d+%", said)
    row = json.loads((tmp_path / "r.json").read_text())["rows"][0]
    for key in (
        "lift.mpjpe_mm",
        "image.inside_80",
        "image.pa_mpjpe_mm",
        "retrieval.2d_to_3d.top1",
        "cosine.2d_3d",
    ):
        value = before
        for part in key.split("."):
            value = value[part]
        assert row[key] == pytest.approx(value, rel=1e-4)


def test_a_protocol_scores_the_branches_beside_the_papers(trained: Path, tmp_path: Path) -> None:
    before = json.loads((trained / "metrics.json").read_text())
    said = command("unihpr", "evaluate", trained, "--protocol", "h36m-p1", "--json", tmp_path / "r.json")
    results = json.loads((tmp_path / "r.json").read_text())
    rows = {row["method"]: row for row in results["rows"]}
    assert rows["UniHPR, image"]["mpjpe_mm"] == pytest.approx(before["image"]["mpjpe_mm"], rel=1e-4)
    assert rows["UniHPR, true 2D"]["mpjpe_mm"] == pytest.approx(before["lift"]["mpjpe_mm"], rel=1e-4)
    assert any(key.startswith("mpjpe_mm_by_action.") for key in rows["UniHPR, image"])
    assert {"UniHPR-w48", "VIBE"} <= {row["method"] for row in results["published"]}
    assert "not the protocol's data" in results["remark"]
    assert "49.9" in said
    said = command("unihpr", "evaluate", trained, "--protocol", "prvipe-hit", code=2)
    assert "scores embeddings across cameras" in said
    said = command("unihpr", "evaluate", trained, "--protocol", "h36m-p9", code=2)
    assert "did you mean 'h36m-p" in said


def test_a_run_is_not_overwritten_unasked(trained: Path, cache: Path) -> None:
    said = command("unihpr", "train", "--runs", trained.parent, "--name", "tiny", *overrides(cache), code=2)
    assert "holds a run" in said
    assert "Traceback" not in said


def test_what_is_half_trained_or_of_other_data_is_not_measured(
    trained: Path, cache: Path, tmp_path: Path
) -> None:
    run = tmp_path / "tiny"
    shutil.copytree(trained, run)
    card = run / "checkpoints" / "finetune" / "step-00000004" / "card.json"
    card.write_text(card.read_text().replace(json.loads(card.read_text())["data"], "0123456789abcdef"))
    write_digests(card.parent)
    said = command("unihpr", "evaluate", run, code=2)
    assert "was trained on other data than its recipe gives now (fingerprint 0123456789ab, now" in said
    shutil.rmtree(card.parent)
    said = command("unihpr", "evaluate", run, code=2)
    assert "stage finetune is at step 2 of 4; go on with --resume" in said


def test_a_broken_model_leaves_the_old_run_and_no_new_one(trained: Path, cache: Path, tmp_path: Path) -> None:
    run = tmp_path / "tiny"
    shutil.copytree(trained, run)
    wrong = ("--runs", tmp_path, *overrides(cache), "--set", "model.image_encoder=ligth")
    said = command("unihpr", "train", "--name", "tiny", "--overwrite", *wrong, code=2)
    assert "no image encoder is called 'ligth'" in said
    assert (run / "metrics.json").read_bytes() == (trained / "metrics.json").read_bytes()
    command("unihpr", "train", "--name", "new", *wrong, code=2)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("data.path=nowhere.npz", "data.format is synthetic, which reads none"),
        ("loop.evaluate_every=5", "part 'validation' has no frames; name subjects for it; of synthetic"),
        ("finetune.decode=0.5", "finetune: decode is step 1's"),
        ("align_image.contrast=0.5", "align_image: contrast and poses are step 3's"),
        ("align_poses.poses=8", "align_poses: contrast and poses are step 3's"),
        ("evaluation.sampler=dpmpp2m", "evaluation.sampler must be one of dpmpp_2m_sde"),
        (
            "model={pose_encoder: transformer, width: 64, heads: 7}",
            "model: width 64 is not a multiple of heads 7",
        ),
        ("data.image_size=[48,", "data.image_size is no YAML: '[48,'"),
    ],
)
def test_settings_without_effect_are_refused(
    cache: Path, tmp_path: Path, override: str, message: str
) -> None:
    said = command("unihpr", "train", "--runs", tmp_path, *overrides(cache), "--set", override, code=2)
    assert message in " ".join(said.split())
    assert "Traceback" not in said


def test_samplers_are_those_of_the_decoder() -> None:
    every = [*ODE_SAMPLERS, *LEVEL_SDE_SAMPLERS, *SDE_SAMPLERS]
    assert sorted(typing.get_args(Sampler)) == sorted(every)


def test_initial_weights_are_needed_once(cache: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    weights = tmp_path / "light.safetensors"
    save_file(image_encoder("light", 8).body.state_dict(), weights)
    given = ("--no-report", *overrides(cache), "--set", f"model.image_weights={weights}")
    command("unihpr", "train", "--runs", tmp_path, "--name", "tiny", *given)
    weights.unlink()
    before = json.loads((tmp_path / "tiny" / "metrics.json").read_text())
    command("unihpr", "train", "--runs", tmp_path, "--name", "tiny", "--resume", *given)
    after = json.loads((tmp_path / "tiny" / "metrics.json").read_text())
    assert after["image"] == before["image"]


def test_unknown_key_names_the_near_one() -> None:
    said = command("unihpr", "train", "--set", "finetune.step=3", code=2)
    assert "did you mean finetune.steps?" in said


def test_missing_data_is_named(tmp_path: Path) -> None:
    said = command(
        "unihpr",
        "train",
        "--runs",
        tmp_path,
        "--set",
        "data.format=joints",
        "--set",
        f"data.path={tmp_path}/no.npz",
        code=2,
    )
    assert "no.npz: no such file" in said
    assert not any(tmp_path.iterdir())


def test_embed_retrieve_and_interpolate_agree_with_the_store(
    trained: Path, cache: Path, tmp_path: Path
) -> None:
    views = next(cache.glob("test-views-*"))
    command("unihpr", "embed", trained, views, tmp_path / "e.npz")
    with np.load(tmp_path / "e.npz") as file:
        found = {name: file[name] for name in ("image", "2d", "3d")}
    for x in found.values():
        np.testing.assert_allclose(np.linalg.norm(x, axis=1), 1, atol=1e-5)
    command(
        "unihpr",
        "retrieve",
        trained,
        views,
        views,
        "--from",
        "3d",
        "--to",
        "3d",
        "--json",
        tmp_path / "r.json",
    )
    results = json.loads((tmp_path / "r.json").read_text())
    rows, count = results["rows"], len(PoseStore.open(views))
    assert [row["query"] for row in rows] == list(range(count))
    errors = [row["mpjpe_mm"] for row in rows]
    assert results["overall"]["queries"] == count
    assert results["overall"]["mpjpe_mm"] == pytest.approx(np.mean(errors), abs=1e-2)
    assert results["overall"]["hit1"] == 100.0  # every pose finds itself, or its like
    cosines = found["3d"] @ found["3d"].T
    assert [max(row["cosine"]) for row in rows] == pytest.approx(cosines.max(axis=1).tolist(), abs=1e-5)
    command("unihpr", "interpolate", trained, views, 0, 5, tmp_path / "i.npz", "--steps", 4)
    with np.load(tmp_path / "i.npz") as file:
        assert np.isfinite(file["joints"]).all()
        assert file["joints"].shape == (4, 17, 3)
    assert (tmp_path / "i.png").stat().st_size > 1000


def test_lifting_does_not_depend_on_the_resolution(trained: Path, cache: Path, tmp_path: Path) -> None:
    store = PoseStore.open(next(cache.glob("test-views-*")))
    pixels = store.column("keypoints_true")[:4]
    np.save(tmp_path / "k.npy", pixels)
    double = pixels * np.array([2, 2, 1], dtype=np.float32) + np.array([0.5, 0.5, 0], dtype=np.float32)
    np.save(tmp_path / "double.npy", double)
    h36m = ("--skeleton", "h36m17")
    command("unihpr", "lift", trained, tmp_path / "k.npy", tmp_path / "a.npz", "--focal", 1100, *h36m)
    command(
        "unihpr",
        "lift",
        trained,
        tmp_path / "double.npy",
        tmp_path / "b.npz",
        "--focal",
        2200,
        "--size",
        2000,
        2000,
        *h36m,
    )
    with np.load(tmp_path / "a.npz") as a, np.load(tmp_path / "b.npz") as b:
        np.testing.assert_allclose(a["joints"], b["joints"], atol=1e-4)


def test_lift_refuses_another_skeleton(trained: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "k.npy", np.zeros((2, 18, 2), np.float32))
    said = command("unihpr", "lift", trained, tmp_path / "k.npy", tmp_path / "a.npz", code=2)
    assert "k.npy" in said
    assert "--skeleton" in said
    assert not (tmp_path / "a.npz").exists()


def test_ablation_and_baseline_commands(cache: Path, tmp_path: Path) -> None:
    short = [part for step in STEPS for part in ("--set", f"{step}.steps=1")]
    command("unihpr", "ablate", "--runs", tmp_path, "--json", tmp_path / "a.json", *overrides(cache), *short)
    rows = json.loads((tmp_path / "a.json").read_text())["rows"]
    assert [row["variant"] for row in rows] == list(COMPONENTS.variants)
    assert all(row["lift.mpjpe_mm"] > 0 for row in rows)
    command("unihpr", "baseline", "--runs", tmp_path, "--json", tmp_path / "b.json", *overrides(cache))
    rows = json.loads((tmp_path / "b.json").read_text())["rows"]
    assert [row["keypoints"] for row in rows] == ["exact", "detector"]
    # killed between its two trainings, it ends in the same weights
    second = tmp_path / "quickstart-simplebaseline" / "checkpoints" / "simple_baseline_detector"
    (whole,) = (load_file(path) for path in second.glob("step-00000005/tensors.safetensors"))
    shutil.rmtree(second)
    command("unihpr", "baseline", "--runs", tmp_path, "--resume", *overrides(cache))
    again = load_file(second / "step-00000005" / "tensors.safetensors")
    assert all(torch.equal(whole[name], again[name]) for name in whole)


def test_components_change_what_they_say() -> None:
    recipe = Recipe()
    none, pair, triplet, token = (changed(recipe, said) for said in COMPONENTS.variants.values())
    assert (none.align_poses.steps, none.align_image.steps, none.finetune.contrast) == (0, 0, 0)
    assert (pair.align_image.triplet, pair.finetune.triplet) == (0, 0)
    assert triplet.align_image.triplet == recipe.align_image.triplet
    assert [r.model.modality_token for r in (none, pair, triplet, token)] == [False, False, False, True]
    assert asdict(token) == asdict(recipe)
    said = command("unihpr", "ablate", "--variants", "colours", code=2)
    assert "components or losses" in said
    short = replace(recipe, finetune=replace(recipe.finetune, steps=0))
    assert all(key.startswith("aligned.") for key in UNIHPR.comparison("losses", short).measured)
    assert UNIHPR.comparison("losses", recipe) is LOSSES


def test_losses_share_step_1_and_are_not_measured_twice(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = tiny(cache, "align_poses.steps=2", "align_image.steps=2", "finetune.steps=0")
    three = {name: LOSSES.variants[name] for name in ("pair", "pair + GRAM", "pair + Symile")}
    table = replace(UNIHPR.comparison("losses", recipe), variants=three)
    rows = ablate(UNIHPR, recipe, tmp_path, table, 1, tmp_path / "l.json").rows
    runs = json.loads((tmp_path / "l.json").read_text())["runs"]
    assert [row[0] for row in rows] == [run["variant"] for run in runs] == list(three)
    assert len({run["aligned.cosine.image_3d"] for run in runs}) == len(three)
    steps = [
        [file.read_bytes() for file in (tmp_path / run).glob("checkpoints/align_poses/*/tensors.*")]
        for run in ("pair-seed0", "pair-Symile-seed0")
    ]
    assert steps[0] == steps[1] != []
    monkeypatch.setattr("posetrain.ablation.train", None)  # nothing is left to train
    assert ablate(UNIHPR, recipe, tmp_path, table).rows == rows


def test_spread_is_of_the_seeds_and_differences_are_seed_by_seed() -> None:
    key, near = "lift.mpjpe_mm", "cosine.2d_3d"
    table = replace(LOSSES, measured={key: "", near: ""})
    values = {"pair": (50.0, 60.0, 70.0), "pair + all": (49.0, 58.0, 67.0)}
    records = [
        {"variant": name, "seed": seed, key: value, near: value / 100}
        for name, found in values.items()
        for seed, value in enumerate(found)
    ]
    row = summary(table, "pair + all", records)
    assert row[key] == "58.0 ± 9.0"
    assert row[near] == "0.580 ± 0.090"
    assert row[f"minus_first.{key}"] == "-2.0 ± 1.0"


def test_resumed_training_repeats_to_the_bit(trained: Path, cache: Path, tmp_path: Path) -> None:
    """Lose the last checkpoint of step 3, as a kill would: the curves come out the same."""
    runs = tmp_path / "runs"
    shutil.copytree(trained, runs / "tiny")
    shutil.rmtree(runs / "tiny" / "checkpoints" / "finetune" / "step-00000004")
    command("unihpr", "train", "--runs", runs, "--name", "tiny", "--resume", "--no-report", *overrides(cache))

    def curves(run: Path) -> list[dict[str, float]]:
        lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
        return [{k: v for k, v in line.items() if k != "seconds"} for line in lines]

    assert curves(runs / "tiny") == curves(trained)


def test_tiny_is_a_recipe(tmp_path: Path) -> None:
    assert tiny(tmp_path).data.image_size == (48, 64)


def test_every_step_keeps_its_temperature_in_range(cache: Path, trained: Path, tmp_path: Path) -> None:
    recipe = tiny(cache)
    trainer = Trainer(Run(tmp_path / "run"), recipe.loop)
    data = TrainingData(prepare_stores(recipe.data), recipe.data)
    model = UniHPR(recipe.model)
    for name, make in STEPS.items():
        stage = make(model, data, recipe, trainer)
        temperature = stage.modules["temperature"]
        assert isinstance(temperature, Temperature)
        temperature.log.data.fill_(-9.0)
        assert stage.after_step is not None
        stage.after_step()
        low = getattr(recipe, name).temperature[1]
        assert temperature.log.item() == pytest.approx(math.log(low), rel=1e-6)


def step_1(recipe: Recipe, folder: Path) -> tuple[Trainer, UniHPR, Stage]:
    trainer = Trainer(Run.start(folder / "run", recipe, "resume"), recipe.loop)
    data = TrainingData(prepare_stores(recipe.data), recipe.data)
    model = UniHPR(recipe.model)
    model.fit_scale(data.scale())
    return trainer, model, STEPS["align_poses"](model, data, recipe, trainer)


def test_step_1_decodes_where_it_is_told_to(cache: Path, tmp_path: Path) -> None:
    """Its loss is L_pair and so many times both branches of the 3D decoder, which learns; 2D's does not."""
    recipe = tiny(cache, "align_poses.decode=0.5", "loop.precision=no", "align_poses.lr=1e-2")
    trainer, model, stage = step_1(recipe, tmp_path)
    generator = torch.Generator().manual_seed(0)
    values = stage.loss(stage.batch(0, generator), generator)
    total = values["pair"] + 0.5 * (values["3d/2d"] + values["3d/3d"])
    assert values["loss"].item() == pytest.approx(total.item(), rel=1e-6)
    trainer.fit(stage)
    trainer.close()
    records = trainer.run.curves("align_poses")
    assert records[-1]["3d/3d"] < 0.8 * records[0]["3d/3d"]
    spread = model.decoders["3d"].spread
    assert ((spread != 1).tolist(), model.decoders["2d"].spread.tolist()) == ([False, True, True], [1.0] * 3)


def test_step_1_lifts_further_views_that_it_does_not_align(cache: Path, tmp_path: Path) -> None:
    """L_pair is of the batch alone; 2D's branch of all views. A mean of its own learns, its denoiser not."""
    further = ("align_poses.decode=0.5", "align_poses.batch=16", "align_poses.poses=16")
    recipe = tiny(cache, *further, "loop.precision=no", "model.norm=layer", "model.regression=true")
    trainer, model, stage = step_1(recipe, tmp_path)
    generator = torch.Generator().manual_seed(0)
    views = stage.batch(0, generator)
    values = stage.loss(views, generator)
    tau = stage.modules["temperature"]()
    with torch.no_grad():
        x, y = (model.embed(name, views["pair"]) for name in ("2d", "3d"))
        lifted = torch.cat([x, model.embed("2d", views["lift"])])
        truth = torch.cat([v.joints for v in views.values()])
        errors = (model.decode("3d", lifted, "2d") - truth).norm(dim=-1).mean()
    cosines = x @ y.mT / tau
    rows = torch.arange(16)
    pair = (
        torch.nn.functional.cross_entropy(cosines, rows) + torch.nn.functional.cross_entropy(cosines.mT, rows)
    ) / 2
    assert values["pair"].item() == pytest.approx(pair.item(), rel=1e-5)
    assert values["3d/2d"].item() == pytest.approx(
        2 * errors.item() / model.decoders["3d"].std.item(), rel=1e-4
    )
    values["loss"].backward()
    decoder = model.decoders["3d"]
    assert all(p.grad is not None for p in decoder.regression.parameters())
    assert all(p.grad is None for p in decoder.network.parameters())
    trainer.close()
