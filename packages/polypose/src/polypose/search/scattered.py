"""Rows from all over a large file, asked of the disk together."""

import mmap
from typing import Any

import numpy as np
from jaxtyping import Float, Int

LARGE = 1 << 30
"""Bytes of a mapped array from which on it may not be in memory."""


def take(places: Float[np.ndarray, "n D"], rows: Int[np.ndarray, " m"]) -> Float[np.ndarray, "m D"]:
    """These rows of an array, in memory.

    A page that is not there costs a wait for the disk, one after the other; of a large mapped file all pages
    are therefore asked for before the first is read, and a disk answers many at a time.
    """
    if isinstance(places, np.memmap) and places.nbytes >= LARGE and hasattr(places.base, "madvise"):
        mapped: Any = places.base  # none of a part of an array, nor on Windows
        width, before = places.strides[0], places.offset % mmap.ALLOCATIONGRANULARITY
        first = before + np.asarray(rows, np.int64) * width
        ends = np.concatenate([first, first + width - 1])
        for page in np.unique(ends // mmap.PAGESIZE).tolist():
            mapped.madvise(mmap.MADV_WILLNEED, page * mmap.PAGESIZE, mmap.PAGESIZE)
    return np.asarray(places[rows])
