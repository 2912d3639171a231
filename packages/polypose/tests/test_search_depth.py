"""Depth as a query, end to end: rendered people of known joints are found among motion capture."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from filmed_depth import Filmed, filmed, synthetic
from libraries import quiet
from polypose.cli import app
from polypose.search.adding import add
from polypose.search.asking import ask
from polypose.search.embedding import Embedder
from polypose.search.finding import search
from polypose.search.index import PoseIndex
from polypose.search.sources import find
from posedata.open3d_loader import open3d
from typer.testing import CliRunner

pytest.importorskip("pyarrow", reason="polypose[search]")

PEOPLE = (0, 1, 3, 6)
"""Who face the camera: depth alone takes a back for a front."""


@pytest.fixture(scope="module")
def models() -> Embedder:
    return Embedder.load()


@pytest.fixture(scope="module")
def films() -> list[Filmed]:
    return [filmed(seed, synthetic(seed, 3)) for seed in PEOPLE]


@pytest.fixture(scope="module")
def library(films: list[Filmed], models: Embedder, tmp_path_factory: pytest.TempPathFactory) -> PoseIndex:
    """Motion capture of the same moments, a recording each."""
    folder = tmp_path_factory.mktemp("depth")
    frames = len(films[0].joints)
    number = np.repeat(np.arange(len(films)), frames)
    np.savez(
        folder / "people.npz",
        joints=np.concatenate([film.joints for film in films]).astype(np.float32),
        seq=number, subject=number, action=0 * number,
        seq_names=np.array([f"person {seed}" for seed in PEOPLE]),
        subject_names=np.array([str(seed) for seed in PEOPLE]),
        action_names=np.array(["stands"]), fps=np.array(30.0),
    )  # fmt: skip
    add(folder / "index", [folder / "people.npz"], models, say=quiet)
    return PoseIndex.open(folder / "index")


def recording(film: Filmed, folder: Path, alone: bool = True) -> Path:
    """A folder of depth without colour; of the person alone, or of the room too."""
    film.images[:] = film.images * film.masks if alone else film.images
    film.write(folder)
    shutil.rmtree(folder / "rgb")
    return folder


def cloud(film: Filmed, path: Path) -> Path:
    """The first frame as an organised cloud."""
    depth = film.images[0] * film.masks[0] / 1000
    v, u = np.mgrid[: depth.shape[0], : depth.shape[1]]
    (cx, cy), focal = film.camera.centre.tolist(), film.camera.focal.tolist()
    points = np.stack([(u - cx) / focal[0] * depth, (v - cy) / focal[1] * depth, depth], -1)
    module: Any = open3d()
    made = module.geometry.PointCloud(module.utility.Vector3dVector(points.reshape(-1, 3)))
    module.io.write_point_cloud(str(path), made, write_ascii=False)
    height, width = depth.shape
    content = path.read_bytes()
    whole = f"WIDTH {width * height}\nHEIGHT 1\n".encode()
    path.write_bytes(content.replace(whole, f"WIDTH {width}\nHEIGHT {height}\n".encode()))
    return path


def first(index: PoseIndex, path: Path, models: Embedder) -> str:
    asked = ask(path, models, say=quiet)
    return search(index, asked.place("invariant"), k=1)[0].place.recording.partition("/")[2]


@pytest.mark.parametrize("number", range(len(PEOPLE)))
def test_the_pose_in_depth_is_the_first_that_is_found(
    films: list[Filmed], library: PoseIndex, models: Embedder, tmp_path: Path, number: int
) -> None:
    folder, wanted = recording(films[number], tmp_path / "depth_folder"), f"person {PEOPLE[number]}"
    assert first(library, folder, models) == wanted
    png = folder / "depth/0.png"
    assert [source.kind for source in find(png)] == ["rgbd"]
    assert first(library, png, models) == wanted
    np.save(folder / "0.npy", films[number].images[0] / np.float32(1000))
    assert first(library, folder / "0.npy", models) == wanted
    assert first(library, cloud(films[number], tmp_path / "cloud.pcd"), models) == wanted


def test_a_room_is_searched_for_people_and_indexed_with_their_boxes(models: Embedder, tmp_path: Path) -> None:
    pytest.importorskip("pointcloud_weak", reason="polypose[depth]")
    film = filmed(4, synthetic(4, 3))
    assert (film.images[0] > 0).mean() > 10 * film.masks[0].mean()
    told: list[str] = []
    add(tmp_path / "index", [recording(film, tmp_path / "room", alone=False)], models, say=told.append)
    assert told == ["room: 3 poses"]
    index = PoseIndex.open(tmp_path / "index")
    places = index.describe(range(3))
    assert [(p.person, p.camera, p.frame) for p in places] == [("1", "room", frame) for frame in range(3)]
    rows, columns = np.nonzero(film.masks[1])  # a hand may be cut off: what is far from the head's plumb line
    assert places[1].box == pytest.approx(
        (columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1), abs=16
    )
    assert places[1].time == pytest.approx(1 / 30)
    asked = ask(tmp_path / "room", models, at=1 / 30, say=quiet)  # as the camera sees it too
    assert search(index, asked.place("camera"), k=1, view="camera")[0].near == pytest.approx(1, abs=1e-5)


def test_depth_that_cannot_be_used_is_one_line(
    films: list[Filmed], library: PoseIndex, tmp_path: Path
) -> None:
    folder = recording(films[0], tmp_path / "depth_folder")
    png, table = folder / "depth/0.png", folder / "intrinsics.json"
    camera = json.loads(table.read_text())

    def refused(path: Path) -> str:
        answer = CliRunner().invoke(app, ["search", str(library.path), str(path)])
        assert answer.exit_code == 2
        assert answer.output.count("\n") == 1, answer.output
        return str(answer.output)

    table.write_text(json.dumps({**camera, "width": 640}))
    assert f"polypose: {png}: is 512x424, the intrinsics say 640x424; give those" in refused(png)
    table.unlink()
    assert "intrinsics.json: no such file; write width, height, fx, fy, cx, cy there" in refused(png)
    table.write_text(json.dumps(camera))
    np.save(folder / "0.npy", films[0].images[0].astype(np.float32))  # millimetres as if they were metres
    assert f"polypose: {folder / '0.npy'}: values of" in refused(folder / "0.npy")
    np.save(folder / "0.npy", np.zeros((424, 512), np.float32))
    assert f"polypose: {folder / '0.npy'}: nobody was found in it" in refused(folder / "0.npy")
