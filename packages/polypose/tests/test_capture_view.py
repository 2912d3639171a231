"""Any file of people in 3D as a page: what is read back of every format, and the command."""

import json
import re
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from polypose.capture.motion import Motion
from polypose.capture.reading import read_motion
from polypose.capture.view import view
from polypose.cli import app
from posedata.arrays import write_poses
from posedata.skeleton import get_skeleton
from posedata.store import write_store
from test_capture_html import about
from typer.testing import CliRunner
from walkers import walkers

H36M = get_skeleton("h36m17")


def near(found: np.ndarray, true: np.ndarray) -> None:
    np.testing.assert_allclose(found, true, rtol=0, atol=1e-4)


@pytest.mark.parametrize("suffix", ["npz", "csv", "glb", "c3d"])
def test_formats_of_several_people_are_read_back(tmp_path, suffix):
    motion = walkers()
    again = read_motion(motion.save(tmp_path / f"walk.{suffix}"))
    assert again.skeleton == H36M
    assert again.rate == pytest.approx(motion.rate, rel=1e-3)
    near(again.times - again.times[0], motion.times - motion.times[0])
    for person, other in zip(motion.people, again.people, strict=True):
        known = np.isfinite(other.joints).all((1, 2))
        near(other.joints[known], person.joints)
        assert other.first + int(np.flatnonzero(known)[0]) == person.first


@pytest.mark.parametrize("suffix", ["trc", "bvh"])
def test_formats_of_one_person_are_read_back(tmp_path, suffix):
    motion = walkers()
    again = read_motion(motion.save(tmp_path / f"walk.{suffix}"))
    near(again.people[0].joints, motion.people[0].joints)
    assert again.rate == pytest.approx(motion.rate, rel=1e-3)


@pytest.mark.parametrize("suffix", ["trc", "bvh", "glb", "c3d"])
def test_a_child_is_read_back_as_small(tmp_path, suffix):
    walk = walkers(1)
    child = replace(walk.people[0], joints=0.65 * walk.people[0].joints)
    again = read_motion(replace(walk, people=(child,)).save(tmp_path / f"child.{suffix}"))
    near(again.people[0].joints, child.joints)


@pytest.mark.parametrize("suffix", ["npz", "csv", "glb", "c3d", "trc", "bvh"])
def test_a_part_of_a_film_of_thirty_frames_a_second_is_read_back(tmp_path, suffix):
    walk = walkers(1, 30)
    motion = replace(walk, times=13 / 30 + np.arange(30) * 7 / 30, views=(), people=[
        replace(walk.people[0], keypoints={})
    ])  # fmt: skip
    again = read_motion(motion.save(tmp_path / f"walk.{suffix}"))
    assert len(again) == 30
    np.testing.assert_allclose(again.times - again.times[0], motion.times - motion.times[0], rtol=2e-3)
    near(again.people[0].joints, motion.people[0].joints)


def test_a_table_that_was_cut_short_is_shown_and_told(tmp_path):
    path = walkers().save(tmp_path / "walk.trc")
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:-25]))
    told = []
    assert len(read_motion(path, say=told.append)) == 15
    assert told == [f"note: {path}: says 40 frames and has 15, which are read; was it cut short?"]


def test_csv_keeps_gaps_and_uncertainty(tmp_path):
    motion = walkers(gaps=True)
    again = read_motion(motion.save(tmp_path / "walk.csv"))
    near(again.people[0].joints, motion.people[0].joints)
    near(again.people[1].sd, motion.people[1].sd)
    assert [person.first for person in again.people] == [0, 8]


