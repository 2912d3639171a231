"""One source to its segment, once: by whichever process does it, however often it is begun.

    INDEX/work/ID/lock          held by who makes it; the lock dies with the process
    INDEX/work/ID/seen/         what was seen of a film so far (`polypose.capture.detecting`)
    INDEX/work/ID/segment/      the segment, whole where entry.json stands beside it
    INDEX/work/ID/entry.json    written last

Nobody reads that folder but who makes the segment, and who takes it over into the index
(`polypose.search.adding`).
"""

from __future__ import annotations

import contextlib
import json
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from posedata.lock import lock
from posedata.writing import write_text

from polypose.capture.progress import Watch
from polypose.search.embedding import Embedder
from polypose.search.manifest import SEGMENTS, WORK, Entry, entry_of
from polypose.search.reading import Options, read
from polypose.search.recorded import around
from polypose.search.segments import SegmentWriter
from polypose.search.sources import Say, Source

_LOCK, _SEGMENT, _ENTRY = "lock", "segment", "entry.json"
_WAIT = 0.2
"""Seconds between two looks at a lock that another holds."""


@dataclass(frozen=True)
class Job:
    """A source that is to be indexed.

    Attributes:
        name: its name in the index.
        digest, how, stamp: as of `manifest.Entry`.
    """

    source: Source
    name: str
    digest: str
    how: str
    stamp: tuple[int, int]

    @property
    def folder(self) -> str:
        """Of its segment, and of the work on it."""
        return self.digest[:24]


class Maker(Protocol):
    """Where segments are made.

    Attributes:
        at_once: how many may be begun before the first of them is done.
    """

    @property
    def at_once(self) -> int: ...

    def begin(
        self, index: Path, job: Job, embedder: Embedder, options: Options, say: Say, watch: Watch
    ) -> Callable[[], Entry]:
        """Begin a job; what is returned waits for its end, and raises what `make` does."""
        ...


class Here:
    """One after the other, in this process."""

    at_once = 1

    def begin(
        self, index: Path, job: Job, embedder: Embedder, options: Options, say: Say, watch: Watch
    ) -> Callable[[], Entry]:
        return partial(make, index, job, embedder, options, say, watch)


def make(index: Path, job: Job, embedder: Embedder, options: Options, say: Say, watch: Watch) -> Entry:
    """Write the segment of a source, where that was not done before.

    Raises:
        ValueError, OSError, ModuleNotFoundError: the source cannot be read, or nothing can be written.
    """
    work = index / WORK / job.folder
    work.mkdir(parents=True, exist_ok=True)
    try:
        with _alone(work):
            models = embedder.made_by()
            if (done := _done(work, job, models)) is not None:
                return done
            (work / _ENTRY).unlink(missing_ok=True)
            shutil.rmtree(work / _SEGMENT, ignore_errors=True)
            entry = _written(work, job, embedder, options, say, watch)
            write_text(work / _ENTRY, json.dumps({"models": models, "entry": asdict(entry)}))
            return entry
    except BaseException:
        with contextlib.suppress(OSError):
            (work / _LOCK).unlink()
            work.rmdir()  # unless something of a film was seen
        raise


def take_over(index: Path, entry: Entry) -> None:
    """Move a segment that was made to where the manifest will name it."""
    final = index / SEGMENTS / entry.folder
    shutil.rmtree(final, ignore_errors=True)
    (index / WORK / entry.folder / _SEGMENT).rename(final)


def forget(index: Path, entry: Entry) -> None:
    """Remove what was left of the work on a segment."""
    shutil.rmtree(index / WORK / entry.folder, ignore_errors=True)


def _written(work: Path, job: Job, embedder: Embedder, options: Options, say: Say, watch: Watch) -> Entry:
    folder = work / _SEGMENT
    folder.mkdir()
    notes: list[str] = []
    writer = SegmentWriter(folder, job.name)
    try:
        for rows in read(job.source, options, work / "seen", say=say, tell=notes.append, watch=watch):
            for part in around(rows, options.cameras):
                writer.add(part, embedder.embed(part))
    except BaseException:
        writer.abandon()
        shutil.rmtree(folder, ignore_errors=True)
        raise
    files = writer.close()
    if not writer.rows:
        notes.append("nobody was found in it")
    counts = writer.rows, writer.recordings, writer.seconds
    path, kind = str(job.source.path), job.source.kind
    made = job.digest, job.how, job.stamp, job.folder
    return Entry(job.name, path, kind, *made, *counts, files, tuple(notes))


def _done(work: Path, job: Job, models: dict[str, dict[str, str]]) -> Entry | None:
    """What an earlier run made, which was stopped before the index had it; None of another name or model."""
    if not (work / _SEGMENT).is_dir():
        return None
    try:
        told: Any = json.loads((work / _ENTRY).read_text(encoding="utf-8"))
        entry = entry_of(told["entry"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    same = (entry.name, entry.path, entry.digest, entry.how, entry.stamp)
    wanted = (job.name, str(job.source.path), job.digest, job.how, job.stamp)
    return entry if same == wanted and told["models"] == models else None


@contextlib.contextmanager
def _alone(work: Path) -> Iterator[None]:
    """Wait for another process that makes the same segment: one that was given up for dead, but lives."""
    with (work / _LOCK).open("w") as file:
        while True:
            try:
                lock(file)
                break
            except BlockingIOError:
                time.sleep(_WAIT)
        yield
