"""Films to tracks: what is on the disk, stopped runs that go on, keypoints of other programs."""

from __future__ import annotations

import json
import weakref
from pathlib import Path

import numpy as np
import pytest
from blobs import COCO, FIGURE, Blobs, walk, write_figures
from polypose.capture import detecting
from polypose.capture.detecting import detect_film, read_film
from polypose.capture.films import Span, open_films

LANES = [(40.0, 80.0, 3.0), (280.0, 160.0, -3.0)]


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    path = write_figures(tmp_path_factory.mktemp("films") / "two.mp4", walk(60, LANES))
    return open_films(path)[0]


def same(one, other) -> None:
    np.testing.assert_array_equal(one.times, other.times)
    assert (one.skeleton, one.notes, len(one.tracks)) == (other.skeleton, other.notes, len(other.tracks))
    for mine, theirs in zip(one.tracks, other.tracks, strict=True):
        assert (mine.id, mine.first) == (theirs.id, theirs.first)
        np.testing.assert_array_equal(mine.keypoints, theirs.keypoints)
        np.testing.assert_array_equal(mine.boxes, theirs.boxes)


def test_a_film_to_tracks(film, tmp_path):
    progress: list[float] = []
    seen = detect_film(film, Blobs, "blobs", tmp_path / "work", progress=progress.append)
    np.testing.assert_allclose(seen.times, np.arange(60) / 10)
    assert progress == seen.times.tolist()
    assert (seen.name, seen.size, seen.skeleton, seen.notes) == ("two", (320, 240), "coco17", ())
    assert [len(track) for track in seen.tracks] == [60, 60]
    hips = seen.tracks[0].keypoints[:, [11, 12], :2].mean(1)
    expected = walk(60, LANES)[:, 0] + FIGURE[[11, 12]].mean(0) * 0.4
    assert np.abs(hips - expected)[5:].max() < 4  # it lags by a step


