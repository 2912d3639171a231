"""Reads a variable of a CDF file (NASA's Common Data Format, in which Human3.6M's poses come), 2.6 and 3.

The known Python reader allocates what a header promises and follows its records wherever they point; files
here may be hostile. So the few records that a variable needs are walked here, each once and inside the file
(NASA GSFC, CDF Internal Format Description, version 3.8, sections 2.1 to 2.14), and numbers are read only
where the bytes are there.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from posedata.readers.files.damage import DamagedError, cure, reason

MAX_BYTES = 1 << 30
MAX_RATIO = 100
_SPARE = 64 << 20
_MAGIC = {0xCDF30001: 3, 0xCDF26002: 2}
_PLAIN, _COMPRESSED = 0x0000FFFF, 0xCCCC0001
_BIG, _LITTLE = {1, 2, 5, 7, 9, 11, 12, 18}, {4, 6, 13, 17, 19}
_TYPES = {1: "i1", 2: "i2", 4: "i4", 8: "i8", 11: "u1", 12: "u2", 14: "u4", 21: "f4", 22: "f8", 41: "i1"}
_TYPES |= {44: "f4", 45: "f8"}
_ROW_MAJOR, _VARIES = 1, 1
_INDEX, _VALUES, _PACKED = 6, 7, 13


def read_cdf(path: str | Path, name: str) -> np.ndarray:
    """All records of a variable: (records, *dimensions), as its own type.

    Raises FileNotFoundError; ValueError where the file is damaged or has no such variable.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; give a CDF file")
    if path.stat().st_size > MAX_BYTES:
        raise ValueError(f"{path}: is larger than {MAX_BYTES >> 20} MiB; it is not a pose file, get it again")
    try:
        return _File(path.read_bytes()).variable(name)
    except (struct.error, zlib.error, ValueError, OverflowError, MemoryError, RecursionError) as error:
        told = f"is not a CDF file that can be read ({reason(error)}); {cure(error, 'copy it again')}"
        raise ValueError(f"{path}: {told}") from None


