"""Reads JSON and XML of strangers: bounded in size and depth, without entities or anything to look up.

What a text expands to is estimated by counting what makes objects of it, before any is made: a list `[],` has
three bytes in the file and sixty in memory. A key that stands twice in an object, NaN and Infinity, a
number of thousands of digits and half a character pair are no JSON that can be relied on; they are refused.
"""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

MAX_BYTES = 1 << 30
MAX_XML_BYTES = 64 << 20
SPARE_BYTES = 256 << 20
MAX_RATIO = 16
"""Bytes that objects may take whatever their text, and beyond that a byte of text."""
_JSON_COSTS = {"[": 64, "{": 64, ",": 32, ":": 72}
_XML_COSTS = {"<": 160, "=": 100}
_HALF_PAIR = re.compile(r"\\u[dD][89a-fA-F]")


def read_bytes(path: str | Path, most: int | None = None) -> bytes:
    """The content of a file of at most `most` bytes. FileNotFoundError, or ValueError naming the file."""
    path = Path(path)
    if path.is_dir():
        raise ValueError(f"{path}: is a folder, where a file should be; move it away")
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    if most is not None and path.stat().st_size > most:
        raise ValueError(f"{path}: is larger than {most >> 20} MiB; it is not read, get it again")
    return path.read_bytes()


def read_text(path: str | Path, most: int = MAX_XML_BYTES) -> str:
    """A text file of at most `most` bytes, UTF-8 (with or without a byte-order mark), newlines alone.

    Raises FileNotFoundError, or ValueError naming the file.
    """
    try:
        text = read_bytes(path, most).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: is not text in UTF-8 (at byte {error.start}); save it so") from None
    return text.replace("\r\n", "\n").replace("\r", "\n")


def read_json(
    path: str | Path,
    kind: type | tuple[type, ...] = dict,
    *,
    constants: bool = False,
    most: int = MAX_BYTES,
    cure: str = "",
) -> Any:
    """The value in a JSON file, which must be of this kind (dict or list).

    `constants` lets NaN and Infinity pass as floats, for readers that can leave out what has them; `cure` is
    what to do where the file is damaged, if it is not one that can be got again.
    """
    try:
        value = parse_json(read_text(path, most), str(path), constants=constants)
        if not isinstance(value, kind):
            wanted = " or ".join(f"a {k.__name__}" for k in (kind if isinstance(kind, tuple) else (kind,)))
            raise ValueError(f"{path}: holds a {type(value).__name__}, wanted {wanted}; get it again")
    except ValueError as error:
        if not cure:
            raise
        raise ValueError(f"{str(error).rpartition('; ')[0]}; {cure}") from None
    return value


def parse_json(text: str, where: str, *, constants: bool = False) -> Any:
    """The value of a JSON text; `where` begins the one line of a ValueError."""
    _check_growth(text, _JSON_COSTS, where)
    try:
        refuse = None if constants else _refuse
        value = json.loads(text, parse_constant=refuse, object_pairs_hook=_object)
    except RecursionError:
        raise ValueError(f"{where}: is nested too deep; get it again") from None
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        end = "ends too early" if not text[error.pos :].strip() else "is damaged"
        raise ValueError(f"{where}: is not JSON ({end} at {place}); copy it again") from None
    except _OwnError as error:
        raise ValueError(f"{where}: is not JSON that is read ({error}); correct it") from None
    except ValueError:  # Python's own limit on digits
        raise ValueError(f"{where}: is not JSON (a number has thousands of digits); correct it") from None
    if _HALF_PAIR.search(text):
        try:
            json.dumps(value, ensure_ascii=False).encode()
        except (UnicodeEncodeError, RecursionError):
            raise ValueError(f"{where}: holds half a character (\\ud800 to \\udfff); correct it") from None
    return value


def is_number(value: Any) -> bool:
    """Whether a value of a JSON text is a number that may be computed with: no NaN, and not huge."""
    return type(value) in (int, float) and abs(value) < 1e300 and math.isfinite(value)


def read_xml(path: str | Path) -> ElementTree.Element:
    """The root of an XML file; a document type or entities, which could grow or lead away, are refused."""
    text = read_text(path)
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise ValueError(f"{path}: declares a document type, which is not followed; get it again")
    _check_growth(text, _XML_COSTS, str(path))
    try:
        return ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        line, column = error.position
        raise ValueError(f"{path}: is not XML (at line {line}, column {column}); copy it again") from None
    except (ValueError, RecursionError):
        raise ValueError(f"{path}: is not XML that is read; copy it again") from None


def _check_growth(text: str, costs: dict[str, int], where: str) -> None:
    """Refuse a text whose objects would take far more memory than it has bytes."""
    if 80 * len(text) < SPARE_BYTES:
        return
    size = sum(cost * text.count(sign) for sign, cost in costs.items())
    if size > SPARE_BYTES + MAX_RATIO * len(text):
        raise ValueError(
            f"{where}: would take some {size >> 20} MiB in memory, so it is not read; get it again"
        )


class _OwnError(ValueError):
    """Says in our words what is wrong."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise _OwnError(f"{twice[:40]!r} stands twice in an object")
    return made


def _refuse(name: str) -> None:
    raise _OwnError(f"{name} is not a number")
