"""People in recordings: found, isolated, followed, and what a network says of them."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from pillars import CAMERA, coco, recording
from pointcloud_weak.networks import ClipTransformer
from pointcloud_weak.predict import Prediction, predict_people
from pointcloud_weak.recorded import Seen, see_people
from pointcloud_weak.teacher import Teacher
from posedata.readers import RgbdSequence, open_rgbd
from posedata.skeleton import get_skeleton

REAL = Path(__file__).resolve().parents[3] / "../shared/data/rgbd/five_people.pcd"
ITOP = get_skeleton("itop15")
FRAMES, POINTS, SIZE = 3, 64, 64


def make_teacher() -> Teacher:
    """One whose weights are chance; it is a function of points all the same."""
    torch.manual_seed(0)
    net = ClipTransformer(len(ITOP), dim=32, layers=1, heads=2, references=8, neighbours=8)
    return Teacher(net, ITOP).eval()


def said_of(
    clip: RgbdSequence,
    *,
    keypoints: Path | None = None,
    draws: int = 9,
    say: Callable[[str], None] = lambda text: None,
) -> Prediction:
    seen = see_people(clip, SIZE, keypoints=keypoints, say=say)
    given = {"frames": FRAMES, "points": POINTS, "draws": draws}
    return predict_people(make_teacher(), seen, tuple(clip.names()), ITOP, lambda said: said[0], **given)


def test_people_are_followed_and_their_points_are_theirs(tmp_path: Path) -> None:
    """Two people walk; each keeps a number; points lie on the right pillar; joints are the network's."""
    frames = [[(-0.5 + 0.1 * t, 2.5), (0.6, 3.0 + 0.1 * t)] for t in range(4)]
    clip = open_rgbd(recording(tmp_path, frames))
    found = said_of(clip, draws=1)
    np.testing.assert_array_equal(found.frame, np.repeat(np.arange(4), 2))
    for t in range(4):
        here = found.frame == t
        assert sorted(found.person[here]) == [0, 1]
        for i in np.flatnonzero(here):
            x, z = frames[t][found.person[i]]
            reach = np.hypot(found.points[i, :, 0] - x, found.points[i, :, 2] - z)
            assert np.abs(reach - 0.2).max() < 0.03  # on the pillar's surface
    teacher = make_teacher()
    mine = np.flatnonzero(found.person == 1)
    length = FRAMES
    clip = torch.from_numpy(found.points[mine[4 - length :]])[None]
    with torch.no_grad():
        said = teacher(clip)[0, -1]
    np.testing.assert_allclose(found.joints[mine[-1]], said, atol=1e-5)
    first = torch.from_numpy(found.points[mine[:1]]).repeat(length, 1, 1)[None]
    with torch.no_grad():
        said = teacher(first)[0, -1]
    np.testing.assert_allclose(found.joints[mine[0]], said, atol=1e-5)


def test_keypoints_say_who_is_looked_at(tmp_path: Path) -> None:
    """Of two people the one with 2D joints; in the frame they are named for."""
    clip = open_rgbd(recording(tmp_path, [[(-0.5, 2.5), (0.6, 3.0)]] * 2))
    table = coco(tmp_path / "keypoints.json", [("001", 0.6, 3.0)])
    found = said_of(clip, keypoints=table)
    assert found.frame.tolist() == [1]
    assert np.abs(np.median(found.points[0], axis=0)[[0, 2]] - [0.6, 2.85]).max() < 0.1
    assert (found.keypoints[0, :, 2] == 1).all()
    u = 300 * 0.6 / 3.0 + 159.5
    x0, _, x1, _ = found.box[0]
    assert x0 < u < x1


def test_another_cameras_intrinsics_are_told(tmp_path: Path) -> None:
    """Of one image its own camera says nothing, one of 0.6 of the focal length that people are too tall."""
    said: list[str] = []
    source = recording(tmp_path, [[(-0.5, 2.5), (0.6, 3.0)]])
    said_of(open_rgbd(source), draws=1, say=said.append)
    assert said == []
    (tmp_path / "intrinsics.json").write_text(json.dumps(CAMERA | {"fx": 180, "fy": 180}))
    said_of(open_rgbd(source), draws=1, say=said.append)
    assert any(
        "m tall or more; give the intrinsics of this camera at this resolution" in text for text in said
    )


