"""V-VIPE end to end, small: the commands, and what they leave behind."""

import json
import shutil
from pathlib import Path

import numpy as np
import polypose
import pytest
import torch
from posedata.store import PoseStore, write_store
from posedata.store.digests import write_digests
from posedata.views import add_views, get_rig
from posedata.views.noise import DetectorNoise
from poseenc.index import EmbeddingIndex
from posetrain.ablation import Variants
from posetrain.lifecycle import train
from posetrain.recipe import changed, load_recipe
from posetrain.runs import Run
from typer.testing import CliRunner
from typer_front import typer_front
from vvipe.ablate import COMPONENTS
from vvipe.cli import app
from vvipe.recipe import Recipe
from vvipe.task import VVIPE_TASK, open_model
from vvipe_tiny import camera_store, overrides, tiny


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("vvipe")


@pytest.fixture(scope="session")
def trained(cache: Path) -> Path:
    """A run folder made by the owner's spelling of the command."""
    typer_front("apps/vvipe", "train", "--runs", cache / "runs", "--name", "tiny", *overrides(cache))
    return cache / "runs" / "tiny"


@pytest.fixture(scope="session")
def views(cache: Path, trained: Path) -> Path:
    """A few views of the synthetic people, with a detector's keypoints."""
    poses = next(cache.glob("synthetic-*"))
    return add_views(poses, cache / "views", get_rig("h36m"), 1, DetectorNoise(), 0, rows=np.arange(0, 60, 3))


