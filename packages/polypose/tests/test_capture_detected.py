"""Capture from the files of other detectors, each as its owner documents it, with people in any order."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from blobs import COCO, FIGURE, walk, write_figures
from polypose.capture.detecting import read_film
from polypose.capture.films import Film, Span, open_films
from posedata.skeleton import get_skeleton

FRAMES = 30
LANES = [(60.0, 80.0, 4.0), (260.0, 160.0, -4.0)]
PLACES = walk(FRAMES, LANES)
HALPE = get_skeleton("halpe26")


@pytest.fixture(scope="module")
def film(tmp_path_factory) -> Film:
    path = write_figures(tmp_path_factory.mktemp("films") / "two.mp4", PLACES)
    return open_films(path)[0]


def points(frame: int, person: int) -> np.ndarray:
    """(17, 3) of COCO's joints, of confidence 0.9."""
    return np.column_stack([FIGURE * 0.4 + PLACES[frame, person], np.full(17, 0.9)])


def halpe(frame: int, person: int) -> np.ndarray:
    """(26, 3), as RTMPose's body models give them to Sports2D and Pose2Sim."""
    out = np.zeros((26, 3))
    for joint, point in zip(COCO.joints, points(frame, person), strict=True):
        out[HALPE.index(joint)] = point
    return out


def people(frame: int) -> tuple[int, ...]:
    """Who is in a frame, in the order that its detector tells them; one is missed once, all are once."""
    return {7: (1,), 8: ()}.get(frame, (0, 1) if frame % 3 else (1, 0))


def alphapose(path: Path) -> Path:
    entries = [
        {"image_id": f"{frame}.jpg", "category_id": 1, "keypoints": points(frame, p).ravel().tolist(),
         "score": 2.9, "box": [10.0, 20.0, 30.0, 40.0]}
        for frame in range(FRAMES) for p in people(frame)
    ]  # fmt: skip
    path.mkdir()
    (path / "alphapose-results.json").write_text(json.dumps(entries))
    return path


def alphapose_tracked(path: Path) -> Path:
    entries = [
        {"image_id": f"frame_{frame:06}.png", "category_id": 1, "score": 2.9, "idx": p + 1,
         "keypoints": halpe(frame, p).ravel().tolist(), "box": [10.0, 20.0, 30.0, 40.0]}
        for frame in range(FRAMES) for p in people(frame)
    ]  # fmt: skip
    path.with_suffix(".json").write_text(json.dumps(entries))
    return path.with_suffix(".json")


def mmpose(path: Path) -> Path:
    names = {str(i): name for i, name in enumerate(COCO.joints)}
    frames = [
        {
            "frame_id": frame + 1,
            "instances": [
                {"keypoints": points(frame, p)[:, :2].tolist(), "keypoint_scores": [0.9] * 17,
                 "bbox": [[10.0, 20.0, 40.0, 60.0]], "bbox_score": 0.9}
                for p in people(frame)
            ],
        }
        for frame in range(FRAMES)
    ]  # fmt: skip
    told = {"meta_info": {"dataset_name": "coco", "keypoint_id2name": names}, "instance_info": frames}
    path.with_suffix(".json").write_text(json.dumps(told))
    return path.with_suffix(".json")


def mmpose_inferencer(path: Path) -> Path:
    frames = [
        {"frame_id": frame, "instances": [
            {"keypoints": points(frame, p)[:, :2].tolist(), "keypoint_scores": [0.9] * 17}
            for p in people(frame)]}
        for frame in range(FRAMES)
    ]  # fmt: skip
    path.mkdir()
    (path / "two.json").write_text(json.dumps(frames))
    return path


def coco(path: Path) -> Path:
    entries = [
        {"image_id": frame, "category_id": 1, "keypoints": points(frame, p).ravel().tolist(), "score": 0.8}
        for frame in range(FRAMES) for p in people(frame)
    ]  # fmt: skip
    path.with_suffix(".json").write_text(json.dumps(entries))
    return path.with_suffix(".json")


def sports2d(path: Path) -> Path:
    path.mkdir()
    for frame in range(FRAMES):
        told = [
            {"person_id": [-1], "pose_keypoints_2d": halpe(frame, p).ravel().tolist(),
             "face_keypoints_2d": [], "hand_left_keypoints_2d": []}
            for p in people(frame)
        ]  # fmt: skip
        file = path / f"two_{frame:06}.json"
        file.write_text(json.dumps({"version": 1.3, "people": told}))
    return path


WRITERS = [alphapose, alphapose_tracked, mmpose, mmpose_inferencer, coco, sports2d]


@pytest.mark.parametrize("write", WRITERS, ids=lambda write: write.__name__)
def test_two_people_are_followed(film, tmp_path, write):
    seen = read_film(film, write(tmp_path / "found"), say=lambda text: None)
    assert [(track.first, len(track)) for track in seen.tracks] == [(0, FRAMES), (0, FRAMES)]
    upper, lower = sorted(seen.tracks, key=lambda track: float(track.keypoints[0, 0, 1]))
    skeleton = get_skeleton(seen.skeleton)
    rows = [skeleton.index(joint) for joint in COCO.joints]
    for person, track in enumerate((upper, lower)):
        for frame in (0, 6, 9, 29):
            np.testing.assert_allclose(
                track.keypoints[frame, rows, :2], points(frame, person)[:, :2], atol=1e-3
            )
        gone = [frame for frame in range(FRAMES) if person not in people(frame)]
        assert np.flatnonzero((track.keypoints[..., 2] == 0).all(1)).tolist() == gone


@pytest.mark.parametrize("write", WRITERS, ids=lambda write: write.__name__)
def test_a_span_of_them(film, tmp_path, write):
    seen = read_film(film, write(tmp_path / "found"), Span(1.0, 2.0, 2), say=lambda text: None)
    np.testing.assert_allclose(seen.times, np.arange(1.0, 2.01, 0.2))
    skeleton = get_skeleton(seen.skeleton)
    nose = min(float(track.keypoints[1, skeleton.index("nose"), 1]) for track in seen.tracks)
    assert nose == pytest.approx(points(12, 0)[0, 1], abs=1e-3)
