"""NPZ, CSV, TRC and C3D of a motion, opened by independent readers: joints agree to 0.1 mm."""

import csv
import os
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from independent import H36M_LABELS, read_c3d, read_trc, z_up
from polypose.capture.motion import Motion, Person, View
from polypose.capture.write.c3d import write_apart
from polypose.capture.write.c3d_file import write_file
from polypose.capture.write.labels import labels_of
from posedata.readers.c3d import C3d
from posedata.readers.merge import collect
from posedata.readers.trc import Trc
from posedata.skeleton import get_skeleton
from walkers import RATE, walkers

TENTH_OF_A_MILLIMETRE = 1e-4


def near(found: np.ndarray, true: np.ndarray) -> None:
    np.testing.assert_allclose(found, true, rtol=0, atol=TENTH_OF_A_MILLIMETRE)


def test_npz_gives_everything_back(tmp_path):
    motion = walkers(gaps=True)
    again = Motion.load(motion.save(tmp_path / "walk.npz"))
    np.testing.assert_array_equal(again.times, motion.times)
    assert (again.skeleton, again.notes) == (motion.skeleton, motion.notes)
    for person, other in zip(motion.people, again.people, strict=True):
        assert (other.id, other.first) == (person.id, person.first)
        np.testing.assert_array_equal(other.joints, person.joints)
        np.testing.assert_allclose(other.sd, person.sd, rtol=1e-6)
        np.testing.assert_allclose(other.covariance, person.covariance, rtol=1e-6)
        assert set(other.keypoints) == {"left", "right"}
        np.testing.assert_allclose(other.keypoints["right"], person.keypoints["right"], rtol=1e-6)
    for view, other in zip(motion.views, again.views, strict=True):
        assert (other.name, other.path) == (view.name, view.path)
        assert (other.begins, other.rate) == (view.begins, view.rate)
        np.testing.assert_array_equal(other.times, view.times)
        for field in ("focal", "centre", "rotation", "translation", "distortion", "size"):
            assert (getattr(other.camera, field) == getattr(view.camera, field)).all(), field


def test_npz_finds_films_that_moved_with_it(tmp_path):
    motion = walkers()
    path = motion.save(tmp_path / "walk.npz")
    (tmp_path / "left.mp4").write_bytes(b"")
    left, right = Motion.load(path).views
    assert (left.path, right.path) == (tmp_path / "left.mp4", Path("right.mp4"))


def test_npz_tells_nothing_of_the_disk_and_looks_nowhere_else(tmp_path):
    motion = walkers()
    (tmp_path / "films" / "of" / "mine").mkdir(parents=True)
    film = tmp_path / "films" / "of" / "mine" / "left.mp4"
    film.write_bytes(b"")
    moved = replace(motion, people=[replace(p, keypoints={}) for p in motion.people])
    moved = replace(moved, views=(replace(motion.views[0], path=film, begins=-0.25, rate=12.5),))
    (tmp_path / "out").mkdir()
    path = moved.save(tmp_path / "out" / "walk.npz")
    assert b"mine" not in path.read_bytes()
    (left,) = Motion.load(path).views
    assert (left.path, left.begins, left.rate) == (Path("left.mp4"), -0.25, 12.5)
    (tmp_path / "left.mp4").write_bytes(b"")  # one folder up, where capture has it
    assert Motion.load(path).views[0].path == tmp_path / "left.mp4"
    with np.load(path) as file:
        arrays = dict(file) | {"view_path": np.array(["../../films/of/mine/left.mp4"])}
    np.savez(path, **arrays)
    assert Motion.load(path).views[0].path == tmp_path / "left.mp4"


def test_npz_says_units_and_what_is_known_to_whoever_opens_it(tmp_path):
    with np.load(walkers(gaps=True).save(tmp_path / "walk.npz")) as file:
        assert file["unit"] == "metre"
        assert "z up" in str(file["frame"])
        assert file["joint_names"][3] == "right_ankle"
        assert not file["valid_0"][3, 13]
        assert not file["valid_0"][8].any()
        assert file["valid_0"].sum() == 40 * 17 - 17 - 4


