"""Film files by PyAV: upright frames with their presentation times, whatever the file's faults.

Time stamps rule: the rate is only ever a guess at how many frames are to come. Seconds count from the film's
own beginning. A phone's rotation and pixels that are not square are undone. Damaged packets are left out; a
file that breaks off gives what came before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

USUAL_RATE = 30.0
"""Frames a second of a film that tells none."""
_HIGHEST_RATE = 1000.0
_ATTACHED_PICTURE = 1024
_ODD = 2
"""Frames that a file may count more than it shows."""
_CUT = 0.5
"""Seconds that a film lacks of its length when it was cut."""


class Frame(NamedTuple):
    """A moment of a film: seconds from its beginning; its picture, (H, W, 3) uint8 RGB, made when asked."""

    time: float
    image: Callable[[], np.ndarray]


@dataclass(frozen=True)
class VideoFile:
    """A film's file, looked into once: its first frame was decoded.

    Attributes:
        size: (width, height) in pixels of the upright frames.
        rate: frames a second, on average as the file says.
        count: about how many frames it has; None where it does not tell.
        counted: whether the file says so itself, or it follows from its length and rate.
        notes: what the user must know of the film as a whole.
    """

    path: Path
    size: tuple[int, int]
    rate: float
    count: int | None
    counted: bool
    notes: tuple[str, ...]

    @classmethod
    def probe(cls, path: Path) -> VideoFile:
        """Look into a file.

        Raises:
            ValueError: it holds no film, or none that can be decoded.
        """
        av = _av(path)
        try:
            with av.open(str(path)) as container:
                stream = _stream(container, path)
                rate = float(stream.average_rate or stream.guessed_rate or 0)
                duration = stream.duration and float(stream.duration * stream.time_base)
                if not duration and container.duration:
                    duration = _lasting(container)
                first = next(_decoded(stream, container, Faults()), None)
                if first is None:
                    raise ValueError(f"{path}: no frame of it can be decoded; copy or record it again")
                size, notes = _upright_size(first, stream), _oddities(first)
        except av.error.FFmpegError:
            raise ValueError(
                f"{path}: is no film, or not a whole one; copy it again or convert it to .mp4"
            ) from None
        rate = rate if 0 < rate <= _HIGHEST_RATE else USUAL_RATE
        count = stream.frames or (round(duration * rate) if duration else 0)
        return cls(path, size, rate, count or None, bool(stream.frames), notes)

    def frames(self, start: float = 0.0, tell: Callable[[str], None] = lambda text: None) -> Iterator[Frame]:
        """Frames in the order of their times, from the first at or after `start` on.

        Args:
            start: seconds.
            tell: told what was left out, when the film has ended.
        """
        faults, last, number = Faults(), -np.inf, 0
        for number, (time, frame, stream) in enumerate(self._from(start, faults), 1):  # noqa: B007
            if (here := _upright_size(frame, stream)) != self.size:
                was, now = ("x".join(map(str, size)) for size in (self.size, here))
                at = f"after {max(last, 0.0):.2f} s; the rest is left out"
                tell(f"{self.path.name}: the size changes from {was} to {now} {at}")
                break
            if time <= last:
                faults.disordered += 1
            elif time >= start:
                last = time
                yield Frame(time, _picture(frame, self.size))
        else:
            faults.short = 0 if start else self._lacking(number + faults.damaged, last)
        for text in faults.told(last):
            tell(f"{self.path.name}: {text}")

    def _lacking(self, number: int, last: float) -> int:
        """How many frames less were read than the file says it has, where that is no rounding."""
        if self.count is None:
            return 0
        if not self.counted and self.count / self.rate - last < _CUT:
            return 0
        return max(0, self.count - number - _ODD)

    def times(self) -> np.ndarray:
        """(F,) seconds of every frame, ascending, without decoding any."""
        av = _av(self.path)
        try:
            with av.open(str(self.path)) as container:
                stream = _stream(container, self.path)
                stamps = []
                with suppress(av.error.FFmpegError):
                    for packet in container.demux(stream):
                        if packet.size and packet.pts is not None:
                            stamps.append(packet.pts)
                base = float(stream.time_base)
                origin = stream.start_time if stream.start_time is not None else min(stamps, default=0)
        except av.error.FFmpegError:
            raise ValueError(f"{self.path}: is no film, or not a whole one; copy it again") from None
        return (np.unique(np.array(stamps, np.int64)) - origin) * base

    def _from(self, start: float, faults: Faults) -> Iterator[tuple[float, Any, Any]]:
        """Decoded frames with their times; sought only as far as the file's index can be trusted."""
        av = _av(self.path)
        for sought in (True, False) if start > 0 else (False,):
            with av.open(str(self.path)) as container:
                stream = _stream(container, self.path)
                stream.thread_type = "AUTO"
                base, origin = Fraction(stream.time_base), stream.start_time
                if sought:
                    try:
                        place = (origin or 0) + int(Fraction(start) / base)
                        container.seek(place, stream=stream, backward=True)
                    except av.error.FFmpegError:
                        continue
                begun = False
                for number, frame in enumerate(_decoded(stream, container, faults)):
                    if frame.pts is None:
                        time = number / self.rate
                        faults.untimed += 1
                    else:
                        origin = frame.pts if origin is None else origin
                        time = float((frame.pts - origin) * base)
                    if sought and not begun and (time > start or faults.untimed):
                        break  # the seek went too far: from the beginning instead
                    begun = True
                    yield time, frame, stream
                if begun or not sought:
                    return


