"""The smoother against the whole least-squares problem, and bones against known lengths."""

import numpy as np
import pytest
from capture_people import H36M, walker
from polypose.capture.bones import bone_lengths, height_of, keep_lengths, symmetric, weighted_median
from polypose.capture.smoothing import Process, smooth
from posedata.stature import standing

ONE = np.ones(1)


def measured(values: np.ndarray, sd: float) -> tuple[np.ndarray, np.ndarray]:
    """(T,) values as x of a joint, and their covariance."""
    joints = np.stack([values, np.zeros_like(values), np.zeros_like(values)], -1)[:, None]
    return joints, np.broadcast_to(np.eye(3) * sd**2, (len(values), 1, 3, 3)).copy()


def whole_problem(times: np.ndarray, seen: np.ndarray, sd: float, q: float) -> tuple[np.ndarray, np.ndarray]:
    """Means and variances of the places of one axis, by one system: white acceleration, no drift."""
    count = len(times)
    system, wanted = np.zeros((2 * count, 2 * count)), np.zeros(2 * count)
    system[:2, :2] += np.diag([1 / 100.0**2, 1 / 3.0**2])
    for t in range(count):
        if np.isfinite(seen[t]):
            system[2 * t, 2 * t] += 1 / sd**2
            wanted[2 * t] += seen[t] / sd**2
        if t:
            d = times[t] - times[t - 1]
            noise = q**2 * np.array([[d**3 / 3, d**2 / 2], [d**2 / 2, d]])
            step = np.hstack([-np.array([[1, d], [0, 1]]), np.eye(2)])
            rows = slice(2 * t - 2, 2 * t + 2)
            system[rows, rows] += step.T @ np.linalg.solve(noise, step)
    # the filter starts at its first measurement, whose prior is that wide about it
    wanted[0] += seen[0] / 100.0**2
    inverse = np.linalg.inv(system)
    return (inverse @ wanted)[::2], np.diag(inverse)[::2]


def test_without_drift_it_is_the_whole_least_squares_problem() -> None:
    rng = np.random.default_rng(0)
    times = np.cumsum(rng.uniform(0.02, 0.05, 30))
    values = np.sin(times * 3) + rng.normal(scale=0.05, size=30)
    values[10:15] = np.nan
    joints, covariance = measured(values, 0.05)
    found = smooth(times, joints, covariance, Process(ONE * 5, drifting=0.0))
    mean, variance = whole_problem(times, values, 0.05, 5.0)
    np.testing.assert_allclose(found.mean[:, 0, 0], mean, atol=1e-4)
    np.testing.assert_allclose(found.covariance[:, 0, 0, 0], variance, rtol=1e-3)


def test_a_gap_is_bridged_with_growing_doubt() -> None:
    times = np.arange(60) / 30
    values = 0.5 * times
    values[20:40] = np.nan
    found = smooth(times, *measured(values, 0.02), Process(ONE, drifting=0.0))
    np.testing.assert_allclose(found.mean[:, 0, 0], 0.5 * times, atol=0.01)
    np.testing.assert_allclose(found.velocity[30, 0, 0], 0.5, atol=0.02)
    sd = np.sqrt(found.covariance[:, 0, 0, 0])
    assert (np.diff(sd[20:29]) > 0).all()
    assert sd[30] > 3 * sd[5]
    assert (found.used[20:40] == 0).all()


@pytest.mark.parametrize("drifting", [0.0, 0.5, 0.9])
def test_the_sd_that_remains_is_that_of_the_errors_whatever_of_them_lasts(drifting: float) -> None:
    rng = np.random.default_rng(1)
    times, count, sd, process = np.arange(120) / 30, 300, 0.05, Process(np.ones(300) * 2, drifting, 0.4)
    place, speed = np.zeros((120, count, 3)), np.zeros((120, count, 3))
    drift = rng.normal(size=(120, count, 3)) * sd * np.sqrt(drifting)
    keep, step = np.exp(-1 / 30 / 0.4), 1 / 30
    for t in range(1, 120):
        a, b = rng.normal(size=(2, count, 3))
        speed[t] = speed[t - 1] + 2 * np.sqrt(step) * a
        place[t] = place[t - 1] + step * (speed[t] + speed[t - 1]) / 2 + 2 * step**1.5 / np.sqrt(12) * b
        drift[t] = keep * drift[t - 1] + np.sqrt(1 - keep**2) * drift[t]
    seen = place + drift + rng.normal(size=place.shape) * sd * np.sqrt(1 - drifting)
    covariance = np.broadcast_to(np.eye(3) * sd**2, (120, count, 3, 3))
    found = smooth(times, seen, covariance, process)
    off = (found.mean - place) / np.sqrt(np.diagonal(found.covariance, axis1=-2, axis2=-1))
    for inside, wanted in ((0.674, 0.5), (1.645, 0.9)):
        assert (np.abs(off) < inside).mean() == pytest.approx(wanted, abs=0.03)
    error = np.sqrt(((found.mean - place) ** 2).mean())
    assert error < sd * np.sqrt(0.2 + drifting)