class _File:
    """The records of a CDF file, in memory."""

    def __init__(self, data: bytes) -> None:
        magic, packing = struct.unpack_from(">II", data)
        if magic not in _MAGIC:
            raise DamagedError("it does not begin as one")
        self._wide = _MAGIC[magic] == 3
        self._limit = _SPARE + MAX_RATIO * len(data)
        if packing == _COMPRESSED:
            data = data[:8] + self._unpacked_file(data)
        elif packing != _PLAIN:
            raise DamagedError("it is packed in an unknown way")
        self._data = data
        self._head = self._words + 4  # a record's size and type
        start = 8 + self._head
        (self._general,) = self._offsets(start, 1)
        encoding, flags = struct.unpack_from(">8xii", data, start + self._words)
        if encoding not in _BIG | _LITTLE:
            raise DamagedError(f"its numbers are of encoding {encoding}")
        self._order = ">" if encoding in _BIG else "<"
        self._rows_first = bool(flags & _ROW_MAJOR)

    @property
    def _words(self) -> int:
        return 8 if self._wide else 4

    def _offsets(self, at: int, count: int) -> tuple[int, ...]:
        if at < 0:
            raise DamagedError("a record points before the file")
        return struct.unpack_from(f">{count}{'q' if self._wide else 'i'}", self._data, at)

    def _integers(self, at: int, count: int) -> tuple[int, ...]:
        if at < 0 or count < 0 or at + 4 * count > len(self._data):
            raise DamagedError("a record points outside the file")
        return struct.unpack_from(f">{count}i", self._data, at)

    def variable(self, name: str) -> np.ndarray:
        """The variable's records."""
        names = []
        for place, own_dimensions in self._variables():
            found = self._name(place)
            if found == name:
                return self._read(place, own_dimensions)
            names.append(found)
        there = ", ".join(names[:8]) or "none"
        raise DamagedError(f"it has no variable {name!r}, only {there}", "give one of Human3.6M's poses")

    def _variables(self) -> Iterator[tuple[int, bool]]:
        """Places of the descriptors, and whether they carry their own dimensions."""
        heads = self._offsets(self._general + self._head, 2)
        for place, own in zip(heads, (False, True), strict=True):
            seen: set[int] = set()
            while place > 0:
                if place in seen:
                    raise DamagedError("its variables form a circle")
                seen.add(place)
                yield place, own
                (place,) = self._offsets(place + self._head, 1)

    def _name(self, place: int) -> str:
        start = place + self._head + 4 * self._words + 40
        raw = self._data[start : start + self._name_length]
        return raw.split(b"\0", 1)[0].decode("ascii", "replace").strip()

    @property
    def _name_length(self) -> int:
        return 256 if self._wide else 64

    def _read(self, place: int, own_dimensions: bool) -> np.ndarray:
        after_next = place + self._head + self._words
        kind, last = self._integers(after_next, 2)
        (index,) = self._offsets(after_next + 8, 1)
        (sparse,) = self._integers(after_next + 8 + 2 * self._words + 4, 1)
        if kind not in _TYPES or sparse:
            raise DamagedError(f"its variable is of type {kind}, sparse {sparse}, which no pose is")
        shape = self._dimensions(place, own_dimensions)
        dtype = np.dtype(self._order + _TYPES[kind])
        per_record = dtype.itemsize * int(np.prod([1, *shape], dtype=object))
        due = per_record * (last + 1)
        if not 0 <= due <= self._limit:
            raise DamagedError(f"its variable claims {due} bytes")
        data = bytearray()
        for block in self._blocks(index, per_record, last, set()):
            data += block
            if len(data) >= due:
                break
        if len(data) < due:
            raise DamagedError(f"its variable has {len(data)} bytes of {due}")
        array = np.frombuffer(data, dtype, due // dtype.itemsize).astype(dtype.newbyteorder("="))
        if self._rows_first:
            return array.reshape(last + 1, *shape)
        return array.reshape(last + 1, *shape[::-1]).transpose(0, *range(len(shape), 0, -1))

    def _dimensions(self, place: int, own: bool) -> tuple[int, ...]:
        start = place + self._head + 4 * self._words + 40 + self._name_length
        if own:
            (count,) = self._integers(start, 1)
            sizes = self._integers(start + 4, count)
            varies = self._integers(start + 4 + 4 * count, count)
        else:
            general = self._general + self._head + 4 * self._words
            count = self._integers(general, 4)[3]
            sizes = self._integers(general + 20 + self._words + 12, count)
            varies = self._integers(start, count)
        kept = tuple(size for size, vary in zip(sizes, varies, strict=True) if vary)
        if len(kept) > 8 or any(size < 1 for size in kept):
            raise DamagedError("its variable has impossible dimensions")
        return kept

    def _blocks(self, index: int, per_record: int, last: int, seen: set[int]) -> Iterator[bytes]:
        """The values of the records, in order: an index names blocks of records, or further indices."""
        while index > 0:
            if index in seen or len(seen) > 100_000:
                raise DamagedError("its records form a circle")
            seen.add(index)
            (following,) = self._offsets(index + self._head, 1)
            start = index + self._head + self._words
            entries, used = self._integers(start, 2)
            if not 0 <= used <= entries:
                raise DamagedError("its index of records is damaged")
            firsts = self._integers(start + 8, used)
            lasts = self._integers(start + 8 + 4 * entries, used)
            places = self._offsets(start + 8 + 8 * entries, used)
            for first, to, block in zip(firsts, lasts, places, strict=True):
                (kind,) = self._integers(block + self._words, 1)
                if kind == _INDEX:
                    yield from self._blocks(block, per_record, last, seen)
                else:
                    if not 0 <= first <= to + 1:
                        raise DamagedError("its index of records is damaged")
                    yield self._values(block, kind, per_record * max(min(to, last) - first + 1, 0))
            index = following

    def _values(self, block: int, kind: int, due: int) -> bytes:
        start = block + self._head
        if kind == _VALUES:
            return self._data[start : start + due]
        if kind != _PACKED:
            raise DamagedError(f"its records are of an unknown kind {kind}")
        (size,) = self._offsets(start + 4, 1)
        start += 4 + self._words
        return _inflated(self._data[start : start + max(size, 0)], due)

    def _unpacked_file(self, data: bytes) -> bytes:
        """What follows the magic numbers in a file that is compressed as a whole."""
        layout = ">qiqq" if self._wide else ">iiii"
        size, _, parameters, _ = struct.unpack_from(layout, data, 8)
        (method,) = struct.unpack_from(">i", data, parameters + self._words + 4)
        if method != 5 or parameters < 0:
            raise DamagedError("it is compressed otherwise than by gzip")
        start = 8 + struct.calcsize(layout) + 4
        return _inflated(data[start : 8 + max(size, 0)], self._limit)


def _inflated(data: bytes, most: int) -> bytes:
    return zlib.decompressobj(wbits=47).decompress(data, max(most, 1))
