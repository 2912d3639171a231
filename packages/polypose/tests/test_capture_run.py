"""`polypose.capture` from end to end: films in, files out, and what is said of what cannot be."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import polypose
import pytest
from blobs import FIGURE, Blobs, walk, write_figures
from made_films import write_sound
from PIL import Image
from polypose.cli import app
from typer.testing import CliRunner, Result

FORMATS = ("npz", "csv", "trc", "c3d", "bvh", "glb")
LANES = [(60.0, 80.0, 4.0), (260.0, 160.0, -4.0)]


@pytest.fixture(scope="module")
def film(tmp_path_factory) -> Path:
    return write_figures(tmp_path_factory.mktemp("films") / "two.mp4", walk(40, LANES))


@pytest.fixture(scope="module")
def model() -> polypose.Model:
    """The package's, for a lifter of random weights places nobody."""
    return polypose.load()


def run(*inputs, model, **options):
    said: list[str] = []
    options = {"detector": Blobs, "formats": FORMATS} | options
    return polypose.capture(*inputs, model=model, say=said.append, **options), said


def command(*arguments) -> Result:
    """The command in this process, which has torch already."""
    return CliRunner().invoke(app, ["capture", *map(str, arguments)])


def write_keypoints(path: Path, frames: int, lanes=LANES) -> Path:
    places = walk(frames, lanes)
    rows = [(n, p) for n in range(frames) for p in range(len(lanes))]
    values = np.stack([FIGURE * 0.4 + places[n, p] for n, p in rows])
    frame, person = np.array(rows).T
    np.savez(path, keypoints=values, frame=frame, person=person, skeleton="coco17")
    return path


class Stops(Blobs):
    """Is stopped after so many pictures; counts those of all of its kind."""

    stops: int | None = 30
    every = 0

    def detect(self, image):
        if self.stops is not None and self.calls >= self.stops:
            raise KeyboardInterrupt
        Stops.every += 1
        return super().detect(image)


def test_a_film_to_every_file(film, model, tmp_path):
    motion, said = run(film, model=model, out=tmp_path / "out")
    assert len(motion) == 40
    assert [len(person) for person in motion.people] == [40, 40]
    assert motion.rate == pytest.approx(10)
    names = {path.name for path in (tmp_path / "out").iterdir()}
    more = {"two.person2.trc", "two.person2.bvh", "two.cameras.csv"}
    assert names == {f"two.{ending}" for ending in FORMATS} | more  # and no work left
    assert said[0] == f"{tmp_path / 'out' / 'two'}: 2 people, 40 frames; .npz .csv .trc .c3d .bvh .glb"
    assert all(line.startswith("note: ") for line in said[1:])
    again = type(motion).load(tmp_path / "out" / "two.npz")
    np.testing.assert_array_equal(again.people[1].joints, motion.people[1].joints)


def test_results_are_not_written_over_unasked(film, model, tmp_path):
    (tmp_path / "two.csv").write_text("mine")
    with pytest.raises(ValueError, match=r"two.csv: is there already; --overwrite, or name another --out"):
        run(film, model=model, out=tmp_path)
    assert (tmp_path / "two.csv").read_text() == "mine"
    run(film, model=model, out=tmp_path, overwrite=True, formats="csv", end=1.0)
    assert (tmp_path / "two.csv").read_text() != "mine"


def test_a_film_among_photos_is_not_passed_over(film, model, tmp_path):
    Image.new("RGB", (32, 24)).save(tmp_path / "a.png")
    (tmp_path / "walk.MOV").write_bytes(film.read_bytes())
    with pytest.raises(ValueError, match=r"walk.MOV: a film among photos; name the films and the photos"):
        run(tmp_path, model=model)


def test_a_stopped_run_goes_on(film, model, tmp_path, monkeypatch):
    from polypose.capture import detecting

    monkeypatch.setattr(detecting, "PART", 8)
    whole, _ = run(film, model=model)
    with pytest.raises(KeyboardInterrupt):
        run(film, model=model, out=tmp_path, detector=Stops)
    assert sorted(p.name for p in (tmp_path / ".work" / "two").iterdir())[:3] == [
        "part00000.npz", "part00001.npz", "part00002.npz"
    ]  # fmt: skip
    Stops.stops = None
    calls = Stops.every
    motion, _ = run(film, model=model, out=tmp_path, detector=Stops)
    assert Stops.every - calls == 40 - 24
    assert not (tmp_path / ".work").exists()
    np.testing.assert_array_equal(motion.people[0].joints, whole.people[0].joints)