def test_lifted_poses_stand_upright_before_their_camera(tmp_path):
    """y down and z forward become z up: the head is the highest joint, the lowest lies on the floor."""
    world = walkers(1, 5).people[0].joints
    before = np.stack([world[..., 0], -world[..., 2], world[..., 1]], axis=-1)
    sd = np.full((5, 17), 0.05)
    for suffix in ("npz", "csv"):
        path = tmp_path / f"poses.{suffix}"
        relative, place = before - before[:, :1], before[:, 0]
        write_poses(path, relative, H36M, "camera", sd=sd, translation=place)
        motion = read_motion(path)
        near(motion.people[0].joints, world - [0, 0, world[..., 2].min()])
        assert "camera assumed level" in motion.notes
        assert motion.people[0].sd[0, 3] == pytest.approx(0.05)


def test_a_store_shows_one_sequence_and_says_so(tmp_path):
    joints = np.concatenate([walkers(1, 6).people[0].joints, walkers(2, 6).people[1].joints]).astype(
        np.float32
    )
    order = np.repeat([0, 1], 6).astype(np.int32)
    columns = {"joints": joints, "frame": np.tile(np.arange(6, dtype=np.int32), 2), "subject": order}
    columns |= {"sequence": order, "action": 0 * order}
    meta = {"skeleton": "h36m17", "fps": 50.0, "source": "test", "licence": "none", "actions": ["walk"]}
    meta |= {"subjects": ["a", "b"], "sequences": ["first", "second"]}
    store = tmp_path / "store"
    write_store(store, columns, meta)
    told: list[str] = []
    near(read_motion(store, say=told.append).people[0].joints, joints[:6])
    assert "first, one of 2 sequences" in told[0]
    second = read_motion(store, sequence="second")
    near(second.people[0].joints, joints[6:])
    assert second.rate == pytest.approx(50)
    with pytest.raises(ValueError, match="has no sequence 'third'; it has first, second"):
        read_motion(store, sequence="third")


def test_a_glb_of_another_maker_has_its_own_joints(tmp_path):
    """Two nodes without names, one on the other, that turn a quarter about z."""
    keys = np.array([0, 1], "<f4")
    half = np.sqrt(0.5)
    turns = np.array([[0, 0, 0, 1], [0, 0, half, half]], "<f4")
    binary = keys.tobytes() + turns.tobytes()
    about = {
        "asset": {"version": "2.0"},
        "nodes": [{"translation": [1, 0, 0], "children": [1]}, {"translation": [2, 0, 0]}],
        "skins": [{"joints": [0, 1]}],
        "animations": [
            {
                "samplers": [{"input": 0, "output": 1}],
                "channels": [{"sampler": 0, "target": {"node": 0, "path": "rotation"}}],
            }
        ],
        "accessors": [
            {"bufferView": 0, "componentType": 5126, "count": 2, "type": "SCALAR"},
            {"bufferView": 1, "componentType": 5126, "count": 2, "type": "VEC4"},
        ],
        "bufferViews": [{"buffer": 0, "byteLength": 8}, {"buffer": 0, "byteOffset": 8, "byteLength": 32}],
    }
    path = tmp_path / "other.glb"
    path.write_bytes(_glb(about, binary))
    motion = read_motion(path)
    assert motion.skeleton.joints == ("node0", "node1")
    near(motion.people[0].joints[0], [[1, 0, 0], [3, 0, 0]])
    near(motion.people[0].joints[1], [[1, 0, 0], [1, 0, 2]])


def _glb(about: dict, binary: bytes) -> bytes:
    text = json.dumps(about).encode()
    text += b" " * (-len(text) % 4)
    whole = struct.pack("<4sII", b"glTF", 2, 28 + len(text) + len(binary))
    return (
        whole
        + struct.pack("<I4s", len(text), b"JSON")
        + text
        + struct.pack("<I4s", len(binary), b"BIN\0")
        + binary
    )


