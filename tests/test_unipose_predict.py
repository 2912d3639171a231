"""From recorded RGB-D to joints: people found, isolated, followed, and what the network says of them."""

import json
import shutil
from pathlib import Path

import formats_rgbd as formats
import numpy as np
import pytest
import torch
from posedata.readers import open_rgbd
from posedata.store.digests import write_digests
from posetrain.recipe import to_plain
from posetrain.runs import Run
from typer.testing import CliRunner
from unipose.cli import app
from unipose.model import Teacher
from unipose.predict import Prediction, middle_pose, predict
from unipose.task import open_teacher
from unipose_tiny import tiny

REAL = Path(__file__).parents[2] / "shared/data/rgbd/five_people.pcd"
CAMERA = {"width": 320, "height": 240, "fx": 300, "fy": 300, "cx": 159.5, "cy": 119.5, "fps": 10}
LENS = 1.2


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with a teacher whose weights are chance; it is a function of points all the same."""
    import yaml
    from posedata.skeleton import get_skeleton

    folder = tmp_path_factory.mktemp("run")
    recipe = tiny(folder / "cache")
    torch.manual_seed(0)
    teacher = Teacher(recipe.model, get_skeleton(recipe.data.skeleton), recipe.data.image_size)
    (folder / "recipe.yaml").write_text(yaml.safe_dump(to_plain(recipe)), encoding="utf-8")
    tensors = {f"model/model.{name}": value for name, value in teacher.state_dict().items()}
    Run(folder).checkpoints("teacher").save(recipe.teacher.steps, tensors, {"metrics": {}})
    return folder


def _pillars(places: list[tuple[float, float]]) -> np.ndarray:
    """Depth, mm, of people of 1.7 m as pillars at (x, z) on a floor before a wall."""
    v, u = np.mgrid[:240, :320]
    a, b = (u - 159.5) / 300, (v - 119.5) / 300
    depth = np.where(b > 0, np.minimum(LENS / np.maximum(b, 1e-6), 5), 5.0)
    for x, z in places:
        p, q, r = a * a + 1, a * x + z, x * x + z * z - 0.04
        root = q * q - p * r
        t = (q - np.sqrt(np.maximum(root, 0))) / p
        hit = (root > 0) & (b * t > LENS - 1.7) & (b * t < LENS) & (t < depth)
        depth = np.where(hit, t, depth)
    return np.rint(depth * 1000).astype(np.uint16)


def _recording(folder: Path, frames: list[list[tuple[float, float]]]) -> Path:
    for number, places in enumerate(frames):
        formats.write_depth_png(folder / "depth" / f"{number:03d}.png", _pillars(places))
    (folder / "intrinsics.json").write_text(json.dumps(CAMERA))
    return folder


def _coco(path: Path, people: list[tuple[str, float, float]]) -> Path:
    """Joints down the middle of pillars: (image, x, z)."""
    images = sorted({name for name, _, _ in people})
    marks = []
    for name, x, z in people:
        heights = np.linspace(1.6, 0.3, 17)
        u, v = 300 * x / z + 159.5, 300 * (LENS - heights) / z + 119.5
        keypoints = np.stack([np.full(17, u), v, np.full(17, 2)], -1).ravel().tolist()
        marks.append({"image_id": images.index(name), "keypoints": keypoints})
    told = {
        "images": [{"id": i, "file_name": f"{n}.jpg"} for i, n in enumerate(images)],
        "annotations": marks,
    }
    path.write_text(json.dumps(told))
    return path


def test_people_are_followed_and_their_points_are_theirs(run: Path, tmp_path: Path) -> None:
    """Two people walk; each keeps a number; points lie on the right pillar; joints are the network's."""
    frames = [[(-0.5 + 0.1 * t, 2.5), (0.6, 3.0 + 0.1 * t)] for t in range(4)]
    recording = open_rgbd(_recording(tmp_path, frames))
    found = predict(run, recording, draws=1)
    np.testing.assert_array_equal(found.frame, np.repeat(np.arange(4), 2))
    for t in range(4):
        here = found.frame == t
        assert sorted(found.person[here]) == [0, 1]
        for i in np.flatnonzero(here):
            x, z = frames[t][found.person[i]]
            reach = np.hypot(found.points[i, :, 0] - x, found.points[i, :, 2] - z)
            assert np.abs(reach - 0.2).max() < 0.03  # on the pillar's surface
    recipe, teacher = open_teacher(run)
    mine = np.flatnonzero(found.person == 1)
    length = recipe.data.frames
    clip = torch.from_numpy(found.points[mine[4 - length :]])[None]
    with torch.no_grad():
        said = teacher(clip)[0, -1]
    np.testing.assert_allclose(found.joints[mine[-1]], said, atol=1e-5)
    first = torch.from_numpy(found.points[mine[:1]]).repeat(length, 1, 1)[None]
    with torch.no_grad():
        said = teacher(first)[0, -1]
    np.testing.assert_allclose(found.joints[mine[0]], said, atol=1e-5)