def test_a_motion_of_nobody_is_kept_and_has_no_person_to_write(tmp_path):
    empty = replace(walkers(), people=())
    assert Motion.load(empty.save(tmp_path / "a.npz")).people == ()
    for suffix in ("trc", "c3d", "bvh", "glb"):
        with pytest.raises(ValueError, match="holds nobody"):
            empty.save(tmp_path / f"a.{suffix}")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.npz"]


def test_other_endings_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"walk.mp4: write to a file that ends in \.npz, \.csv"):
        walkers().save(tmp_path / "walk.mp4")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"times": None}, "holds no motion"),
        ({"joints_0": None}, "joints_0 is missing"),
        ({"sd_1": np.zeros((2, 2))}, "person 2: sd has shape"),
        ({"parents": np.zeros(17, int)}, "its arrays disagree"),
        ({"view_rotation": np.array("text")}, "its arrays disagree"),
        ({"joints_0": np.full((40, 17, 3), 1e30)}, "its arrays disagree"),
    ],
)
def test_an_npz_that_is_no_whole_motion_is_one_line(tmp_path, change, said):
    path = walkers().save(tmp_path / "walk.npz")
    arrays = dict(np.load(path)) | change
    np.savez(path, **{name: values for name, values in arrays.items() if values is not None})
    with pytest.raises(ValueError, match=said) as raised:
        Motion.load(path)
    assert str(raised.value).startswith(str(path))
    assert "\n" not in str(raised.value)


