"""The command line on files of every kind: what is read, what is written, what is refused."""

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from people import COCO, SIZE, people
from polypose.cli import app
from polypose.loading import PACKAGED, load
from polypose.reading import detector_of, read_people
from posedata.skeleton import get_skeleton
from small_model import invariant, small
from typer.testing import CliRunner

OPENPOSE = 25


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small().save(tmp_path_factory.mktemp("model") / "m.safetensors")


@pytest.fixture(scope="module")
def walk() -> np.ndarray:
    """(24, 17, 3) of coco17, the last a frame without a person."""
    points = np.concatenate([people().coco, np.full((24, 17, 1), 0.9)], -1)
    points[-1] = 0
    return points


def polypose(*words: object, code: int = 0) -> str:
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == code, result.output
    return result.output


def write_csv(path: Path, points: np.ndarray, axes: tuple[str, ...] = ("x", "y", "confidence")) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["frame", *(f"{joint}_{axis}" for joint in COCO.joints for axis in axes)])
        writer.writerows([i, *row.ravel().tolist()] for i, row in enumerate(points))
    return path


def write_results(path: Path, points: np.ndarray) -> Path:
    entries = [
        {"image_id": i + 7, "category_id": 1, "keypoints": row.ravel().tolist(), "score": 0.9}
        for i, row in enumerate(points)
    ]
    path.write_text(json.dumps(entries))
    return path


def write_openpose(folder: Path, points: np.ndarray) -> Path:
    folder.mkdir()
    for i, row in enumerate(points):
        places = np.zeros((OPENPOSE, 3))
        for name, at in (("nose", 0), ("right_shoulder", 2), ("left_shoulder", 5), ("right_hip", 9)):
            places[at] = row[COCO.index(name)]
        places[12] = row[COCO.index("left_hip")]
        people_ = [{"person_id": [-1], "pose_keypoints_2d": places.ravel().tolist()}]
        (folder / f"v_{i:012d}_keypoints.json").write_text(json.dumps({"version": 1.3, "people": people_}))
    return folder


def test_every_kind_of_file_is_the_same_people(walk: np.ndarray, saved: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "k.npy", walk)
    np.savez(tmp_path / "k.npz", keypoints=walk[..., :2], confidence=walk[..., 2], skeleton="coco17")
    write_csv(tmp_path / "k.csv", walk)
    size = ("--size", *SIZE, "--model", saved)
    polypose("lift", tmp_path / "k.npy", tmp_path / "a.npz", "--skeleton", "coco17", *size)
    with np.load(tmp_path / "a.npz") as file:
        wanted = dict(file)
    assert wanted["valid"].tolist() == [True] * 23 + [False]
    for name in ("k.npz", "k.csv"):
        said = polypose("lift", tmp_path / name, tmp_path / "b.npz", *size)
        assert "read as coco17" in said
        assert "1 of 24 frames hold no person and get no pose: frame 23" in " ".join(said.split())
        with np.load(tmp_path / "b.npz") as file:
            np.testing.assert_allclose(file["joints"], wanted["joints"], atol=1e-5)
            np.testing.assert_allclose(file["translation"], wanted["translation"], atol=1e-4)


def test_detectors_files_tell_skeleton_frame_and_person(
    walk: np.ndarray, saved: Path, tmp_path: Path
) -> None:
    source = write_results(tmp_path / "results.json", walk[:4])
    polypose("lift", source, tmp_path / "a.csv", "--size", *SIZE, "--model", saved)
    rows = list(csv.DictReader((tmp_path / "a.csv").read_text().splitlines()))
    assert [row["detected_frame"] for row in rows] == ["7", "8", "9", "10"]
    assert {"pelvis_x_m", "left_wrist_sd_m", "translation_z_m", "valid"} <= rows[0].keys()
    folder = write_openpose(tmp_path / "json", walk[:4])
    found = read_people(folder)
    assert found.skeleton == "openpose25"
    np.testing.assert_allclose(found.values[:, 9, :2], walk[:4, COCO.index("right_hip"), :2], atol=1e-3)
    assert found.rows["detected_frame"].tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("content", "reader"),
    [
        ({"people": []}, "openpose"),
        ([{"image_id": "a.jpg", "keypoints": []}], "alphapose"),
        ([{"image_id": 3, "keypoints": []}], "coco_results"),
        ({"meta_info": {}, "instance_info": []}, "mmpose"),
        ([{"frame_id": 1, "instances": []}], "mmpose"),
        ([{"keypoints": [], "keypoint_scores": []}], "mmpose"),
    ],
)
def test_a_detector_is_known_by_what_its_file_holds(content: object, reader: str, tmp_path: Path) -> None:
    (tmp_path / "k.json").write_text(json.dumps(content))
    assert detector_of(tmp_path / "k.json") == detector_of(tmp_path) == reader


