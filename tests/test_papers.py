"""From the data sets' own layouts to the papers' tables: prepare, train on recorded views, score strangers.

The recipes are the papers' own, their networks and steps made small; the people are synthetic, in the files
that Human3.6M, 3DPW and MPI-INF-3DHP unpack to.
"""

import functools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import typer
import unihpr.cli
import vvipe.cli
from layouts import write_3dhp, write_3dpw, write_h36m
from layouts.threedpw import SEQUENCES
from polypose.network import Modality
from polypose.samples import Sample
from posedata.cli import app as posedata_app
from posedata.scoring.protocols import H36M_TEST, H36M_TRAIN, HitProtocol, PoseProtocol, get_protocol
from posedata.splits import Elsewhere
from posedata.store import PoseStore
from posedata.views.recorded import moments
from posetrain.lifecycle import Trained, open_run
from posetrain.recipe import load_recipe
from typer.testing import CliRunner
from unihpr.data import POSE, TrainingData
from unihpr.recipe import RECIPES, Recipe
from unihpr.task import UNIHPR

CPN = "data_2d_h36m_cpn_ft_h36m_dbb.npz"
SIZE = ("--size", "48x64", "--workers", "1")
LOOP = "loop={device: cpu, precision: no, ema: 0.95, trackers: []}"  # alike on every processor
STEP = "lr: 1.0e-3, schedule: cosine, warmup: 5"
SMALL = (
    *("model.image_encoder=light", "model.image_weights=null", "model.pose_encoder=mlp", "model.dim=128"),
    *("model.hidden=256", "model.decoder_hidden=256", "model.norm=layer", "model.regression=true"),
    *("data.augment.mirror=0.5", f"align_poses={{steps: 80, batch: 64, poses: 64, decode: 20, {STEP}}}"),
    f"align_image={{steps: 60, batch: 48, negatives: sampled, {STEP}}}",
    f"finetune={{steps: 100, batch: 48, poses: 24, contrast: 0.2, {STEP}}}",
    "evaluation={hypotheses: 2, sampler: dpmpp_2m_sde, sampler_steps: 3}",
    LOOP,
)
SMALL_VVIPE = (
    *("model.hidden=128", "vae={steps: 120, batch: 128}", "mapping={steps: 120, batch: 128}"),
    LOOP,
)
BRANCHES: dict[str, tuple[Modality, bool]] = {
    "UniHPR, true 2D": ("2d", False),
    "UniHPR, detected 2D": ("2d", True),
    "UniHPR, image": ("image", False),
}
FRAMES, ACTIONS = 10, ("Directions", "Walking", "Sitting 1")
TEST_VIEWS = 2 * len(ACTIONS) * FRAMES * 4 - FRAMES * 4  # without S11 Directions, which has no detections


def invoke(app: typer.Typer, *words: object) -> str:
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == 0, result.output
    return result.output


