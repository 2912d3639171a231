"""Movements: found where they are, done slower too, with their own beginning and end, and not backwards."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from polypose.search.movement import pooled, resampled, search_movement
from test_search_finding import made

pytest.importorskip("pyarrow", reason="polypose[search]")
DIM = 6


def path(seed: int, seconds: float, rate: float = 30.0) -> np.ndarray:
    """A smooth path through the space."""
    generator = np.random.default_rng(seed)
    corners = generator.standard_normal((6, DIM))
    at = np.linspace(0, 5, round(seconds * rate))
    return np.stack([np.interp(at, np.arange(6), corners[:, i]) for i in range(DIM)], axis=1)


def test_resampling_is_linear_in_time() -> None:
    clock, places = resampled(np.array([[0.0], [3.0], [4.0]]), np.array([1.0, 1.3, 1.35]))
    np.testing.assert_allclose(clock, [1.0, 1.1, 1.2, 1.3])
    np.testing.assert_allclose(places[:, 0], [0, 1, 2, 3], atol=1e-9)


def test_pooled_places_are_means_of_quarters() -> None:
    values = np.arange(12.0)[:, None]
    sums = np.concatenate([np.zeros((1, 1)), np.cumsum(values, 0)])
    np.testing.assert_allclose(
        pooled(sums, 8)[:, :, 0], [[s + 0.5, s + 2.5, s + 4.5, s + 6.5] for s in range(5)]
    )


@pytest.mark.parametrize("method", ["dtw", "pooled"])
def test_a_movement_is_found_at_another_pace_and_not_backwards(tmp_path: Path, method: str) -> None:
    if method == "dtw":
        pytest.importorskip("dtaidistance", reason="polypose[search]")
    clip = path(0, 3.0)
    filler = [np.random.default_rng(n).standard_normal((1, DIM)).repeat(120, 0) for n in range(3)]
    slow = path(0, 3.6)
    index = made(
        tmp_path / "index",
        np.concatenate([filler[0], slow, filler[1]]),  # 4 s to 7.6 s
        np.concatenate([filler[2], clip[::-1], filler[1]]),
        path(7, 10.0),
    )
    found = search_movement(index, clip, np.arange(len(clip)) / 30, 2, method=method)
    best = found[0]
    assert best.place.recording == "made/0"
    # pooled windows are as long as some speeds say; aligned ones begin and end where the movement does
    within = 0.25 if method == "dtw" else 0.8
    assert best.start == pytest.approx(4.0, abs=within)
    assert best.end == pytest.approx(7.6, abs=within)
    assert best.place.time == pytest.approx(best.start, abs=0.05)
    assert best.distance < 0.7 * found[1].distance


def test_windows_that_overlap_are_told_once(tmp_path: Path) -> None:
    index = made(tmp_path / "index", np.concatenate([path(0, 3.0), path(1, 3.0), path(0, 3.0)]))
    clip = path(0, 3.0)
    found = search_movement(index, clip, np.arange(90) / 30, 3, method="pooled")
    assert [round(each.start) for each in found[:2]] in ([0, 6], [6, 0])
    spans = sorted((each.start, each.end) for each in found)
    assert all(b[0] >= a[1] - 0.5 * (a[1] - a[0]) - 0.2 for a, b in pairwise(spans))


def test_a_moment_is_no_movement(tmp_path: Path) -> None:
    index = made(tmp_path / "index", path(0, 3.0))
    with pytest.raises(ValueError, match=r"a clip of 0.1 s is no movement; give 0.4 s or more"):
        search_movement(index, np.zeros((3, DIM)), np.arange(3) / 30)