@pytest.mark.parametrize("keep", [0, 4, 19, 60, 500, 4000])
def test_a_glb_that_is_cut_short_is_one_line(tmp_path, keep):
    path = walkers().save(tmp_path / "walk.glb")
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ValueError, match=r"walk\.glb: is not a whole GLB") as raised:
        read_motion(path)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.csv", b"a,b\n1,2\n", "of no known skeleton"),
        ("a.csv", b"\xff\xfe\x00", "is no table of joints"),
        ("a.csv", b"frame,pelvis_x_m,pelvis_y_m,pelvis_z_m\n0,1,2,x\n", "is no table of joints"),
        ("a.csv", b"", "is no table of joints"),
        ("a.txt", b"", "no format of posedata prepare reads it"),
        ("a.npz", b"PK", "a.npz"),
        ("a.bvh", b"no", "a.bvh"),
    ],
)
def test_files_that_hold_no_people_are_one_line(tmp_path, name, content, said):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=said) as raised:
        read_motion(tmp_path / name)
    assert "\n" not in str(raised.value)


def test_a_unit_that_no_body_tells_can_be_given(tmp_path):
    path = walkers().save(tmp_path / "walk.bvh")
    true = read_motion(path).people[0].joints
    head, motion = path.read_text().split("MOTION")
    small = re.sub(r"(?<=OFFSET ).*", lambda m: " ".join(str(0.1 * float(x)) for x in m[0].split()), head)
    rows = np.loadtxt(motion.splitlines()[3:])
    rows[:, :3] *= 0.1
    lines = [*motion.splitlines()[:3], *(" ".join(map(str, row)) for row in rows)]
    path.write_text(f"{small}MOTION" + "\n".join(lines) + "\n")
    with pytest.raises(ValueError, match=r"fits no known unit; give one: --unit"):
        read_motion(path)
    near(read_motion(path, unit="0.1").people[0].joints, true)
    with pytest.raises(ValueError, match=r"walk\.npz: --unit is of \.bvh, .*; its own is known"):
        read_motion(walkers().save(tmp_path / "walk.npz"), unit="mm")


def test_a_page_is_written_beside_nothing_else(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    told: list[str] = []
    made = view(walkers().save(tmp_path / "walk.bvh"), say=told.append)
    assert made == Path("walk.view.html")
    assert told == ["walk.view.html: open it in a browser"]
    assert about(made)["title"] == "walk.bvh"
    assert about(made)["views"] == []
    with pytest.raises(ValueError, match=r"page.txt: the page's name ends in .html; name it so"):
        view(tmp_path / "walk.bvh", tmp_path / "page.txt")
    with pytest.raises(ValueError, match=r"ends in .html"):
        view(tmp_path / "walk.bvh", tmp_path / "page.csv")


def test_open_hands_the_page_to_the_browser(tmp_path, monkeypatch):
    asked: list[str] = []
    monkeypatch.setattr("webbrowser.open", lambda address: asked.append(address) is None)
    page = walkers(1, 5).save(tmp_path / "a page.html")
    assert view(page, show=True) == page
    assert asked == [page.as_uri()]


def test_the_command_line(tmp_path):
    walkers(1, 10).save(tmp_path / "walk.trc")
    page = tmp_path / "page.html"
    done = CliRunner().invoke(app, ["view", str(tmp_path / "walk.trc"), "--out", str(page)])
    assert (done.exit_code, done.stdout) == (0, f"{page}: open it in a browser\n")
    assert about(page)["people"][0]["count"] == 10
    done = CliRunner().invoke(app, ["view", str(tmp_path / "none.bvh")])
    assert done.exit_code == 2
    assert done.stderr.startswith(f"polypose: {tmp_path / 'none.bvh'}: no such file")


def test_other_skeletons_are_shown(tmp_path):
    coco = get_skeleton("coco17")
    joints = np.random.default_rng(0).normal(size=(4, 17, 3))
    person = replace(walkers().people[0], joints=joints, sd=np.ones((4, 17)), covariance=None, keypoints={})
    motion = Motion(np.arange(4.0), (person,), skeleton=coco)
    page = view(motion.save(tmp_path / "coco.csv"), tmp_path / "coco.html")
    assert about(page)["skeleton"]["joints"] == list(coco.joints)