def test_samples_are_of_the_seed(walk: np.ndarray, saved: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "k.npy", walk)
    words = (tmp_path / "k.npy", tmp_path / "s.npz", "--skeleton", "coco17", "--size", *SIZE)
    found = []
    for seed in (0, 0, 1):
        said = polypose("sample", *words, "-n", 3, "--seed", seed, "--model", saved)
        assert "joints (3, 24, 17, 3)" in said
        with np.load(tmp_path / "s.npz") as file:
            found.append(file["joints"])
    np.testing.assert_array_equal(found[0], found[1])
    assert not np.array_equal(found[0][:, 0], found[2][:, 0])


def test_embed_then_retrieve(walk: np.ndarray, saved: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "k.npy", walk)
    words = ("--skeleton", "coco17", "--size", *SIZE, "--focal", 900, "--model", saved)
    polypose("embed", tmp_path / "k.npy", tmp_path / "e.npz", *words)
    said = polypose("retrieve", tmp_path / "e.npz", tmp_path / "e.npz", tmp_path / "r.npz", "-k", 2)
    assert "rows (24, 2)" in said
    with np.load(tmp_path / "r.npz") as file:
        assert file["row"][:, 0].tolist() == [*range(23), -1]
        assert file["valid"].tolist() == [True] * 23 + [False]
    said = polypose(
        "retrieve", tmp_path / "e.npz", tmp_path / "e.npz", tmp_path / "r.npz", "--to", "3d", code=2
    )
    assert "holds 2d, no 3d; say which with --from and --to" in said


def test_a_picture_of_the_first(walk: np.ndarray, saved: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "k.npy", walk[:2])
    polypose(
        "lift", tmp_path / "k.npy", tmp_path / "a.npz", "--skeleton", "coco17", "--size", *SIZE,
        "--model", saved, "--picture", tmp_path / "a.png",
    )  # fmt: skip
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("k.txt", b"", "give keypoints as .npy, .npz, .csv, .json"),
        ("k.npy", b"not", "is not a whole .npy"),
        ("k.npz", b"not", "is not a whole .npz"),
        ("k.csv", b"a,b\n1,2\n", "has not all columns of a skeleton; for coco17 give nose_x, nose_y"),
        ("k.json", b"{", "is not JSON (ends too early at line 1, column 2); give a detector's results"),
        ("k.json", b"[" * 100_000, "is nested too deep; give a detector's results"),
        ("k.json", b"[" + b"[]," * 8_000_000 + b"[]]", "would take some"),
        ("k.json", b'{"images": [], "annotations": []}', "are annotations, not results; prepare them"),
        ("k.json", b'{"a": 1}', "is none of OpenPose's, AlphaPose's, MMPose's or COCO's"),
    ],
)
def test_what_cannot_be_read_is_one_line(
    name: str, content: bytes, message: str, saved: Path, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content)
    said = polypose("lift", tmp_path / name, tmp_path / "o.npz", "--size", *SIZE, "--model", saved, code=2)
    assert message in said
    assert name in said
    assert not (tmp_path / "o.npz").exists()


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({}, "k.npz: holds nothing, no 2d; say which with --from and --to"),
        ({"2d": np.ones(4)}, "k.npz: 2d is float64 (4,), no embeddings; write one with polypose embed"),
        ({"2d": np.eye(4) > 0}, "k.npz: 2d is bool (4, 4), no embeddings"),
        ({"2d": np.eye(4), "compared": np.array("guess")}, "k.npz: 2d is compared by 'guess', no embeddings"),
        ({"2d": np.eye(5)}, "k.npz: embeddings are 5 wide, those of"),
    ],
)
def test_what_are_no_embeddings_is_told_by_file(
    entries: dict[str, np.ndarray], message: str, tmp_path: Path
) -> None:
    np.savez(tmp_path / "k.npz", **entries)
    np.savez(tmp_path / "gallery.npz", **{"2d": np.eye(4)})
    said = polypose("retrieve", tmp_path / "k.npz", tmp_path / "gallery.npz", tmp_path / "o.npz", code=2)
    assert message in said
    assert not (tmp_path / "o.npz").exists()


def npz_of(values: np.ndarray) -> bytearray:
    file = io.BytesIO()
    np.savez_compressed(file, keypoints=values)
    return bytearray(file.getvalue())


def damaged_stream() -> bytearray:
    data = npz_of(np.random.default_rng(0).random((5, 17, 3)))
    data[60:90] = bytes([255] * 30)
    return data