def test_joints_outside_the_picture_are_nobodys(tmp_path: Path) -> None:
    clip = open_rgbd(recording(tmp_path, [[(-0.5, 2.5), (0.6, 3.0)]]))
    table = coco(tmp_path / "keypoints.json", [("000", 0.6, 3.0), ("000", 9.0, 3.0)])
    said: list[str] = []
    found = said_of(clip, keypoints=table, draws=1, say=said.append)
    assert len(found.joints) == 1
    (text,) = said
    assert text.startswith("000: somebody is left out: 17 of 17 2D joints lie outside its 320x240 pixels")


@pytest.mark.skipif(not REAL.is_file(), reason="the real frame lies beside the repository, not in it")
def test_five_people_before_a_real_kinect() -> None:
    """All five are found, each where they stand (1.8 to 2.8 m away), with points of a person's size."""
    said: list[str] = []
    found = said_of(open_rgbd(REAL), say=said.append)
    assert said == []
    near = np.sort(np.median(found.points[..., 2], axis=1))[:5]
    np.testing.assert_allclose(near, [1.84, 2.03, 2.36, 2.57, 2.78], atol=0.08)
    five = np.argsort(np.median(found.points[..., 2], axis=1))[:5]
    for i in five:
        low, high = np.percentile(found.points[i], [1, 99], axis=0)
        assert 0.9 < high[1] - low[1] < 2.0
        assert 0.3 < high[0] - low[0] < 0.9


def test_2d_joints_tell_left_from_right(tmp_path: Path) -> None:
    """Keypoints where the images of the pose's other side lie: the same places, with sides exchanged."""
    (one,) = see_people(open_rgbd(recording(tmp_path, [[(0.3, 2.5)]])), SIZE)

    def asked(seen: Seen) -> torch.Tensor:
        given = {"frames": FRAMES, "points": POINTS, "draws": 1}
        found = predict_people(make_teacher(), [seen], ("000",), ITOP, lambda said: said[0], **given)
        return torch.from_numpy(found.joints[0])

    plain, coco = asked(one), get_skeleton("coco17")
    pixels = one.camera.project_camera(plain).numpy()
    told = np.zeros((17, 3), np.float32)
    for side, other in (("left", "right"), ("right", "left")):
        for part in ("shoulder", "elbow", "hip", "knee"):
            told[coco.index(f"{side}_{part}")] = *pixels[ITOP.index(f"{other}_{part}")], 1
    torch.testing.assert_close(asked(replace(one, keypoints=told)), plain[list(ITOP.mirror)])
    told[:, 0] = 0
    for name in ITOP.joints:
        if name in coco.joints:
            told[coco.index(name)] = *pixels[ITOP.index(name)], 1
    torch.testing.assert_close(asked(replace(one, keypoints=told)), plain)


def test_without_2d_joints_the_middle_pose_is_the_callers(tmp_path: Path) -> None:
    """What `middle` takes of all draws is given; it sees every draw of everybody."""
    seen = see_people(open_rgbd(recording(tmp_path, [[(-0.5, 2.5), (0.6, 3.0)]])), SIZE)
    shapes = []

    def last(said: torch.Tensor) -> torch.Tensor:
        shapes.append(tuple(said.shape))
        return said[-1] + 1

    found = predict_people(make_teacher(), seen, ("000",), ITOP, last, frames=FRAMES, points=POINTS, draws=4)
    assert shapes == [(4, 2, 15, 3)]
    clips = torch.from_numpy(found.points)[:, None].expand(-1, FRAMES, -1, -1)
    with torch.no_grad():
        said = make_teacher()(clips)[:, -1]
    torch.testing.assert_close(torch.from_numpy(found.joints), said + 1, atol=1e-5, rtol=0)