def test_of_several_films_those_that_were_done_are_not_looked_at_again(film, model, tmp_path):
    other = write_figures(tmp_path / "more.mp4", walk(40, LANES))
    Stops.every = 0

    class Second(Stops):
        """Sees the first film, is stopped in the second."""

        made = 0

        def __init__(self) -> None:
            super().__init__()
            Second.made += 1
            self.stops = 30 if Second.made == 2 else None

    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        run(film, other, model=model, out=out, detector=Second, formats="npz")
    assert {p.name for p in out.iterdir()} == {"two.npz", ".work"}
    (out / "more.npz").write_text("mine")  # of a film whose work is there
    calls = Stops.every
    run(film, other, model=model, out=out, detector=Second, formats="npz")
    assert Stops.every - calls <= 40
    assert {p.name for p in out.iterdir()} == {"two.npz", "more.npz"}


def test_an_unfinished_run_gives_no_leave_to_write_over_anothers_results(film, model, tmp_path):
    other = write_figures(tmp_path / "more.mp4", walk(8, LANES))
    run(other, model=model, out=tmp_path / "out", formats="npz")
    Stops.stops = 3
    with pytest.raises(KeyboardInterrupt):
        run(film, model=model, out=tmp_path / "out", detector=Stops)
    with pytest.raises(ValueError, match=r"more.npz: is there already"):
        run(other, model=model, out=tmp_path / "out", formats="npz")


def test_photos_one_each_and_nobody_in_one(model, tmp_path):
    photos = tmp_path / "photos"
    photos.mkdir()
    for name, colour in (("a", (230, 20, 20)), ("b", (0, 0, 0)), ("c", (20, 230, 20))):
        image = np.zeros((240, 320, 3), np.uint8)
        image[80:160, 150:175] = colour
        Image.fromarray(image).save(photos / f"{name}.png")
    motions, said = run(photos, model=model, out=tmp_path / "out", formats="npz,bvh")
    assert [len(motion) for motion in motions] == [1, 1]
    assert {p.name for p in (tmp_path / "out").iterdir()} == {"a.npz", "a.bvh", "c.npz", "c.bvh"}
    assert f"{photos / 'b.png'}: nobody was found in it; film them whole and in the light" in said


def test_one_frame_of_a_film(model, tmp_path):
    motion, _ = run(write_figures(tmp_path / "one.mp4", walk(1, LANES)), model=model, out=tmp_path / "out")
    assert (len(motion), len(motion.people)) == (1, 2)
    assert np.isfinite(motion.people[0].joints).all()


def test_a_poster_is_told(model, tmp_path):
    places = walk(40, [(60.0, 80.0, 5.0), (160.0, 160.0, 0.0)])
    motion, _ = run(write_figures(tmp_path / "wall.mp4", places), model=model)
    assert "wall: person 2 never moves; a picture or a statue?" in motion.notes or (
        "wall: person 1 never moves; a picture or a statue?" in motion.notes
    )


def test_films_called_alike_are_named_by_their_folders(model, tmp_path):
    for folder in ("left", "right"):
        (tmp_path / folder).mkdir()
        write_figures(tmp_path / folder / "film.mp4", walk(6, LANES))
    films = [tmp_path / "left" / "film.mp4", tmp_path / "right" / "film.mp4"]
    motions, _ = run(*films, model=model, out=tmp_path / "out", formats="npz")
    assert {p.name for p in (tmp_path / "out").iterdir()} == {"left_film.npz", "right_film.npz"}
    assert len(motions) == 2
    with pytest.raises(ValueError, match=r"film.mp4: another input is called so too"):
        run(films[0], films[0], model=model)


def calibration(path: Path, names: list[str], size: tuple[int, int]) -> Path:
    """Pose2Sim's, of cameras a metre apart that look along y from a metre above the floor."""
    lines = []
    for number, name in enumerate(names):
        lines += [
            f"[{name}]", f'name = "{name}"', f"size = [{size[0]}.0, {size[1]}.0]",
            "matrix = [[300.0, 0.0, 159.5], [0.0, 300.0, 119.5], [0.0, 0.0, 1.0]]",
            "distortions = [0.0, 0.0, 0.0, 0.0]", "rotation = [1.5707963, 0.0, 0.0]",
            f"translation = [{-number}.0, 1.0, 0.0]", "fisheye = false",
        ]  # fmt: skip
    path.write_text("\n".join(lines))
    return path


def test_cameras_and_films_together(model, tmp_path):
    lanes = [(100.0, 100.0, 2.0)]
    for number, name in enumerate(("cam1", "cam2")):
        write_figures(tmp_path / f"{name}.mp4", walk(20, lanes) - (60 * number, 0))
    films = [tmp_path / "cam1.mp4", tmp_path / "cam2.mp4"]
    table = calibration(tmp_path / "Calib.toml", ["cam1", "cam2"], (320, 240))
    motion, said = run(*films, model=model, out=tmp_path / "out", calibration=table, formats="npz")
    assert [view.name for view in motion.views] == ["cam1", "cam2"]
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["capture.npz"]
    assert "1 person, 20 frames" in said[0]


