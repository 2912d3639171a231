"""What a user hands in as keypoints, and what lift, embed and retrieve make of it."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import Result
from polypose.samples import Sample
from polypose.stores import store_sample
from posedata.arrays import check_ending, write_embeddings, write_poses
from posedata.geometry.boxes import bounding_box
from posedata.geometry.camera import Camera
from posedata.keypoints import convert_keypoints
from posedata.skeleton import get_skeleton
from posedata.store import PoseStore, write_store
from posedata.synthetic.people.motion import generate_motion
from posedata.views.batch import given
from posetrain.lifecycle import train
from typer.testing import CliRunner
from unihpr.cli import app as unihpr_app
from unihpr.task import UNIHPR
from unihpr_tiny import tiny as tiny_unihpr
from vvipe.cli import app as vvipe_app
from vvipe.task import VVIPE_TASK
from vvipe_tiny import tiny as tiny_vvipe

COCO, H36M = get_skeleton("coco17"), get_skeleton("h36m17")
CASES = Path(__file__).resolve().parents[2] / "shared/cases"
APPS = {"unihpr": unihpr_app, "vvipe": vvipe_app}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A trained run of each app."""
    cache = tmp_path_factory.mktemp("cache")
    made = {"unihpr": cache / "runs/u", "vvipe": cache / "runs/v"}
    recipe = tiny_unihpr(cache, "align_image.steps=1", "finetune.steps=1")
    train(UNIHPR, recipe, made["unihpr"], "replace", report=False)
    train(VVIPE_TASK, tiny_vvipe(cache), made["vvipe"], "replace", report=False)
    return made


@pytest.fixture(scope="module")
def walk() -> np.ndarray:
    """(8, 17, 3) COCO keypoints with confidences, of people before a camera in 1000x1000."""
    joints = torch.from_numpy(generate_motion(4, 2, 4, seed=1).joints[::4].astype(np.float32))[:8]
    camera = Camera.look_at(
        torch.tensor([0.0, -9.0, 1.2]), torch.tensor([0.0, 0.0, 1.0]), 900.0, (1000, 1000)
    )
    joints = joints - joints[:, :1] * torch.tensor([1.0, 1.0, 0.0])
    pixels = camera.project(joints).numpy()
    place = dict(zip(H36M.joints, pixels.swapaxes(0, 1), strict=True))
    coco = [place.get(name, place["neck"] + (0.3 * i, -3.0)) for i, name in enumerate(COCO.joints)]
    return np.concatenate([np.stack(coco, 1), np.full((8, 17, 1), 0.9)], -1).astype(np.float32)


def run(program: str, *words: object, code: int = 0) -> str:
    result: Result = CliRunner().invoke(APPS[program], [str(word) for word in words])
    assert result.exit_code == code, result.output
    return " ".join(result.output.split())


def lines(path: Path) -> list[list[str]]:
    return list(csv.reader(path.read_text().splitlines()))


def table(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text().splitlines()))


def lifted(
    program: str, runs: dict[str, Path], points: np.ndarray, folder: Path, *more: object
) -> dict[str, np.ndarray]:
    np.save(folder / "k.npy", points)
    run(program, "lift", runs[program], folder / "k.npy", folder / "o.npz", *more)
    with np.load(folder / "o.npz") as file:
        return dict(file)


@pytest.mark.parametrize("program", APPS)
def test_both_apps_read_coco_unless_told_and_say_so(
    program: str, runs: dict[str, Path], walk: np.ndarray, tmp_path: Path
) -> None:
    np.save(tmp_path / "k.npy", walk)
    said = run(program, "lift", runs[program], tmp_path / "k.npy", tmp_path / "o.npz")
    assert "keypoints are read as coco17; name another set with --skeleton" in said
    assert "cache" not in said, "it writes into none"
    named = lifted(program, runs, walk, tmp_path, "--skeleton", "coco17")
    with np.load(tmp_path / "o.npz") as file:
        np.testing.assert_array_equal(file["joints"], named["joints"])


