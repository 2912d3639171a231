"""A large index searched through FAISS: inverted lists of compressed vectors, then the vectors themselves.

    INDEX/engine/VIEW/index.faiss   IVF with product quantisation, memory-mapped
    INDEX/engine/VIEW/engine.json   what it covers, and the recall that was measured when it was built

FAISS finds some hundred candidates by their codes; which of them are nearest is decided by the exact vectors
on the disk. Segments that were added since are searched exactly, those that were removed are passed over.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float
from posedata.writing import write_text
from poseenc.best import Neighbours
from torch import Tensor

from polypose.search.embedding import View
from polypose.search.exact import SPARE, nearest, told
from polypose.search.manifest import ENGINE

if TYPE_CHECKING:
    from polypose.search.index import PoseIndex

LARGE = 10_000_000
"""Rows from which on `polypose index add` builds one."""
WANTED = 0.99
"""Recall of the ten nearest that it is set to, by `_ERRORS` standard errors of what was asked."""
_FILE, _ABOUT = "index.faiss", "engine.json"
_SAMPLE, _ASKED, _K = 40, 256, 10
_ERRORS = 2
_OFF = (0.1, 0.01)
"""How far from a place of the gallery queries lie, in shares of another place."""
_CANDIDATES = 4
"""Candidates for each of ten neighbours or more, whose exact vectors are read, to begin with."""
_FEWER = (0.5, 0.625, 0.75, 0.875)
"""Of candidates that are enough, shares that might be."""
_MOST_CANDIDATES, _MOST_PROBES = 640, 4096


@dataclass(frozen=True)
class About:
    """What an approximate index is.

    Attributes:
        factory: as FAISS names it.
        segments: folders that it covers, with their rows, in order.
        probes: lists that are looked at for a query.
        recall: of the ten nearest, measured over `asked` queries made of the gallery.
        candidates: for each neighbour, whose exact vectors are read.
    """

    factory: str
    segments: tuple[tuple[str, int], ...]
    probes: int
    recall: float
    asked: int = field(default=_ASKED)
    candidates: int = field(default=20)


class Approximate:
    """An approximate index of one view."""

    def __init__(self, engine: Any, about: About, view: View) -> None:
        self._engine, self.about, self._view = engine, about, view
        self._lists = _inner(engine)

    def nearest(self, queries: Float[Tensor, "Q D"], k: int, index: PoseIndex) -> Neighbours:
        """The nearest rows of an index; `similarity` is as of `exact.told`."""
        import faiss

        count = self.about.candidates * max(_K, k)
        params: Any = faiss.SearchParametersIVF()
        params.nprobe = self.about.probes
        _, found = self._lists.search(queries.float().numpy(), count, params=params)
        row = self._rows(found, index)
        places = torch.from_numpy(index.places(row.clip(min=0).ravel(), self._view))
        near = told(queries.float(), places.unflatten(0, row.shape), self._view)
        near = near.masked_fill(torch.from_numpy(row < 0), -torch.inf)
        rest = self._rest(queries, k, index)
        near = torch.cat([near, rest.similarity], dim=1)
        rows = torch.cat([torch.from_numpy(row), rest.row], dim=1)
        near, order = near.topk(min(k, near.shape[1]), dim=1)
        rows = rows.gather(1, order).masked_fill(near.isneginf(), -1)
        if (lacks := k - near.shape[1]) > 0:
            near = torch.nn.functional.pad(near, (0, lacks), value=-torch.inf)
            rows = torch.nn.functional.pad(rows, (0, lacks), value=-1)
        return Neighbours(near, rows)

    def _rows(self, found: np.ndarray, index: PoseIndex) -> np.ndarray:
        """Rows of the index of what FAISS numbers; -1 of what is gone."""
        places = {s.entry.folder: n for n, s in enumerate(index.segments)}
        starts = np.cumsum([0, *(rows for _, rows in self.about.segments)])
        moved = np.full(len(self.about.segments), -1, np.int64)
        for number, (folder, _) in enumerate(self.about.segments):
            if folder in places:
                moved[number] = index.start(index.segments[places[folder]])
        which = np.searchsorted(starts, found, side="right") - 1
        first = moved[which]
        return np.where((found < 0) | (first < 0), -1, found - starts[which] + first)

    def _rest(self, queries: Tensor, k: int, index: PoseIndex) -> Neighbours:
        """Of segments that it does not cover."""
        covered = {folder for folder, _ in self.about.segments}
        new = [
            index.gallery(number, self._view)
            for number, segment in enumerate(index.segments)
            if segment.entry.folder not in covered and self._view in segment.places
        ]
        found = nearest(new, queries, k + SPARE)
        rows = found.row.clamp(min=0).numpy()
        places = torch.from_numpy(index.places(rows.ravel(), self._view)).unflatten(0, rows.shape)
        return Neighbours(
            told(queries.float(), places, self._view).masked_fill(found.row < 0, -torch.inf), found.row
        )


def open_approximate(path: Path, view: View) -> Approximate | None:
    """The one of an index, memory-mapped; None where there is none.

    Raises:
        ValueError: it is damaged.
        ModuleNotFoundError: FAISS is not installed.
    """
    folder = path / ENGINE / view
    try:
        told_ = json.loads((folder / _ABOUT).read_text(encoding="utf-8"))
        segments = tuple((str(name), int(rows)) for name, rows in told_.pop("segments"))
        about = About(segments=segments, **told_)
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError):
        raise ValueError(f"{folder / _ABOUT}: is damaged; build it again: polypose index build") from None
    faiss = _faiss()
    try:
        engine = faiss.read_index(str(folder / _FILE), faiss.IO_FLAG_MMAP | faiss.IO_FLAG_READ_ONLY)
    except RuntimeError:
        raise ValueError(f"{folder / _FILE}: is damaged; build it again: polypose index build") from None
    return Approximate(engine, about, view)


def uncovered(index: PoseIndex, view: View) -> int:
    """Poses that only an exact search would find."""
    engine = open_approximate(index.path, view)
    known = {folder for folder, _ in engine.about.segments} if engine else set()
    return sum(len(segment) for segment in index.segments if segment.entry.folder not in known)


def build(index: PoseIndex, view: View = "invariant", factory: str | None = None, seed: int = 0) -> About:
    """Build an approximate index of all segments, and set it to a recall of `WANTED`.

    Args:
        factory: what FAISS is to build; by default some 2√N lists, and a byte for every two dimensions.

    Raises:
        ValueError: the index is too small for one, or FAISS knows no such factory.
        ModuleNotFoundError: FAISS is not installed.
    """
    faiss = _faiss()
    covered = [segment for segment in index.segments if view in segment.places]
    count = sum(len(segment) for segment in covered)
    if count < 100 * _K:
        raise ValueError(f"{index.path}: holds {count} poses; exact search is faster below {100 * _K}")
    width = covered[0].places[view].shape[1]
    lists = 2 ** max(2, round(np.log2(2 * np.sqrt(count))))
    factory = factory or f"IVF{lists}_HNSW32,PQ{width // 2 if width <= 64 else width // 8}"
    try:
        engine = faiss.index_factory(width, factory)
    except RuntimeError:
        engine = None
    if not isinstance(engine, faiss.IndexIVF) or not engine.nlist:  # OPQ and PCA before it are none
        raise ValueError(f"--factory {factory}: FAISS makes no index of lists of it; give IVF4096,PQ16 or so")
    generator = np.random.default_rng(seed)
    inner = _inner(engine)
    chosen = np.sort(generator.choice(count, min(count, _SAMPLE * int(inner.nlist)), replace=False))
    starts = [index.start(segment) for segment in covered]
    rows = _spread(chosen, [len(s) for s in covered], starts)
    engine.train(index.places(rows, view))
    for segment in covered:
        for start in range(0, len(segment), 1 << 17):
            engine.add(np.ascontiguousarray(segment.places[view][start : start + (1 << 17)]))
    segments = tuple((segment.entry.folder, len(segment)) for segment in covered)
    about = _tuned(
        index, engine, About(factory, segments, 1, 0.0), view, rows[:: max(1, len(rows) // _ASKED)]
    )
    folder = index.path / ENGINE / view
    made = folder.with_name(f".{view}.partial")
    shutil.rmtree(made, ignore_errors=True)
    made.mkdir(parents=True)
    faiss.write_index(engine, str(made / _FILE))
    write_text(made / _ABOUT, json.dumps(asdict(about), indent=1))
    shutil.rmtree(folder, ignore_errors=True)
    made.rename(folder)
    return about


def _tuned(index: PoseIndex, engine: Any, about: About, view: View, rows: np.ndarray) -> About:
    """With as few probes and candidates as reach the recall wanted, or come nearest to it.

    One of the two is doubled after the other, that which finds more; candidates, each of which is read of the
    disk, are then made as few as will do. Queries lie between places of the
    gallery, and close to them, where neighbours are crowded; the worse counts.
    """
    places = index.places(rows, view)
    others = places[np.random.default_rng(1).permutation(len(places))]
    queries = torch.from_numpy(np.concatenate([places + others * share for share in _OFF]))
    truth = index.search(queries, _K, view, exact=True).row
    lists = min(int(_inner(engine).nlist), _MOST_PROBES)

    def measured(probes: int, candidates: int) -> tuple[float, About]:
        tried = replace(about, probes=probes, candidates=candidates, asked=len(queries))
        found = Approximate(engine, tried, view).nearest(queries, _K, index).row
        each = (found[:, :, None] == truth[:, None]).any(1).float().mean(1)
        sure = float(each.mean() - _ERRORS * each.std() / len(each) ** 0.5)
        return sure, replace(tried, recall=round(float(each.mean()), 4))

    sure, best = measured(1, _CANDIDATES)
    while sure < WANTED:
        wider, deeper = (min(2 * best.probes, lists), best.candidates), (best.probes, 2 * best.candidates)
        allowed = [wider] * (best.probes < lists) + [deeper] * (deeper[1] <= _MOST_CANDIDATES)
        if not allowed:
            break
        sure, best = max((measured(*each) for each in allowed), key=lambda tried: tried[0])
    for share in _FEWER if sure >= WANTED else ():
        fewer, tried = measured(best.probes, int(share * best.candidates))
        if fewer >= WANTED:
            return tried
    return best


def _spread(chosen: np.ndarray, counts: list[int], starts: list[int]) -> np.ndarray:
    """Rows of the index, of numbers among those that have a view."""
    ends = np.cumsum([0, *counts])
    which = np.searchsorted(ends, chosen, side="right") - 1
    return chosen - ends[which] + np.array(starts)[which]


def _inner(engine: Any) -> Any:
    return _faiss().extract_index_ivf(engine)


def _faiss() -> Any:
    try:
        import faiss
    except ModuleNotFoundError:
        raise ModuleNotFoundError("FAISS is not installed: pip install 'polypose[search]'") from None
    return faiss