def test_a_calibration_of_another_size(film, model, tmp_path):
    table = calibration(tmp_path / "Calib.toml", ["two"], (1920, 1080))
    with pytest.raises(ValueError, match=r"camera two is calibrated at 1920x1080, film two has 320x240"):
        run(film, model=model, calibration=table)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"height": 178}, "height is 178 m; give metres, 0.4 to 2.6"),
        ({"height": 2.7}, "height is 2.7 m; give metres, 0.4 to 2.6"),
        ({"formats": "fbx"}, "--formats fbx: give some of npz"),
        ({"start": 3.0, "end": 1.0}, "--start 3 --end 1"),
        ({"start": 30.0}, "two.mp4: no frame from 30 s on; give another --start or --end"),
        ({"together": True}, "--together: .*two.mp4 is one film; give two or more"),
        ({"rate": 30.0}, "--rate 30: is of a folder of photos, and none is given; leave it out"),
        ({"out": "/dev/null/results"}, "/dev/null: is a file; name a folder"),
        ({"detector": "openpose"}, "--detector openpose: no such detector or file"),
        ({"network": "huge", "detector": "blazepose"}, "--network huge: give lite, full or heavy"),
    ],
)
def test_options_that_cannot_be(film, model, options, says):
    with pytest.raises((ValueError, FileNotFoundError), match=says):
        run(film, model=model, **options)


def test_the_command_line_with_files_of_keypoints(film, tmp_path):
    write_keypoints(tmp_path / "two.npz", 40)
    arguments = (film, "--out", tmp_path / "out", "--detector", tmp_path / "two.npz")
    program = [sys.executable, "-m", "polypose.cli", "capture", *map(str, arguments)]
    options = ["--formats", "npz,trc", "--height", "1.7"]
    done = subprocess.run([*program, *options], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == f"{tmp_path / 'out' / 'two'}: 2 people, 40 frames; .npz .trc"
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["two.npz", "two.person2.trc", "two.trc"]
    again = command(*arguments)
    assert again.exit_code == 2
    assert again.stderr.count("\n") == 1
    assert "is there already; --overwrite" in again.stderr


def test_what_is_no_film_is_one_line_of_the_command(tmp_path, capfd):
    (tmp_path / "broken.mp4").write_bytes(b"\0\0\0\x20ftypisom" + bytes(4000))
    write_sound(tmp_path / "sound.m4a")
    for name, says in (
        ("broken.mp4", "is no film, or not a whole one"),
        ("sound.m4a", "holds sound and no film"),
        ("nowhere.mp4", "no such file"),
    ):
        done = command(tmp_path / name, "--out", tmp_path / "out")
        assert done.exit_code == 2
        assert capfd.readouterr() == ("", "")  # of the libraries that read films, past Python
        (line,) = done.stderr.splitlines()
        assert line.startswith(f"polypose: {tmp_path / name}: {says}")
        assert not (tmp_path / "out").exists()


def test_nobody_is_one_line_and_no_file(model, tmp_path):
    path = write_figures(tmp_path / "empty.mp4", np.full((12, 1, 2), np.nan))
    with pytest.raises(
        ValueError, match=r"empty.mp4: nobody was found in it; film them whole and in the light"
    ):
        run(path, model=model, out=tmp_path / "out")
    assert not list((tmp_path / "out").iterdir())


def test_a_film_that_breaks_off_is_used_and_told(model, tmp_path):
    path = write_figures(tmp_path / "cut.mkv", walk(40, LANES))
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    motion, said = run(path, model=model)
    assert 10 < len(motion) < 40
    assert any("cut.mkv: breaks off after" in line for line in said)


@pytest.mark.parametrize("given", [str, Path])
def test_the_lifter_may_be_named_by_its_file(given, film, model, tmp_path):
    file = model.save(tmp_path / "lifter.safetensors", encodes=("2d",))
    motion, _ = run(film, model=given(file), end=0.3)
    assert len(motion.people) == 2


@pytest.mark.parametrize("other", ["view-invariant", "depth"])
def test_a_model_that_lifts_no_keypoints_is_refused_before_anybody_is_looked_for(other, film):
    def nobody():
        raise AssertionError

    with pytest.raises(ValueError, match=r"\(.*\): lifts no keypoints before a camera; leave --model out"):
        run(film, model=other, detector=nobody)
