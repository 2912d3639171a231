"""What the page asks of an index, as it is sent."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import torch

from polypose.capture.films import FILMS, PICTURES
from polypose.network import POSE_SKELETON
from polypose.search.adding import require_own
from polypose.search.asking import Asked, ask_index, asked
from polypose.search.embedding import VIEWS, Embedder, View
from polypose.search.finding import search
from polypose.search.index import Place, PoseIndex
from polypose.search.manifest import NAME, Entry
from polypose.search.movement import search_movement
from polypose.search.rows import Rows
from polypose.search.where import Where

AROUND = 1.0
"""Seconds before and after a moment that are shown of it, and are its movement."""
_SHOWN = ("film", "photo")
Json = dict[str, Any]


class Library:
    """An index, opened again where it has changed, and the models that made it.

    Raises:
        FileNotFoundError, ValueError: there is no index, or other models made it.
    """

    def __init__(self, path: Path, embedder: Embedder) -> None:
        self._path, self.embedder = path, embedder
        self._lock = Lock()
        self._stamp = 0
        self._index = PoseIndex.open(path)
        require_own(path, self._index.manifest, embedder)

    @property
    def index(self) -> PoseIndex:
        """As it is now."""
        stamp = (self._path / NAME).stat().st_mtime_ns
        with self._lock:
            if stamp != self._stamp:
                self._index, self._stamp = PoseIndex.open(self._path), stamp
            return self._index

    def about(self) -> Json:
        """What there is, and the figure that can be posed."""
        index = self.index
        middle = self.embedder.figures(torch.zeros(1, self.embedder.invariant.network.dim))[0]
        sources = [
            {"name": entry.name, "kind": entry.kind, "poses": entry.rows, "seconds": round(entry.seconds, 1)}
            for entry in index.manifest.entries
        ]
        figure = {"joints": POSE_SKELETON.joints, "parents": POSE_SKELETON.parents, "pose": _rounded(middle)}
        views = [view for view in VIEWS if index.has(view)]
        return {"poses": len(index), "sources": sources, "views": views, "figure": figure}

    def find(self, query: Asked, view: View, k: int, where: Sequence[str], movement: bool) -> Json:
        """Hits of a query. ValueError says what is wrong with it."""
        index, chosen = self.index, Where.parse(where)
        if movement:
            clips = search_movement(index, query.places["invariant"], query.time, k, chosen)
            found = [self._stretch(c.place, c.distance, c.start, c.end) for c in clips]
        else:
            hits = search(index, query.place(view), k, view, chosen)
            found = [self._stretch(hit.place, hit.near, hit.start, hit.end) for hit in hits]
        for each, figure in zip(found, self._figures([each["row"] for each in found]), strict=True):
            each["figure"] = figure
        return {"told": query.told, "view": "invariant" if movement else view, "hits": found}

    def like(self, row: int, movement: bool) -> Asked:
        """A row of the index, or the time around it."""
        return ask_index(self.index, row, AROUND if movement else 0.0)

    def posed(self, joints: np.ndarray, seen: np.ndarray | None) -> Asked:
        """A figure that was posed.

        Args:
            joints: (17, 3) metres.
            seen: (17, 3), the same as the screen shows it: x right, y down, z away.
        """
        one = np.zeros(1)
        local = None if seen is None else torch.from_numpy(seen)[None].float()
        rows = Rows(one, one, joints=torch.from_numpy(joints)[None].float(), local=local)
        return asked(rows, self.embedder, None, None, "the figure")

    def around(self, row: int) -> Json:
        """Figures of the time around a row."""
        query = self.like(row, True)
        figures = self.embedder.figures(torch.from_numpy(query.places["invariant"]))
        return {"time": query.time.round(3).tolist(), "figures": [_rounded(figure) for figure in figures]}

    def thumbnail(self, row: int) -> bytes | None:
        """JPEG, where there is one. ValueError for a row that there is not."""
        segment, here = self.index.locate(row)
        return segment.picture(int(segment.numbers("thumbnail")[here]))

    def footage(self, row: int) -> Path | None:
        """The film or picture of a row, if it still is the one that was indexed.

        No path ever comes out of a request: a row's source is looked up, and its file must have the size
        and time of change that the manifest tells.
        """
        segment, _ = self.index.locate(row)
        entry = segment.entry
        return Path(entry.path) if _is_same(entry) else None

    def _stretch(self, place: Place, near: float, start: float, end: float) -> Json:
        segment, _ = self.index.locate(place.row)
        words = ("source", "recording", "person", "action", "camera")
        told: Json = {"row": place.row, "time": round(place.time, 3), "thumbnail": place.thumbnail >= 0}
        told |= {name: getattr(place, name) for name in words}
        told["film"] = segment.entry.kind if _is_same(segment.entry) else None
        return {**told, "box": place.box, "near": near, "start": start, "end": end}

    def _figures(self, rows: list[int]) -> list[list[list[float]]]:
        if not rows:
            return []
        places = self.index.places(np.array(rows))
        return [_rounded(figure) for figure in self.embedder.figures(torch.from_numpy(places))]


def _is_same(entry: Entry) -> bool:
    path = Path(entry.path)
    shown = entry.kind in _SHOWN and path.suffix.lower() in (*FILMS, *PICTURES)
    if not shown or path.is_symlink() or not path.is_file():
        return False
    stat = path.stat()
    return (stat.st_size, stat.st_mtime_ns) == entry.stamp


def _rounded(figure: torch.Tensor) -> list[list[float]]:
    """Metres, to the millimetre."""
    return [[round(float(value), 3) for value in joint] for joint in figure]
