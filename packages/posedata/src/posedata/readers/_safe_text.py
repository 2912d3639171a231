"""Reads JSON and XML of strangers: bounded in size and depth, without entities or anything to look up."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

MAX_BYTES = 1 << 30
MAX_XML_BYTES = 64 << 20


def read_text(path: str | Path, most: int = MAX_XML_BYTES) -> str:
    """A text file of at most `most` bytes, UTF-8; FileNotFoundError, or ValueError naming it."""
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    if path.stat().st_size > most:
        raise ValueError(f"{path}: is larger than {most >> 20} MiB; it is not read, get it anew")
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: is no text ({error.reason} at byte {error.start}); copy it anew") from None


def read_json(path: str | Path, kind: type = dict) -> Any:
    """The value in a JSON file, which must be of this kind (dict or list); NaN and Infinity are refused."""
    text = read_text(path, MAX_BYTES)
    try:
        value = json.loads(text, parse_constant=_refuse)
    except RecursionError:
        raise ValueError(f"{path}: is nested too deep; get it anew") from None
    except ValueError as error:
        raise ValueError(f"{path}: is no JSON ({str(error)[:120]}); copy it anew") from None
    if not isinstance(value, kind):
        raise ValueError(f"{path}: holds a {type(value).__name__}, wanted a {kind.__name__}; get it anew")
    return value


def read_xml(path: str | Path) -> ElementTree.Element:
    """The root of an XML file; a document type or entities, which could grow or lead away, are refused."""
    text = read_text(path)
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise ValueError(f"{path}: declares a document type, which is not followed; get it anew")
    try:
        return ElementTree.fromstring(text)
    except (ElementTree.ParseError, ValueError, RecursionError) as error:
        raise ValueError(f"{path}: is no XML ({str(error)[:120]}); copy it anew") from None


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is no number")
