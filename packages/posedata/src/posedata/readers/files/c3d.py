"""C3D: the header, the POINT parameters and the points of a file that nobody vouches for.

A parser of its own (C3D User Guide, Motion Lab Systems 2021): one known library is C++ that trusts what
headers promise, the other reads frame by frame. Everything is looked up inside the bytes that are there.
Numbers are little-endian, big-endian (MIPS) or DEC's; points are integers or floats; analogue samples are
stepped over.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np

from posedata.readers.files.markers import Markers

_MOST_BYTES = 1 << 30
_BLOCK = 512
_PROCESSORS = {84: "<", 85: "vax", 86: ">"}
_SIZES = {-1: 1, 1: 1, 2: 2, 4: 4}


@dataclass(frozen=True)
class _Bytes:
    """The file, and how its processor writes numbers."""

    path: Path
    raw: bytes
    order: str

    def words(self, at: int, count: int) -> list[int]:
        if at < 0 or at + 2 * count > len(self.raw):
            raise ValueError(f"{self.path}: is not a C3D file that can be read (cut short); copy it again")
        return list(struct.unpack_from(f"{self._end}{count}H", self.raw, at))

    def floats(self, raw: bytes) -> np.ndarray:
        """float32 of bytes in the file's way."""
        whole = raw[: len(raw) // 4 * 4]
        if self.order != "vax":
            return np.frombuffer(whole, dtype=self.order + "f4")
        halves = np.frombuffer(whole, dtype="<u2").reshape(-1, 2)[:, ::-1]
        return np.ascontiguousarray(halves).view("<f4")[:, 0] / np.float32(4)

    @property
    def _end(self) -> str:
        return ">" if self.order == ">" else "<"

    def integers(self, raw: bytes) -> np.ndarray:
        return np.frombuffer(raw[: len(raw) // 2 * 2], dtype=self._end + "i2")


def read_c3d(path: Path, note: Callable[[str], None]) -> Markers:
    """Labels and places of all points; a point whose residual is negative was not seen.

    Raises ValueError naming the file and the field for what is not a C3D file.
    """
    if path.stat().st_size > _MOST_BYTES:
        raise ValueError(f"{path}: is larger than {_MOST_BYTES >> 20} MiB; cut it into several recordings")
    raw = path.read_bytes()
    if len(raw) < 2 * _BLOCK or raw[1] != 0x50 or raw[0] == 0:
        raise ValueError(f"{path}: is not a C3D file that can be read; export it again")
    start = (raw[0] - 1) * _BLOCK
    order = _PROCESSORS.get(raw[start + 3] if start + 3 < len(raw) else 0)
    if order is None:
        raise ValueError(
            f"{path}: is not a C3D file that can be read (its processor is unknown); export it again"
        )
    data = _Bytes(path, raw, order)
    parameters = dict(_parameters(data, start))
    used, analogue, first, last = data.words(2, 4)
    points = used or int(_number(data, parameters, "POINT.USED", 0))  # the header is how frames are laid out
    rate = _number(data, parameters, "POINT.RATE", float(data.floats(raw[20:24])[0]))
    if not 0.1 <= rate <= 1e5:
        raise ValueError(f"{path}: field POINT:RATE is {rate:g}, no frames a second; mend it")
    labels = _labels(data, parameters, points)
    places = _points(data, parameters, points, analogue)
    declared = _declared(data, parameters, first, last)
    if declared != len(places):
        note(f"{path}: says {declared} frames and has {len(places)}, which are read; was it cut off?")
    return Markers(
        labels, places, first + np.arange(len(places)), round(rate, 3), _text(parameters, "POINT.UNITS")
    )


Parameters = dict[str, tuple[int, tuple[int, ...], bytes]]


def _parameters(data: _Bytes, start: int) -> Iterator[tuple[str, tuple[int, tuple[int, ...], bytes]]]:
    """ "GROUP.NAME" and (type, dimensions, bytes) of every parameter, each record once, inside the file."""
    raw, at = data.raw, start + 4
    groups: dict[int, str] = {}
    found = []
    while at + 4 <= len(raw):
        length, group = abs(struct.unpack_from("b", raw, at)[0]), struct.unpack_from("b", raw, at + 1)[0]
        name = raw[at + 2 : at + 2 + length].decode("latin-1").strip().upper()
        at += 2 + length
        if length == 0 or at + 2 > len(raw):
            break
        (step,) = data.words(at, 1)
        if group < 0:
            groups[-group] = name
        elif at + 4 <= len(raw):
            kind, count = struct.unpack_from("b", raw, at + 2)[0], raw[at + 3]
            sizes = tuple(raw[at + 4 : at + 4 + count])
            size = _SIZES.get(kind, 0) * prod(sizes)
            body = raw[at + 4 + count : at + 4 + count + size]
            if kind in _SIZES and len(sizes) == count and len(body) == size:
                found.append((group, name, (kind, sizes, body)))
        if step < 2:
            break
        at += step
    for group, name, value in found:
        yield f"{groups.get(group, '')}.{name}", value


def _number(data: _Bytes, parameters: Parameters, name: str, otherwise: int | float) -> int | float:
    kind, _, body = parameters.get(name, (0, (), b""))
    if kind == 4 and len(body) >= 4:
        return float(data.floats(body[:4])[0])
    if kind == 2 and len(body) >= 2:
        return float(int(data.integers(body[:2])[0]) & 0xFFFF)
    return otherwise


def _text(parameters: Parameters, name: str) -> str:
    kind, _, body = parameters.get(name, (0, (), b""))
    return body.decode("latin-1").strip("\0 ").strip() if kind == -1 else ""


def _labels(data: _Bytes, parameters: Parameters, points: int) -> list[str]:
    """POINT:LABELS, LABELS2, ...; points beyond them have none."""
    labels: list[str] = []
    for name in ("POINT.LABELS", *(f"POINT.LABELS{n}" for n in range(2, 100))):
        kind, sizes, body = parameters.get(name, (0, (), b""))
        if kind != -1 or not sizes or not sizes[0]:
            break
        labels += [
            body[i : i + sizes[0]].decode("latin-1").strip("\0 ").strip()
            for i in range(0, len(body), sizes[0])
        ]
    if not labels:
        raise ValueError(f"{data.path}: field POINT:LABELS is missing; label its points, and export it again")
    return [*labels[:points], *[""] * (points - len(labels))]


def _declared(data: _Bytes, parameters: Parameters, first: int, last: int) -> int:
    """How many frames there should be; where the header's words end, TRIAL counts on."""
    if last < 0xFFFF:
        return max(0, last - first + 1)
    ends = []
    for name in ("TRIAL.ACTUAL_START_FIELD", "TRIAL.ACTUAL_END_FIELD"):
        kind, _, body = parameters.get(name, (0, (), b""))
        if kind == 2 and len(body) >= 4:
            low, high = (int(n) & 0xFFFF for n in data.integers(body[:4]))
            ends.append(low + (high << 16))
    if len(ends) == 2 and ends[1] >= ends[0]:
        return ends[1] - ends[0] + 1
    return max(0, last - first + 1)


def _points(data: _Bytes, parameters: Parameters, points: int, analogue: int) -> np.ndarray:
    """(T, M, 3) float64, NaN where a point was not seen; as many frames as there are, at most as declared."""
    scale = _number(data, parameters, "POINT.SCALE", float(data.floats(data.raw[12:16])[0]))
    block = int(_number(data, parameters, "POINT.DATA_START", data.words(16, 1)[0]))
    if not 0 < points < 1 << 16 or not np.isfinite(scale) or scale == 0 or block < 2:
        raise ValueError(
            f"{data.path}: its POINT parameters (USED, SCALE or DATA_START) are damaged; export it again"
        )
    first, last = data.words(6, 2)
    width = 4 * points + analogue
    body = data.raw[(block - 1) * _BLOCK :]
    values = data.floats(body) if scale < 0 else data.integers(body)
    count = min(len(values) // width, _declared(data, parameters, first, last))
    if count == 0:
        raise ValueError(f"{data.path}: has no frame of {points} points; it is cut short: copy it again")
    table = values[: count * width].reshape(count, width)[:, : 4 * points].reshape(count, points, 4)
    with np.errstate(invalid="ignore", over="ignore"):  # damaged floats; they are not seen
        places = table[..., :3].astype(np.float64) * (1.0 if scale < 0 else scale)
    seen = (table[..., 3] >= 0) & np.isfinite(places).all(axis=-1) & (np.abs(places) < 1e9).all(axis=-1)
    seen &= places.any(axis=-1)  # a point at the origin to the digit was not measured
    places[~seen] = np.nan
    return places
