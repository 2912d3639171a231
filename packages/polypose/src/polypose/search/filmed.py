"""Films, pictures and RGB-D recordings: people as the detector sees them, with thumbnails."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from posedata.geometry.camera import Camera
from posedata.skeleton import get_skeleton

from polypose.cameras import take_camera
from polypose.capture.decoding import Frame
from polypose.capture.detecting import Seen, detect_film
from polypose.capture.detectors.detector import Detector
from polypose.capture.films import WHOLE, Film, Span, open_films
from polypose.capture.progress import Watch
from polypose.capture.tracks import Track
from polypose.search.recorded import stride
from polypose.search.rows import Picture, Rows
from polypose.search.sources import Source

_EVERY = 0.5
"""Seconds between the thumbnails of somebody."""
_TALL, _MARGIN, _QUALITY = 128, 0.15, 80
"""Pixels of a thumbnail's longer side; what is shown about the box, in its longer side."""


@dataclass(frozen=True)
class Eye:
    """What sees people: how a detector is made, and by what name it is known (`capture.detectors`)."""

    make: Callable[[], Detector]
    identity: str

    @classmethod
    def of(cls, name: str = "blazepose", network: str = "full") -> Eye:
        """One of capture's; nothing is loaded before there is a picture.

        Raises:
            ValueError: there is no such detector.
        """
        from polypose.capture.detectors import LIVE, identity, make_detector

        if name not in LIVE:
            raise ValueError(f"--detector {name}: no such detector; give {' or '.join(LIVE)}")
        return cls(lambda: make_detector(name, network), identity(name, network))


def read_films(
    source: Source,
    eye: Eye,
    work: Path,
    rate: float,
    photos: float | None = None,
    span: Span = WHOLE,
    watch: Watch = lambda name, done, total: None,
    tell: Callable[[str], None] = lambda text: None,
) -> Iterator[Rows]:
    """Everybody in a source, one after the other.

    Args:
        work: where what was seen is kept until all of it was.
        rate: frames a second that are looked at, at most.
        photos: a folder of photos is one film of so many a second.
        tell: told what the user must know of the film.

    Raises:
        ValueError, OSError: it cannot be decoded, or the detector is not here.
    """
    for film in open_films(source.path, photos):
        chosen = span._replace(every=stride(film.rate, rate)) if film.rate else span
        total = film.count / film.rate if film.count and film.rate else None

        def progress(time: float, total: float | None = total) -> None:
            watch(source.name, time, total)

        seen = detect_film(film, eye.make, eye.identity, work / film.name, chosen, progress)
        for note in seen.notes:
            tell(note)
        if seen.tracks:
            yield from _people(film, seen, chosen)


def _people(film: Film, seen: Seen, span: Span) -> Iterator[Rows]:
    pictures = thumbnails(film, seen, span)
    camera = film.camera or take_camera(None, seen.size)
    for track in seen.tracks:
        frames = slice(track.first, track.first + len(track))
        there = np.isfinite(track.boxes[:, 0])
        every = np.arange(len(seen.times))[frames][there] * span.every
        row = np.cumsum(there) - 1
        yield Rows(
            time=seen.times[frames][there],
            frame=every,
            person=str(track.id),
            camera=seen.name,
            box=track.boxes[there],
            points=torch.from_numpy(np.ascontiguousarray(track.keypoints[there], np.float32)),
            skeleton=get_skeleton(seen.skeleton),
            seen_by=_single(camera),
            pictures=[(int(row[at]), jpeg) for at, jpeg in pictures.get(track.id, [])],
        )


def _single(camera: Camera) -> Camera:
    return camera.to(dtype=torch.float32)


def thumbnails(film: Film, seen: Seen, span: Span) -> dict[int, list[Picture]]:
    """Of everybody, by the number of the frame in the track; the film is decoded once more."""
    wanted: dict[float, list[tuple[Track, int]]] = {}
    for track in seen.tracks:
        last = -np.inf
        for at in np.flatnonzero(np.isfinite(track.boxes[:, 0])).tolist():
            time = float(seen.times[track.first + at])
            if time - last >= _EVERY:
                wanted.setdefault(time, []).append((track, at))
                last = time
    out: dict[int, list[Picture]] = {}
    for frame in _at(film.frames(span), sorted(wanted)):
        image = frame.image()
        for track, at in wanted[frame.time]:
            out.setdefault(track.id, []).append((at, cropped(image, track.boxes[at])))
    return out


def _at(frames: Iterator[Frame], times: list[float]) -> Iterator[Frame]:
    left = set(times)
    for frame in frames:
        if frame.time in left:
            left.discard(frame.time)
            yield frame
        if not left:
            return


def cropped(image: np.ndarray, box: np.ndarray) -> bytes:
    """A person as JPEG.

    Args:
        image: (H, W, 3) uint8.
        box: x, y, width, height in pixels.
    """
    from PIL import Image

    x, y, width, height = (float(side) for side in box)
    margin = _MARGIN * max(width, height)
    tall, wide = image.shape[:2]
    left, right = (int(np.clip(side, 0, wide)) for side in (x - margin, x + width + margin + 1))
    top, bottom = (int(np.clip(side, 0, tall)) for side in (y - margin, y + height + margin + 1))
    part = image[top : max(bottom, top + 1), left : max(right, left + 1)]
    if not part.size:
        part = image
    picture = Image.fromarray(np.ascontiguousarray(part))
    picture.thumbnail((_TALL, _TALL))
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=_QUALITY)
    return file.getvalue()
