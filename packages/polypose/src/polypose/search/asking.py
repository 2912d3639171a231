"""What one asks with: a picture, a film at a time, a pose, keypoints, or what is in the index itself."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from posedata.keypoint_files import read_array
from posedata.terminal import print_line

from polypose.capture.films import WHOLE, Span
from polypose.inputs import take_keypoints, take_poses, take_skeleton
from polypose.search.embedding import Embedder, View
from polypose.search.index import PoseIndex
from polypose.search.reading import DEFAULT, FILMED, Options, read
from polypose.search.recorded import boxes
from polypose.search.rows import Rows
from polypose.search.sources import Say, Source, find, is_depth

_ABOUT = 0.25
"""Seconds of a film that are looked at before and after the one that is asked for."""
_EVERY = 1000.0


@dataclass(frozen=True)
class Asked:
    """One person over a time, or at one.

    Attributes:
        places: (n, D) by view.
        time: (n,) seconds.
        told: what was taken, for the user.
    """

    places: dict[View, np.ndarray]
    time: np.ndarray
    told: str

    def __len__(self) -> int:
        return len(self.time)

    def place(self, view: View, at: int = 0) -> np.ndarray:
        """(D,) of one row. ValueError where the query has none in this view."""
        if view not in self.places or not np.isfinite(self.places[view][at]).all():
            raise ValueError(f"{self.told}: no camera is known that saw it; ask with --view invariant")
        return np.asarray(self.places[view][at])


def ask(
    path: Path,
    embedder: Embedder,
    *,
    at: float | None = None,
    until: float | None = None,
    person: str | None = None,
    options: Options = DEFAULT,
    say: Say = print_line,
) -> Asked:
    """A query from a file.

    Args:
        path: a picture, a film, depth (an RGB-D folder; one image, a .png of 16 bits or an .npy, with its
            camera beside it; a .pcd), a file of motion capture or keypoints, or an .npy: of poses
            (N, 17, 3), or of keypoints where `options.skeleton` names theirs.
        at: seconds; the first by default.
        until: seconds; all from `at` to there, which is a movement.
        person: by name, "1"; the one seen largest, or first, by default.

    Raises:
        FileNotFoundError, ValueError: there is nothing of the kind, or nobody at that time.
    """
    if at is not None and not 0 <= at < np.inf:
        raise ValueError(f"--at {at:g}: give seconds, from 0 on")
    if until is not None and not until > (at or 0.0):
        raise ValueError(f"--until {until:g}: give a time after {at or 0.0:g} s")
    span = WHOLE
    if at is not None and until is None:
        span = Span(max(0.0, at - _ABOUT), at + _ABOUT)
    elif until is not None:
        span = Span(at or 0.0, until)
    with tempfile.TemporaryDirectory(prefix="polypose-") as work:
        people = list(_people(path, span, Path(work), options, say))
    chosen = _chosen(people, person, path)
    return asked(chosen, embedder, at, until, path.name)


def asked(rows: Rows, embedder: Embedder, at: float | None, until: float | None, name: str) -> Asked:
    """The row nearest a time, or all of a time, of one person's.

    Raises:
        ValueError: nobody is there.
    """
    places = embedder.embed(rows)
    known = np.isfinite(places["invariant"]).all(1)
    if until is not None:
        known &= (rows.time >= (at or 0.0)) & (rows.time <= until)
    chosen = np.flatnonzero(known)
    if not len(chosen):
        when = "" if at is None else f" at {at:g} s" if until is None else f" from {at or 0:g} to {until:g} s"
        raise ValueError(f"{name}: nobody is seen well enough{when}; hips and shoulders must be seen")
    if until is None:
        away = np.abs(rows.time[chosen] - (rows.time[chosen[0]] if at is None else at))
        chosen = chosen[[int(away.argmin())]]
    who = f", person {rows.person}" if rows.person else ""
    told = f"{name}{who}" + (f", {rows.time[chosen[0]]:.2f} s" if len(rows) > 1 else "")
    told += f" to {rows.time[chosen[-1]]:.2f} s" if len(chosen) > 1 else ""
    return Asked({view: values[chosen] for view, values in places.items()}, rows.time[chosen], told)


def ask_index(index: PoseIndex, row: int, around: float = 0.0) -> Asked:
    """A row of the index, "more like this"; or the time around it, of the same person.

    Args:
        around: seconds before and after.

    Raises:
        ValueError: there is no such row, or no such time around it.
    """
    if not around >= 0:
        raise ValueError(f"--until {around:g}: with --like give seconds around the row, 0 or more")
    segment, here = index.locate(row)
    first = index.start(segment)
    rows = np.array([here])
    time = segment.numbers("time")
    if around:
        track = int(np.searchsorted(segment.tracks, here, side="right")) - 1
        rows = np.arange(segment.tracks[track], segment.tracks[track + 1])
        rows = rows[np.abs(time[rows] - time[here]) <= around + 1e-6]
    places = {view: np.array(values[rows]) for view, values in segment.places.items()}
    if "camera" in places:
        places["camera"][~places["camera"].any(1)] = np.nan
    place = index.describe([first + here])[0]
    return Asked(places, time[rows], f"{place.recording}, {place.time:.2f} s")


def _people(path: Path, span: Span, work: Path, options: Options, say: Say) -> Iterator[Rows]:
    if path.suffix.lower() == ".npy" and not is_depth(path):
        yield _array(path, options, say)
        return
    if is_depth(path):
        sources = [Source(path.resolve(), path.name, "rgbd")]
    else:
        sources = find(path, options.form, options.photos, say)
    if len(sources) > 1:
        raise ValueError(
            f"{path}: holds {len(sources)} things; ask with one of them, {sources[0].name} for one"
        )
    (source,) = sources
    if source.kind in FILMED and span is not WHOLE and span.end - span.start <= 2 * _ABOUT:
        options = replace(options, rate=_EVERY)
    yield from read(source, options, work, span=span, say=say, tell=lambda text: say(f"note: {text}"))


def _array(path: Path, options: Options, say: Say) -> Rows:
    """Of an .npy."""
    values = read_array(path, "poses or keypoints")
    if values.ndim not in (2, 3):
        raise ValueError(
            f"{path}: shape is {values.shape}; give poses (N, 17, 3), or keypoints (N, J, 2 or 3)"
        )
    values = values[None] if values.ndim == 2 else values
    time = np.arange(len(values)) / options.rate
    if options.skeleton is None and values.shape[1:] == (17, 3):
        joints = take_poses(values, say=say, anywhere=True)
        return Rows(time, np.arange(len(values)), joints=joints, local=_local(joints))
    kind = take_skeleton(values, options.skeleton, str(path))
    points = take_keypoints(values, kind.name, size=options.size, say=say, where=str(path), to=kind)
    seen_by = None
    if options.size is not None:
        from polypose.cameras import take_camera

        seen_by = take_camera(None, options.size)
    frame = np.arange(len(values))
    return Rows(time, frame, box=boxes(points), points=points, skeleton=kind, seen_by=seen_by)


def _local(joints: torch.Tensor) -> torch.Tensor:
    """Poses of an array are taken for what a camera sees: x right, y down, z away."""
    return joints - joints[:, :1]


def _chosen(people: list[Rows], person: str | None, path: Path) -> Rows:
    if not people:
        raise ValueError(f"{path}: nobody was found in it; give a picture of whole people")
    if person is not None:
        named = [rows for rows in people if rows.person == person]
        if not named:
            known = ", ".join(dict.fromkeys(rows.person or "(no name)" for rows in people))
            raise ValueError(f"{path}: has no person {person!r}; it has {known[:200]}")
        return named[0]
    return max(people, key=_size)


def _size(rows: Rows) -> float:
    """Pixels of the box, where there is one: the larger, the likelier to be who is meant."""
    if rows.box is None:
        return 0.0
    area = rows.box[:, 2] * rows.box[:, 3]
    return float(np.nanmean(area)) if np.isfinite(area).any() else 0.0