def test_of_many_poses_one_that_was_said_is_taken() -> None:
    """Two that agree outvote one; their mean with the third would be none of them."""
    said = torch.zeros(3, 2, 4, 3)
    said[1, 0], said[2, 0] = 0.02, 1.0
    said[:, 1] = torch.tensor([2.0, -1, 2.1])[:, None, None]
    chosen = middle_pose(said)
    assert chosen[0].unique().tolist() == pytest.approx([0.02])
    assert chosen[1].unique().tolist() == pytest.approx([2.0])


def test_keypoints_say_who_is_looked_at(run: Path, tmp_path: Path) -> None:
    """Of two people the one with 2D joints; in the frame they are named for."""
    recording = open_rgbd(_recording(tmp_path, [[(-0.5, 2.5), (0.6, 3.0)]] * 2))
    table = _coco(tmp_path / "keypoints.json", [("001", 0.6, 3.0)])
    found = predict(run, recording, keypoints=table)
    assert found.frame.tolist() == [1]
    assert np.abs(np.median(found.points[0], axis=0)[[0, 2]] - [0.6, 2.85]).max() < 0.1
    assert (found.keypoints[0, :, 2] == 1).all()
    u = 300 * 0.6 / 3.0 + 159.5
    x0, _, x1, _ = found.box[0]
    assert x0 < u < x1


def test_another_cameras_intrinsics_are_told(run: Path, tmp_path: Path) -> None:
    """Of one image its own camera says nothing, one of 0.6 of the focal length that people are too tall."""
    said: list[str] = []
    source = _recording(tmp_path, [[(-0.5, 2.5), (0.6, 3.0)]])
    predict(run, open_rgbd(source), draws=1, say=said.append)
    assert said == []
    (tmp_path / "intrinsics.json").write_text(json.dumps(CAMERA | {"fx": 180, "fy": 180}))
    predict(run, open_rgbd(source), draws=1, say=said.append)
    assert any(
        "m tall or more; give the intrinsics of this camera at this resolution" in text for text in said
    )


def test_joints_outside_the_picture_are_nobodys(run: Path, tmp_path: Path) -> None:
    recording = open_rgbd(_recording(tmp_path, [[(-0.5, 2.5), (0.6, 3.0)]]))
    table = _coco(tmp_path / "keypoints.json", [("000", 0.6, 3.0), ("000", 9.0, 3.0)])
    said: list[str] = []
    found = predict(run, recording, keypoints=table, draws=1, say=said.append)
    assert len(found.joints) == 1
    (text,) = said
    assert text.startswith("000: somebody is left out: 17 of 17 2D joints lie outside its 320x240 pixels")


def test_what_is_lost_of_the_depth_is_told(run: Path, tmp_path: Path) -> None:
    source = _recording(tmp_path, [[(0.0, 2.5)]])
    metres = _pillars([(0.0, 2.5)]) / 1000
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
    source = _recording(tmp_path / "clip", [[(0.0, 2.5)]])
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
    _recording(tmp_path / "clip", [[(0.0, 2.5)]])
    _recording(tmp_path / "empty", [[]])
    result = CliRunner().invoke(app, ["predict", str(run), *words])
    assert result.exit_code == 2
    assert said in " ".join(result.output.split())


def test_what_is_read_is_not_written_over(run: Path, tmp_path: Path) -> None:
    folder = _recording(tmp_path / "raw", [[(0.0, 2.5)]])
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
    recording = open_rgbd(_recording(tmp_path / "clip", [[(0.0, 2.5)]]))
    with pytest.raises(FileNotFoundError, match="no such run"):
        predict(tmp_path, recording)


def test_a_half_trained_teacher_is_not_asked(run: Path, tmp_path: Path) -> None:
    last = Run(run).checkpoint("teacher")
    shutil.copytree(run, tmp_path / "run")
    card = tmp_path / "run" / "checkpoints" / "teacher" / last.name / "card.json"
    card.write_text(card.read_text().replace('"step": 4', '"step": 3'))
    write_digests(card.parent)
    with pytest.raises(ValueError, match="stage teacher is at step 3 of 4"):
        open_teacher(tmp_path / "run")


@pytest.mark.skipif(not REAL.is_file(), reason="the real frame lies beside the repository, not in it")
def test_five_people_before_a_real_kinect(run: Path) -> None:
    """All five are found, each where they stand (1.8 to 2.8 m away), with points of a person's size."""
    said: list[str] = []
    found: Prediction = predict(run, open_rgbd(REAL), say=said.append)
    assert said == []
    near = np.sort(np.median(found.points[..., 2], axis=1))[:5]
    np.testing.assert_allclose(near, [1.84, 2.03, 2.36, 2.57, 2.78], atol=0.08)
    five = np.argsort(np.median(found.points[..., 2], axis=1))[:5]
    for i in five:
        low, high = np.percentile(found.points[i], [1, 99], axis=0)
        assert 0.9 < high[1] - low[1] < 2.0
        assert 0.3 < high[0] - low[0] < 0.9
