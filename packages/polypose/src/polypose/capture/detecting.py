"""A film to people's keypoints over time, in constant memory; what was seen is on the disk as it is found.

A folder holds `plan.json`, which says of what the keypoints are, parts of some hundred frames each, and
`done.json` in the end. A run that was stopped goes on after the last part; the detector's memory is in it, so
that the outcome is that of a run that was not.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
from posedata.errors import DAMAGED
from posedata.terminal import print_line
from posedata.writing import write_npz, write_text

from polypose.capture.depth import Images
from polypose.capture.detectors.detector import Detector, box_around
from polypose.capture.detectors.files import read_found
from polypose.capture.films import WHOLE, Film, Span, ahead
from polypose.capture.looks import PATCHES, colours
from polypose.capture.tracks import Moment, Track, link, still, tracked

PART = 256
"""Frames of a part."""
_SECONDS = 20.0
"""After which a part is written however short it is."""
_VERSION = 2

Progress = Callable[[float], None]
"""Called with the time of each frame that was seen, seconds of the film."""


@dataclass(frozen=True, eq=False)
class Seen:
    """What was seen in one film.

    Attributes:
        name: of the film, and of its camera.
        path: of the film, if any.
        size: (width, height) in pixels.
        times: (F,) seconds of its frames, ascending.
        skeleton: of the keypoints, by name.
        tracks: everybody, by id.
        exif_focal: focal length in 35 mm terms, millimetres, where a photo tells it.
        notes: what the user must know.
        rate: frames a second of a folder of photos that is a film; else 0.
        depth: of an RGB-D recording, its depth images by time.
    """

    name: str
    path: Path | None
    size: tuple[int, int]
    times: np.ndarray
    skeleton: str
    tracks: tuple[Track, ...]
    exif_focal: float | None = None
    notes: tuple[str, ...] = ()
    rate: float = 0.0
    depth: Images | None = None


def detect_film(
    film: Film,
    make: Callable[[], Detector],
    identity: str,
    work: Path,
    span: Span = WHOLE,
    progress: Progress = lambda time: None,
) -> Seen:
    """Everybody in a film.

    Args:
        make: makes the detector, where there is something left to do.
        identity: what the detector is; what another found is not gone on with.
        work: a folder of its own, in which the parts are kept.

    Raises:
        ValueError, OSError: the film or the detector fails; there is no room.
    """
    parts = _Parts(work, _plan(film, identity, span))
    if not parts.done:
        detector = make()
        told = list(film.notes)
        _run(film, detector, parts, span, told.append, progress)
        parts.finish(detector.skeleton, told)
    times = parts.times()
    if not len(times):
        shutil.rmtree(work)
        raise _no_frame(film, span)
    return seen_of(film, times, parts.skeleton, link(parts.frames(), parts.skeleton), parts.notes)


def read_film(film: Film, path: Path, span: Span = WHOLE, say: Callable[[str], None] = print_line) -> Seen:
    """Everybody in a film, as another program found them (`detectors.files`).

    Raises:
        ValueError, OSError: there are no keypoints of this film.
    """
    clock = film.clock()
    found = read_found(path, len(clock), film.size, say)
    inside = np.flatnonzero((clock >= span.start) & (clock <= span.end))[:: span.every]
    if not len(inside):
        raise _no_frame(film, span)
    boxes = box_around(found.keypoints)
    if found.person is None:
        rows = [np.flatnonzero(found.frame == frame) for frame in inside]
        nothing = [np.full((len(mine), PATCHES, 3), np.nan) for mine in rows]
        moments = (
            Moment(float(clock[frame]), found.keypoints[mine], boxes[mine], dress)
            for frame, mine, dress in zip(inside, rows, nothing, strict=True)
        )
        tracks = link(moments, found.skeleton)
    else:
        place = {int(frame): number for number, frame in enumerate(inside)}
        kept = [row for row in range(len(boxes)) if int(found.frame[row]) in place]
        tracks = tracked(
            (place[int(found.frame[row])], found.person[row].item(), found.keypoints[row], boxes[row])
            for row in kept
        )
    return seen_of(film, clock[inside], found.skeleton, tracks, film.notes)


def _no_frame(film: Film, span: Span) -> ValueError:
    until = f" to {span.end:g}" if np.isfinite(span.end) else ""
    return ValueError(f"{film.path}: no frame from {span.start:g}{until} s on; give another --start or --end")


def seen_of(
    film: Film, times: np.ndarray, skeleton: str, tracks: tuple[Track, ...], notes: tuple[str, ...]
) -> Seen:
    """The outcome, with what there is to tell of its people."""
    more = [
        f"{film.name}: person {number} never moves; a picture or a statue?" for number in still(times, tracks)
    ]
    if not tracks:
        more.append(f"{film.name}: nobody was found")
    return Seen(
        film.name,
        film.path,
        film.size,
        times,
        skeleton,
        tracks,
        film.exif_focal,
        (*notes, *more),
        film.rate if film.path.is_dir() else 0.0,
        film.depth,
    )


def _run(
    film: Film, detector: Detector, parts: _Parts, span: Span, tell: Callable[[str], None], progress: Progress
) -> None:
    after = None
    if (memory := parts.memory()) is not None:
        detector.memory, after = memory, float(parts.times()[-1])
    part, begun = _Part(), monotonic()
    with closing(ahead(film.frames(span, after, tell))) as frames:
        for time, image in frames:
            found = detector.detect(image)
            part.add(time, found.keypoints, found.boxes, colours(image, found.keypoints, detector.skeleton))
            progress(time)
            if len(part.times) >= PART or monotonic() - begun > _SECONDS:
                parts.add(part, detector.memory)
                part, begun = _Part(), monotonic()
    if part.times:
        parts.add(part, detector.memory)


class _Part:
    """Frames that are not on the disk yet."""

    def __init__(self) -> None:
        self.times: list[float] = []
        self.rows: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []

    def add(self, time: float, *row: np.ndarray) -> None:
        self.times.append(time)
        self.rows.append(row)  # type: ignore[arg-type]


class _Parts:
    """The folder of what was seen."""

    def __init__(self, folder: Path, plan: dict[str, Any]) -> None:
        self._folder = folder
        if _json(folder / "plan.json") != plan:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            write_text(folder / "plan.json", json.dumps(plan, indent=1))
        self._count = 0
        while self._path(self._count).is_file():
            if _npz(self._path(self._count)) is None:  # the disk was full, or the machine went down
                break
            self._count += 1

    @property
    def done(self) -> bool:
        told = _json(self._folder / "done.json")
        return told is not None and told["parts"] == self._count

    @property
    def skeleton(self) -> str:
        return str((_json(self._folder / "done.json") or {})["skeleton"])

    @property
    def notes(self) -> tuple[str, ...]:
        return tuple((_json(self._folder / "done.json") or {})["notes"])

    def add(self, part: _Part, memory: np.ndarray) -> None:
        keypoints, boxes, dress = (np.concatenate(values) for values in zip(*part.rows, strict=True))
        write_npz(
            self._path(self._count),
            times=np.array(part.times),
            people=np.array([len(row[0]) for row in part.rows]),
            keypoints=keypoints.astype(np.float32),
            boxes=boxes.astype(np.float32),
            colours=dress.astype(np.float32),
            memory=memory,
        )
        self._count += 1

    def finish(self, skeleton: str, notes: list[str]) -> None:
        done = {"parts": self._count, "skeleton": skeleton, "notes": notes}
        write_text(self._folder / "done.json", json.dumps(done, indent=1))

    def memory(self) -> np.ndarray | None:
        """The detector's after the last part."""
        if not self._count:
            return None
        with np.load(self._path(self._count - 1)) as part:
            return np.array(part["memory"])

    def times(self) -> np.ndarray:
        every = [np.zeros(0)]
        for number in range(self._count):
            with np.load(self._path(number)) as part:
                every.append(part["times"])
        return np.concatenate(every)

    def frames(self) -> Iterator[Moment]:
        for number in range(self._count):
            part = _npz(self._path(number))
            assert part is not None
            ends = np.cumsum(part["people"])
            for time, count, end in zip(part["times"], part["people"], ends, strict=True):
                mine = slice(end - count, end)
                yield Moment(float(time), part["keypoints"][mine], part["boxes"][mine], part["colours"][mine])

    def _path(self, number: int) -> Path:
        return self._folder / f"part{number:05}.npz"


def _plan(film: Film, identity: str, span: Span) -> dict[str, Any]:
    """All that decides what is seen, as JSON gives it back."""
    path = film.path.resolve()
    about = path.stat()
    plan = {
        "version": _VERSION,
        "film": [str(path), about.st_size, about.st_mtime_ns, list(film.size), film.rate],
        "detector": identity,
        "span": [repr(float(span.start)), repr(float(span.end)), span.every],
        "colours": PATCHES,
    }
    return dict(json.loads(json.dumps(plan)))


def _json(path: Path) -> dict[str, Any] | None:
    try:
        told = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return told if isinstance(told, dict) else None


def _npz(path: Path) -> dict[str, np.ndarray] | None:
    try:
        with path.open("rb") as stream, np.load(stream) as file:
            return {name: file[name] for name in file.files}
    except DAMAGED:
        return None