@pytest.mark.parametrize("program", APPS)
def test_the_file_says_what_is_in_it(
    program: str, runs: dict[str, Path], walk: np.ndarray, tmp_path: Path
) -> None:
    found = lifted(program, runs, walk, tmp_path)
    more = {"sd", "translation"} if program == "unihpr" else set()
    assert set(found) == {"joints", "valid", "joint_names", "skeleton", "unit", "frame"} | more
    assert found["joint_names"].tolist() == list(H36M.joints)
    assert (str(found["skeleton"]), str(found["unit"])) == ("h36m17", "metre")
    assert str(found["frame"]).startswith(
        {"unihpr": "camera: x right, y down", "vvipe": "body: hips"}[program]
    )
    assert found["valid"].all()
    run(program, "lift", runs[program], tmp_path / "k.npy", tmp_path / "o.csv")
    rows = table(tmp_path / "o.csv")
    assert list(rows[0])[:5] == ["frame", "valid", "pelvis_x_m", "pelvis_y_m", "pelvis_z_m"]
    assert [row["frame"] for row in rows] == [str(i) for i in range(8)]
    values = np.array([[float(row[f"left_wrist_{a}_m"]) for a in "xyz"] for row in rows])
    np.testing.assert_allclose(values, found["joints"][:, H36M.index("left_wrist")], rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("program", APPS)
def test_frames_without_a_person_are_empty_answers(
    program: str, runs: dict[str, Path], walk: np.ndarray, tmp_path: Path
) -> None:
    whole = lifted(program, runs, walk, tmp_path)["joints"]
    gaps = walk.copy()
    gaps[1, 5:] = 0  # a face
    gaps[2, :, 2] = 0  # places without confidence
    gaps[4, :11] = 0  # legs
    gaps[5] = 0
    gaps[6, 1:] = 0  # a nose has no size
    np.save(tmp_path / "k.npy", gaps)
    out = tmp_path / "o.npz"
    said = run(program, "lift", runs[program], tmp_path / "k.npy", out, "--picture", tmp_path / "p.png")
    assert "5 of 8 frames hold no person and get no pose: frames 1, 2, 4, 5, 6; centre and scale need" in said
    with np.load(out) as file:
        assert np.flatnonzero(~file["valid"]).tolist() == [1, 2, 4, 5, 6]
        assert np.isnan(file["joints"][~file["valid"]]).all()
        np.testing.assert_allclose(file["joints"][file["valid"]], whole[[0, 3, 7]], atol=1e-5)
    run(program, "lift", runs[program], tmp_path / "k.npy", tmp_path / "o.csv")
    rows = table(tmp_path / "o.csv")
    assert [row["valid"] for row in rows] == list("10010001")
    assert {value for key, value in rows[2].items() if key.endswith("_m")} == {""}
    nobody = lifted(program, runs, np.zeros((3, 17, 3)), tmp_path)
    assert not nobody["valid"].any()
    assert nobody["joints"].shape == (3, 17, 3)


@pytest.mark.parametrize("program", APPS)
def test_both_apps_check_keypoints_by_the_image_they_are_told_of(
    program: str, runs: dict[str, Path], walk: np.ndarray, tmp_path: Path
) -> None:
    np.save(tmp_path / "k.npy", walk)
    words = ("lift", runs[program], tmp_path / "k.npy", tmp_path / "o.npz", "--size")
    assert "people lie outside an image of 100x90" in run(program, *words, 100, 90, code=2)
    assert "--size 0 90: give pixels above 0" in run(program, *words, 0, 90, code=2)
    assert not (tmp_path / "o.npz").exists()
    run(program, *words, 1000, 1000)
    with np.load(tmp_path / "o.npz") as file:
        told = file["joints"]
    np.testing.assert_array_equal(told, lifted(program, runs, walk, tmp_path)["joints"])


def test_an_unseen_hip_does_not_move_what_was_seen(
    runs: dict[str, Path], walk: np.ndarray, tmp_path: Path
) -> None:
    """UniHPR: the box is that of the joints seen, and what a hip is part of was not seen."""
    unseen = torch.from_numpy(walk.copy())
    unseen[:, COCO.index("left_hip")] = 0
    camera = Camera(
        torch.tensor([900.0, 900]),
        torch.tensor([499.5, 499.5]),
        torch.eye(3),
        torch.zeros(3),
        size=(1000, 1000),
    )
    part, whole = (
        Sample.of(given(convert_keypoints(points, COCO, H36M), camera), "pixels", "given")
        for points in (unseen, torch.from_numpy(walk))
    )
    gone = [H36M.index(name) for name in ("left_hip", "pelvis", "spine")]
    assert (part.confidence[:, gone] == 0).all()
    assert (part.confidence > 0).sum() == 8 * 14
    torch.testing.assert_close(part.token, whole.token)
    box = bounding_box(torch.from_numpy(walk[..., :2]), margin=0.1, aspect=0.75)
    assert (box[:, 2:] - box[:, :2]).amax() < 500


def test_vvipes_answer_hardly_moves_with_an_unseen_hip(
    runs: dict[str, Path], walk: np.ndarray, tmp_path: Path
) -> None:
    whole = lifted("vvipe", runs, walk, tmp_path)["joints"]
    for hip in ("left_hip", "right_hip"):
        part = walk.copy()
        part[:, COCO.index(hip)] = 0
        moved = lifted("vvipe", runs, part, tmp_path)["joints"]
        assert np.linalg.norm(moved - whole, axis=-1).mean() < 0.15  # it was 0.6 m
    part = walk.copy()
    part[3, [COCO.index("left_hip"), COCO.index("right_hip")]] = 0
    found = lifted("vvipe", runs, part, tmp_path)
    assert np.flatnonzero(~found["valid"]).tolist() == [3]


def bad(walk: np.ndarray) -> dict[str, tuple[np.ndarray, str]]:
    """Keypoints that are not what they should be, and what is said."""
    far, below = walk.copy(), walk.copy()
    far[1, 9, 0] = 1e30
    below[2, 5, 2] = -0.5
    return {
        "far": (far, r"frame 1, left_wrist: is at (1e+30"),
        "negative": (below, "frame 2, left_shoulder: has confidence -0.5"),
        "percent": (walk * [1, 1, 100], "confidence reaches 90, want 0 to 1; divide it by 100"),
        "more": (walk * [1, 1, 1.25 / 0.9], "confidence reaches 1.25, want 0 to 1; clip it to 1"),
        "scaled": (walk * [1e-3, 1e-3, 1], "they look scaled; give pixels"),
        "centred": (walk * [2e-3, 2e-3, 1] - [1, 1, 0], "they look scaled; give pixels, (x + 1) / 2"),
        "none": (walk[:0], "has no frame; give one at least"),
        "openpose": (walk[:, [0] * 25], "25 joints have ntu25 and openpose25: name the skeleton"),
        "bool": (walk > 0, "holds bool values, want numbers"),
        "complex": (walk.astype(complex), "holds complex128 values, want numbers"),
    }


@pytest.mark.parametrize("program", APPS)
def test_what_is_not_keypoints_is_refused_in_one_line(
    program: str, runs: dict[str, Path], walk: np.ndarray, tmp_path: Path
) -> None:
    for name, (values, message) in bad(walk).items():
        np.save(tmp_path / f"{name}.npy", values)
        for command in ("lift", *(("embed",) if program == "vvipe" else ())):
            said = run(program, command, runs[program], tmp_path / f"{name}.npy", tmp_path / "o.npz", code=2)
            assert message in said, name
            assert f"{name}.npy" in said
    mixed = convert_keypoints(torch.from_numpy(walk), COCO, H36M).numpy()
    np.save(tmp_path / "h36m.npy", mixed)
    said = run(program, "lift", runs[program], tmp_path / "h36m.npy", tmp_path / "o.npz", code=2)
    assert "look like h36m17, not coco17" in said
    assert "give skeleton h36m17" in said
    said = run(
        program, "lift", runs[program], tmp_path / "k.npy", tmp_path / "o.npz", "--skeleton", "coco", code=2
    )
    assert "unknown skeleton 'coco'" in said
    assert not (tmp_path / "o.npz").exists()


def test_missing_joints_marked_minus_one_or_nan_are_unseen_and_told(
    runs: dict[str, Path], walk: np.ndarray, tmp_path: Path
) -> None:
    zero, minus, nan = walk.copy(), walk.copy(), walk.copy()
    zero[:, 7], minus[:, 7], nan[:, 7] = 0, -1, np.nan
    want = lifted("unihpr", runs, zero, tmp_path)["joints"]
    for values, word in ((minus, "of confidence -1"), (nan, "that are NaN")):
        np.testing.assert_array_equal(lifted("unihpr", runs, values, tmp_path)["joints"], want)
        said = run("unihpr", "lift", runs["unihpr"], tmp_path / "k.npy", tmp_path / "o.npz")
        assert f"note: 8 of 136 keypoints {word} are taken as not seen" in said


def test_a_camera_that_cannot_be_is_refused(runs: dict[str, Path], walk: np.ndarray, tmp_path: Path) -> None:
    np.save(tmp_path / "k.npy", walk)
    for focal, message in (
        ("nan", "focal length is nan"),
        ("-5", "focal length is -5"),
        ("0", "focal length is 0"),
    ):
        words = (runs["unihpr"], tmp_path / "k.npy", tmp_path / "o.npz", "--focal", focal)
        assert message in run("unihpr", "lift", *words, code=2)
    words = (runs["unihpr"], tmp_path / "k.npy", tmp_path / "o.npz")
    said = run("unihpr", "lift", *words, "--focal", 26, code=2)
    assert (
        "looks like a lens in millimetres; of a lens in millimetres give mm / sensor width in mm x 1000"
        in said
    )
    said = run("unihpr", "lift", *words, "--size", 300, 200, code=2)
    assert "people lie outside an image of 300x200" in said
    assert not (tmp_path / "o.npz").exists()
    np.save(tmp_path / "k.npy", walk + np.where(np.arange(17) == 9, 2000, 0)[:, None] * [1, 0, 0])
    assert "warning: 5.9% of keypoints lie far outside" in run("unihpr", "lift", *words)


@pytest.mark.parametrize("name", ["o.trc", "o", "o.npz.zip", "folder.npz"])
@pytest.mark.parametrize("program", APPS)
def test_endings_are_honoured_or_refused_before_work_begins(
    program: str, name: str, runs: dict[str, Path], tmp_path: Path
) -> None:
    (tmp_path / "folder.npz").mkdir()
    out, nowhere = tmp_path / name, tmp_path / "nothing"
    commands: list[tuple[object, ...]] = [("lift", nowhere, nowhere, out), ("embed", nowhere, nowhere, out)]
    if program == "unihpr":
        commands += [("interpolate", nowhere, nowhere, 0, 1, out)]
    else:
        commands += [("generate", nowhere, out)]
    for words in commands:
        said = run(program, *words, code=2)
        assert f"{name}: " in said
        assert ("is a folder; name a file" if name == "folder.npz" else "ends in .npz or .csv") in said
    said = run(program, "lift", nowhere, nowhere, tmp_path / "o.npz", "--picture", out, code=2)
    assert ("is a folder; name a file" if name == "folder.npz" else "ends in .png") in said
    assert [path.name for path in tmp_path.iterdir()] == ["folder.npz"]


def views(folder: Path, walk: np.ndarray) -> Path:
    """A store of Human3.6M's joints: rows 1 and 4 hold nobody in 2D, row 2 no whole pose in 3D."""
    keypoints = convert_keypoints(torch.from_numpy(walk), COCO, H36M).numpy()
    keypoints[[1, 4]] = 0
    joints = generate_motion(4, 2, 4, seed=1).joints[::4][:8].astype(np.float32)
    valid = np.ones((8, 17), bool)
    valid[2, 5] = False
    low, high = keypoints[0, :, :2].min(0) - 50, keypoints[0, :, :2].max(0) + 50
    columns = {
        "joints": joints,
        "valid": valid,
        "keypoints_true": keypoints,
        "boxes": np.tile(np.concatenate([low, high]), (8, 1)).astype(np.float32),
        "camera": np.zeros(8, np.int32),
        "subject": np.zeros(8, np.int32),
        "sequence": np.zeros(8, np.int32),
        "frame": np.arange(8, dtype=np.int32),
        "camera_focal": np.full((1, 2), 900, np.float32),
        "camera_centre": np.full((1, 2), 499.5, np.float32),
        "camera_rotation": np.eye(3, dtype=np.float32)[None],
        "camera_translation": np.array([[0, 0, 5]], np.float32),
        "camera_distortion": np.zeros((1, 5), np.float32),
        "camera_size": np.full((1, 2), 1000, np.int32),
    }
    meta = {"skeleton": "h36m17", "fps": 30.0, "source": "made", "licence": "none"}
    meta |= {"subjects": ["a"], "sequences": ["w"], "actions": []}
    write_store(folder / "views", columns, meta)
    return folder / "views"


@pytest.mark.parametrize("program", APPS)
def test_rows_of_a_store_without_a_person_are_left_out_of_retrieval_and_empty_in_embeddings(
    program: str, runs: dict[str, Path], walk: np.ndarray, tmp_path: Path
) -> None:
    store, run_ = views(tmp_path, walk), runs[program]
    said = run(program, "embed", run_, store, tmp_path / "e.npz", "--modality", "2d")
    assert "2 of 8 frames hold no person and get no embedding" in said
    with np.load(tmp_path / "e.npz") as file:
        assert np.flatnonzero(~file["valid"]).tolist() == [1, 4]
        embedded = file["2d" if program == "unihpr" else "embedding"]
        np.testing.assert_array_equal(np.isnan(embedded).all(1), ~file["valid"])
    found = tmp_path / "r.json"
    run(program, "retrieve", run_, store, store, "--from", "2d", "--to", "2d", "-k", 1, "--json", found)
    rows = json.loads(found.read_text())["rows"]
    assert [row["query"] for row in rows] == [0, 2, 3, 5, 6, 7]
    assert [row["gallery"] for row in rows] == [[0], [2], [3], [5], [6], [7]]
    run(program, "embed", run_, store, tmp_path / "e.csv", "--modality", "3d")
    assert [row["valid"] for row in table(tmp_path / "e.csv")] == list("11011111")


def test_an_index_has_no_gaps(runs: dict[str, Path], walk: np.ndarray, tmp_path: Path) -> None:
    store = views(tmp_path, walk)
    said = run("vvipe", "embed", runs["vvipe"], store, tmp_path / "g.index", code=2)
    assert "frames 1, 4 cannot be embedded, and an index has no gaps; write an .npz" in said
    assert not (tmp_path / "g.index").exists()


def test_a_stores_other_joints_are_converted_not_taken_for_human36ms(
    walk: np.ndarray, tmp_path: Path
) -> None:
    path = views(tmp_path, walk)
    store = PoseStore.open(path)
    columns = {name: np.array(store.column(name)) for name in store.columns}
    meta = {**store.meta, "skeleton": "coco17"}
    columns |= {"keypoints_true": walk, "joints": np.full((8, 17, 3), np.nan, np.float32)}
    columns["valid"] = np.zeros((8, 17), bool)
    for key in ("schema", "columns", "fingerprint", "rows", "images"):
        meta.pop(key, None)
    write_store(tmp_path / "coco", columns, meta)
    sample = store_sample(PoseStore.open(tmp_path / "coco"), "pixels")
    want = convert_keypoints(torch.from_numpy(walk), COCO, H36M)
    torch.testing.assert_close(sample.keypoints, want[..., :2])
    assert sample.holds("2d").all()
    assert not sample.holds("3d").any()


def test_axes_of_poses_are_numbered_in_a_table(tmp_path: Path) -> None:
    joints = np.arange(2 * 3 * 17 * 3, dtype=np.float32).reshape(2, 3, 17, 3)
    valid = np.array([True, False, True])
    write_poses(tmp_path / "o.csv", joints, H36M, "camera", valid, ("hypothesis", "frame"))
    rows = lines(tmp_path / "o.csv")
    assert rows[0][:4] == ["hypothesis", "frame", "valid", "pelvis_x_m"]
    assert [row[:3] for row in rows[1:]] == [[h, f, "01"[f != "1"]] for h in "01" for f in "012"]
    assert float(rows[6][-1]) == joints[1, 2, 16, 2]
    assert rows[2][3:] == [""] * 51
    write_embeddings(tmp_path / "e.csv", {"a": joints[0, :, 0], "b": joints[0, :, 1, :1]}, valid)
    rows = lines(tmp_path / "e.csv")
    assert rows[0] == ["row", "valid", "a_0", "a_1", "a_2", "b_0"]
    assert rows[3] == ["2", "1", "102", "103", "104", "105"]
    check_ending(tmp_path / "x.index", more=(".index",))
    with pytest.raises(ValueError, match=r"x\.index: write to a file that ends in \.npz or \.csv"):
        check_ending(tmp_path / "x.index")


@pytest.mark.skipif(not CASES.is_dir(), reason="../shared/cases is not here")
@pytest.mark.parametrize(
    ("case", "more", "code", "message"),
    [
        ("coco_no_skeleton", (), 0, "read as coco17"),
        ("coco_no_skeleton", ("--skeleton", "h36m17"), 2, "look like coco17"),
        ("conf_over_1", ("--skeleton", "coco17"), 2, "confidence reaches 100"),
        ("normalised", ("--skeleton", "coco17"), 2, "they look scaled"),
        ("hip_conf0", ("--skeleton", "coco17"), 0, "joints (5, 17, 3)"),
        ("lift-nan/nodet", ("--skeleton", "h36m17"), 0, "1 of 4 frames hold no person"),
        ("lift-nan/empty", (), 2, "has no frame"),
    ],
)
def test_shared_cases(
    case: str, more: tuple[str, ...], code: int, message: str, runs: dict[str, Path], tmp_path: Path
) -> None:
    file = CASES / f"{case}.npy" if "/" in case else CASES / case / "keypoints.npy"
    assert message in run("unihpr", "lift", runs["unihpr"], file, tmp_path / "o.npz", *more, code=code)
