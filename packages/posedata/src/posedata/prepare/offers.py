"""What every format offers on the command line, kept in offers.json: help needs no reader and no torch.

python -m posedata.prepare.offers    writes it again: after a format, its title or an option has changed
"""

from __future__ import annotations

import dataclasses
import json
import types
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Union, get_args, get_origin, get_type_hints

FILE = Path(__file__).with_name("offers.json")
KINDS: dict[str, type] = {"str": str, "int": int, "float": float, "bool": bool, "path": Path}
"""Of an option's value, by the word in the file."""


def kept_offers() -> dict[str, Any]:
    """By format: its `title`, and its `options` by name, each with `kind`, `many`, `default` and `help`."""
    return json.loads(FILE.read_text(encoding="utf-8"))


def offers() -> dict[str, Any]:
    """The same, of the readers themselves."""
    from posedata.readers.registry import FORMATS

    return {name: {"title": form.title, "options": _options(form)} for name, form in FORMATS.items()}


def _options(form: type) -> dict[str, Any]:
    hints = get_type_hints(form)
    found = {}
    for field in dataclasses.fields(form):
        kind, many = _kind(hints[field.name])
        default = list(field.default) if isinstance(field.default, tuple) else field.default
        text = field.metadata.get("help", "")
        found[field.name] = {"kind": kind, "many": many, "default": default, "help": text}
    return found


def _kind(hint: Any) -> tuple[str, bool]:
    """The word for what is parsed for a field of this type, and whether it may be repeated."""
    origin, parts = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        known = [part for part in parts if part is not type(None)]
        return _kind(float if set(known) == {int, float} else known[0])
    if origin in (tuple, Sequence):
        return _kind(parts[0])[0], True
    return next((word for word, kind in KINDS.items() if kind is hint), "str"), False


def write_offers() -> None:
    """Write the file, an option a line."""
    formats = []
    for name, offer in offers().items():
        lines = [f"   {json.dumps(key)}: {json.dumps(option)}" for key, option in offer["options"].items()]
        options = ",\n".join(lines)
        formats.append(
            f' {json.dumps(name)}: {{\n  "title": {json.dumps(offer["title"])},\n'
            f'  "options": {{\n{options}\n  }}\n }}'
        )
    FILE.write_text("{\n" + ",\n".join(formats) + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    write_offers()
