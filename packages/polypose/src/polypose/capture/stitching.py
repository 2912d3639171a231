"""People who were hidden, or away, for some seconds: two tracks that are one person's, one after the other.

While a film runs nobody is waited for longer than a second. Looked at as a whole it tells more: by the mean
of what somebody wears over many frames, and by how far one gets meanwhile, who comes back is told from who is
new. Where two could be meant, or colours are not known, tracks stay apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

LONGEST = 5.0
"""Seconds that somebody may be away."""
_ALIKE, _CLEARLY = 0.07, 1.5
"""Difference of mean colours of one person at most; and by how much more any other's has to be."""
_NEAR, _FASTEST = 0.5, 1.0
"""Sizes of the person that one may be elsewhere, and more by each second."""


class Piece(NamedTuple):
    """A track's ends.

    Attributes:
        begins, ends: seconds.
        start, stop: (2,) pixels, the middle of its first and last box.
        size: pixels, of the person.
        colours: (C, 3) the mean of all frames; NaN where they were hardly seen.
    """

    begins: float
    ends: float
    start: np.ndarray
    stop: np.ndarray
    size: float
    colours: np.ndarray


def chains(pieces: Sequence[Piece]) -> list[list[int]]:
    """Which pieces are of one person, in order of time; each piece is in one chain."""
    count = len(pieces)
    apart = np.full((count, count), np.inf)
    for i, one in enumerate(pieces):
        for j, other in enumerate(pieces):
            if i != j and _reaches(one, other):
                apart[i, j] = _difference(one.colours, other.colours)
    after = {}
    for i, j in zip(*np.nonzero(apart < _ALIKE), strict=True):
        rivals = np.concatenate([np.delete(apart[i], j), np.delete(apart[:, j], i)])
        if (rivals > _CLEARLY * apart[i, j]).all():
            after[int(i)] = int(j)
    out = []
    for first in sorted(set(range(count)) - set(after.values())):
        chain = [first]
        while chain[-1] in after:
            chain.append(after[chain[-1]])
        out.append(chain)
    return out


def _reaches(one: Piece, other: Piece) -> bool:
    """Whether who is seen last in the one may be who is seen first in the other."""
    away = other.begins - one.ends
    far = float(np.linalg.norm(other.start - one.stop)) / max(one.size, other.size, 1.0)
    return 0 < away <= LONGEST and far <= _NEAR + _FASTEST * away


def _difference(one: np.ndarray, other: np.ndarray) -> float:
    """Of mean colours; infinite where none is known of both."""
    off = np.abs(one - other).mean(-1)
    known = np.isfinite(off)
    return float(off[known].mean()) if known.any() else float("inf")
