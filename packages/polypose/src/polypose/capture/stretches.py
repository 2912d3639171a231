"""A long film in stretches, so that what solving holds does not grow with it.

Each is solved with some seconds on either side, which are then left out: what a smoother says of a frame
hangs from those nearby. What is the same in all frames, bones for one, is told by a sample of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

STRETCH = 6000
"""Frames that are solved at once, and those that tell what is the same in all."""
MARGIN = 360
"""Frames on either side; after 60 a smoother still differs by millimetres, as its drift lasts."""
_BLOCK = 30


class Stretch(NamedTuple):
    """A part of a film: its own frames, those that it is solved with, and its own among these."""

    own: slice
    wide: slice
    inside: slice


def stretches(frames: int, length: int = STRETCH, margin: int = MARGIN) -> Iterator[Stretch]:
    """The parts of a film, in order."""
    for start in range(0, frames, length):
        stop = min(start + length, frames)
        first = max(0, start - margin)
        yield Stretch(
            slice(start, stop),
            slice(first, min(stop + margin, frames)),
            slice(start - first, stop - first),
        )


def sampled(seen: np.ndarray, most: int = STRETCH) -> np.ndarray:
    """Indices of frames that stand for all: every one of a short film, else blocks evenly over what is seen.

    Args:
        seen: (T,) whether a frame shows anything.
    """
    rows = np.flatnonzero(seen)
    if len(seen) <= most or len(rows) <= most:
        return np.arange(len(seen)) if len(seen) <= most else rows
    count = max(1, most // _BLOCK)
    starts = np.linspace(0, len(rows) - _BLOCK, count).astype(int)
    return rows[np.unique(starts[:, None] + np.arange(_BLOCK))]