def unknown_method() -> bytearray:
    data = npz_of(np.zeros((5, 17, 3)))
    at = data.index(b"PK\x01\x02")
    data[8:10] = data[at + 10 : at + 12] = (77).to_bytes(2, "little")
    return data


def locked() -> bytearray:
    data = npz_of(np.zeros((5, 17, 3)))
    at = data.index(b"PK\x01\x02")
    data[6] |= 1
    data[at + 8] |= 1
    return data


def grows_a_thousandfold() -> bytearray:
    return npz_of(np.zeros((300_000, 17, 3)))


@pytest.mark.parametrize("made", [damaged_stream, unknown_method, locked, grows_a_thousandfold])
def test_a_damaged_npz_is_one_line(
    made: Callable[[], bytearray], walk: np.ndarray, saved: Path, tmp_path: Path
) -> None:
    (tmp_path / "k.npz").write_bytes(made())
    options = ("--size", *SIZE, "--model", saved, "--skeleton", "coco17")
    said = polypose("lift", tmp_path / "k.npz", tmp_path / "o.npz", *options, code=2)
    assert "k.npz: is not a whole .npz of numbers; write one with numpy.savez" in said
    said = polypose("retrieve", tmp_path / "k.npz", tmp_path / "k.npz", tmp_path / "o.npz", code=2)
    assert "k.npz: is not a whole .npz; write one with polypose embed" in said


def test_what_is_missing_is_said_before_any_work(walk: np.ndarray, saved: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "k.npy", walk)
    words = ("lift", tmp_path / "k.npy", tmp_path / "o.npz")
    assert "no weights come with this version" in polypose(*words, code=2) or PACKAGED.is_file()
    assert "no such file" in polypose(*words, "--model", tmp_path / "no.safetensors", code=2)
    assert "give fx, fy, cx, cy in pixels, or size=" in polypose(*words, "--model", saved, code=2)
    said = polypose(*words, "--model", saved, "--focal", 900, code=2)
    assert "say where the middle of the image is: --size WIDTH HEIGHT" in said
    said = polypose(*words, "--model", saved, "--size", *SIZE, code=2)
    assert "17 joints have h36m17 and coco17: name the skeleton" in said
    said = polypose("lift", tmp_path / "k.npy", tmp_path / "o.txt", "--size", *SIZE, "--model", saved, code=2)
    assert "ends in .npz or .csv" in said


def test_info_and_doctor_say_what_there_is(saved: Path) -> None:
    said = polypose("info", saved)
    assert "Model(unihpr, 2.1 million weights, h36m17" in said
    assert "images light, of 48x64; decoder diffusion" in said
    said = polypose("doctor")
    assert "each found again: well" in said
    assert "polypose 0.1.0" in said


@pytest.fixture(scope="module")
def unturned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A view-invariant model's file."""
    return invariant().save(tmp_path_factory.mktemp("invariant") / "v.safetensors")


def test_a_view_invariant_model_lifts_embeds_and_retrieves(
    walk: np.ndarray, unturned: Path, tmp_path: Path
) -> None:
    np.save(tmp_path / "k.npy", walk)
    words = ("--skeleton", "coco17", "--model", unturned)
    picture = tmp_path / "p.png"
    said = polypose("lift", tmp_path / "k.npy", tmp_path / "o.npz", *words, "--picture", picture)
    assert "1 of 24 frames hold no person and get no pose: frame 23" in " ".join(said.split())
    assert picture.read_bytes().startswith(b"\x89PNG")
    with np.load(tmp_path / "o.npz") as file:
        assert set(file.files) == {"joints", "valid", "joint_names", "skeleton", "unit", "frame"}
        lifted = load(unturned).lift(walk, skeleton="coco17")
        np.testing.assert_array_equal(file["joints"], lifted.joints)
    polypose("embed", tmp_path / "k.npy", tmp_path / "e.npz", *words)
    np.save(tmp_path / "j.npy", people().joints)
    polypose("embed", tmp_path / "j.npy", tmp_path / "p.npz", *words, "--modality", "3d")
    polypose("retrieve", tmp_path / "e.npz", tmp_path / "p.npz", tmp_path / "r.npz", "--to", "3d", "-k", 3)
    with np.load(tmp_path / "e.npz") as e, np.load(tmp_path / "p.npz") as p, np.load(tmp_path / "r.npz") as r:
        apart = np.linalg.norm(e["2d"][:, None] - p["3d"], axis=-1)[:23]
        np.testing.assert_array_equal(r["row"][:23], apart.argsort(1)[:, :3])
        np.testing.assert_allclose(r["distance"][:23], np.sort(apart, 1)[:, :3], rtol=1e-4)
        assert r["valid"].tolist() == [True] * 23 + [False]


