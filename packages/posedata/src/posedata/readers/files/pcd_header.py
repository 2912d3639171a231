"""Checks the header of a PCD file against itself and the file, before code that trusts it reads the file.

Format: "The PCD file format", Point Cloud Library, 0.7. Native readers make room for as many points as the
header says and go by its sizes; a header that lies ends the process. So every number in it must agree with
the others, and with the bytes that are there.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO, NamedTuple

LARGEST = 1 << 30
_SIDE = 8192
_HEADER = 8192
_MOST_FIELDS, _MOST_COUNT = 32, 64
_SIZES = {"F": (4, 8), "I": (1, 2, 4, 8), "U": (1, 2, 4, 8)}
_ENCODINGS = ("ascii", "binary", "binary_compressed")
_LEAST_TEXT = 2
"""Bytes of a number in text: a digit and what parts it from the next."""


class _Header(NamedTuple):
    words: dict[str, list[str]]
    encoding: str
    end: int
    """Where the data begin."""


def check_pcd(path: Path) -> tuple[int, int]:
    """Width and height of an organised cloud in a file that can be read.

    Raises ValueError, naming file and field, where the header contradicts itself or the file.
    """
    size = path.stat().st_size
    if size > LARGEST:
        raise ValueError(f"{path}: is larger than {LARGEST >> 20} MiB; give one frame a file")
    with path.open("rb") as handle:
        header = _header(handle.read(_HEADER), path)
        point, numbers = _fields(header.words, path)
        width, height = _points(header.words, path)
        count = width * height
        left = size - header.end
        if header.encoding == "binary_compressed":
            handle.seek(header.end)
            _check_compressed(handle, left, point * count, path)
        else:
            due = point * count if header.encoding == "binary" else _LEAST_TEXT * numbers * count - 1
            if left < due:
                raise ValueError(
                    f"{path}: has {left} bytes of data, its header says {count} points, which need {due};"
                    " copy it again"
                )
    return width, height


def _header(head: bytes, path: Path) -> _Header:
    """The entries up to and with DATA, each once."""
    words: dict[str, list[str]] = {}
    at = 0
    while (end := head.find(b"\n", at)) >= 0:
        key, *values = head[at:end].decode("ascii", "replace").split() or ["#"]
        at = end + 1
        if key.startswith("#"):
            continue
        if key in words:
            raise ValueError(f"{path}: {key[:20]} stands twice in its header; write one")
        words[key] = values
        if key == "DATA":
            encoding = values[0].lower() if len(values) == 1 else ""
            if encoding not in _ENCODINGS:
                raise ValueError(f"{path}: DATA is none of {', '.join(_ENCODINGS)}; save it as one of them")
            return _Header(words, encoding, at)
    raise ValueError(f"{path}: has no PCD header with WIDTH, HEIGHT and DATA; give a .pcd file")


def _fields(words: dict[str, list[str]], path: Path) -> tuple[int, int]:
    """Bytes and numbers of a point."""
    names = words.get("FIELDS", words.get("COLUMNS", []))
    if not {"x", "y", "z"} <= set(names) or len(set(names)) != len(names) or len(names) > _MOST_FIELDS:
        raise ValueError(
            f"{path}: FIELDS are {' '.join(names)[:60] or 'missing'}, wanted x y z; save it again"
        )
    lists = {"SIZE": words.get("SIZE", []), "TYPE": words.get("TYPE", [])}
    lists["COUNT"] = words.get("COUNT", ["1"] * len(names))
    for key, values in lists.items():
        if len(values) != len(names):
            raise ValueError(
                f"{path}: {key} has {len(values)} entries for {len(names)} fields; save it again"
            )
    total = numbers = 0
    for name, size, kind, count in zip(names, *lists.values(), strict=True):
        where = f"{path}: field {name[:20]!r}"
        if kind not in _SIZES or _whole(size) not in _SIZES[kind]:
            raise ValueError(
                f"{where} is of TYPE {kind[:9]} and SIZE {size[:9]}, which is not a number; save it again"
            )
        if not 1 <= _whole(count) <= _MOST_COUNT:
            raise ValueError(f"{where} has COUNT {count[:12]}; save it with 1 to {_MOST_COUNT}")
        if name in ("x", "y", "z") and (kind != "F" or _whole(count) != 1):
            raise ValueError(f"{where} is TYPE {kind}, COUNT {count}, wanted F and 1; save metres as floats")
        total += _whole(size) * _whole(count)
        numbers += _whole(count)
    return total, numbers


def _points(words: dict[str, list[str]], path: Path) -> tuple[int, int]:
    """Width and height, which must give POINTS."""
    values = {key: words.get(key, []) for key in ("WIDTH", "HEIGHT")}
    values["POINTS"] = words.get("POINTS", ["0"] if "POINTS" not in words else [])
    for key, entry in values.items():
        if len(entry) != 1 or _whole(entry[0]) < 0:
            what = " ".join(entry)[:20] or "missing"
            raise ValueError(f"{path}: {key} is {what}, so this is not a PCD header; save it again")
    width, height, points = (_whole(entry[0]) for entry in values.values())
    if not (2 <= width <= _SIDE and 2 <= height <= _SIDE):
        raise ValueError(f"{path}: is {width}x{height}, an unorganised cloud; save it with rows and columns")
    if "POINTS" in words and points != width * height:
        raise ValueError(f"{path}: POINTS is {points}, WIDTH x HEIGHT {width * height}; copy it again")
    return width, height


def _check_compressed(handle: BinaryIO, left: int, due: int, path: Path) -> None:
    if left < 8:
        raise ValueError(f"{path}: ends before its compressed data; copy it again")
    packed, unpacked = struct.unpack("<II", handle.read(8))
    if unpacked != due:
        raise ValueError(f"{path}: unpacks to {unpacked} bytes, its points need {due}; copy it again")
    if not 0 < packed <= left - 8:
        raise ValueError(f"{path}: claims {packed} compressed bytes, {left - 8} are there; copy it again")


def _whole(word: str) -> int:
    """A whole number, -1 for anything else."""
    return int(word) if word.isascii() and word.isdigit() and len(word) <= 18 else -1