def test_a_frame_far_off_says_little_and_many_are_believed() -> None:
    times = np.arange(120) / 30
    values = np.zeros(120)
    values[20] = 5.0
    values[60:] = 0.5
    found = smooth(times, *measured(values, 0.02), Process(ONE * 3, drifting=0.5))
    assert np.abs(found.mean[20, 0, 0]) < 0.1
    assert found.used[20, 0] < 0.05
    assert found.mean[-1, 0, 0] == pytest.approx(0.5, abs=0.05)


def test_a_long_film_is_smoothed_in_pieces_to_the_same() -> None:
    rng = np.random.default_rng(0)
    times = np.arange(4300) / 30
    values = np.sin(times) + rng.normal(scale=0.02, size=len(times))
    joints, covariance = measured(values, 0.02)
    found = smooth(times, joints, covariance, Process(ONE * 2))
    part = smooth(times[1500:2500], joints[1500:2500], covariance[1500:2500], Process(ONE * 2))
    np.testing.assert_allclose(found.mean[1700:2300], part.mean[200:800], atol=1e-4)


def test_what_is_never_seen_is_not_made_up() -> None:
    joints, covariance = measured(np.full(5, np.nan), 1.0)
    found = smooth(np.arange(5.0), joints, covariance, Process(ONE))
    assert np.isnan(found.mean).all()
    assert np.isnan(found.covariance).all()


def test_bones_are_measured_and_kept() -> None:
    joints = walker(60)
    rng = np.random.default_rng(0)
    exact = np.broadcast_to(np.eye(3) * 1e-4, (60, 17, 3, 3))
    lengths = bone_lengths(joints, exact, H36M)
    child, parent = H36M.edges[1]
    assert lengths[1] == pytest.approx(np.linalg.norm(joints[0, child] - joints[0, parent]), rel=0.02)
    sd = np.where(np.arange(60) % 2, 0.005, 0.2)
    noisy = joints + rng.normal(size=joints.shape) * sd[:, None, None]
    covariance = np.eye(3) * sd[:, None, None, None] ** 2 * np.ones((1, 17, 1, 1))
    np.testing.assert_allclose(bone_lengths(noisy, covariance, H36M), lengths, atol=0.01)
    kept = keep_lengths(noisy, covariance, lengths, H36M)
    way = np.stack([np.linalg.norm(kept[:, c] - kept[:, p], axis=-1) for c, p in H36M.edges], 1)
    np.testing.assert_allclose(way, np.tile(lengths, (60, 1)), atol=1e-9)
    rough = sd > 0.1
    before, after = (np.linalg.norm(x - joints, axis=-1)[rough].mean() for x in (noisy, kept))
    assert after < 0.9 * before


def test_a_bone_grows_along_what_is_not_known() -> None:
    """Shortened in depth alone: the joint goes back in depth, not along the bone."""
    joints = np.zeros((1, 17, 3))
    joints[0, 1] = [0.3, 0, 0.0]
    joints[0, 2] = [0.3, 0.2, 0.1]  # seen exactly across, at half of its depth
    covariance = np.zeros((1, 17, 3, 3))
    covariance[0, 2] = np.diag([1e-8, 1e-8, 0.1])
    lengths = np.full(16, np.nan)
    lengths[H36M.edges.index((2, 1))] = np.hypot(0.2, 0.2)
    kept = keep_lengths(joints, covariance, lengths, H36M, sweeps=30)
    np.testing.assert_allclose(kept[0, 2], [0.3, 0.2, 0.2], atol=1e-3)


def test_lengths_of_both_sides_and_medians() -> None:
    assert weighted_median(np.array([3.0, 1, 2]), np.array([1.0, 1, 5])) == 2
    assert weighted_median(np.array([1.0, 9]), np.array([1.0, 3])) == 9
    lengths = np.arange(16.0)
    same = symmetric(lengths, H36M)
    right, left = (
        H36M.edges.index((H36M.index(f"{s}_knee"), H36M.index(f"{s}_hip"))) for s in ("right", "left")
    )
    assert same[right] == same[left] == (lengths[right] + lengths[left]) / 2
    assert same[H36M.edges.index((8, 7))] == lengths[H36M.edges.index((8, 7))]


def test_the_usual_person_has_the_usual_height() -> None:
    joints = np.array([standing(name) for name in H36M.joints])[None]
    lengths = bone_lengths(joints, np.ones((1, 17, 1, 1)) * np.eye(3), H36M)
    assert height_of(lengths, H36M) == pytest.approx(1.73)
    assert height_of(1.1 * lengths, H36M) == pytest.approx(1.1 * 1.73)
