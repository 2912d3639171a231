"""The commands, from the shell where that matters and as functions where they are called so."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from posedata.cli import app
from posedata.inspection.report import bone_lengths, check_units, contact_sheet, inspect_store
from posedata.store import PoseStore, write_store
from posedata.synthetic import Flesh, Renderer
from posedata.synthetic.people.build import build_synthetic
from posedata.synthetic.rendering import render_store
from posedata.views import RIGS, add_views
from typer.testing import CliRunner

MOCAP = Path(__file__).resolve().parents[3] / "../shared/data/mocap/open_joints.npz"
META = {"skeleton": "h36m17", "fps": 30, "source": "test", "licence": "none"}


@pytest.fixture(scope="module")
def poses(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_synthetic(tmp_path_factory.mktemp("made") / "poses", subjects=2, clips=2, frames=3, seed=4)


@pytest.fixture(scope="module")
def seen(poses: Path) -> Path:
    return add_views(poses, poses.parent / "views", RIGS["mocap"], 2, None, 1)


@pytest.fixture(scope="module")
def rendered(seen: Path) -> Path:
    return render_store(seen, seen.parent / "rendered", size=(48, 64), seed=9, rows=np.arange(0, 24, 2))


def run(*arguments: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, [str(a) for a in arguments])
    return result.exit_code, result.stdout, result.stderr


def test_synthetic_stores_are_equal_by_seed(poses: Path, tmp_path: Path) -> None:
    again = build_synthetic(tmp_path / "a", subjects=2, clips=2, frames=3, seed=4)
    other = build_synthetic(tmp_path / "b", subjects=2, clips=2, frames=3, seed=5)
    prints = [PoseStore.open(path).fingerprint for path in (poses, again, other)]
    assert prints[0] == prints[1] != prints[2]
    assert len(PoseStore.open(poses)) == 12


def test_pictures_are_what_the_renderer_makes_of_the_crop(seen: Path, rendered: Path) -> None:
    source, store = PoseStore.open(seen), PoseStore.open(rendered, verify=True)
    assert store.column("image").tolist() == [i // 2 if i % 2 == 0 else -1 for i in range(24)]
    row = np.array([6])
    camera = source.camera(row).crop(torch.tensor(source.column("boxes")[row]), (48, 64))[0]
    entropy = np.random.SeedSequence([9, 6]).generate_state(1, np.uint64)
    generator = torch.Generator().manual_seed(int(entropy[0] >> 1))
    flesh = Flesh.sample(generator)
    joints = torch.tensor(source.column("joints")[6])
    picture = Renderer(size=(48, 64)).render(joints, flesh, camera, generator=generator)
    np.testing.assert_array_equal(store.images(row)[0], picture.rgb)
    np.testing.assert_array_equal(store.images(row, "depth")[0], picture.depth)
    np.testing.assert_array_equal(store.column("visible_true")[6], picture.visible)


def test_the_person_stands_where_the_keypoints_are(rendered: Path) -> None:
    store = PoseStore.open(rendered)
    rows = np.flatnonzero(store.column("image") >= 0)
    boxes = store.column("boxes")[rows]
    keypoints = store.column("keypoints_true")[rows, :, :2]
    stretch = (boxes[:, None, 2:] - boxes[:, None, :2]) / [48, 64]
    placed = (keypoints - boxes[:, None, :2]) / stretch - 0.5
    column, line = placed[..., 0].round().astype(int), placed[..., 1].round().astype(int)
    mask, depth = store.images(rows, "mask"), store.images(rows, "depth")
    on_person = mask[np.arange(len(rows))[:, None], line.clip(0, 63), column.clip(0, 47)]
    assert on_person.mean() > 0.95
    joints = torch.tensor(store.column("joints")[rows])
    z = store.camera(rows).world_to_camera(joints)[..., 2].numpy()
    here = depth[np.arange(len(rows))[:, None], line.clip(0, 63), column.clip(0, 47)] / 1000
    gap = (z - here)[store.column("visible_true")[rows] & (on_person > 0)]
    assert 0 < np.median(gap) < 0.15  # the surface lies a little before the joint


def test_workers_change_nothing(seen: Path, rendered: Path, tmp_path: Path) -> None:
    # 17 rows are two chunks, so that two processes really share them
    rows = np.arange(17)
    one = render_store(seen, tmp_path / "one", size=(24, 32), rows=rows, workers=1)
    two = render_store(seen, tmp_path / "two", size=(24, 32), rows=rows, workers=2)
    assert PoseStore.open(one).fingerprint == PoseStore.open(two).fingerprint


def test_rows_alike_show_one_person_with_noise_of_their_own(seen: Path, tmp_path: Path) -> None:
    """The same row thrice, by way of a store of copies: twice alike, once not."""
    store = PoseStore.open(seen)
    columns = {n: np.repeat(store.column(n)[:1], 3, 0) for n in store.columns if not n.startswith("camera_")}
    columns |= {n: store.column(n)[:1] for n in store.columns if n.startswith("camera_")}
    thrice = write_store(tmp_path / "thrice", columns | {"camera": np.zeros(3, np.int32)}, store.meta)
    out = render_store(thrice, tmp_path / "out", size=(24, 32), kinect=True, alike=np.array([5, 5, 6]))
    made = PoseStore.open(out)
    rgb, depth, mask = (made.images(np.arange(3), kind) for kind in ("rgb", "depth", "mask"))
    assert np.array_equal(rgb[0], rgb[1])
    assert not np.array_equal(rgb[0], rgb[2])
    on = (mask[0] & mask[1]) > 0
    assert not np.array_equal(depth[0][on], depth[1][on])
    assert np.median(np.abs(depth[0][on].astype(int) - depth[1][on])) < 150
    with pytest.raises(ValueError, match="alike has shape"):
        render_store(seen, tmp_path / "no", size=(24, 32), alike=np.arange(2))


def test_boxes_take_the_aspect_of_the_images(seen: Path, tmp_path: Path) -> None:
    out = render_store(seen, tmp_path / "square", size=(32, 32), rows=np.arange(2), kinds=("mask",))
    store = PoseStore.open(out)
    x0, y0, x1, y1 = store.column("boxes")[:2].T
    np.testing.assert_allclose(x1 - x0, y1 - y0, rtol=1e-5)
    before = PoseStore.open(seen).column("boxes")
    np.testing.assert_allclose(y1 - y0, before[:2, 3] - before[:2, 1], rtol=1e-5)  # only widened
    np.testing.assert_array_equal(store.column("boxes")[2:], before[2:])
    assert store.meta["images"]["kinds"] == ["mask"]


def test_synth_render_in_one_go_is_the_steps_in_turn(poses: Path, tmp_path: Path) -> None:
    whole = build_synthetic(
        tmp_path / "whole",
        subjects=2,
        clips=1,
        frames=2,
        seed=3,
        rig=RIGS["h36m"],
        images=(24, 32),
        kinds=("rgb",),
    )
    first = build_synthetic(tmp_path / "first", subjects=2, clips=1, frames=2, seed=3)
    second = add_views(first, tmp_path / "second", RIGS["h36m"], 1, None, 3)
    third = render_store(second, tmp_path / "third", size=(24, 32), seed=3, kinds=("rgb",))
    assert PoseStore.open(whole).fingerprint == PoseStore.open(third).fingerprint
    assert sorted(p.name for p in tmp_path.iterdir()) == ["first", "second", "third", "whole"]


def test_rendering_needs_cameras_and_images_need_a_rig(poses: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="has no cameras; make views with 'posedata views' first"):
        render_store(poses, tmp_path / "r")
    with pytest.raises(ValueError, match="give a rig too"):
        build_synthetic(tmp_path / "s", images=(24, 32))
    with pytest.raises(FileExistsError, match="exists already"):
        build_synthetic(poses)
    assert list(tmp_path.iterdir()) == []


def test_bone_drift_is_the_deviation_within_a_sequence(tmp_path: Path) -> None:
    joints = np.zeros((4, 17, 3))
    joints[:, 2, 2] = [-0.30, -0.50, -0.40, -0.40]  # right_hip to right_knee, two sequences
    columns = {"joints": joints, "sequence": np.array([0, 0, 1, 1])}
    store = PoseStore.open(write_store(tmp_path / "s", columns, META | {"sequences": ["loose", "rigid"]}))
    bone = bone_lengths(store)["right_hip to right_knee"]
    assert bone == {"mean_mm": 400.0, "typical_drift": 0.125, "drift": 0.25, "worst": "loose"}


@pytest.mark.parametrize(
    ("change", "verdict"),
    [
        (lambda j: j, "ok"),
        (lambda j: j * 1000, "these look like millimetres"),
        (lambda j: j * 100, "these look like centimetres"),
        (lambda j: j[..., [0, 2, 1]], "people stand along y"),
        (lambda j: -j, "people stand along z, not along z"),
    ],
)
def test_units_are_judged_by_the_body(poses: Path, tmp_path: Path, change: object, verdict: str) -> None:
    joints = np.array(PoseStore.open(poses).column("joints"))
    assert callable(change)
    store = PoseStore.open(write_store(tmp_path / "s", {"joints": change(joints)}, META))
    assert verdict in check_units(store)["verdict"]


def test_report_and_picture(rendered: Path) -> None:
    store = PoseStore.open(rendered)
    report = inspect_store(store)
    assert report["rows"] == 24
    assert list(report["subjects"].values()) == [12, 12]
    assert sum(report["actions"].values()) == 24
    assert report["cameras"] == {"count": 24, "rows": 24, "by_camera": [1] * 24}
    assert report["images"] == {"count": 12, "size": [48, 64], "kinds": ["rgb", "depth", "mask"]}
    assert report["reprojection_px"] < 0.01
    assert report["not_finite"] == {}
    assert report["bones"]["left_hip to left_knee"]["drift"] < 1e-4  # a rigid body
    sheet = np.asarray(contact_sheet(store, columns=3, lines=2))
    assert sheet.shape == (2 * 286, 3 * 192, 3)
    blue, red = (sheet == (40, 110, 230)).all(-1).sum(), (sheet == (225, 60, 45)).all(-1).sum()
    assert min(blue, red) > 200


def test_a_missing_joint_is_left_out_of_report_and_picture(poses: Path, tmp_path: Path) -> None:
    joints = np.array(PoseStore.open(poses).column("joints"))
    joints[:, 13] = np.nan
    columns = {"joints": joints, "valid": np.isfinite(joints).all(-1)}
    store = PoseStore.open(write_store(tmp_path / "s", columns, META))
    report = inspect_store(store)
    assert (report["not_finite"], report["invalid_joints"]) == ({"joints": 12 * 3}, 12)
    assert report["bones"]["left_elbow to left_wrist"]["mean_mm"] is None
    json.dumps(report, allow_nan=False)
    contact_sheet(store)


def test_commands_chain(tmp_path: Path) -> None:
    code, _, error = run("synth", tmp_path / "p", "--subjects", 1, "--clips", 2, "--frames", 3, "--seed", 1)
    assert (code, error) == (0, "")
    code, out, _ = run("views", tmp_path / "p", tmp_path / "v", "--noise", "detector", "--per-frame", 2)
    assert code == 0
    assert "(12 rows)" in out
    code, _, _ = run(
        "render",
        tmp_path / "v",
        tmp_path / "r",
        "--size",
        "24x32",
        "--every",
        6,
        "--workers",
        1,
        "--kinds",
        "rgb",
    )
    assert code == 0
    store = PoseStore.open(tmp_path / "r")
    assert store.rows().size == 12
    assert (store.column("image") >= 0).sum() == 2
    report, picture = tmp_path / "r.json", tmp_path / "r.png"
    code, out, _ = run("inspect", tmp_path / "r", "--json", report, "--picture", picture)
    assert code == 0
    assert "left_hip to left_knee" in out
    assert json.loads(report.read_text())["fingerprint"] == store.fingerprint
    with Image.open(picture) as image:
        assert image.format == "PNG"


FAULTS = {
    "prepare nothing x.npz {out}": "format 'nothing' is not known",
    "prepare joints {tmp}/absent.npz {out}": "absent.npz: no such file",
    "prepare joints {tmp} {out}": "is a folder; give the npz file",
    "prepare bvh {tmp} {out}": "no .bvh file there",
    "prepare bvh {tmp} {out} --fps 0": "fps is 0.0; give frames per second as a positive number",
    "prepare bvh {tmp} {out} --fps nan": "fps is nan; give frames per second",
    "synth {out} --fps -3": "fps is -3.0; give frames per second",
    "synth {out} --fps 1e-300": "fps is 1e-300; give 0.1 to 10000 frames per second",
    "inspect {poses} --picture {tmp}/sheet.txt": "sheet.txt: write to a file that ends in .png",
    "synth {out} --views 1 --render --kinds rgb,deep": "kinds: 'deep' is not known; give some of rgb, depth",
    "views {tmp}/absent {out}": "absent: no such store",
    "views {poses} {out} --rig crane": "rig 'crane' is not known; use one of mocap, anywhere, h36m",
    "views {poses} {out} --noise loud": "noise 'loud' is not known; use one of none, detector",
    "render {poses} {out}": "has no cameras; make views",
    "render {poses} {out} --size big": "size 'big': give width x height",
    "render {poses} {out} --size 9000x10": "each up to 8192",
    "synth {poses}/.. --overwrite": "is not a pose store, so it is not overwritten",
    "views {poses} {poses}/.. --overwrite": "is not a pose store, so it is not overwritten",
    "synth {out} --render": "--render needs cameras",
    "synth {poses}": "exists already",
    "inspect {tmp}/absent": "absent: no such store",
}


@pytest.mark.parametrize("command", FAULTS)
def test_a_fault_is_one_line_and_exit_code_2_and_leaves_nothing(
    command: str, poses: Path, tmp_path: Path
) -> None:
    words = command.format(out=tmp_path / "out", tmp=tmp_path, poses=poses).split()
    code, _, error = run(*words)
    assert code == 2
    assert FAULTS[command] in error
    assert error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_the_console_script_says_what_is_wrong(tmp_path: Path) -> None:
    script = Path(sys.executable).parent / "posedata"
    if not script.exists():
        pytest.skip("the console script is not installed beside this python")
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    result = subprocess.run(
        [script, "inspect", tmp_path / "absent"], capture_output=True, text=True, env=environment, check=False
    )
    assert result.returncode == 2
    assert result.stderr.startswith("posedata: ")
    assert "Traceback" not in result.stderr


@pytest.mark.skipif(not MOCAP.is_file(), reason="needs ../shared/data")
def test_real_motion_capture_prepares_and_inspects(tmp_path: Path) -> None:
    code, _, error = run("prepare", "joints", MOCAP, tmp_path / "mocap", "--fps", 5)
    assert (code, error) == (0, "")
    store = PoseStore.open(tmp_path / "mocap")
    report = inspect_store(store)
    assert report["units"]["verdict"] == "ok"
    assert report["bones"]["right_hip to right_knee"]["mean_mm"] == pytest.approx(395, abs=5)
    assert report["bones"]["neck to head"]["drift"] < 1e-3
    split = store.split(MOCAP.with_name("split.json"))
    assert sum(len(rows) for rows in split.values()) == len(store)