@pytest.mark.parametrize("stop", [1, 16, 17, 40, 59])
def test_a_run_that_was_stopped_ends_like_one_that_was_not(film, tmp_path, monkeypatch, stop):
    monkeypatch.setattr(detecting, "PART", 8)
    whole = detect_film(film, Blobs, "blobs", tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        detect_film(film, lambda: Blobs(stop), "blobs", tmp_path / "cut")
    rest = Blobs()
    same(detect_film(film, lambda: rest, "blobs", tmp_path / "cut"), whole)
    assert rest.calls == 60 - stop // 8 * 8
    same(detect_film(film, lambda: pytest.fail("nothing is left to do"), "blobs", tmp_path / "cut"), whole)


def test_what_another_film_detector_or_span_left_is_not_gone_on_with(film, tmp_path):
    work = tmp_path / "work"
    detect_film(film, Blobs, "blobs", work, Span(end=2.0))
    for identity, span, frames in (("blobs", Span(end=2.0), 0), ("blobs 2", Span(end=2.0), 21),
                                   ("blobs 2", Span(end=1.0), 11)):  # fmt: skip
        detector = Blobs()
        detect_film(film, lambda d=detector: d, identity, work, span)
        assert detector.calls == frames


def test_a_part_that_is_damaged_is_made_again(film, tmp_path, monkeypatch):
    monkeypatch.setattr(detecting, "PART", 20)
    whole = detect_film(film, Blobs, "blobs", tmp_path / "work")
    part = tmp_path / "work" / "part00001.npz"
    part.write_bytes(part.read_bytes()[:100])
    again = Blobs()
    same(detect_film(film, lambda: again, "blobs", tmp_path / "work"), whole)
    assert again.calls == 40


def test_memory_does_not_grow_with_the_film(film, tmp_path, monkeypatch):
    """Of the frames' pictures only those on their way are alive."""
    monkeypatch.setattr(detecting, "PART", 8)
    pictures: list[weakref.ref] = []
    alive: list[int] = []

    class Counts(Blobs):
        def detect(self, image):
            pictures.append(weakref.ref(image))
            alive.append(sum(one() is not None for one in pictures))
            return super().detect(image)

    detect_film(film, Counts, "blobs", tmp_path / "work")
    assert len(alive) == 60
    assert max(alive) <= 2


def test_nobody_and_no_frame(tmp_path):
    path = write_figures(tmp_path / "empty.mp4", np.full((12, 1, 2), np.nan))
    (film,) = open_films(path)
    seen = detect_film(film, Blobs, "blobs", tmp_path / "work")
    assert seen.tracks == ()
    assert seen.notes == ("empty: nobody was found",)
    with pytest.raises(ValueError, match=r"no frame from 5 s on; give another --start or --end"):
        detect_film(film, Blobs, "blobs", tmp_path / "work", Span(5.0))
    assert not (tmp_path / "work").exists()


def points(number: int, person: int) -> np.ndarray:
    return FIGURE * 0.4 + walk(60, LANES)[number, person]


def write_openpose(folder: Path, first: int = 0, frames: int = 60) -> Path:
    folder.mkdir()
    for number in range(frames):
        people = [
            {
                "person_id": [-1],
                "pose_keypoints_2d": np.column_stack([points(number, p), np.ones(17)]).ravel().tolist(),
            }
            for p in ((0, 1) if number % 2 else (1, 0))
        ]
        told = {"version": 1.3, "people": people}
        (folder / f"two_{number + first:06}_keypoints.json").write_text(json.dumps(told))
    return folder


@pytest.mark.parametrize("first", [0, 1])
def test_openpose_files_are_followed(film, tmp_path, first):
    seen = read_film(film, write_openpose(tmp_path / "two_json", first), say=lambda text: None)
    assert (seen.skeleton, [len(track) for track in seen.tracks]) == ("coco17", [60, 60])
    for number in (0, 30, 59):
        np.testing.assert_allclose(seen.tracks[0].keypoints[number, :, :2], points(number, 0), atol=1e-3)
    part = read_film(film, tmp_path / "two_json", Span(1.0, 3.0, 2), say=lambda text: None)
    np.testing.assert_allclose(part.times, np.arange(1.0, 3.01, 0.2))
    np.testing.assert_allclose(part.tracks[0].keypoints[5, :, :2], points(20, 0), atol=1e-3)


def test_keypoints_of_another_film_are_refused(film, tmp_path):
    write_openpose(tmp_path / "two_json", 30, 40)
    with pytest.raises(ValueError, match=r"has frame 69, the film has 60; give this film's keypoints"):
        read_film(film, tmp_path / "two_json", say=lambda text: None)


def test_own_npz_with_people_told_apart(film, tmp_path):
    rows = [(n, p) for n in range(60) for p in (1, 0) if (n, p) != (7, 1)]
    values = np.stack([points(n, p) for n, p in rows])
    frame, person = np.array(rows).T
    np.savez(tmp_path / "two.npz", keypoints=values, frame=frame, person=person, skeleton="coco17")
    seen = read_film(film, tmp_path / "two.npz", say=lambda text: None)
    lower = seen.tracks[0] if seen.tracks[0].keypoints[0, 0, 1] > 120 else seen.tracks[1]
    assert np.isnan(lower.boxes[7]).all()
    np.testing.assert_allclose(lower.keypoints[8, :, :2], points(8, 1), atol=1e-3)
    np.savez(tmp_path / "one.npz", keypoints=values[:60], skeleton="coco17")
    assert read_film(film, tmp_path / "one.npz", say=lambda text: None).skeleton == "coco17"
    np.savez(tmp_path / "bad.npz", keypoints=values, frame=frame[:-1])
    with pytest.raises(ValueError, match=r"bad.npz: frame is int64 \(118,\); give a whole number a row"):
        read_film(film, tmp_path / "bad.npz", say=lambda text: None)


def test_deeplabcut_tables(film, tmp_path):
    names = [joint for joint in COCO.joints if "ear" not in joint]
    head = [["scorer", *["net"] * 3 * len(names)], ["bodyparts", *[n for n in names for _ in "xyl"]],
            ["coords", *["x", "y", "likelihood"] * len(names)]]  # fmt: skip
    lines = [",".join(line) for line in head]
    for number in range(60):
        at = {joint: points(number, 0)[i] for i, joint in enumerate(COCO.joints)}
        cells = [f"{at[n][0]},{at[n][1]},{0.8 if (number, n) != (3, 'nose') else ''}" for n in names]
        lines.append(f"{number}," + ",".join(cells))
    (tmp_path / "two.csv").write_text("\n".join(lines))
    seen = read_film(film, tmp_path / "two.csv", say=lambda text: None)
    (track,) = seen.tracks
    joints = list(COCO.joints) if seen.skeleton == "coco17" else pytest.fail(seen.skeleton)
    np.testing.assert_allclose(track.keypoints[40, 5:, :2], points(40, 0)[5:], atol=1e-3)
    np.testing.assert_allclose(track.keypoints[40, 5:, 2], 0.8, atol=1e-6)
    assert (track.keypoints[:, joints.index("left_ear")] == 0).all()
    assert (track.keypoints[3, joints.index("nose")] == 0).all()
    (tmp_path / "hand.csv").write_text(
        "scorer,a,a,a\nbodyparts,tip,tip,tip\ncoords,x,y,likelihood\n0,1,2,1\n"
    )
    with pytest.raises(ValueError, match="no body part is called left_shoulder"):
        read_film(film, tmp_path / "hand.csv", say=lambda text: None)
