"""What can be indexed, read as what it is; and the command line on top of it."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from libraries import embedder, movement, quiet, write_joints
from people import people
from PIL import Image
from polypose.cli import app
from polypose.search.adding import add
from polypose.search.asking import ask
from polypose.search.index import PoseIndex
from polypose.search.reading import Options
from polypose.search.sources import find
from posedata.geometry.camera import Camera
from posedata.store import write_store
from typer.testing import CliRunner
from walkers import walkers

pytest.importorskip("pyarrow", reason="polypose[search]")


def test_a_folder_is_searched_for_everything_that_can_be_indexed(tmp_path: Path) -> None:
    folder = tmp_path / "all"
    (folder / "clips").mkdir(parents=True)
    (folder / "openpose").mkdir()
    (folder / "rgbd/depth").mkdir(parents=True)
    (folder / "rgbd/depth/0.png").write_bytes(b"")
    for name in ("clips/a.MP4", "clips/b.jpg", "c.bvh", "d.amc", "d.asf", "e.txt", "._f.bvh", ".hidden.bvh"):
        (folder / name).write_bytes(b"x")
    for frame in range(2):
        (folder / f"openpose/{frame}.json").write_text('{"people": []}')
    write_joints(folder / "g.npz", 0)
    np.savez(folder / "h.npz", keypoints=np.zeros((1, 17, 3)))
    np.savez(folder / "i.npz", other=np.zeros(3))
    walkers().save(folder / "j.npz")
    (folder / "k.csv").write_text("pelvis_x_m,pelvis_y_m\n")
    told: list[str] = []
    found = {source.name: (source.kind, source.form) for source in find(folder, say=told.append)}
    assert found == {
        "all/clips/a.MP4": ("film", None),
        "all/clips/b.jpg": ("photo", None),
        "all/c.bvh": ("motion", "bvh"),
        "all/d.amc": ("motion", "asf_amc"),
        "all/g.npz": ("motion", "joints"),
        "all/h.npz": ("keypoints", None),
        "all/j.npz": ("motion", None),
        "all/k.csv": ("motion", None),
        "all/openpose": ("keypoints", None),
        "all/rgbd": ("rgbd", None),
    }
    assert told == [f"{folder}: 2 files of other kinds are passed over, e.txt for one"]
    assert find(folder, form="h36m")[0].kind == "format"
    with pytest.raises(ValueError, match=r"e.txt is of no kind that is known; give films"):
        find(folder / "e.txt")


def test_what_capture_wrote_is_read_with_its_people_and_clock(tmp_path: Path) -> None:
    motion = walkers(2, 40)
    add(tmp_path / "index", [motion.save(tmp_path / "two.npz")], embedder(), say=quiet)
    index = PoseIndex.open(tmp_path / "index")
    assert len(index) == 80
    first, later = index.describe([0, 40])
    assert (first.person, later.person) == ("1", "2")
    assert (first.time, later.time) == (pytest.approx(0.5), pytest.approx(0.5 + 8 / 25))
    alone = embedder().invariant.embed(pose=motion.people[1].joints[:1]).vectors
    np.testing.assert_allclose(index.places(np.array([40])), alone, atol=1e-4)


def test_a_store_is_read_by_recording_and_seen_by_its_own_cameras(tmp_path: Path) -> None:
    joints = np.concatenate([movement(0, 20), movement(1, 20)])
    camera = Camera.look_at(torch.tensor([4.0, 1.0, 1.5]), torch.tensor([0.0, 0.0, 1.0]), 900.0, (1000, 800))
    table = {
        "focal": camera.focal.expand(2),
        "centre": camera.centre,
        "rotation": camera.rotation,
        "translation": camera.translation,
        "distortion": camera.distortion,
        "size": camera.size,
    }
    columns = {f"camera_{name}": np.asarray(value)[None] for name, value in table.items()}
    columns |= {
        "joints": joints,
        "sequence": np.repeat([1, 0], 20).astype(np.int32),
        "subject": np.zeros(40, np.int32),
        "frame": np.tile(np.arange(20), 2).astype(np.int32)[::-1].copy(),
        "camera": np.zeros(40, np.int32),
    }
    meta = {"skeleton": "h36m17", "fps": 30, "source": "made", "licence": "CC0", "cameras": ["front"]}
    meta |= {"sequences": ["turn", "walk"], "subjects": ["anna"]}
    write_store(tmp_path / "store", columns, meta)
    models = embedder()
    add(tmp_path / "index", [tmp_path / "store"], models, say=quiet)
    index = PoseIndex.open(tmp_path / "index")
    place = index.describe([20 + 3])[0]
    assert (place.recording, place.person, place.camera, place.frame) == ("store/walk", "anna", "front", 3)
    pose = torch.from_numpy(joints[19 - 3])  # frames are written backwards
    seen = models.camera.embed(pose=camera.world_to_camera(pose)[None].numpy()).vectors
    np.testing.assert_allclose(index.places(np.array([23]), "camera"), seen, atol=1e-4)


def test_keypoints_are_placed_by_camera_where_the_size_is_told(tmp_path: Path) -> None:
    made = people()
    np.savez(tmp_path / "seen.npz", keypoints=made.pixels, skeleton=np.array("h36m17"))
    models = embedder()
    add(tmp_path / "plain", [tmp_path / "seen.npz"], models, say=quiet)
    assert not PoseIndex.open(tmp_path / "plain").has("camera")
    add(tmp_path / "sized", [tmp_path / "seen.npz"], models, Options(size=(1000, 800)), say=quiet)
    index = PoseIndex.open(tmp_path / "sized")
    alone = models.camera.embed(keypoints=made.pixels[4:5], skeleton="h36m17", size=(1000, 800)).vectors
    np.testing.assert_allclose(index.places(np.array([4]), "camera"), alone, atol=1e-4)
    x, y, width, height = index.describe([4])[0].box or (0, 0, 0, 0)
    np.testing.assert_allclose([x, y], made.pixels[4].min(0), atol=1e-3)
    np.testing.assert_allclose([x + width, y + height], made.pixels[4].max(0), atol=1e-3)


def test_a_query_is_of_the_person_and_time_asked_for(tmp_path: Path) -> None:
    motion = walkers(2, 40)
    path, models = motion.save(tmp_path / "two.npz"), embedder()
    asked = ask(path, models, at=1.3, person="2", say=quiet)
    frame = round((1.3 - 0.5) * 25) - 8
    alone = models.invariant.embed(pose=motion.people[1].joints[[frame]]).vectors
    np.testing.assert_allclose(asked.places["invariant"], alone, atol=1e-4)
    clip = ask(path, models, at=0.9, until=1.5, person="1", say=quiet)
    np.testing.assert_allclose(clip.time, 0.5 + np.arange(10, 26) / 25)
    with pytest.raises(ValueError, match=r"has no person '3'; it has 1, 2"):
        ask(path, models, person="3", say=quiet)
    with pytest.raises(ValueError, match=r"--until 1: give a time after 2 s"):
        ask(path, models, at=2.0, until=1.0, say=quiet)
    with pytest.raises(ValueError, match=r"no camera is known that saw it; ask with --view invariant"):
        asked.place("camera")


def test_a_film_is_indexed_by_who_is_seen_in_it(tmp_path: Path) -> None:
    """By a real detector, where its networks are on this machine."""
    from polypose.capture.detectors import make_detector

    try:
        make_detector("blazepose", "lite")
    except (ValueError, OSError, ModuleNotFoundError) as lacking:
        pytest.skip(f"polypose get: {lacking}")
    Image.new("RGB", (320, 240), "gray").save(tmp_path / "empty.png")
    told: list[str] = []
    add(tmp_path / "index", [tmp_path / "empty.png"], embedder(), Options(network="lite"), say=told.append)
    assert told == ["empty.png: 0 poses; empty: nobody was found; nobody was found in it"]
    assert len(PoseIndex.open(tmp_path / "index")) == 0


def test_the_command_line_adds_finds_and_removes(tmp_path: Path) -> None:
    models = embedder()
    own = []
    for name in ("invariant", "camera"):
        file = getattr(models, name).save(tmp_path / f"{name}.safetensors")
        own += [f"--{name}-model", str(file)]
    write_joints(tmp_path / "walk.npz", 0, 1)
    np.save(tmp_path / "pose.npy", movement(1)[9])
    index, out = str(tmp_path / "index"), tmp_path / "found.json"
    run = CliRunner()

    def call(*arguments: str) -> str:
        answer = run.invoke(app, [*arguments])
        assert answer.exit_code == 0, answer.output
        return str(answer.output)

    assert "walk.npz: 80 poses" in call("index", "add", index, str(tmp_path / "walk.npz"), *own)
    assert "nothing is new" in call("index", "add", index, str(tmp_path / "walk.npz"), *own)
    assert "80 poses of 1 sources, and all of it is as it was written" in call(
        "index", "info", index, "--verify"
    )
    call("search", index, str(tmp_path / "pose.npy"), "-k", "2", "--out", str(out), *own)
    first = json.loads(out.read_text())[0]
    assert (first["recording"], first["frame"], first["distance"]) == ("walk.npz/walk_01", 9, 0.0)
    call("search", index, "--like", str(first["row"]), "--until", "0.5", "-o", str(out.with_suffix(".csv")))
    assert out.with_suffix(".csv").read_text().startswith("row,source,recording,person")
    refused = run.invoke(app, ["search", index, "--like", "0", "--where", "size=3"])
    assert refused.exit_code == 2
    assert "polypose: --where size=3: give NAME=VALUE" in refused.output
    assert "80 poses are removed" in call("index", "remove", index, "walk.npz")
