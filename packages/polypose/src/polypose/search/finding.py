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
"""Seconds from a moment of one person within which nothing is told again."""
STILL: dict[View, float] = {"invariant": 1.0, "camera": 0.97}
"""Distance up to which, or cosine down to which, somebody is still in the pose of a moment."""
_BLOCK, _LEAST = 1024, 0.2
"""Rows that are looked at together; seconds between two rows that part them at least."""
_FIRST, _MORE, _MOST = 16, 4, 1 << 15
"""Rows looked for: for each hit asked for, so many times more in the next round, and at most."""


@dataclass(frozen=True)
class Hit:
    """A moment of one person in one recording that is like what was asked for.

    Attributes:
        place: where it is most alike.
        near: distance of invariant places in the model's space, or cosine of those by camera.
        start, end: seconds between which somebody stays in that pose (`STILL`).
    """

    place: Place
    near: float
    start: float
    end: float


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
    """The k moments nearest to a place, best first; fewer where there are not so many.

    More and more rows are looked for until they make k moments: those of one long stand make one.

    Args:
        place: of `Embedder.embed`, or of the index itself.
        gap: seconds.
        exact: as of `PoseIndex.search`.

    Raises:
        ValueError: k is below 1, the gap is no time, or the index has no place in this view.
    """
    if not gap >= 0:
        raise ValueError(f"--gap {gap:g}: give seconds, 0 or more")
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
    """Of the rows, best first, those that are the nearest of their person's moment."""
    who, time = _moments(index, rows)
    left = np.ones(len(rows), bool)
    hits: list[Hit] = []
    while len(hits) < k and left.any():
        best = int(left.argmax())
        start, end = lasting(index, int(rows[best]), view, gap)
        mine = (who == who[best]).all(1) & (time >= start - gap) & (time <= end + gap) & left
        mine[best] = True
        left &= ~mine
        (place,) = index.describe([rows[best]])
        nearness = float(near[best]) if view == "camera" else -float(near[best])
        hits.append(Hit(place, nearness, start, end))
    return hits


def _moments(index: PoseIndex, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(n, 3) segment, recording and person of rows as numbers, and (n,) seconds."""
    who, time = np.zeros((len(rows), 3), np.int64), np.zeros(len(rows))
    which = index.segment_of(rows)
    for number in np.unique(which):
        here = np.flatnonzero(which == number)
        segment = index.segments[number]
        local = rows[here] - index.start(segment)
        who[here, 0] = number
        who[here, 1] = segment.words("recording")[0][local]
        who[here, 2] = segment.words("person")[0][local]
        time[here] = segment.numbers("time")[local]
    return who, time
