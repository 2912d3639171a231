"""A view's film for a page: its own bytes where a browser plays them, else made smaller, else a reference."""

from __future__ import annotations

import base64
import io
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import numpy as np

if TYPE_CHECKING:
    from polypose.capture.motion import View

MOST_BYTES = 24 << 20
"""Of all films in a page."""
MOST_SECONDS = 120.0
"""Of a film that is made smaller; a longer one is referred to."""
_EDGE = 960
_FASTEST = 30.0
_LEAST_BITS = 150_000
_PLAYED = {
    "h264": (".mp4", ".m4v", ".mov"),
    "vp8": (".webm",),
    "vp9": (".webm", ".mp4"),
    "av1": (".webm", ".mp4"),
}
_TYPES = {".webm": "video/webm"}
_MOMENT = 0.5
_MILLISECOND = Fraction(1, 1000)


@dataclass(frozen=True)
class Footage:
    """How a page shows a film.

    Attributes:
        kind: "inside" (`content`), "link" (`source`, relative to the page) or "none" (`why`).
        starts: seconds of the motion's clock at which it begins.
        still: whether it is a picture.
        size: (width, height) of its frames as they were seen, upright, where that is known.
    """

    kind: str
    starts: float = 0.0
    still: bool = False
    type: str = ""
    content: bytes = b""
    source: str = ""
    name: str = ""
    why: str = ""
    size: tuple[int, int] | None = None

    def described(self) -> dict[str, Any]:
        """For the page's JSON."""
        names = ("kind", "starts", "still", "type", "source", "name", "why", "size")
        return {name: getattr(self, name) for name in names}

    def text(self) -> str:
        """The content as base64."""
        return base64.b64encode(self.content).decode()


def footage_of(view: View, page: Path, budget: int) -> Footage:
    """The film of a view for a page.

    Args:
        page: the file that will be written, which a film is referred to from.
        budget: bytes it may take inside.
    """
    path = view.path
    if path is None or not path.exists():
        where = f"{path}: is not there" if path else f"{view.name}: has no film"
        return Footage("none", why=f"{where}; 2D is drawn without it")
    try:
        film = _film(path, view.rate)
        if film is None:
            return _referred(view, page)
        made = _as_it_is(path, view.begins, budget) or _smaller(film, view, budget) or _referred(view, page)
        return replace(made, size=film.size)
    except (OSError, ValueError) as error:
        told = error if type(error) in (ValueError, FileNotFoundError) else f"{path.name}: cannot be read"
        return Footage("none", why=f"{told}; 2D is drawn without the film")


def _film(path: Path, rate: float) -> Any:
    """The film; None where nothing decodes films."""
    try:
        import av  # noqa: F401
    except ImportError:
        return None
    from polypose.capture.films import open_films

    (film,) = open_films(path, rate or None)
    return film


def _as_it_is(path: Path, offset: float, budget: int) -> Footage | None:
    """The file itself, where it is small and a browser plays it."""
    if not path.is_file() or path.stat().st_size > budget:
        return None
    suffix = path.suffix.lower()
    if suffix in (".jpg", ".jpeg", ".png", ".webp"):
        kind = f"image/{suffix[1:].replace('jpg', 'jpeg')}"
        return Footage("inside", still=True, type=kind, content=path.read_bytes(), name=path.name)
    if not _plays(path):
        return None
    kind = _TYPES.get(suffix, "video/mp4")
    return Footage("inside", starts=offset, type=kind, content=path.read_bytes(), name=path.name)


def _plays(path: Path) -> bool:
    import av

    try:
        with av.open(str(path)) as container:
            (stream, *_) = container.streams.video
            context = stream.codec_context
            usual = context.pix_fmt in ("yuv420p", "yuvj420p")
            return usual and path.suffix.lower() in _PLAYED.get(context.name, ())
    except (av.error.FFmpegError, ValueError):
        return False


def _smaller(film: Any, view: View, budget: int) -> Footage | None:
    """The part of the film that the motion covers, made smaller; None where it would still be too large."""
    seconds = float(view.times[-1] - view.times[0]) + 1 / _FASTEST
    bits = int(8 * budget / seconds)
    if len(view.times) == 1:
        picture = next(iter(_pictures(film, view)), None)
        return None if picture is None else _photo(picture[1], film.path.name)
    if bits < _LEAST_BITS or seconds > MOST_SECONDS:
        return None
    content, kind = _encoded(_pictures(film, view), min(bits, 4_000_000))
    name = film.path.name
    return Footage("inside", float(view.times[0]), type=kind, content=content, name=name) if content else None


def _pictures(film: Any, view: View) -> Iterator[tuple[float, np.ndarray]]:
    """Seconds of the motion's clock and pictures, of the span of a view's times."""
    from polypose.capture.films import Span

    first, last, offset = float(view.times[0]), float(view.times[-1]), view.begins
    margin = _MOMENT / _FASTEST
    before = -np.inf
    for frame in film.frames(Span(max(0.0, first - offset - margin), max(0.0, last - offset) + margin)):
        time = frame.time + offset
        if time - before >= 0.9 / _FASTEST:
            before = time
            yield time, _fitted(frame.image())


def _fitted(image: np.ndarray) -> np.ndarray:
    """At most `_EDGE` pixels long, both edges even."""
    from PIL import Image

    height, width = image.shape[:2]
    share = min(1.0, _EDGE / max(height, width))
    size = tuple(max(2, 2 * round(edge * share / 2)) for edge in (width, height))
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BILINEAR))


def _photo(image: np.ndarray, name: str) -> Footage:
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=88)
    return Footage("inside", still=True, type="image/jpeg", content=file.getvalue(), name=name)


def _encoded(pictures: Iterator[tuple[float, np.ndarray]], bits: int) -> tuple[bytes, str]:
    """A film's bytes and type; H.264 where PyAV has it, else VP8. Its time begins at the first picture."""
    import av
    from av.video.frame import PictureType

    codec = "libx264" if "libx264" in av.codecs_available else "libvpx"
    form, kind = ("mp4", "video/mp4") if codec == "libx264" else ("webm", "video/webm")
    fast = (
        {"preset": "veryfast", "crf": "25"}
        if codec == "libx264"
        else {"deadline": "realtime", "cpu-used": "8"}
    )
    limits = {"maxrate": str(bits), "bufsize": str(2 * bits)}
    file, begun = io.BytesIO(), 0.0
    stream: Any = None
    with av.open(file, "w", format=form) as out:
        for time, image in pictures:
            if stream is None:
                begun = time
                stream = out.add_stream(codec, rate=round(_FASTEST), options=fast | limits)
                stream.height, stream.width = image.shape[:2]
                stream.pix_fmt, stream.gop_size, stream.bit_rate = "yuv420p", 15, bits
                stream.codec_context.time_base = _MILLISECOND
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = round(1000 * (time - begun)), _MILLISECOND
            frame.pict_type = PictureType.NONE
            out.mux(stream.encode(frame))
        if stream is not None:
            out.mux(stream.encode(None))
    return (file.getvalue() if stream is not None else b""), kind


def _referred(view: View, page: Path) -> Footage:
    """A relative reference, which holds as long as both lie where they lie."""
    path = view.path
    assert path is not None
    if path.is_dir():
        return Footage(
            "none", why=f"{path.name}: is too long to be put into this page; 2D is drawn without it"
        )
    try:
        where = os.path.relpath(path.resolve(), page.resolve().parent)
    except ValueError:  # another drive
        return Footage("none", why=f"{path.name}: lies on another drive; 2D is drawn without it")
    return Footage("link", starts=view.begins, source=quote(Path(where).as_posix()), name=path.name)