def test_csv_has_a_row_for_every_person_in_every_frame(tmp_path):
    motion = walkers(gaps=True)
    with motion.save(tmp_path / "walk.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 80
    assert {row["person"] for row in rows} == {"1", "2"}
    second = [row for row in rows if row["person"] == "2"]
    assert (second[0]["frame"], float(second[0]["time_s"])) == ("8", pytest.approx(motion.times[8]))
    names = motion.skeleton.joints
    found = [[[float(row[f"{name}_{axis}_m"]) for axis in "xyz"] for name in names] for row in second]
    near(np.array(found), motion.people[1].joints)
    assert float(second[0]["head_sd_m"]) == pytest.approx(motion.people[1].sd[0, 10], abs=1e-6)
    lacking = next(row for row in rows if row["frame"] == "4")
    assert (lacking["valid"], lacking["left_wrist_x_m"], lacking["left_wrist_sd_m"]) == ("16", "", "")


def test_csv_has_the_cameras_beside_it_and_no_formula_in_a_name(tmp_path):
    motion = walkers()
    first = motion.views[0]
    odd = replace(first, name='=1+1,"x"', path=Path("a,b.mp4"))
    named = replace(motion, people=(), views=(odd,))
    named.save(tmp_path / "walk.csv")
    with (tmp_path / "walk.cameras.csv").open(encoding="utf-8") as file:
        (row,) = csv.DictReader(file)
    assert (row["view"], row["film"], row["width_px"]) == ('\'=1+1,"x"', "a,b.mp4", "640")
    assert float(row["r23"]) == pytest.approx(float(first.camera.rotation[1, 2]))
    assert float(row["tz_m"]) == pytest.approx(float(first.camera.translation[2]))
    assert float(row["fx_px"]) == 500


def test_trc_by_a_plain_parser(tmp_path):
    motion = walkers(gaps=True)
    first = motion.save(tmp_path / "walk.trc")
    second = tmp_path / "walk.person2.trc"
    for person, path in zip(motion.people, (first, second), strict=True):
        header, labels, numbers, times, places = read_trc(path)
        assert tuple(labels) == H36M_LABELS
        assert (header["Units"], header["NumFrames"], header["NumMarkers"]) == ("m", "40", "17")
        assert float(header["DataRate"]) == pytest.approx(RATE)
        assert numbers.tolist() == list(range(person.first + 1, person.first + 41))
        near(times, motion.times[person.frames])
        near(z_up(places), person.joints)
    assert np.isnan(read_trc(first)[4][3:7, 13]).all()


def test_trc_by_posedata(tmp_path):
    motion = walkers(gaps=True)
    motion.save(tmp_path / "walk.trc")
    for person, name in zip(motion.people, ("walk.trc", "walk.person2.trc"), strict=True):
        read = collect(Trc(missing="mark"), tmp_path / name)
        joints, valid = read.columns["joints"], read.columns["valid"]
        known = np.isfinite(person.joints).all(-1)
        np.testing.assert_array_equal(valid, known)
        near(joints[known], person.joints[known])
        assert read.meta["fps"] == pytest.approx(RATE)


def test_c3d_by_ezc3d(tmp_path):
    motion = walkers(gaps=True)
    labels, places, rate, unit = read_c3d(motion.save(tmp_path / "walk.c3d"))
    assert labels == [f"person{n}:{label}" for n in (1, 2) for label in H36M_LABELS]
    assert (rate, unit) == (pytest.approx(RATE), "mm")
    true = np.full((48, 34, 3), np.nan)
    true[:40, :17], true[8:, 17:] = (person.joints for person in motion.people)
    near(places / 1000, true)


def test_c3d_by_posedata(tmp_path):
    motion = replace(walkers(), people=walkers().people[:1])
    read = collect(C3d(), motion.save(tmp_path / "walk.c3d"))
    found, person = read.columns["joints"], motion.people[0]
    near(found[person.frames], person.joints)
    both = collect(C3d(missing="mark"), walkers().save(tmp_path / "both.c3d"))
    assert both.meta["subjects"] == ["person1", "person2"]


def test_c3d_of_more_labels_than_a_group_holds(tmp_path):
    one = walkers().people[0]
    crowd = tuple(
        replace(one, id=n, joints=one.joints[:2] + n, sd=one.sd[:2], covariance=None, keypoints={})
        for n in range(1, 18)
    )
    motion = Motion(walkers().times[:2], crowd)
    labels, places, _, _ = read_c3d(motion.save(tmp_path / "crowd.c3d"))
    assert len(labels) == 17 * 17 > 255
    near(places[:, labels.index("person17:Head")] / 1000, one.joints[:2, 10] + 17)


def test_c3d_of_more_frames_than_it_counts_is_two(tmp_path):
    count = 65_540
    joints = np.zeros((count, 17, 3))
    joints[:, :, 0] = np.arange(count)[:, None] / 1000
    motion = Motion(np.arange(count) / 30, (Person(1, 0, joints, np.zeros((count, 17))),))
    motion.save(tmp_path / "long.c3d")
    assert read_c3d(tmp_path / "long.c3d")[1].shape == (65_535, 17, 3)
    assert read_c3d(tmp_path / "long.part2.c3d")[1][:, 0, 0].tolist() == pytest.approx(
        [*range(65_535, 65_540)]
    )
    walkers().save(tmp_path / "long.c3d")
    assert not (tmp_path / "long.part2.c3d").exists()  # it would be read as the end of the new one


def test_a_process_of_its_own_writes_the_same_file_or_says_why_not(tmp_path):
    labels, places = ["RHip", "LHip"], np.arange(18.0).reshape(3, 2, 3)
    places[1, 0] = np.nan
    write_file(str(tmp_path / "here.c3d"), labels, places, 50.0)
    write_apart(tmp_path / "apart.c3d", labels, places, 50.0, tmp_path / "apart.c3d")
    found = read_c3d(tmp_path / "apart.c3d")
    assert (found[0], found[2]) == (labels, 50)
    np.testing.assert_array_equal(found[1], read_c3d(tmp_path / "here.c3d")[1])
    np.testing.assert_array_equal(found[1], places)
    with pytest.raises(OSError, match=r"x\.c3d: cannot be written: ValueError: could not broadcast"):
        write_apart(tmp_path / "made.c3d", labels[:1], places, 50.0, tmp_path / "x.c3d")


def test_a_process_of_its_own_takes_pythons_modules_not_those_beside_it(tmp_path, monkeypatch):
    (tmp_path / "ezc3d.py").write_text("import csv, html\nhtml.escape\nraise OSError(csv.reader.__name__)\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    with pytest.raises(OSError, match=r"x\.c3d: cannot be written: OSError: reader"):
        write_apart(tmp_path / "x.c3d", ["RHip"], np.zeros((2, 1, 3)), 50.0, tmp_path / "x.c3d")


def test_a_process_that_was_killed_is_told(tmp_path, monkeypatch):
    (tmp_path / "ezc3d.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    with pytest.raises(OSError, match=r"x\.c3d: cannot be written: its process ended with -9"):
        write_apart(tmp_path / "x.c3d", ["RHip"], np.zeros((2, 1, 3)), 50.0, tmp_path / "x.c3d")


@pytest.mark.parametrize(("name", "value"), [("executable", ""), ("executable", None), ("frozen", True)])
def test_without_a_python_to_start_it_is_written_in_this_process(name, value, tmp_path, monkeypatch):
    places = np.arange(6.0).reshape(2, 1, 3)
    with monkeypatch.context() as embedded:
        embedded.setattr(sys, "executable", "/bin/false")
        embedded.setattr(sys, name, value, raising=False)
        write_apart(tmp_path / "x.c3d", ["RHip"], places, 50.0, tmp_path / "x.c3d")
    np.testing.assert_array_equal(read_c3d(tmp_path / "x.c3d")[1], places)


def test_a_variable_frame_rate_keeps_its_time_where_the_file_has_none(tmp_path):
    """The person moves at 1 m/s through a clock that pauses; even frames show it where it was."""
    times = np.array([0.0, 0.1, 0.2, 0.3, 0.7, 0.8, 0.9])
    joints = np.zeros((7, 17, 3))
    joints[:, :, 0] = times[:, None]
    motion = Motion(times, (Person(1, 0, joints, np.zeros((7, 17))),))
    _, places, rate, _ = read_c3d(motion.save(tmp_path / "odd.c3d"))
    assert rate == pytest.approx(10)
    near(places[:, 0, 0] / 1000, np.arange(10) / 10)
    _, _, _, written, true = read_trc(motion.save(tmp_path / "odd.trc"))
    near(written, times)
    near(true[:, 0, 0], times)


def test_labels_are_pose2sims_and_each_is_one():
    assert labels_of(get_skeleton("h36m17")) == H36M_LABELS
    coco = labels_of(get_skeleton("openpose25"))
    assert {"Nose", "Neck", "RShoulder", "CHip", "LBigToe", "RHeel"} <= set(coco)
    for name in ("coco17", "smpl24", "panoptic19", "mpi_inf_3dhp28"):
        labels = labels_of(get_skeleton(name))
        assert len(set(labels)) == len(labels), name


def test_what_cannot_be_written_leaves_nothing(tmp_path):
    (tmp_path / "file").write_text("x", encoding="ascii")
    with pytest.raises(ValueError, match="is a file; name a folder"):
        walkers().save(tmp_path / "file" / "walk.csv")
    with pytest.raises(ValueError, match="is a folder"):
        walkers().save(_made(tmp_path / "walk.trc"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "walk.trc"]


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def test_a_view_of_a_batch_of_cameras_is_refused():
    view = walkers().views[0]
    with pytest.raises(ValueError, match="give one"):
        View("both", type(view.camera).stack([view.camera] * 2), None, view.times)
