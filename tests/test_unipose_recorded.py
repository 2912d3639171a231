"""From recordings in files to a trained teacher: `posedata prepare rgbd`, `inspect`, steps of training."""

import json
from dataclasses import replace
from pathlib import Path

import formats_rgbd as formats
import numpy as np
import pytest
import torch
from PIL import Image
from posedata.cli import app as posedata
from posedata.geometry.camera import Camera
from posedata.prepare import prepare
from posedata.skeleton import get_skeleton
from posedata.store import PoseStore
from posedata.synthetic import Flesh, Renderer, generate_motion
from posetrain.lifecycle import train
from posetrain.recipe import load_recipe
from typer.testing import CliRunner
from unipose.data import isolated
from unipose.data import prepare as prepare_data
from unipose.recipe import RECIPES, Recipe
from unipose.task import UNIPOSE, open_run
from unipose_tiny import TINY

SIZE, FRAMES = (128, 128), 6


def _record(folder: Path, joints: torch.Tensor, seed: int) -> None:
    """Render somebody's motion as a recording: depth, colour, intrinsics, and 2D joints as COCO."""
    generator = torch.Generator().manual_seed(seed)
    middle = joints.mean((0, 1))
    camera = Camera.look_at(middle + torch.tensor([0.0, -3.0, 0.2]), middle, 130.0, SIZE)
    flesh, renderer = Flesh.sample(generator), Renderer(size=SIZE)
    h36m, coco = get_skeleton("h36m17"), get_skeleton("coco17")
    people = []
    (folder / "rgb").mkdir(parents=True)
    for number, pose in enumerate(joints):
        seen = renderer.render(pose, flesh, camera, generator=generator, background="room")
        formats.write_depth_png(folder / "depth" / f"{number:04d}.png", seen.depth)
        Image.fromarray(seen.rgb).save(folder / "rgb" / f"{number:04d}.png")
        pixels = camera.project(pose)
        known = [name for name in coco.joints if name in h36m.joints]
        keypoints = np.zeros((17, 3))
        for name in known:
            keypoints[coco.index(name)] = [*pixels[h36m.index(name)].tolist(), 2]
        people.append({"image_id": number, "keypoints": keypoints.ravel().tolist()})
    images = [{"id": number, "file_name": f"{number:04d}.png"} for number in range(len(joints))]
    (folder / "keypoints.json").write_text(json.dumps({"images": images, "annotations": people}))
    (fx, fy), (cx, cy) = camera.focal.tolist(), camera.centre.tolist()
    table = {"width": SIZE[0], "height": SIZE[1], "fx": fx, "fy": fy, "cx": cx, "cy": cy, "fps": 10}
    (folder / "intrinsics.json").write_text(json.dumps(table))


def test_recordings_are_prepared_inspected_and_trained_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing but depth, colour and 2D joints goes in; nobody is lost, and the losses are numbers."""
    motion = generate_motion(subjects=2, clips_per_subject=1, frames=FRAMES, fps=10.0, seed=3)
    for person, name in enumerate(("ann", "ben")):
        mine = torch.from_numpy(motion.joints[motion.subject == person]).float()
        _record(tmp_path / "raw" / name, mine, person)
    store = tmp_path / "store"
    for words in (["prepare", "rgbd", str(tmp_path / "raw"), str(store)], ["inspect", str(store)]):
        done = CliRunner().invoke(posedata, words)
        assert done.exit_code == 0, done.output
    assert not PoseStore.open(store).column("valid").any()
    split = tmp_path / "split.json"
    split.write_text('{"train": ["ann"], "test": ["ben"]}', encoding="utf-8")
    more = ["data.format=rgbd", f"data.path={store}", f"data.split={split}", "data.detector=store"]
    more += [f"data.cache={tmp_path / 'cache'}", "data.clips=2", "data.test_clips=2", "twins=false"]
    more += ["data.stride=2"]
    recipe = load_recipe("quickstart", Recipe, [*TINY, *more], RECIPES)
    trained, metrics = train(UNIPOSE, recipe, tmp_path / "run", group="teacher")
    losses = [line["loss"] for line in trained.run.curves() if line["stage"] == "teacher"]
    assert len(losses) == 4
    assert np.isfinite(losses).all()
    assert trained.data.train.dropped == 0
    assert metrics["test"] == {}  # without a true joint there is no error to tell
    assert set(metrics["pseudo"]) == {"kept"}
    assert "has no true 3D joints of these people, so no error is measured" in capsys.readouterr().out
    assert (tmp_path / "run" / "report.html").is_file()
    with pytest.raises(
        ValueError, match="no clip has its true 3D joints, which twins learn from; set twins="
    ):
        train(UNIPOSE, replace(recipe, twins=True), tmp_path / "twins", group="teacher")
    assert not (tmp_path / "twins").exists()
    rows = PoseStore.open(store).rows
    ann, ben = rows(subjects=["ann"]), rows(subjects=["ben"])
    frame = PoseStore.open(store).column("frame")
    for clips, rows in ((trained.data.train, ann), (trained.data.test, ben)):
        assert clips.store.column("frame").tolist() == frame[[*rows[::2], *rows[1::2]]].tolist()
    fingerprint = trained.data.fingerprint
    assert open_run(tmp_path / "run").data.fingerprint == fingerprint
    # 2D joints from files: of each other content a fingerprint
    files = tuple(tmp_path / "raw" / name / "keypoints.json" for name in ("ann", "ben"))
    coco = replace(recipe.data, detector="coco", keypoints=files)
    before = prepare_data(coco, say=lambda text: None)
    torch.testing.assert_close(before.train.keypoints, trained.data.train.keypoints)
    files[1].write_text(files[1].read_text().replace('"image_id": 5', '"image_id": 4'))
    after = prepare_data(coco, say=lambda text: None)
    assert len({fingerprint, before.fingerprint, after.fingerprint}) == 3
    split.write_text('{"train": ["ben"], "test": ["ann"]}', encoding="utf-8")
    with pytest.raises(ValueError, match="was trained on other data"):
        _ = open_run(tmp_path / "run").data


def test_crops_that_follow_the_person_are_refused(tmp_path: Path) -> None:
    """A clip has one camera; crops frame by frame have one each."""
    bodies = {"1": (0, formats.ntu_body(6))}
    formats.write_skeleton(tmp_path / "raw/S001C001P001R001A001.skeleton", bodies, 6)
    folder = tmp_path / "raw/nturgb+d_depth_masked/S001C001P001R001A001"
    for number in range(6):
        formats.write_depth_png(folder / f"MDepth-{number + 1:08d}.png", np.full((424, 512), 3000))
    store = PoseStore.open(prepare("ntu", tmp_path / "raw", tmp_path / "store", size="64x64"))
    config = replace(
        load_recipe("quickstart", Recipe, ["data.rgb=false"], RECIPES).data, cache=tmp_path / "cache"
    )
    with pytest.raises(ValueError, match="crops move within a clip"):
        isolated(store, np.arange(6).reshape(2, 3), config, "train")
