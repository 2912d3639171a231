"""Pictures and films that somebody hands in: looked at in a process of their own, which may die of them.

What a file is, its first bytes decide, never its name: playlists and scripts, which decoders would follow to
other files, are refused before anything opens them.
"""

from __future__ import annotations

import multiprocessing
import tempfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures import TimeoutError as Late
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Any, NamedTuple, Self

import numpy as np
import torch
from posedata.skeleton import get_skeleton

from polypose.cameras import take_camera
from polypose.search.rows import Rows

LARGEST = 64 << 20
"""Bytes of a file."""
SECONDS = 10.0
"""Of a film that are looked at."""
PATIENCE = 120.0
"""Seconds after which a file is given up."""
_PEOPLE = 12
_WIDEST = 4096 * 2304


class Person(NamedTuple):
    """Somebody who was seen, as it travels between processes.

    Attributes:
        time: (n,) seconds.
        points: (n, J, 3) pixels and confidence.
        box: (n, 4) x, y, width, height.
        skeleton: by name.
        size: width and height of the picture.
        picture: JPEG.
    """

    name: str
    time: np.ndarray
    points: np.ndarray
    box: np.ndarray
    skeleton: str
    size: tuple[int, int]
    picture: bytes

    def rows(self) -> Rows:
        """To be embedded."""
        return Rows(
            time=self.time,
            frame=np.arange(len(self.time)),
            person=self.name,
            box=self.box,
            points=torch.from_numpy(self.points),
            skeleton=get_skeleton(self.skeleton),
            seen_by=take_camera(None, self.size),
        )


def kind_of(head: bytes) -> str | None:
    """The ending of a picture or film that begins so; None of anything else."""
    if head.startswith(b"\xff\xd8\xff"):
        return ".jpg"
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return ".png"
    if head[:4] == b"RIFF" and head[8:12] in (b"WEBP", b"AVI "):
        return ".webp" if head[8:12] == b"WEBP" else ".avi"
    if head[4:8] == b"ftyp":
        return ".mp4"
    return ".mkv" if head.startswith(b"\x1a\x45\xdf\xa3") else None


def look(path: Path, detector: str, network: str) -> list[Person]:
    """Everybody in a picture, or in the first seconds of a film.

    Raises:
        ValueError, OSError: it cannot be decoded, is too large, or nobody is in it.
    """
    from polypose.capture.films import Span, open_films
    from polypose.search.filmed import Eye, read_films
    from polypose.search.sources import Source

    (film,) = open_films(path)
    if film.size[0] * film.size[1] > _WIDEST and film.rate:
        raise ValueError(f"the film is {film.size[0]}x{film.size[1]}; make it smaller")
    source = Source(path, "upload", "film" if film.rate else "photo")
    eye = Eye.of(detector, network)
    with tempfile.TemporaryDirectory(prefix="polypose-") as work:
        people = [
            Person(
                rows.person,
                rows.time,
                np.asarray(rows.points),
                np.asarray(rows.box),
                str(rows.skeleton and rows.skeleton.name),
                film.size,
                rows.pictures[0][1] if rows.pictures else b"",
            )
            for rows in read_films(source, eye, Path(work), 10.0, span=Span(0.0, SECONDS))
        ]
    if not people:
        raise ValueError("nobody was found; show people whole and in the light")
    return sorted(people, key=lambda p: -float(np.nanmean(p.box[:, 2] * p.box[:, 3])))[:_PEOPLE]


class Looker:
    """Looks at files in another process, one after the other; one that dies or hangs is replaced."""

    def __init__(
        self,
        detector: str = "blazepose",
        network: str = "full",
        look: Callable[[Path, str, str], list[Person]] = look,
        patience: float = PATIENCE,
    ) -> None:
        self._how, self._look, self._patience = (detector, network), look, patience
        self._lock = Lock()
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def look(self, path: Path) -> list[Person]:
        """As of `look`.

        Raises:
            ValueError, OSError: likewise, or the file killed who looked at it.
        """
        with self._lock:
            if self._pool is None:
                self._pool = ProcessPoolExecutor(1, multiprocessing.get_context("spawn"))
            try:
                return self._pool.submit(self._look, path, *self._how).result(self._patience)
            except (BrokenProcessPool, Late):
                self._stop()
                raise ValueError("the file cannot be looked at; convert it to .jpg or .mp4") from None

    def _stop(self) -> None:
        pool, self._pool = self._pool, None
        if pool is None:
            return
        # a pool has no way of its own to stop who hangs before Python 3.14 (kill_workers)
        running: dict[int, Any] = dict(getattr(pool, "_processes", None) or {})
        pool.shutdown(wait=False, cancel_futures=True)
        for process in running.values():
            process.kill()
