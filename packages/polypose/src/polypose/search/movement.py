"""Clips that are like a clip: by pooled places, and by aligning them in time (DTW).

A window's pooled place is the means of its quarters beside each other, so that a movement and its reverse
differ. All windows are compared by it; the nearest are then aligned with the query, so that one that is done
slower, or is not cut alike, is found with its own beginning and end. The alignment is dtaidistance's: dynamic
time warping of a sequence within a longer one (Müller, Information Retrieval for Music and Motion, 2007,
section 4.4).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float

from polypose.search.index import EVERYTHING, Place, PoseIndex
from polypose.search.where import Where

Method = Literal["dtw", "pooled"]
RATE = 10.0
"""Places a second by which movements are compared."""
PARTS = 4
SPEEDS = (0.75, 1.0, 1.33)
"""Lengths of windows, as shares of the query's."""
_SHORTLIST = 200
_AROUND = 0.5
"""Of the query's length that are looked at before and after a window."""
_OVERLAP = 0.5
_SHORTEST = 4


@dataclass(frozen=True)
class Movement:
    """A clip that is like the one asked for.

    Attributes:
        place: its first row.
        distance: root mean square of invariant places, aligned or pooled; the smaller the more alike.
        start, end: seconds.
    """

    place: Place
    distance: float
    start: float
    end: float


class _Track(NamedTuple):
    """One person in one recording, resampled: its first row in the index, seconds (n,), places (n, D)."""

    row: int
    time: np.ndarray
    places: np.ndarray


class _Window(NamedTuple):
    distance: float
    track: _Track
    begin: int
    end: int


def search_movement(
    index: PoseIndex,
    places: Float[np.ndarray, "n D"],
    time: Float[np.ndarray, " n"],
    k: int = 10,
    where: Where = EVERYTHING,
    *,
    method: Method = "dtw",
) -> list[Movement]:
    """The k clips nearest to a clip, best first; of those that overlap the nearest.

    Args:
        places, time: of the query, invariant (`asking.Asked`).
        method: align the nearest windows in time, or leave it at their pooled places.

    Raises:
        ValueError: the query is too short for a movement.
        ModuleNotFoundError: dtaidistance is not installed.
    """
    _, query = resampled(places, time)
    if len(query) < _SHORTEST:
        raise ValueError(
            f"a clip of {len(query) / RATE:g} s is no movement; give {_SHORTEST / RATE:g} s or more"
        )
    windows = sorted(
        (window for track in _tracks(index, where) for window in _windows(track, query)),
        key=lambda window: window.distance,
    )[: max(_SHORTLIST, 2 * k)]
    if method == "dtw":
        windows = sorted((_aligned(window, query) for window in windows), key=lambda w: w.distance)
    kept: list[_Window] = []
    for window in windows:
        if len(kept) < k and not any(_overlap(window, other) for other in kept):
            kept.append(window)
    return [_told(index, window) for window in kept]


def resampled(
    places: Float[np.ndarray, "n D"], time: Float[np.ndarray, " n"]
) -> tuple[Float[np.ndarray, " m"], Float[np.ndarray, "m D"]]:
    """Places at `RATE`, between those that are known."""
    clock = np.arange(time[0], time[-1] + 1e-6, 1 / RATE)
    after = np.clip(np.searchsorted(time, clock), 1, max(1, len(time) - 1))
    if len(time) == 1:
        return clock, np.asarray(places, np.float64)
    before = after - 1
    share = ((clock - time[before]) / (time[after] - time[before]).clip(min=1e-9)).clip(0, 1)[:, None]
    return clock, (1 - share) * places[before].astype(np.float64) + share * places[after]


def pooled(sums: Float[np.ndarray, "n+1 D"], length: int) -> Float[np.ndarray, "m P D"]:
    """Means of the parts of every window of a length.

    Args:
        sums: cumulative sums of places, beginning with 0.
    """
    edges = np.linspace(0, length, PARTS + 1).round().astype(int)
    count = len(sums) - length
    parts = [(sums[b : b + count] - sums[a : a + count]) / (b - a) for a, b in pairwise(edges)]
    return np.stack(parts, axis=1)


