"""A source of any kind, read person by person."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from polypose.capture.films import WHOLE, Span
from polypose.capture.progress import Watch
from polypose.search.filmed import Eye, read_films
from polypose.search.measured import has_colour, read_depth
from polypose.search.recorded import RATE, read_capture, read_format, read_keypoints, read_store
from polypose.search.rows import Rows
from polypose.search.sources import Say, Source

FILMED = ("film", "photo", "sequence", "rgbd")
"""Kinds of sources that are looked at."""


@dataclass(frozen=True)
class Options:
    """How sources are read.

    Attributes:
        rate: rows a second of everybody, at most.
        cameras: virtual ones that see motion capture; by none of them has it a place by camera.
        form: a format of `posedata prepare`, by which each path is read.
        photos: a folder of photos is a film of so many a second.
        size, skeleton: of keypoints in files.
        detector, network: that see people in films.
    """

    rate: float = RATE
    cameras: int = 0
    form: str | None = None
    photos: float | None = None
    size: tuple[int, int] | None = None
    skeleton: str | None = None
    detector: str = "blazepose"
    network: str = "full"

    def __post_init__(self) -> None:
        if not 0 < self.rate < 1e4:
            raise ValueError(f"--rate {self.rate:g}: give rows a second, above 0")
        if not 0 <= self.cameras <= 64:
            raise ValueError(f"--cameras {self.cameras}: give 0 to 64")


DEFAULT = Options()


def read(
    source: Source,
    options: Options,
    work: Path,
    *,
    span: Span = WHOLE,
    say: Say,
    tell: Callable[[str], None],
    watch: Watch = lambda name, done, total: None,
) -> Iterator[Rows]:
    """Everybody in a source, one after the other.

    Args:
        work: of films, where what was seen is kept until all of it was.
        span: of films, what is looked at.
        say: told what readers say.
        tell: told what the user must know of a film.

    Raises:
        ValueError, OSError: it cannot be read, or a detector is needed and is not here.
    """
    if source.kind == "rgbd" and not has_colour(source.path):
        yield from read_depth(source, options.rate, span, watch, tell)
    elif source.kind in FILMED:
        eye = Eye.of(options.detector, options.network)
        photos = options.photos if source.kind == "sequence" else None
        yield from read_films(source, eye, work, options.rate, photos, span, watch, tell)
    elif source.kind == "keypoints":
        yield from read_keypoints(source, options.size, options.skeleton, say)
    elif source.kind == "store":
        yield from read_store(source, options.rate, say)
    elif source.form is not None:
        yield from read_format(source, options.rate, say)
    else:
        yield from read_capture(source, options.rate, say)


def how_read(source: Source, options: Options) -> str:
    """What decides what a source gives, beside its content: the same text for the same."""
    chosen: dict[str, object] = {"rate": options.rate}
    if source.kind in FILMED:
        chosen |= {"photos": options.photos, "eye": (options.detector, options.network)}
    elif source.kind == "keypoints":
        chosen |= {"size": options.size, "skeleton": options.skeleton}
    else:
        chosen |= {"cameras": options.cameras}
    return json.dumps(chosen, sort_keys=True)
