"""Real samples through `prepare`, `inspect` and one training step of the app that uses them.

They lie beside the repository and are not part of it; without them the tests are skipped.
"""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from posedata.inspection.report import contact_sheet, inspect_store
from posedata.prepare import prepare
from posedata.store import PoseStore
from vvipe_tiny import tiny

DATA = Path(__file__).resolve().parents[1] / "../shared/data"

pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="needs ../shared/data")


@pytest.mark.parametrize(
    ("form", "rows", "train", "test"),
    [("asf_amc", 1, ["07", "09", "131"], ["35"]), ("bvh", 1, ["12"], ["13"])],
)
def test_motion_capture_teaches_vvipe(
    tmp_path: Path, form: str, rows: int, train: list[str], test: list[str]
) -> None:
    from posetrain.lifecycle import train as run_training
    from vvipe.task import VVIPE_TASK

    source = DATA / "motion"
    if form == "bvh":  # one recording: somebody else's for the test
        source = tmp_path / "bvh"
        source.mkdir()
        for name in ("cmu_12_01_walk", "cmu_13_01_walk"):
            shutil.copy(DATA / "motion" / "cmu_12_01_walk.bvh", source / f"{name}.bvh")
    store = PoseStore.open(prepare(form, source, tmp_path / "store", fps=30, strict=True))
    report = inspect_store(store)
    assert report["units"]["verdict"] == "ok"
    assert report["sides"]["verdict"] == "ok" or report["sides"]["verdict"].startswith("not judged")
    assert report["stature"]["verdict"] == "ok"
    short = [fault.partition(":")[0] for fault in report["faults"]]
    assert short == (["proportions"] if form == "bvh" else [])  # amc2bvh drops wrists
    assert contact_sheet(store).size[0] > 500
    (tmp_path / "split.json").write_text(json.dumps({"train": train, "test": test}))
    changes = (
        "data.format=store",
        f"data.path={tmp_path / 'store'}",
        f"data.split={tmp_path / 'split.json'}",
    )
    recipe = tiny(tmp_path / "cache", *changes, "vae={steps: 1, batch: 16}")
    if form == "bvh":
        with pytest.raises(
            ValueError, match=r"no human has such proportions.*take the original, for CMU its ASF"
        ):
            run_training(VVIPE_TASK, recipe, tmp_path / "run", group="vae", report=False)
        recipe = replace(recipe, data=replace(recipe.data, accept_faults=True))
    trained, _ = run_training(VVIPE_TASK, recipe, tmp_path / "run", group="vae", report=False)
    assert len(trained.run.curves("vae")) == rows


def test_interhand_teaches_the_hands(tmp_path: Path) -> None:
    from posetrain.lifecycle import train
    from posetrain.recipe import load_recipe
    from unipose.hands.recipe import RECIPES, Recipe
    from unipose.hands.task import HANDS

    for part in ("train", "test"):
        for folder in ("annotations", "images"):
            (tmp_path / "raw" / folder / part).mkdir(parents=True)
        for kind in ("data", "camera", "joint_3d"):
            name = tmp_path / "raw" / "annotations" / part / f"InterHand2.6M_{part}_{kind}.json"
            shutil.copy(DATA / "interhand" / f"test_interhand2.6m_{kind}.json", name)
        for picture in (DATA / "interhand").glob("*.jpg"):
            shutil.copy(picture, tmp_path / "raw" / "images" / part / picture.name)
    store = PoseStore.open(
        prepare("interhand", tmp_path / "raw", tmp_path / "store", size="64x64", strict=True)
    )
    assert len(store) == 8
    report = inspect_store(store)
    assert report["reprojection"]["keypoints_true"]["verdict"] == "ok"
    changes = [
        "data.format=interhand", f"data.path={tmp_path / 'raw'}", f"data.cache={tmp_path / 'cache'}",
        "data.size=64", "model={backbone: resnet18, dim: 32, heads: 2, layers: [1, 1], hidden: 32}",
        "train.steps=1", "train.batch=2", "loop.trackers=[]", "loop.precision=bf16",
    ]  # fmt: skip
    trained, _ = train(HANDS, load_recipe("interhand", Recipe, changes, RECIPES), tmp_path / "run")
    assert len(trained.run.curves("hands")) == 1


def test_the_coco_photograph_is_told_to_have_no_3d(tmp_path: Path) -> None:
    store = PoseStore.open(prepare("coco", DATA / "coco", tmp_path / "store", size="48x64", strict=True))
    report = inspect_store(store)
    assert report["units"]["verdict"] == "not judged: the store has no 3D"
    assert contact_sheet(store).size[0] > 100
