"""An index that is read: all of its segments as one gallery."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

import numpy as np
import torch
from jaxtyping import Float, Int
from poseenc.best import Neighbours
from torch import Tensor

from polypose.search.embedding import View
from polypose.search.exact import SPARE, Gallery, nearest, penalties, told
from polypose.search.ivf import Approximate, open_approximate
from polypose.search.manifest import Manifest
from polypose.search.scattered import take
from polypose.search.segments import Segment
from polypose.search.where import Where

EVERYTHING = Where()


@dataclass(frozen=True)
class Place:
    """Where a row stands in the films: a row of the table.

    Attributes:
        row: its number in the index.
        source: name of what it was found in.
        time: seconds.
        box: x, y, width, height in pixels, or None.
    """

    row: int
    source: str
    recording: str
    person: str
    action: str
    camera: str
    frame: int
    time: float
    box: tuple[float, float, float, float] | None
    thumbnail: int


class PoseIndex:
    """An index opened for searching, as it was when it was opened.

    Attributes:
        path: the folder.
        manifest: what it holds.
        segments: in the order of their rows.
    """

    def __init__(self, path: Path, manifest: Manifest) -> None:
        self.path, self.manifest = path, manifest
        self.segments = [Segment(path, entry) for entry in manifest.entries if entry.rows]
        self._starts = np.cumsum([0, *(len(segment) for segment in self.segments)])
        self._penalties: dict[tuple[int, View], np.ndarray] = {}
        self._engines: dict[View, Approximate | None] = {}
        self._turn = Lock()

    @classmethod
    def open(cls, path: str | Path, *, verify: bool = False) -> PoseIndex:
        """Open an index; its vectors stay on the disk.

        Args:
            verify: read all of it and compare it with its digests.

        Raises:
            FileNotFoundError, ValueError: there is no index, or something in it is damaged.
        """
        path = Path(path)
        for last in (False, True):
            manifest = Manifest.read(path)
            try:
                index = cls(path, manifest)
                break
            except FileNotFoundError as error:  # replaced between the manifest and the segment
                if last or Manifest.read(path) == manifest:
                    raise ValueError(
                        f"{error.filename}: is missing; remove its source from the index and add it again"
                    ) from None
        if verify:
            for segment in index.segments:
                segment.verify()
        return index

    def __len__(self) -> int:
        return int(self._starts[-1])

    def __repr__(self) -> str:
        return f"PoseIndex({str(self.path)!r}, {len(self)} poses of {len(self.segments)} sources)"

    def has(self, view: View) -> bool:
        """Whether any row has a place in this view."""
        return any(view in segment.places for segment in self.segments)

    def search(
        self,
        queries: Float[Tensor, "Q D"],
        k: int = 10,
        view: View = "invariant",
        where: Where = EVERYTHING,
        *,
        exact: bool = False,
    ) -> Neighbours:
        """The k nearest rows of every query, best first: minus the distance, or the cosine.

        Places that the index cannot fill hold row -1 and -inf.

        Args:
            exact: look at every row even where there is an approximate index (`polypose.search.ivf`), which
                a filter does anyway.

        Raises:
            ValueError: k is below 1, or queries are of another width or not finite.
        """
        if k < 1:
            raise ValueError(f"k is {k}; ask for 1 at least")
        widths = (s.places[view].shape[1] for s in self.segments if view in s.places)
        width = next(widths, queries.shape[-1])
        if queries.ndim != 2 or queries.shape[1] != width or not bool(queries.isfinite().all()):
            raise ValueError(f"queries: {tuple(queries.shape)}; give finite ones (Q, {width})")
        with self._turn:  # many threads in Python take twice as long at once as one after the other
            engine = None if exact or where else self._engine(view)
            if engine is None:
                found = nearest(self._galleries(view, where), queries, k + SPARE)
            else:
                found = engine.nearest(queries, k, self)
            return self._exactly(found, queries, k, view)

    def places(self, rows: Int[np.ndarray, " n"], view: View = "invariant") -> np.ndarray:
        """(n, D) of these rows, in memory; 0 where a row has none."""
        width = next(s.places[view].shape[1] for s in self.segments if view in s.places)
        out = np.zeros((len(rows), width), np.float32)
        which = self.segment_of(rows)
        for number in np.unique(which):
            here = which == number
            segment = self.segments[number]
            if view in segment.places:
                out[here] = take(segment.places[view], rows[here] - self._starts[number])
        return out

    def locate(self, row: int) -> tuple[Segment, int]:
        """The segment of a row, and its number there. ValueError for a row that there is not."""
        if not 0 <= row < len(self):
            raise ValueError(f"{self.path}: has no row {row}; it has {len(self)}")
        number = int(np.searchsorted(self._starts, row, side="right") - 1)
        return self.segments[number], int(row - self._starts[number])

    def segment_of(self, rows: Int[np.ndarray, " n"]) -> Int[np.ndarray, " n"]:
        """Which of `segments` rows are in."""
        return np.searchsorted(self._starts, rows, side="right") - 1

    def start(self, segment: Segment) -> int:
        """Number of a segment's first row."""
        return int(self._starts[self.segments.index(segment)])

    def describe(self, rows: Sequence[int]) -> list[Place]:
        """What the table says of rows."""
        out = []
        for row in rows:
            segment, here = self.locate(int(row))
            told_ = segment.row(here)
            box = tuple(told_.pop(side) for side in ("x", "y", "width", "height"))
            seen = None if any(side is None or side != side for side in box) else box
            out.append(Place(row=int(row), source=segment.entry.name, box=seen, **told_))
        return out

    def _engine(self, view: View) -> Approximate | None:
        if view not in self._engines:
            self._engines[view] = open_approximate(self.path, view)
        return self._engines[view]

    def _galleries(self, view: View, where: Where) -> Iterator[Gallery]:
        for number, segment in enumerate(self.segments):
            if view in segment.places:
                yield self.gallery(number, view, where.rows(segment) if where else None)

    def gallery(self, number: int, view: View, keep: np.ndarray | None = None) -> Gallery:
        """One segment, to be looked at row by row."""
        places = self.segments[number].places[view]
        if (number, view) not in self._penalties:
            self._penalties[number, view] = penalties(places, view)
        return Gallery(int(self._starts[number]), places, self._penalties[number, view], keep)

    def _exactly(self, found: Neighbours, queries: Tensor, k: int, view: View) -> Neighbours:
        """The k best by their distances, which an inner product tells to fewer digits."""
        if not len(self) or not self.has(view):
            return Neighbours(found.similarity[:, :k], found.row[:, :k])
        rows = found.row.clamp(min=0).numpy()
        places = torch.from_numpy(self.places(rows.ravel(), view)).unflatten(0, rows.shape)
        near = told(queries.float(), places, view).masked_fill(found.row < 0, -torch.inf)
        near, order = near.sort(dim=1, descending=True, stable=True)
        return Neighbours(near[:, :k], found.row.gather(1, order[:, :k]))
