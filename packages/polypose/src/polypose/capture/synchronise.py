"""By how much films start apart, from how people move in them.

Where cameras are calibrated, the offset is where rays of the same joints pass each other nearest. Else speeds
of joints about the pelvis, which look alike from everywhere once they are lifted to 3D, are correlated.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

MOST = 1.0
"""Seconds that films may start apart."""
_SURE, _BETTER = 0.3, 0.1
"""A correlation that can be believed, and by how much it must be above that of no offset."""
_LEAST_FRAMES = 20
_NEARER = 0.65
"""Share of the gap at no offset below which another offset is believed."""


def speeds(joints: np.ndarray, times: np.ndarray, window: float = 0.2) -> np.ndarray:
    """(T, J) m/s of joints (T, J, 3) about the root, over a window of seconds; NaN where not known."""
    if len(times) < 3:
        return np.full(joints.shape[:2], np.nan)
    step = max(1, round(window / float(np.median(np.diff(times)))))
    out = np.full(joints.shape[:2], np.nan)
    if len(times) > 2 * step:
        way = np.linalg.norm(joints[2 * step :] - joints[: -2 * step], axis=-1)
        out[step:-step] = way / (times[2 * step :] - times[: -2 * step])[:, None]
    return out


def offset_between(
    first: np.ndarray, first_times: np.ndarray, other: np.ndarray, other_times: np.ndarray, most: float = MOST
) -> tuple[float, float, float]:
    """Seconds by which the other film's clock is ahead, that correlation, and the one of no offset.

    What the first film shows at t, the other shows at t + offset. To a fraction of a frame, by a parabola
    through the highest correlation and its neighbours. NaN where they show too little at the same time.

    Args:
        first, other: (T, J) speeds at these times; NaN where not known.
    """
    step = min(float(np.median(np.diff(times))) for times in (first_times, other_times))
    lags = np.arange(-round(most / step), round(most / step) + 1)
    found = np.array([_correlation(first, first_times, other, other_times, lag * step) for lag in lags])
    if not np.isfinite(found).any():
        return np.nan, np.nan, np.nan
    best = int(np.nanargmax(found))
    shift = 0.0
    if 0 < best < len(lags) - 1 and np.isfinite(found[[best - 1, best + 1]]).all():
        before, top, after = found[best - 1 : best + 2]
        shift = 0.5 * (before - after) / min(before - 2 * top + after, -1e-12)
    return float((lags[best] + shift) * step), float(found[best]), float(found[len(lags) // 2])


def offsets(speed: Sequence[np.ndarray], times: Sequence[np.ndarray]) -> tuple[np.ndarray, list[str]]:
    """(V,) seconds by which each film's clock is ahead of the first's, 0 where that is not clear; and why.

    Args:
        speed: (F, J) of each film.
    """
    out, notes = np.zeros(len(speed)), []
    for view in range(1, len(speed)):
        ahead, best, none = offset_between(speed[0], times[0], speed[view], times[view])
        frame = float(np.median(np.diff(times[view]))) if len(times[view]) > 1 else 1.0
        none = none if np.isfinite(none) else 0.0
        if np.isfinite(ahead) and best > _SURE and best - none > _BETTER and abs(ahead) > 0.5 * frame:
            out[view] = ahead
            notes.append(told_offset(view, ahead))
    return out, notes


def offset_by(gap: Callable[[float], float], frame: float, most: float = MOST) -> float:
    """Seconds at which a gap is least, to a fraction of a frame; 0 where that is not clearly less than at 0.

    Args:
        gap: metres by which rays miss each other at an offset; NaN where nothing is seen.
        frame: seconds.
    """
    lags = np.arange(-round(most / frame), round(most / frame) + 1)
    found = np.array([gap(lag * frame) for lag in lags])
    now = found[len(lags) // 2]
    if not np.isfinite(found).any():
        return 0.0
    best = int(np.nanargmin(found))
    if np.isfinite(now) and not found[best] < _NEARER * now:
        return 0.0
    shift = 0.0
    if 0 < best < len(lags) - 1 and np.isfinite(found[[best - 1, best + 1]]).all():
        before, least, after = found[best - 1 : best + 2]
        shift = 0.5 * (before - after) / max(before - 2 * least + after, 1e-12)
    return float((lags[best] + np.clip(shift, -0.5, 0.5)) * frame)


def told_offset(view: int, ahead: float) -> str:
    """In words, of the seconds by which a film's clock is ahead of the first's."""
    return (
        f"film {view + 1} begins {abs(ahead):.3f} s {'before' if ahead > 0 else 'after'} the first, put right"
    )


def _correlation(
    first: np.ndarray, first_times: np.ndarray, other: np.ndarray, other_times: np.ndarray, offset: float
) -> float:
    """Of all joints together, each about its own mean and in its own sd."""
    moved = np.stack([np.interp(first_times + offset, other_times, x, np.nan, np.nan) for x in other.T], 1)
    both = np.isfinite(first) & np.isfinite(moved)
    if both.any(1).sum() < _LEAST_FRAMES:
        return float("nan")
    total, count = 0.0, 0
    for j in range(first.shape[1]):
        a, b = first[both[:, j], j], moved[both[:, j], j]
        if len(a) >= _LEAST_FRAMES and a.std() > 1e-6 and b.std() > 1e-6:
            total += float(np.corrcoef(a, b)[0, 1]) * len(a)
            count += len(a)
    return total / count if count else float("nan")