def vvipe(*arguments: object, code: int = 0) -> str:
    """Run a command in this process; its output, once the exit code is right."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output
    return result.output


def test_training_leaves_a_whole_run_folder(trained: Path) -> None:
    metrics = json.loads((trained / "metrics.json").read_text())
    for rig in ("same_rig", "all", "unseen"):
        assert 0 <= metrics[rig]["hit1"] <= metrics[rig]["hit10"] <= 100
    for rig in ("same_rig", "all"):
        assert 0 < metrics[rig]["pa_mpjpe_mm"] < metrics[rig]["mpjpe_mm"] < 2000
    assert sorted(p.name for p in (trained / "checkpoints").iterdir()) == ["mapping", "vae"]
    assert (trained / "report.html").read_text().count("<img") >= 7


def test_evaluation_repeats_and_sets_rows_side_by_side(trained: Path, cache: Path, tmp_path: Path) -> None:
    peer = overrides(cache, "model.method=prvipe")
    vvipe("train", "--runs", tmp_path, "--name", "peer", "--no-report", *peer)
    said = vvipe("evaluate", trained, "--peer", tmp_path / "peer", "--json", tmp_path / "r.json")
    assert "data.cache is" in said, "which it may have to fill"
    rows = json.loads((tmp_path / "r.json").read_text())["rows"]
    assert [row["method"] for row in rows] == ["V-VIPE", "PR-VIPE", "2D keypoints"]
    before = json.loads((trained / "metrics.json").read_text())
    for key in ("hit1", "hit10", "mpjpe_mm"):
        assert rows[0][f"all.{key}"] == pytest.approx(before["all"][key], rel=1e-4)
    said = vvipe("lift", tmp_path / "peer", "none.npy", tmp_path / "o.npz", code=2)
    assert "none.npy" in said or "PR-VIPE" in said


def test_a_training_leaves_what_polypose_loads(trained: Path, views: Path, tmp_path: Path) -> None:
    """The weights that evaluation uses, and what must be known of them: its commands answer alike."""
    model = polypose.load(trained)
    assert repr(model).startswith("ViewInvariant(vvipe, ")
    assert model.settings.data
    assert (model.config.hidden, model.config.dim, model.modalities) == (32, 8, ("2d", "3d"))
    store = PoseStore.open(views)
    np.save(tmp_path / "k.npy", store.column("keypoints_detector"))
    vvipe("lift", trained, tmp_path / "k.npy", tmp_path / "o.npz", "--skeleton", "h36m17")
    vvipe("embed", trained, views, tmp_path / "e.npz", "--keypoints", "detector")
    vvipe("embed", trained, views, tmp_path / "g.index", "--keypoints", "detector")
    points = np.array(store.column("keypoints_detector"))
    with np.load(tmp_path / "o.npz") as lifted, np.load(tmp_path / "e.npz") as embedded:
        np.testing.assert_allclose(model.lift(points, skeleton="h36m17").joints, lifted["joints"], atol=1e-5)
        found = model.embed(keypoints=points, skeleton="h36m17")
        np.testing.assert_allclose(found.vectors, embedded["embedding"], atol=1e-5)
    assert EmbeddingIndex.load(tmp_path / "g.index").about == model.made_by()


def test_stages_one_by_one_are_the_whole(trained: Path, cache: Path, tmp_path: Path) -> None:
    """Stage 1 alone, then stage 2: the same curves as in one go, and an embedding of 3D in between."""
    words = ("train", "--runs", tmp_path, "--name", "tiny", "--no-report", *overrides(cache))
    said = vvipe(*words, "--stage", "mapping", code=2)
    assert "no last checkpoint of stage vae" in said
    assert not (tmp_path / "tiny").exists()
    vvipe(*words, "--stage", "vae")
    assert open_model(tmp_path / "tiny").modalities == ("3d",)
    assert "--stage mapping" in vvipe("evaluate", tmp_path / "tiny", code=2)
    vvipe(*words, "--stage", "mapping", "--resume")
    assert _curves(tmp_path / "tiny") == _curves(trained)


def test_resumed_training_repeats_to_the_bit(trained: Path, cache: Path, tmp_path: Path) -> None:
    """Lose the last checkpoint of stage 2, as a kill would: the curves come out the same."""
    shutil.copytree(trained, tmp_path / "tiny")
    shutil.rmtree(tmp_path / "tiny" / "checkpoints" / "mapping" / "step-00000006")
    vvipe("train", "--runs", tmp_path, "--name", "tiny", "--resume", "--no-report", *overrides(cache))
    assert _curves(tmp_path / "tiny") == _curves(trained)


def test_stage_two_leaves_the_decoder_as_it_was(trained: Path) -> None:
    from safetensors.torch import load_file

    first, second = (
        load_file(sorted((trained / "checkpoints" / stage).iterdir())[-1] / "tensors.safetensors")
        for stage in ("vae", "mapping")
    )
    kept = {name: x for name, x in second.items() if name.startswith("ema/model.vae.")}
    assert len(kept) > 40
    for name, value in kept.items():
        torch.testing.assert_close(value, first[name.replace("ema/model.vae.", "ema/vae.")], rtol=0, atol=0)


def test_comparison_and_ablation_go_on_where_they_stopped(cache: Path, tmp_path: Path) -> None:
    short = overrides(cache, "vae.steps=1", "mapping.steps=1", "matching.steps=1")
    words = ("compare", "--runs", tmp_path, "--name", "c", "--json", tmp_path / "c.json", *short)
    words = (*words, "--beside", "best")
    vvipe(*words)
    first = json.loads((tmp_path / "c.json").read_text())["rows"]
    assert [(r["method"], r["keypoints"], r["augmentation"]) for r in first] == [
        (method, keypoints, augmentation)
        for keypoints in ("exact", "detector")
        for method, augmentation in (
            ("2D keypoints", ""),
            ("V-VIPE", "no"),
            ("PR-VIPE", "no"),
            ("V-VIPE", "yes"),
            ("PR-VIPE", "yes"),
            ("best", "own"),
        )
    ]
    best = load_recipe(tmp_path / "c" / "best-detector-seed0" / "recipe.yaml", Recipe)
    assert (best.mapping.steps, best.augment.cameras) == (1, "real")  # --set changes it too
    lost = tmp_path / "c" / "prvipe-exact-augment-yes-seed0"
    shutil.rmtree(lost)
    others = {p: p.stat().st_mtime_ns for p in (tmp_path / "c").glob("*/metrics.json")}
    vvipe(*words)
    assert (lost / "metrics.json").is_file()
    assert all(path.stat().st_mtime_ns == then for path, then in others.items())
    again = json.loads((tmp_path / "c.json").read_text())["rows"]
    assert [r["all.hit1"] for r in again] == [r["all.hit1"] for r in first]

    vvipe("ablate", "--runs", tmp_path, "--name", "a", "--json", tmp_path / "a.json", *short)
    rows = json.loads((tmp_path / "a.json").read_text())["rows"]
    assert [row["variant"] for row in rows] == list(COMPONENTS.variants)


def test_what_is_not_finished_or_of_other_data_is_not_measured(trained: Path, tmp_path: Path) -> None:
    shutil.copytree(trained, tmp_path / "half")
    shutil.rmtree(tmp_path / "half" / "checkpoints" / "mapping" / "step-00000006")
    camera_store(tmp_path / "store", 8)
    protocol = ("--protocol", "prvipe-hit", "--store", tmp_path / "store")
    asked = (("evaluate",), ("report",), ("evaluate", trained, "--peer"))
    for words in asked:
        assert "stage mapping is at step 4 of 6" in vvipe(*words, tmp_path / "half", code=2)
    assert "stage mapping is at step 4 of 6" in vvipe("evaluate", tmp_path / "half", *protocol, code=2)
    other = shutil.copytree(trained, tmp_path / "other")
    _change_cards(other, data="0123456789abcdef")
    for words in asked:
        assert "was trained on other data" in vvipe(*words, other, code=2)
    vvipe("evaluate", other, *protocol)  # on other data than its own anyway
    _change_cards(other, app="unihpr")
    (other / "recipe.yaml").write_text("finetune: {steps: 3}")
    assert "was trained by unihpr" in vvipe("evaluate", other, code=2)


def test_stored_metrics_are_of_a_finished_run_as_the_recipe_evaluates(
    trained: Path, cache: Path, tmp_path: Path
) -> None:
    run, recipe = shutil.copytree(trained, tmp_path / "run"), tiny(cache)
    stored = json.loads((run / "metrics.json").read_text())
    (run / "metrics.json").write_text('{"stale": 1}')
    assert Variants(VVIPE_TASK).metrics(recipe, run) == {"stale": 1}
    shutil.rmtree(run / "checkpoints" / "mapping" / "step-00000006")
    assert Variants(VVIPE_TASK).metrics(recipe, run)["all"] == pytest.approx(stored["all"], rel=1e-4)
    fewer = Variants(VVIPE_TASK).metrics(tiny(cache, "evaluation.hits=[5]"), run)
    assert stored["all"]["hit1"] < fewer["all"]["hit5"] < stored["all"]["hit10"]
    _change_cards(run, data="0123456789abcdef")
    with pytest.raises(ValueError, match="was trained on other data than its recipe gives now"):
        Variants(VVIPE_TASK).metrics(recipe, run)
    assert (run / "metrics.json").is_file()


def test_an_autoencoder_serves_only_recipes_that_share_it(cache: Path, tmp_path: Path) -> None:
    runs = Variants(VVIPE_TASK)
    short = ("vae.steps=1", "mapping.steps=1", "matching.steps=1")
    others = {
        "first": (),
        "same": ("data.keypoints=detector", "mapping.margin=3", "augment.share=0"),
        "kl": ("vae.kl=0.5",),
        "ema": ("loop.ema=0.5",),
        "poses": ("data.train_poses=100",),
        "seed": ("loop.seed=1",),
    }
    for name, more in others.items():
        runs.metrics(tiny(cache, *short, *more), tmp_path / name)
    assert [name for name in others if not Run(tmp_path / name).curves("vae")] == ["same"]
    vae = "checkpoints/vae/step-00000001/tensors.safetensors"
    assert (tmp_path / "same" / vae).read_bytes() == (tmp_path / "first" / vae).read_bytes()


def test_stage_one_of_another_run_must_be_whole_and_of_the_same_people(
    trained: Path, cache: Path, tmp_path: Path
) -> None:
    def made(*more: str) -> Recipe:
        return tiny(cache, f"mapping.vae={source}", "mapping.steps=1", *more)

    source = shutil.copytree(trained, tmp_path / "source")
    train(VVIPE_TASK, made("data.keypoints=detector"), tmp_path / "run", report=False)
    assert json.loads((tmp_path / "run" / "metrics.json").read_text())["all"]["hit1"] > 0
    assert [p.name for p in (tmp_path / "run" / "checkpoints").iterdir()] == ["mapping"]
    people = "data.synthetic={subjects: 3, test_subjects: 2, clips: 2, frames: 40}"
    with pytest.raises(ValueError, match="maybe on people of this run's test"):
        train(VVIPE_TASK, made(people), tmp_path / "no")
    with pytest.raises(ValueError, match=r"vae\.align True"):
        train(VVIPE_TASK, made("vae.align=false"), tmp_path / "no")
    shutil.rmtree(source / "checkpoints" / "vae" / "step-00000008")
    with pytest.raises(ValueError, match="at step 6 of 8"):
        train(VVIPE_TASK, made(), tmp_path / "no")
    assert not (tmp_path / "no").exists()


def test_nothing_is_deleted_before_all_is_known_to_be_right(
    trained: Path, cache: Path, tmp_path: Path
) -> None:
    run = shutil.copytree(trained, tmp_path / "tiny")
    words = ("train", "--runs", tmp_path, "--name", "tiny", "--overwrite", *overrides(cache))
    wrong = {
        ("--stage", "mapping"): "which --overwrite would delete",
        ("--set", f"mapping.vae={run}"): "would delete",
        ("--set", "mapping.vae=nothing"): "no last checkpoint of stage vae",
        ("--set", "mapping.pretrained=false", "--stage", "vae"): "leaves stage 1 out",
        ("--set", "model.method=prvipe", "--stage", "vae"): "a single stage",
    }
    before = sorted((p, p.stat().st_mtime_ns) for p in run.rglob("*"))
    for more, said in wrong.items():
        assert said in vvipe(*words, *more, code=2)
    assert sorted((p, p.stat().st_mtime_ns) for p in run.rglob("*")) == before


def test_variants_change_what_they_say() -> None:
    recipe = Recipe()
    made = {name: changed(recipe, overrides) for name, overrides in COMPONENTS.variants.items()}
    assert made["whole"] == recipe
    assert (made["no triplet"].vae.triplet, made["no triplet"].mapping.triplet) == (0, 0)
    assert not made["no alignment"].vae.align
    assert not made["no pre-trained decoder"].mapping.pretrained
    assert made["no augmentation"].augment.share == 0


def test_embed_and_retrieve_agree(trained: Path, views: Path, tmp_path: Path) -> None:
    vvipe("embed", trained, views, tmp_path / "e.npz", "--modality", "3d")
    with np.load(tmp_path / "e.npz") as file:
        embedded = torch.from_numpy(file["embedding"])
    vvipe("embed", trained, views, tmp_path / "g.index", "--modality", "3d")
    for gallery in (views, tmp_path / "g.index"):
        out = tmp_path / "r.json"
        vvipe("retrieve", trained, views, gallery, "--from", "3d", "--to", "3d", "--json", out)
        rows = json.loads(out.read_text())["rows"]
        nearest = torch.cdist(embedded, embedded).topk(5, largest=False).indices
        assert [row["gallery"][0] for row in rows] == nearest[:, 0].tolist()
        vvipe("retrieve", trained, views, gallery, "--from", "3d", "--to", "3d", "-k", 99, "--json", out)
        rows = json.loads(out.read_text())["rows"]
        assert all(sorted(row["gallery"]) == list(range(20)) for row in rows)
        overall = json.loads(out.read_text())["overall"]
        whole = {"queries": 20, "hit1": 100.0, "hit99": None}
        assert {key: overall.get(key) for key in whole} == (
            whole if gallery == views else {"queries": 0, "hit1": None, "hit99": None}
        )
    vvipe("retrieve", trained, views, views, "-k", 0, code=2)
    said = vvipe("embed", trained, views, tmp_path / "x.npz", "--keypoints", "no", code=2)
    assert "keypoints_no" in said
    assert not (tmp_path / "x.npz").exists()


def test_an_index_is_asked_by_the_run_that_made_it_alone(trained: Path, views: Path, tmp_path: Path) -> None:
    file, other = tmp_path / "g.index", tmp_path / "other.index"
    vvipe("embed", trained, views, file)
    index = EmbeddingIndex.load(file)
    assert index.about["run"] == "tiny"
    assert index.about["skeleton"] == "h36m17"
    words = ("retrieve", trained, views)
    assert "which run" not in vvipe(*words, file)
    index.save(other, index.about | {"run": "best", "weights": "c0ffee" * 10})
    said = " ".join(vvipe(*words, other, code=2).split())
    assert f"{other}: was made by run best (weights c0ffeec0ffee, h36m17)" in said
    assert f"asked by run tiny (weights {index.about['weights'][:12]}, h36m17)" in said
    index.save(other, index.about | {"skeleton": "coco17"})
    assert "was made by run tiny" in vvipe(*words, other, code=2)
    index.save(other)
    assert f"warning: {other}: does not say which run made it" in " ".join(vvipe(*words, other).split())
    renamed = shutil.copytree(trained, tmp_path / "renamed")
    vvipe("retrieve", renamed, views, file)


def test_coco_and_h36m_keypoints_of_one_person_embed_alike(
    trained: Path, views: Path, tmp_path: Path
) -> None:
    """The thirteen shared joints decide: COCO's further ones, and Human3.6M's, do not matter."""
    store = PoseStore.open(views)
    h36m = np.array(store.column("keypoints_detector"))
    joints = store.skeleton.joints
    coco = np.zeros((len(h36m), 17, 3), np.float32)
    names = ["nose", "left_eye", "right_eye", "left_ear", "right_ear"]
    limbs = ["shoulder", "elbow", "wrist", "hip", "knee", "ankle"]
    names += [f"{side}_{limb}" for limb in limbs for side in ("left", "right")]
    for i, name in enumerate(names):
        wanted = "neck" if name == "nose" else name
        if wanted in joints:
            coco[:, i] = h36m[:, joints.index(wanted)]
    np.save(tmp_path / "coco.npy", coco)
    np.save(tmp_path / "h36m.npy", h36m)
    vvipe("lift", trained, tmp_path / "coco.npy", tmp_path / "a.npz", "--picture", tmp_path / "a.png")
    vvipe("lift", trained, tmp_path / "h36m.npy", tmp_path / "b.npz", "--skeleton", "h36m17")
    with np.load(tmp_path / "a.npz") as a, np.load(tmp_path / "b.npz") as b:
        np.testing.assert_allclose(a["joints"], b["joints"], atol=1e-5)
    assert (tmp_path / "a.png").stat().st_size > 1000
    picture = tmp_path / "deep" / "a.no"
    vvipe("lift", trained, tmp_path / "coco.npy", tmp_path / "d.npz", "--picture", picture, code=2)
    assert not (tmp_path / "d.npz").exists()
    vvipe(
        "lift", trained, tmp_path / "coco.npy", tmp_path / "d.npz", "--picture", picture.with_suffix(".png")
    )
    assert not list(tmp_path.glob(".*.partial"))
    said = vvipe("lift", trained, tmp_path / "h36m.npy", tmp_path / "c.npz", "--skeleton", "itop15", code=2)
    assert "h36m.npy" in said
    assert "--skeleton" in said


def test_generation_starts_at_the_pose_and_moves_on(trained: Path, views: Path, tmp_path: Path) -> None:
    amounts = [part for a in (0.0, 0.2, 0.4, 0.8) for part in ("--amount", a)]
    vvipe("generate", trained, tmp_path / "g.npz", "--around", views, "--row", 3, "--count", 2, *amounts)
    with np.load(tmp_path / "g.npz") as file:
        poses = file["joints"]
    assert poses.shape == (2, 4, 17, 3)
    np.testing.assert_allclose(poses[0, 0], poses[1, 0], atol=1e-5)
    moved = np.linalg.norm(poses - poses[:, :1], axis=-1).mean(-1)
    assert (np.diff(moved, axis=1) > 0).all()
    vvipe("generate", trained, tmp_path / "p.npz", "--count", 3)
    with np.load(tmp_path / "p.npz") as file:
        assert np.isfinite(file["joints"]).all()
        assert file["joints"].shape == (3, 17, 3)
    assert "has no row 99" in vvipe(
        "generate", trained, tmp_path / "n.npz", "--around", views, "--row", 99, code=2
    )


@pytest.mark.parametrize("amount", ["nan", "inf", "-1e30"])
def test_noise_that_is_no_amount_is_refused(trained: Path, tmp_path: Path, amount: str) -> None:
    said = vvipe("generate", trained, tmp_path / "g.npz", "--amount", amount, code=2)
    assert f"--amount {float(amount):g}: give numbers up to 100; the prior is 1 wide" in " ".join(
        said.split()
    )
    assert not (tmp_path / "g.npz").exists()


def test_bad_input_is_one_line(tmp_path: Path, trained: Path, cache: Path) -> None:
    assert "did you mean mapping.steps?" in vvipe("train", "--set", "mapping.step=3", code=2)
    assert "data.path is not set" in vvipe("train", "--runs", tmp_path, "--set", "data.format=joints", code=2)
    assert "no such run" in vvipe("evaluate", tmp_path / "nothing", code=2)
    for command in ("compare", "ablate"):
        assert "--seeds" in vvipe(command, "--runs", tmp_path, "--seeds", 0, code=2)
    assert "holds a run" in vvipe(
        "train", "--runs", trained.parent, "--name", "tiny", *overrides(cache), code=2
    )
    assert not any(tmp_path.iterdir())


def test_what_is_no_array_of_numbers_is_named(trained: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", points=np.zeros((2, 17, 2)), boxes=np.zeros(2))
    (tmp_path / "a.txt").write_text("1 2 3")
    (tmp_path / "a.npy").touch()
    np.save(tmp_path / "none.npy", np.zeros((0, 17, 2)))
    (tmp_path / "cut.npz").write_bytes((tmp_path / "a.npz").read_bytes()[:99])
    for name, keypoints, joints in (
        ("a.npz", "holds points, boxes; call the keypoints", "is an .npz of points, boxes; save one of them"),
        ("a.txt", "give keypoints as .npy, .npz, .csv, .json", "not a whole .npy"),
        ("a.npy", "not a whole .npy", "not a whole .npy"),
        ("cut.npz", "not a whole .npz", "not a whole .npy"),
        ("none.npy", "has no frame", "has no frame"),
    ):
        for said, *words in (
            (keypoints, "lift", trained, tmp_path / name, tmp_path / "o.npz"),
            (keypoints, "embed", trained, tmp_path / name, tmp_path / "o.npz"),
            (joints, "embed", trained, tmp_path / name, tmp_path / "o.npz", "--modality", "3d"),
        ):
            found = " ".join(vvipe(*words, code=2).split())
            assert said in found
            assert name in found
    assert not (tmp_path / "o.npz").exists()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_measures_what_the_cpu_does(cache: Path, tmp_path: Path) -> None:
    for method in ("vvipe", "prvipe"):
        recipe = tiny(cache, "loop.device=auto", f"model.method={method}", "data.keypoints=detector")
        folder = tmp_path / method
        found = train(VVIPE_TASK, recipe, folder)[1]
        vvipe("evaluate", folder, "--json", tmp_path / "r.json")
        said = json.loads((tmp_path / "r.json").read_text())["rows"][0]
        assert said["all.hit10"] == pytest.approx(found["all"]["hit10"], abs=1)
        assert (folder / "report.html").is_file()


def _change_cards(run: Path, **values: str) -> None:
    for card in run.glob("checkpoints/*/*/card.json"):
        card.write_text(json.dumps(json.loads(card.read_text()) | values))
        write_digests(card.parent)


def _curves(run: Path) -> list[dict[str, float]]:
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    return [{k: v for k, v in line.items() if k != "seconds"} for line in lines]


def test_a_protocol_scores_a_data_set_beside_the_papers(trained: Path, tmp_path: Path) -> None:
    camera_store(tmp_path / "store", 8)
    words = ["evaluate", str(trained), "--protocol", "prvipe-hit", "--store", str(tmp_path / "store")]
    done = CliRunner().invoke(app, [*words, "--json", str(tmp_path / "hits.json")])
    assert done.exit_code == 0, done.output
    assert "97.6" in done.output  # PR-VIPE's own, from its table
    row = json.loads((tmp_path / "hits.json").read_text())["rows"][0]
    assert row["frames"] == 15
    assert row["hit10"] > 60 > row["hit1"]  # ten of fifteen poses by chance alone


def test_frames_in_which_a_camera_saw_nobody_are_left_out_of_a_protocol(
    trained: Path, tmp_path: Path
) -> None:
    """As S11 Directions is, which Human3.6M's published detections lack."""
    exact = camera_store(tmp_path / "exact", 8)
    columns = {name: np.array(exact.column(name)) for name in exact.columns}
    frames = columns["subject"] * 8 + columns["frame"]
    columns["keypoints_cpn"] = columns["keypoints_true"].copy()
    columns["keypoints_cpn"][(frames < 3) & (columns["camera"] == 1)] = 0
    columns["keypoints_one_blind"] = columns["keypoints_true"] * (columns["camera"] != 1)[:, None, None]
    meta = {
        key: exact.meta[key] for key in exact.meta if key not in ("fingerprint", "schema_version", "rows")
    }
    write_store(tmp_path / "store", columns, meta)
    words = ["evaluate", str(trained), "--protocol", "prvipe-hit", "--data", str(tmp_path / "store")]
    done = CliRunner().invoke(app, [*words, "--keypoints", "cpn", "--json", str(tmp_path / "hits.json")])
    assert done.exit_code == 0, done.output
    said = "in 3 of 15 frames some camera's keypoints_cpn show no hip or no shoulder; left out"
    assert said in " ".join(done.output.split())
    row = json.loads((tmp_path / "hits.json").read_text())["rows"][0]
    assert (row["frames"], row["frames_unseen"]) == (12, 3)
    done = CliRunner().invoke(app, [*words, "--keypoints", "one_blind"])
    assert done.exit_code == 2
    assert "in each of 15 frames some camera's keypoints_one_blind show no hip" in done.output


def test_a_release_is_measured_as_it_is_written(trained: Path, cache: Path, tmp_path: Path) -> None:
    shutil.copytree(trained, tmp_path / "vvipe-release")
    weights, results = tmp_path / "vvipe.safetensors", tmp_path / "release.json"
    given = overrides(cache, "data.format=synthetic", "data.keypoints=exact")
    said = vvipe("release", "--runs", tmp_path, "--weights", weights, "--json", results, *given)
    (row,) = json.loads(results.read_text())["rows"]
    metrics = json.loads((trained / "metrics.json").read_text())
    for rig in ("same_rig", "all", "unseen"):
        # float16 may swap neighbours
        assert row[f"{rig}.hit1"] == pytest.approx(metrics[rig]["hit1"], abs=2.5)
    assert f"{row['unseen.hit1']:.1f}" in said
    card = weights.with_suffix(".md").read_text()
    assert f"| unseen cameras | {row['unseen.hit1']:.1f} |" in card
    assert "$" not in card
    model = polypose.load(weights)
    assert model.kind == "vvipe"
    own = open_model(trained)
    for name, value in own.network.state_dict().items():
        kept = model.network.state_dict()[name]
        assert torch.equal(kept, value.half().float() if value.is_floating_point() else value), name
