"""Joints that were not seen get a place on the way, or hang down; nothing that was seen is changed."""

import numpy as np
import pytest
from capture_people import H36M, ring, walker, watched
from polypose.capture.unseen import BETWEEN_SURE, GUESS_SD, GUESS_SURE, completed

JOINTS = walker(60, seed=6)
(POINTS,) = watched(JOINTS, ring(1, JOINTS[:, 0].mean(0)))
TIMES = np.arange(60) / 30
WRIST, ELBOW, KNEE, ANKLE = (H36M.index(f"left_{part}") for part in ("wrist", "elbow", "knee", "ankle"))


def test_short_gaps_are_interpolated() -> None:
    holed = POINTS.copy()
    holed[20:28, WRIST, 2] = 0
    found, doubt = completed(holed, TIMES, H36M)
    straight = POINTS[19, WRIST, :2] + np.linspace(0, 1, 10)[1:9, None] * (
        POINTS[28, WRIST, :2] - POINTS[19, WRIST, :2]
    )
    np.testing.assert_allclose(found[20:28, WRIST, :2], straight)
    assert (found[20:28, WRIST, 2] == BETWEEN_SURE).all()
    assert (doubt[20:28, WRIST] > 0).all()
    kept = np.ones((60, 17), bool)
    kept[20:28, WRIST] = False
    np.testing.assert_array_equal(found[kept], POINTS[kept])
    assert (doubt[kept] == 0).all()


def test_what_is_never_seen_hangs_down() -> None:
    holed = POINTS.copy()
    holed[:, [KNEE, ANKLE, WRIST], 2] = 0
    found, doubt = completed(holed, TIMES, H36M)
    assert (found[:, [KNEE, ANKLE, WRIST], 2] == GUESS_SURE).all()
    size = np.linalg.norm(POINTS[:, 8, :2] - POINTS[:, 0, :2], axis=-1)
    off = np.linalg.norm(found[:, KNEE, :2] - POINTS[:, KNEE, :2], axis=-1)
    assert (off < 0.8 * size).all()
    assert (found[:, ANKLE, 1] > found[:, KNEE, 1]).all()
    assert doubt[0, KNEE] == pytest.approx(GUESS_SD)
    assert doubt[0, ANKLE] == pytest.approx(GUESS_SD * np.sqrt(2))
    assert doubt[0, WRIST] == pytest.approx(GUESS_SD)


def test_of_nobody_nothing_is_made_up() -> None:
    holed = POINTS.copy()
    holed[:, :, 2] = 0
    holed[:, 9, 2] = 1
    found, _ = completed(holed, TIMES, H36M)
    np.testing.assert_array_equal(found[..., 2], holed[..., 2])
    whole, doubt = completed(POINTS, TIMES, H36M)
    np.testing.assert_array_equal(whole, POINTS)
    assert not doubt.any()