def settings(*options: str) -> list[str]:
    return [word for option in options for word in ("--set", option)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Stores `h36m`, `3dpw` and `3dhp`, and `runs/unihpr` and `runs/vvipe`, both trained on the first."""
    folder = tmp_path_factory.mktemp("papers")
    files = folder / "files"
    people = (*H36M_TRAIN, *H36M_TEST)
    write_h36m(files / "h36m", subjects=people, actions=ACTIONS, frames=FRAMES, pace=8, block=8)
    write_3dpw(files / "3dpw", sequences={"test": SEQUENCES["test"]}, frames=10, pace=6)
    write_3dhp(files / "3dhp", subjects=("S1",), frames=16, pace=4)
    options = {
        "h36m": ("--keypoints", f"cpn={files / 'h36m' / CPN}"),
        "3dpw": ("--joints", "h36m17", "--part", "test"),
        "mpi_inf_3dhp": ("--cameras", "0,4,8"),
    }
    for (reader, more), name in zip(options.items(), ("h36m", "3dpw", "3dhp"), strict=True):
        invoke(posedata_app, "prepare", reader, files / name, folder / name, *SIZE, *more)
    for app, name, small in ((unihpr.cli.app, "unihpr", SMALL), (vvipe.cli.app, "vvipe", SMALL_VVIPE)):
        words = ("train", "--recipe", "paper", "--runs", folder / "runs", "--name", name, "--no-report")
        invoke(app, *words, *settings(f"data.path={folder / 'h36m'}", *small))
    return folder


@functools.cache
def scored(app: typer.Typer, run: Path, protocol: str, *words: object) -> dict[str, Any]:
    """What `evaluate --protocol` writes, its rows by method, and what it shows."""
    file = run / "scores.json"
    shown = invoke(app, "evaluate", run, "--protocol", protocol, *words, "--json", file)
    found = json.loads(file.read_text())
    return found | {"rows": {row["method"]: row for row in found["rows"]}, "shown": shown}


@functools.cache
def opened(folder: Path, place: Elsewhere | None = None) -> Trained[Any, Any, Any]:
    return open_run(UNIHPR, folder / "runs/unihpr", place)


@torch.no_grad()
def predicted(trained: Trained[Any, Any, Any], sample: Sample, modality: Modality) -> torch.Tensor:
    """Mean poses in the camera's own frame, as the recipe `paper` has them."""
    return trained.model.decode("3d", trained.model.embed(modality, sample), modality)


def guesses(trained: Trained[Any, Any, Any], name: str) -> dict[str, dict[str, float]]:
    """A protocol's scores of what does not look: the training set's mean pose, and the model given another
    view's keypoints or picture."""
    protocol, sample = get_protocol(name), trained.data.test()
    assert isinstance(protocol, PoseProtocol)
    order = torch.randperm(len(sample), generator=torch.Generator().manual_seed(0))
    poses = {modality: predicted(trained, sample[order], modality) for modality in ("2d", "image")}
    poses["mean pose"] = trained.model.mean_pose.expand(len(sample), -1, -1)
    return {guess: protocol.score(pose, sample.joints, POSE) for guess, pose in poses.items()}


def in_camera(store: PoseStore, rows: np.ndarray) -> np.ndarray:
    """Joints of rows from the store's columns, in the camera's frame, relative to the pelvis."""
    turn = store.column("camera_rotation")[store.column("camera")[rows]]
    joints = store.column("joints")[rows].astype(float)
    return np.einsum("nij,nkj->nki", turn, joints - joints[:, :1])


def procrustes(pose: np.ndarray, true: np.ndarray) -> np.ndarray:
    """A pose (J, 3) moved, turned and scaled to lie as near to the true one as it can."""
    middle, centred = true.mean(0), pose - pose.mean(0)
    u, s, v = np.linalg.svd(centred.T @ (true - middle))
    sign = np.array([1, 1, np.sign(np.linalg.det(u @ v))])
    return (s * sign).sum() / (centred**2).sum() * centred @ (u * sign) @ v + middle


def test_a_run_of_the_recipe_paper_trains_and_is_tested_on_the_papers_people(folder: Path) -> None:
    plain = load_recipe("paper", Recipe, [f"data.path={folder / 'h36m'}"], RECIPES)
    data = opened(folder).data
    assert isinstance(data, TrainingData)
    assert (plain.data.views, plain.data.keypoints, plain.data.split) == ("recorded", "cpn", None)
    assert data.views.recorded == 1
    store = data.source.store

    def people(rows: np.ndarray) -> set[str]:
        return {store.names("subject")[i] for i in store.column("subject")[rows]}

    assert people(data.stores.train_views.rows) == set(H36M_TRAIN)
    assert people(data.source.rows) == set(H36M_TEST)
    assert len(data.source) == TEST_VIEWS


SHARES = {"UniHPR, true 2D": 0.8, "UniHPR, detected 2D": 0.85, "UniHPR, image": 0.9}
"""The share of a guess's error that people who were not trained on come below: of the best guess, and
for images, which so short a training reads badly, of the same model given another view's picture."""


@pytest.mark.parametrize(("name", "key"), [("h36m-p1", "mpjpe_mm"), ("h36m-p2", "pa_mpjpe_mm")])
def test_human36ms_strangers_are_estimated_from_recorded_keypoints_and_pixels(
    folder: Path, name: str, key: str
) -> None:
    app, run = unihpr.cli.app, folder / "runs/unihpr"
    own = scored(app, run, name)
    there = scored(app, run, name, "--data", folder / "h36m", "--keypoints", "cpn")
    trained = opened(folder)
    found = guesses(trained, name)
    for method, share in SHARES.items():
        row = own["rows"][method]
        assert row["frames"] == TEST_VIEWS
        beside = found.values() if method != "UniHPR, image" else [found["image"]]
        assert row[key] < share * min(guess[key] for guess in beside), (method, found)
        assert there["rows"][method][key] == pytest.approx(row[key], rel=1e-5)
        by_action = [row[f"{key}_by_action.{action.split()[0]}"] for action in ACTIONS]
        assert row[f"{key}_mean_of_actions"] == pytest.approx(np.mean(by_action))
    assert "the protocol's test part as recorded" in own["remark"]
    published = {row["method"]: row[key] for row in own["published"]}
    assert published["UniHPR-w48"] == {"h36m-p1": 49.9, "h36m-p2": 35.7}[name]
    assert all(f"{value:.1f}" in own["shown"] for value in published.values())


@pytest.mark.parametrize("method", BRANCHES)
def test_scores_are_those_that_joints_and_predictions_give_by_hand(folder: Path, method: str) -> None:
    trained, (modality, detector) = opened(folder), BRANCHES[method]
    source = trained.data.source
    true = in_camera(source.store, source.rows)
    poses = predicted(trained, trained.data.test(detector), modality).double().numpy()
    poses = poses - poses[:, :1]
    errors = 1000 * np.linalg.norm(poses - true, axis=-1).mean(-1)
    aligned = np.stack([procrustes(p, t) for p, t in zip(poses, true, strict=True)])
    for name, values in (
        ("h36m-p1", errors),
        ("h36m-p2", 1000 * np.linalg.norm(aligned - true, axis=-1).mean(-1)),
    ):
        row = scored(unihpr.cli.app, folder / "runs/unihpr", name)["rows"][method]
        key = "mpjpe_mm" if name == "h36m-p1" else "pa_mpjpe_mm"
        assert row[key] == pytest.approx(values.mean(), rel=1e-4)


def test_3dpw_is_scored_without_training_on_it(folder: Path) -> None:
    place = ("--data", folder / "3dpw", "--keypoints", "openpose")
    found = scored(unihpr.cli.app, folder / "runs/unihpr", "3dpw-pa", *place)
    guess = guesses(opened(folder, Elsewhere(folder / "3dpw", keypoints="openpose")), "3dpw-pa")
    nearest = min(scores["pa_mpjpe_mm"] for scores in guess.values())
    row = found["rows"]["UniHPR, true 2D"]
    assert row["frames"] == 3 * 9  # people; the camera of one frame in ten is not known
    assert row["pa_mpjpe_mm"] < 0.8 * nearest, guess
    published = {row["method"]: row["pa_mpjpe_mm"] for row in found["published"]}
    assert published["PyMAF-X"] == 47.1


def test_3dhps_test_set_is_scored_without_training_on_it(folder: Path) -> None:
    found = scored(unihpr.cli.app, folder / "runs/unihpr", "3dhp-pck-auc", "--data", folder / "3dhp")
    guess = guesses(opened(folder, Elsewhere(folder / "3dhp")), "3dhp-pck-auc")
    best = {key: max(scores[key] for scores in guess.values()) for key in ("pck_percent", "auc_percent")}
    row = found["rows"]["UniHPR, true 2D"]
    assert row["frames"] == 2 * 15  # of TS1 and TS3, whose first is not valid
    assert row["pck_percent"] > 1.3 * best["pck_percent"], guess
    assert row["auc_percent"] > 1.3 * best["auc_percent"], guess


def test_vvipe_finds_a_pose_across_the_data_sets_own_cameras(folder: Path) -> None:
    found = scored(
        vvipe.cli.app, folder / "runs/vvipe", "prvipe-hit", "--data", folder / "h36m", "--keypoints", "cpn"
    )
    row = found["rows"]["vvipe"]
    store, protocol = PoseStore.open(folder / "h36m"), get_protocol("prvipe-hit")
    assert isinstance(protocol, HitProtocol)
    views, _ = moments(store, protocol.test.rows(store), protocol.cameras)
    joints = torch.from_numpy(np.array(store.column("joints")[views[:, 0]]))
    kept = joints[protocol.subset(joints, store.skeleton)]
    chance = 100 * float(protocol.hits(kept, store.skeleton).float().mean())
    assert row["frames_unseen"] == FRAMES  # S11 Directions
    assert row["hit1"] > 2 * chance
    assert len(found["published"]) > 1