def test_what_a_view_invariant_model_does_not_do_is_said(
    walk: np.ndarray, saved: Path, unturned: Path, tmp_path: Path
) -> None:
    np.save(tmp_path / "k.npy", walk)
    words = (tmp_path / "k.npy", tmp_path / "o.npz", "--skeleton", "coco17", "--model", unturned)
    assert "draws no poses of keypoints; lift them" in polypose("sample", *words, code=2)
    assert "takes no camera; leave them out" in polypose("lift", *words, "--focal", 900, code=2)
    assert "holds keypoints, which are 2d" in polypose("embed", *words, "--modality", "image", code=2)
    said = polypose("export", "onnx", tmp_path / "o.onnx", "--model", unturned, code=2)
    assert "export: is of UniHPR, not of vvipe" in said
    gaps = (tmp_path / "k.npy", tmp_path / "g.index", *words[2:])
    assert "frame 23 cannot be embedded, and an index has no gaps" in polypose("embed", *gaps, code=2)
    polypose("embed", tmp_path / "k.npy", tmp_path / "v.npz", *words[2:])
    polypose("embed", tmp_path / "k.npy", tmp_path / "u.npz", *words[2:4], "--size", *SIZE, "--model", saved)
    said = polypose("retrieve", tmp_path / "u.npz", tmp_path / "v.npz", tmp_path / "r.npz", code=2)
    assert "is compared by distance" in said
    assert polypose("info", unturned).count("vvipe: embeds 2d and 3d, 8 wide, compared by distance") == 1


def test_what_is_read_is_not_written_over(walk: np.ndarray, saved: Path, tmp_path: Path) -> None:
    source = tmp_path / "k.npz"
    np.savez(source, keypoints=walk, skeleton="coco17")
    before = source.read_bytes()
    for verb in ("lift", "sample", "embed"):
        said = polypose(verb, source, source, "--size", *SIZE, "--model", saved, code=2)
        assert "k.npz: is read, and would be written over; write to a file of another name" in said
    assert source.read_bytes() == before
    for name in ("a", "b"):
        np.savez(tmp_path / f"{name}.npz", **{"2d": np.eye(4)})
    queries, gallery = tmp_path / "a.npz", tmp_path / "b.npz"
    for out in (queries, gallery):
        assert "is read" in polypose("retrieve", queries, gallery, out, code=2)
        with np.load(out) as file:
            assert file.files == ["2d"]
    folder = write_openpose(tmp_path / "json", walk[:2])
    for _ in range(2):  # results beside a detector's files are none of them
        polypose("lift", folder, folder / "o.npz", "--size", *SIZE, "--model", saved)


def test_a_table_is_read_by_the_names_of_its_columns(walk: np.ndarray, tmp_path: Path) -> None:
    halpe = get_skeleton("halpe26")
    more = np.stack(
        [walk[:, COCO.index(j)] if j in COCO.joints else walk[:, 0] for j in halpe.joints], axis=1
    )
    path = tmp_path / "k.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(
            [*(f"{j}_{axis}" for j in halpe.joints for axis in ("x", "y", "confidence")), "image"]
        )
        writer.writerows([*row.ravel().tolist(), f"{i}.jpg"] for i, row in enumerate(more))
    for name, wanted in ((None, more), ("halpe26", more), ("coco17", walk)):
        found = read_people(path, name)
        assert found.skeleton == (name or "halpe26")
        np.testing.assert_array_equal(found.values, wanted)
    with pytest.raises(ValueError, match=r"k\.csv: has not all columns .*; for h36m17 give pelvis_x"):
        read_people(path, "h36m17")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("nose_confidence", "other", "has no column nose_confidence, as other joints have; give one or none"),
        ("_confidence", "_score", "has a column nose_score; call confidences NAME_confidence"),
        ("frame", "nose_x", "has 2 columns nose_x; leave one"),
        ("0.9\r\n1,", "0.9\r\n1,abc", "row 3: nose_x is 'abc"),
        ("0.9\r\n1,", "0.9\r\n", "row 3 has 51 cells, the first 52; mend it"),
    ],
)
def test_a_table_that_is_amiss_is_told_where(
    old: str, new: str, message: str, walk: np.ndarray, tmp_path: Path
) -> None:
    path = write_csv(tmp_path / "k.csv", walk)
    path.write_bytes(path.read_bytes().replace(old.encode(), new.encode()))
    with pytest.raises(ValueError, match=message) as told:
        read_people(path)
    assert str(told.value).startswith(str(path))