@dataclass
class Faults:
    """What went wrong while a film was read."""

    damaged: int = 0
    disordered: int = 0
    untimed: int = 0
    short: int = 0
    broke_off: bool = False

    def told(self, last: float) -> Iterator[str]:
        if self.damaged:
            yield f"{self.damaged} frames are damaged; left out"
        if self.disordered:
            yield f"{self.disordered} frames are not later than the one before; left out"
        if self.untimed:
            yield "frames carry no times; the file's rate is taken for granted"
        if self.broke_off or self.short:
            missing = f", about {self.short} frames early" if self.short else ""
            yield f"breaks off after {last:.2f} s{missing}; what came before is used"


def _decoded(stream: Any, container: Any, faults: Faults) -> Iterator[Any]:
    """Whole frames; damaged packets are counted."""
    from av.error import FFmpegError

    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets)
        except StopIteration:
            return
        except FFmpegError:
            faults.broke_off, packet = True, None
        try:
            frames = stream.decode(packet)
        except FFmpegError:
            faults.damaged += packet is not None
            frames = []
        for frame in frames:
            if frame.is_corrupt:
                faults.damaged += 1
            else:
                yield frame
        if packet is None:
            return


def _lasting(container: Any) -> float:
    """Seconds that a container says it lasts; Matroska counts them from 0, not from its first frame."""
    begins = max(container.start_time or 0, 0) if "matroska" in container.format.name else 0
    return float(container.duration - begins) / 1e6


def _stream(container: Any, path: Path) -> Any:
    """The first film in a container; the cover of a piece of music is none."""
    for stream in container.streams.video:
        if not int(stream.disposition) & _ATTACHED_PICTURE:
            return stream
    raise ValueError(
        f"{path}: holds {'sound' if container.streams.audio else 'nothing'} and no film; give a film"
    )


def _upright_size(frame: Any, stream: Any) -> tuple[int, int]:
    aspect = stream.sample_aspect_ratio
    width = round(frame.width * aspect) if aspect and 0.1 < aspect < 10 else frame.width
    return (frame.height, width) if frame.rotation % 180 else (width, frame.height)


def _picture(frame: Any, size: tuple[int, int]) -> Callable[[], np.ndarray]:
    """Makes the frame upright RGB: rotation counts quarter turns against the clock."""

    def make() -> np.ndarray:
        width, height = size[::-1] if frame.rotation % 180 else size
        image = frame.to_ndarray(width=width, height=height, format="rgb24")
        turns = round(frame.rotation / 90) % 4
        return np.ascontiguousarray(np.rot90(image, turns)) if turns else image

    return make


def _oddities(frame: Any) -> tuple[str, ...]:
    notes = []
    if frame.interlaced_frame:
        notes.append("is interlaced: fields are not separated, so fast limbs are combed")
    if frame.rotation % 90:
        notes.append(f"asks to be turned by {frame.rotation} degrees; only quarter turns are undone")
    return tuple(notes)


def _av(path: Path) -> Any:
    try:
        import av
    except ImportError:
        raise ValueError(f"{path}: reading films needs PyAV; pip install 'polypose[video]'") from None
    return av
