"""Long films in stretches: the same answer as in one piece."""

import numpy as np
import polypose
import pytest
from capture_people import Detector, ring, walker, watched
from polypose.capture.solving import solve_person
from polypose.capture.stretches import sampled, stretches


def about_a_place(frames: int) -> np.ndarray:
    """(T, 17, 3) somebody who walks in a circle of 1 m."""
    joints, angle = walker(frames, seed=6), np.arange(frames) / 100
    circle = np.stack([np.cos(angle), np.sin(angle), 0 * angle], axis=-1)
    return joints - joints[:, :1] * np.array([1.0, 1, 0]) + circle[:, None]


def test_stretches_cover_every_frame_once() -> None:
    parts = list(stretches(25, 10, 4))
    frames = np.arange(25)
    assert np.concatenate([frames[part.own] for part in parts]).tolist() == frames.tolist()
    for part in parts:
        assert frames[part.wide][part.inside].tolist() == frames[part.own].tolist()
    assert [(p.wide.start, p.wide.stop) for p in parts] == [(0, 14), (6, 24), (16, 25)]
    assert list(stretches(0)) == []


def test_a_sample_is_of_frames_that_show_somebody() -> None:
    seen = np.arange(1000) % 3 > 0
    rows = sampled(seen, 300)
    assert seen[rows].all()
    assert 250 <= len(rows) <= 300
    assert rows[0] == 1
    assert rows[-1] == 998
    assert np.diff(np.histogram(rows, 5, (0, 1000))[0]).max() <= 60
    assert sampled(seen, 1000).tolist() == list(range(1000))
    assert sampled(np.arange(1000) < 5, 300).tolist() == list(range(5))


@pytest.mark.parametrize(("views", "pelvis_mm", "pose_mm"), [(1, 30.0, 8.0), (2, 5.0, 5.0)])
def test_a_film_in_stretches_is_solved_as_in_one_piece(views: int, pelvis_mm: float, pose_mm: float) -> None:
    """Bones come from a sample of the frames: they, and a lone camera's distance, differ by a little."""
    joints = about_a_place(800)
    cameras = ring(views, np.array([0, 0, 1.0]), 6.0)
    keypoints, times = watched(joints, cameras, Detector(), seed=2), np.arange(800) / 30
    model = polypose.load()
    whole = solve_person(model, cameras, keypoints, times)
    parts = solve_person(model, cameras, keypoints, times, stretch=420)
    poses = [one.joints - one.joints[:, :1] for one in (whole, parts)]
    off = 1000 * np.linalg.norm(poses[0] - poses[1], axis=-1)
    apart = 1000 * np.linalg.norm(whole.joints[:, 0] - parts.joints[:, 0], axis=-1)
    assert 0 < np.quantile(off, 0.99) < pose_mm
    assert apart.max() < pelvis_mm
    steps = [np.linalg.norm(np.diff(one.joints, axis=0), axis=-1)[419] for one in (whole, parts)]
    np.testing.assert_allclose(steps[0], steps[1], atol=0.003)  # no jump where stretches meet
    np.testing.assert_allclose(parts.keypoints, whole.keypoints, atol=1e-3)
    assert np.median(np.abs(parts.covariance / whole.covariance - 1)) < 0.05