def _tracks(index: PoseIndex, where: Where) -> Iterator[_Track]:
    """Everybody who fits a filter; of poses seen by virtual cameras once."""
    for segment in index.segments:
        keep, start = where.rows(segment) if where else None, index.start(segment)
        if keep is not None and not keep.any():
            continue
        time, edges = segment.numbers("time"), segment.tracks
        names = [segment.words(name)[0] for name in ("recording", "person")]
        seen: set[tuple[int, ...]] = set()
        for begin, end in pairwise(edges):
            rows = np.arange(begin, end)
            rows = rows if keep is None else rows[keep[begin:end]]
            who = (*(int(name[begin]) for name in names), round(1e3 * float(time[begin])))
            if len(rows) < 2 or who in seen:
                continue
            seen.add(who)
            gaps = np.flatnonzero(np.diff(time[rows]) > 5 / RATE) + 1
            for run in np.split(rows, gaps):
                if len(run) > 1:
                    clock, moved = resampled(segment.places["invariant"][run], time[run])
                    yield _Track(start + int(run[0]), clock, moved)


def _windows(track: _Track, query: Float[np.ndarray, "n D"]) -> Iterator[_Window]:
    """The nearest windows of a track, which do not overlap by more than half."""
    sums = np.concatenate([np.zeros((1, query.shape[1])), np.cumsum(track.places, 0)])
    wanted = pooled(np.concatenate([np.zeros((1, query.shape[1])), np.cumsum(query, 0)]), len(query))[0]
    found: list[tuple[float, int, int]] = []
    for length in dict.fromkeys(max(_SHORTEST, round(speed * len(query))) for speed in SPEEDS):
        if length > len(track.places):
            continue
        distance = np.sqrt(np.square(pooled(sums, length) - wanted).sum(-1).mean(-1))
        order = np.argsort(distance, kind="stable")[:_SHORTLIST]
        found += [(float(distance[begin]), int(begin), int(begin) + length) for begin in order]
    kept: list[tuple[int, int]] = []
    for distance_, begin, end in sorted(found):
        if all(min(end, e) - max(begin, b) <= _OVERLAP * min(end - begin, e - b) for b, e in kept):
            kept.append((begin, end))
            yield _Window(distance_, track, begin, end)


def _aligned(window: _Window, query: Float[np.ndarray, "n D"]) -> _Window:
    """The stretch about a window that the query fits best, at whatever pace."""
    try:
        from dtaidistance.subsequence.dtw import subsequence_alignment
    except ModuleNotFoundError:
        raise ModuleNotFoundError("dtaidistance is not installed: pip install 'polypose[search]'") from None
    more = round(_AROUND * len(query))
    first = max(0, window.begin - more)
    part = np.ascontiguousarray(window.track.places[first : window.end + more])
    match = subsequence_alignment(np.ascontiguousarray(query), part, use_c=True).best_match_fast()
    begin, end = match.segment
    distance = float(match.value) * np.sqrt(len(query))
    return _Window(distance, window.track, first + int(begin), first + int(end) + 1)


def _overlap(one: _Window, other: _Window) -> bool:
    if one.track.row != other.track.row:
        return False
    both = min(one.end, other.end) - max(one.begin, other.begin)
    return both > _OVERLAP * min(one.end - one.begin, other.end - other.begin)


def _told(index: PoseIndex, window: _Window) -> Movement:
    time = window.track.time
    start, end = float(time[window.begin]), float(time[window.end - 1])
    segment, here = index.locate(window.track.row)
    track = int(np.searchsorted(segment.tracks, here, side="right")) - 1
    rows = np.arange(here, segment.tracks[track + 1])
    first = int(rows[np.abs(segment.numbers("time")[rows] - start).argmin()])
    place = index.describe([index.start(segment) + first])[0]
    return Movement(place, window.distance, start, end)
