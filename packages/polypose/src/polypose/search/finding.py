"""What is found, told so that one long stand does not fill the list."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float

from polypose.search.embedding import View
from polypose.search.exact import told
from polypose.search.index import EVERYTHING, Place, PoseIndex
from polypose.search.where import Where

GAP = 1.0
"""Seconds between what is found of one person, above which it is told twice."""
STILL: dict[View, float] = {"invariant": 1.0, "camera": 0.97}
"""Distance up to which, or cosine down to which, somebody is still in the pose of a moment."""
_BLOCK, _LEAST = 1024, 0.2
"""Rows that are looked at together; seconds between two rows that part them at least."""
_FIRST, _MORE, _MOST = 16, 4, 1 << 15
"""Rows looked for: for each hit asked for, so many times more in the next round, and at most."""


@dataclass(frozen=True)
class Hit:
    """A stretch of one person in one recording that is like what was asked for.

    Attributes:
        place: where it is most alike.
        near: distance of invariant places in the model's space, or cosine of those by camera.
        start, end: seconds between which somebody stays in that pose (`STILL`), or was found so again.
        rows: how many were found.
    """

    place: Place
    near: float
    start: float
    end: float
    rows: int


def search(
    index: PoseIndex,
    place: Float[np.ndarray, " D"],
    k: int = 10,
    view: View = "invariant",
    where: Where = EVERYTHING,
    *,
    gap: float = GAP,
    exact: bool = False,
) -> list[Hit]:
    """The k stretches nearest to a place, best first; fewer where there are not so many.

    More and more rows are looked for until they make k stretches: those of one long stand make one.

    Args:
        place: of `Embedder.embed`, or of the index itself.
        gap: seconds.
        exact: as of `PoseIndex.search`.

    Raises:
        ValueError: k is below 1, or the index has no place in this view.
    """
    if len(index) and not index.has(view):
        raise ValueError(
            f"{index.path}: no camera saw what it holds; add it with --cameras, or --view invariant"
        )
    query = torch.from_numpy(np.asarray(place, np.float32))[None]
    count = _FIRST * k
    while True:
        count = min(count, max(1, len(index)))
        found = index.search(query, count, view, where, exact=exact)
        rows, near = found.row[0].numpy(), found.similarity[0].numpy()
        rows, near = rows[rows >= 0], near[rows >= 0]
        hits = _hits(index, rows, near, k, view, gap)
        if len(hits) >= k or len(rows) < count or count >= min(len(index), _MOST):
            return hits
        count *= _MORE


def stretches(index: PoseIndex, rows: np.ndarray, gap: float) -> list[np.ndarray]:
    """Which of the rows belong together: of one person in one recording, no more than `gap` seconds apart.

    Returns:
        places in `rows`, in the order of time.
    """
    if not len(rows):
        return []
    keys = np.zeros((len(rows), 3), np.int64)
    times = np.zeros(len(rows))
    which = index.segment_of(rows)
    for number in np.unique(which):
        here = np.flatnonzero(which == number)
        segment = index.segments[number]
        local = rows[here] - index.start(segment)
        keys[here, 0] = number
        keys[here, 1] = segment.words("recording")[0][local]
        keys[here, 2] = segment.words("person")[0][local]
        times[here] = segment.numbers("time")[local]
    order = np.lexsort([times, *keys.T[::-1]])
    apart = (np.diff(keys[order], axis=0) != 0).any(1) | (np.diff(times[order]) > gap)
    return np.split(order, np.flatnonzero(apart) + 1)


def lasting(index: PoseIndex, row: int, view: View, gap: float) -> tuple[float, float]:
    """Seconds from which and until which somebody stays in the pose of a row."""
    segment, here = index.locate(row)
    track = int(np.searchsorted(segment.tracks, here, side="right")) - 1
    first, last = segment.tracks[track], segment.tracks[track + 1]
    places, time = segment.places[view], segment.numbers("time")
    ends = []
    for step, edge in ((-1, first - 1), (1, last)):
        at = here
        while at + step != edge:
            rows = np.arange(at + step, edge, step)[:_BLOCK]
            away = told(torch.from_numpy(places[[here]]), torch.from_numpy(places[rows])[None], view)[0]
            still = (
                np.abs(away.numpy()) <= STILL[view] if view == "invariant" else away.numpy() >= STILL[view]
            )
            still &= np.abs(np.diff(time[[at, *rows]])) <= max(gap, _LEAST)
            kept = len(rows) if still.all() else int(still.argmin())
            at = int(rows[kept - 1]) if kept else at
            if kept < len(rows):
                break
        ends.append(float(time[at]))
    return ends[0], ends[1]


def _hits(index: PoseIndex, rows: np.ndarray, near: np.ndarray, k: int, view: View, gap: float) -> list[Hit]:
    """The first k stretches; what lies within one that is nearer belongs to it."""
    sign = -1.0 if view == "invariant" else 1.0
    hits: list[Hit] = []
    taken: dict[tuple[str, str, str], list[tuple[float, float]]] = {}
    for members in sorted(stretches(index, rows, gap), key=lambda members: members.min()):
        first, last, best = index.describe([rows[members[0]], rows[members[-1]], rows[members.min()]])
        spans = taken.setdefault((best.source, best.recording, best.person), [])
        if any(start - gap <= best.time <= end + gap for start, end in spans):
            continue
        start, end = lasting(index, best.row, view, gap)
        start, end = min(start, first.time), max(end, last.time)
        spans.append((start, end))
        hits.append(Hit(best, sign * float(near[members.min()]), start, end, len(members)))
        if len(hits) == k:
            break
    return hits
