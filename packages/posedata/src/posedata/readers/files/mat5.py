"""Reads numbers from MATLAB 5 to 7.2 files (.mat) of strangers: numeric arrays, and cells of them.

Only these are made; objects, functions and strings are stepped over, so that nothing in a file can be run or
built. Sizes are checked against the bytes there are, nesting and the size of what is unpacked are bounded.
("MAT-File Format", The MathWorks, chapter 1: Level 5 MAT-files.)
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from posedata.readers.files.damage import DamagedError, cure, reason

MAX_BYTES = 4 << 30
MAX_RATIO = 200
MAX_CELLS = 100_000
_SPARE = 64 << 20
_NUMBERS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
_CLASSES = {6: "f8", 7: "f4", 8: "i1", 9: "u1", 10: "i2", 11: "u2", 12: "i4", 13: "u4", 14: "i8", 15: "u8"}
_MATRIX, _COMPRESSED, _CELL = 14, 15, 1
_COMPLEX = 0x08


def read_mat5(path: str | Path, names: Collection[str]) -> dict[str, np.ndarray]:
    """The variables of these names that the file has; a cell array becomes an object array of arrays.

    Raises FileNotFoundError; ValueError where the file is damaged, of another version, or has a variable of
    one of these names that is not an array of numbers.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; give a .mat file")
    if path.stat().st_size > MAX_BYTES:
        raise ValueError(f"{path}: is larger than {MAX_BYTES >> 30} GiB; it is not read, get it again")
    try:
        return _read(path.read_bytes(), names)
    except (struct.error, zlib.error, ValueError, OverflowError, MemoryError) as error:
        told = f"is not a whole MATLAB 5 file ({reason(error)}); {cure(error, 'copy it again')}"
        raise ValueError(f"{path}: {told}") from None


def _read(data: bytes, names: Collection[str]) -> dict[str, np.ndarray]:
    if data[124:128] not in (b"\x00\x01IM", b"\x01\x00MI"):
        newer = data[124:126] in (b"\x00\x02", b"\x02\x00") or data[:4] == b"\x89HDF"
        if newer:
            raise DamagedError("it is of version 7.3, which is HDF5", "save it with -v7 in MATLAB")
        raise DamagedError("it does not begin as one")
    order = "<" if data[126:128] == b"IM" else ">"
    left = _SPARE + MAX_RATIO * len(data)
    found: dict[str, np.ndarray] = {}
    for kind, body in _elements(memoryview(data)[128:], order):
        if kind == _COMPRESSED:
            unpacked = zlib.decompressobj().decompress(body, left)
            left -= len(unpacked)
            if left <= 0:
                raise DamagedError(f"it would unpack to more than {MAX_RATIO} times its size")
            kind, body = next(_elements(memoryview(unpacked), order))
        if kind == _MATRIX and (name := _name(body, order)) in names:
            found[name] = _matrix(body, order, name, 0)
    return found


def _elements(data: memoryview, order: str) -> Iterator[tuple[int, memoryview]]:
    """Type and content of each element that follows; compressed ones are not padded, others to 8 bytes."""
    at = 0
    while at + 8 <= len(data):
        kind, size = struct.unpack_from(order + "II", data, at)
        if kind >> 16:
            kind, size, start, step = kind & 0xFFFF, kind >> 16, at + 4, 8
            if size > 4:
                raise DamagedError("an element is damaged")
        else:
            start = at + 8
            step = 8 + size + (-size % 8 if kind != _COMPRESSED else 0)
        if start + size > len(data):
            raise DamagedError(f"an element claims {size} bytes, {len(data) - start} are left")
        yield kind, data[start : start + size]
        at += step


def _name(body: memoryview, order: str) -> str:
    parts = _elements(body, order)
    head = [next(parts, None) for _ in range(3)]
    return bytes(head[2][1]).decode("latin1") if head[2] else ""


def _matrix(body: memoryview, order: str, name: str, depth: int) -> Any:
    stream = _elements(body, order)
    flags, dimensions, _ = (next(stream, (0, memoryview(b""))) for _ in range(3))
    (word,) = struct.unpack_from(order + "I", flags[1])
    kind, complex_ = word & 0xFF, (word >> 8) & _COMPLEX
    shape = tuple(int(n) for n in np.frombuffer(dimensions[1], order + "i4"))
    count = 1
    for n in shape:
        count *= n
    if not 2 <= len(shape) <= 8 or any(n < 0 for n in shape):
        raise DamagedError(f"{name[:40]} has impossible dimensions")
    if kind == _CELL:
        if depth or count > MAX_CELLS:
            raise DamagedError(f"{name[:40]} is a cell array of cells, or of too many")
        cells = np.empty(count, dtype=object)
        for i in range(count):
            inner, content = next(stream, (0, memoryview(b"")))
            if inner != _MATRIX:
                raise DamagedError(f"{name[:40]} has fewer cells than it says")
            cells[i] = _matrix(content, order, f"{name} cell {i}", depth + 1)
        return cells.reshape(shape, order="F")
    if kind not in _CLASSES or complex_:
        raise DamagedError(f"{name[:40]} is not an array of real numbers")
    stored, content = next(stream, (0, memoryview(b"")))
    if stored not in _NUMBERS:
        raise DamagedError(f"{name[:40]} has no numbers")
    dtype = np.dtype(order + _NUMBERS[stored])
    if len(content) != count * dtype.itemsize:
        raise DamagedError(f"{name[:40]} has {len(content)} bytes for dimensions {str(shape)[:40]}")
    return np.frombuffer(content, dtype).astype(_CLASSES[kind]).reshape(shape, order="F")
