"""What people are filmed with: a film, a photo, a folder of photos, an RGB-D recording; as frames with times.

Nothing is held but the frame at hand. A folder of photos is so many scenes, or one film where a rate is
given. Photos are turned as their EXIF says; people are looked for in the colour images of a recording with
depth, whose camera is known.
"""

from __future__ import annotations

import queue
import re
import threading
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from posedata.geometry.camera import Camera
from posedata.readers.listing import is_junk

from polypose.capture.decoding import Frame, VideoFile
from polypose.capture.depth import Images

PICTURES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")
FILMS = (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mts", ".ts", ".mpg", ".wmv", ".3gp")
LARGEST = 100_000_000
"""Pixels of a photo."""
_ORIENTATION, _EXIF, _FOCAL_35 = 0x0112, 0x8769, 0xA405
_QUARTER_TURNS = (5, 6, 7, 8)
_AHEAD = 4

Tell = Callable[[str], None]


class Span(NamedTuple):
    """Which frames of a film: those from `start` to `end` seconds, of these every n-th."""

    start: float = 0.0
    end: float = float("inf")
    every: int = 1

    def checked(self) -> Span:
        """Raises ValueError where that is no span."""
        if not 0 <= self.start < float("inf") or not self.end >= self.start:
            raise ValueError(
                f"--start {self.start:g} --end {self.end:g}: give seconds, the end after the start"
            )
        if self.every < 1 or self.every % 1:
            raise ValueError(f"--every {self.every}: give a whole number, 1 or more")
        return self


WHOLE = Span()


@dataclass(frozen=True)
class Film:
    """Something to find people in.

    Attributes:
        name: of the files written for it.
        size: (width, height) pixels of its frames, upright.
        rate: frames a second, about; 0 of a photo.
        count: frames, about; None where unknown.
        read: frames from this second on, and whom to tell what was wrong with them.
        exif_focal: EXIF's focal length in 35 mm terms, millimetres.
        camera: where the recording knows it.
        notes: what the user must know.
        clock: seconds of every frame.
        depth: of an RGB-D recording, its depth images by time.
    """

    name: str
    path: Path
    size: tuple[int, int]
    rate: float
    count: int | None
    read: Callable[[float, Tell], Iterator[Frame]]
    exif_focal: float | None = None
    camera: Camera | None = None
    notes: tuple[str, ...] = ()
    clock: Callable[[], np.ndarray] = field(default=lambda: np.zeros(1))
    depth: Images | None = None

    def frames(
        self, span: Span, after: float | None = None, tell: Tell = lambda text: None
    ) -> Iterator[Frame]:
        """The frames of a span, those later than `after` where it says what was the last one."""
        skip = 0 if after is None else span.every - 1
        for frame in self.read(span.start if after is None else after, tell):
            if after is not None and frame.time <= after:
                continue
            if frame.time > span.end:
                return
            if skip:
                skip -= 1
                continue
            skip = span.every - 1
            yield frame

    def expected(self, span: Span) -> int | None:
        """About how many frames a span has."""
        if self.count is None or not self.rate:
            return self.count
        length = min(span.end, self.count / self.rate) - span.start
        return max(1, round(length * self.rate / span.every))


def open_films(path: Path, rate: float | None = None) -> list[Film]:
    """The films of a path: one, or of a folder one a photo or film in it.

    Args:
        rate: of a folder of photos that are the frames of one film, frames a second.

    Raises:
        FileNotFoundError, ValueError: there is nothing, or nothing of the kind.
    """
    if rate is not None and not 0 < rate < 1e5:
        raise ValueError(f"--rate {rate:g}: give frames a second")
    if not path.exists():
        raise FileNotFoundError(
            f"{path}: no such file; give a film, a photo, a folder of photos or an RGB-D folder"
        )
    if path.is_file():
        if path.suffix.lower() == ".pcd":
            return [recording(path)]
        return [photo(path) if path.suffix.lower() in PICTURES else film(path)]
    if (path / "depth").is_dir():
        return [recording(path)]
    files = sorted((p for p in path.iterdir() if p.is_file() and not is_junk(p.name)), key=_in_order)
    photos = [file for file in files if file.suffix.lower() in PICTURES]
    if not photos:
        raise ValueError(f"{path}: holds no photo ({' '.join(PICTURES)}) and no depth/; name the films in it")
    if other := next((p for p in files if p.suffix.lower() in FILMS), None):
        raise ValueError(f"{other}: a film among photos; name the films and the photos, or take it out")
    return [sequence(path, photos, rate)] if rate is not None else [photo(file) for file in photos]


def film(path: Path) -> Film:
    """A film by PyAV."""
    file = VideoFile.probe(path)
    notes = tuple(f"{path.name}: {note}" for note in file.notes)
    return Film(path.stem, path, file.size, file.rate, file.count, file.frames, notes=notes, clock=file.times)


def photo(path: Path) -> Film:
    """One photo, a film of one frame."""
    size, focal = _look(path)
    return Film(path.stem, path, size, 0.0, 1, partial(_photos, [path], size, 1.0), focal)


def sequence(folder: Path, files: list[Path], rate: float) -> Film:
    """Photos as the frames of a film."""
    size, focal = _look(files[0])
    read = partial(_photos, files, size, rate)
    clock = partial(lambda: np.arange(len(files)) / rate)
    return Film(folder.resolve().name, folder, size, rate, len(files), read, focal, clock=clock)


def recording(path: Path) -> Film:
    """The colour images of an RGB-D recording, its camera, and its depth.

    Raises:
        ValueError: it has no colour, or what `posedata.readers.files.recording` finds.
    """
    from posedata.readers.files.recording import open_rgbd

    frames = open_rgbd(path)
    if not len(frames) or not frames.has_colour:
        raise ValueError(f"{path}: not every frame has a colour image; give rgb/ beside depth/")
    times = np.array(frames.times()) - frames.times()[0]

    def read(start: float, tell: Tell) -> Iterator[Frame]:
        for index in np.flatnonzero(times >= start).tolist():
            yield Frame(float(times[index]), partial(lambda i: np.asarray(frames[i].rgb), index))

    def depth(time: float) -> np.ndarray:
        return np.asarray(frames.depth(int(np.abs(times - time).argmin())))

    name = path.stem if path.is_file() else path.resolve().name
    notes, camera = tuple(frames.notes), frames.camera(0)
    size, rate, count = frames.size, frames.fps, len(frames)
    return Film(name, path, size, rate, count, read, None, camera, notes, lambda: times, depth)


def ahead(frames: Iterable[Frame], depth: int = _AHEAD) -> Generator[tuple[float, np.ndarray], None, None]:
    """Times and pictures, made by another thread, so many ahead of who asks for them."""
    made: queue.Queue[Any] = queue.Queue(depth)
    stop = threading.Event()

    def put(item: Any) -> bool:
        while not stop.is_set():
            try:
                made.put(item, timeout=0.1)
                return True
            except queue.Full:
                continue
        return False

    def make() -> None:
        try:
            for frame in frames:
                if not put((frame.time, frame.image())):
                    return
            put(None)
        except BaseException as error:  # raised again where the frames are used
            put(error)

    worker = threading.Thread(target=make, daemon=True)
    worker.start()
    try:
        while (item := made.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        stop.set()
        worker.join()


def _look(path: Path) -> tuple[tuple[int, int], float | None]:
    """A photo's upright size and EXIF's focal length in 35 mm terms."""
    with _opened(path) as image, _whole(path):
        width, height = image.size
        exif = image.getexif()
        turned = exif.get(_ORIENTATION) in _QUARTER_TURNS
        focal = exif.get_ifd(_EXIF).get(_FOCAL_35)
    told = isinstance(focal, (int, float)) and 1 <= focal <= 2000
    return ((height, width) if turned else (width, height)), float(focal) if told else None


def _photos(
    files: list[Path], size: tuple[int, int], rate: float, start: float, tell: Tell
) -> Iterator[Frame]:
    for number, path in enumerate(files):
        if number / rate < start:
            continue
        if (here := _look(path)[0]) != size:
            was, now = ("x".join(map(str, each)) for each in (size, here))
            tell(f"{path.name}: the size changes from {was} to {now}; the rest is left out")
            return
        yield Frame(number / rate, partial(_load, path))


def _load(path: Path) -> np.ndarray:
    from PIL import ImageOps

    with _opened(path) as image, _whole(path):
        return np.array(ImageOps.exif_transpose(image).convert("RGB"))


@contextmanager
def _whole(path: Path) -> Iterator[None]:
    """What Pillow says of a damaged picture, in our words."""
    try:
        yield
    except (OSError, ValueError, SyntaxError, EOFError):
        raise ValueError(f"{path}: is not a whole picture; copy it again") from None


def _opened(path: Path) -> Any:
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(path)
    except (OSError, Image.DecompressionBombError, ValueError, SyntaxError, EOFError) as error:
        if isinstance(error, OSError) and error.errno is not None:  # the system's, not Pillow's
            raise
        raise ValueError(f"{path}: is no picture; copy it again, or convert it to .jpg") from None
    if image.width * image.height > LARGEST:
        image.close()
        raise ValueError(
            f"{path}: is {image.width}x{image.height}; make it smaller, {LARGEST // 10**6} megapixels at most"
        )
    return image


def _in_order(path: Path) -> tuple[list[tuple[float, str]], str]:
    """By the numbers in names: 2 before 10."""
    words = enumerate(re.split(r"([0-9]+)", path.stem))
    return [(float(word), "") if i % 2 else (-1.0, word) for i, word in words], path.name
