"""Packages whose names are imported when they are first asked for: importing one itself costs nothing."""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any


def lazily(package: str) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """A package's `__getattr__` and `__dir__`, of the names that it imports under `if TYPE_CHECKING`.

    Args:
        package: its `__name__`.
    """
    module = sys.modules[package]
    namespace, homes = vars(module), _homes(package, Path(str(module.__file__)))

    def attribute(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        namespace[name] = value = getattr(import_module(homes[name]), name)
        return value

    def listing() -> list[str]:
        return sorted({*namespace, *homes})

    return attribute, listing


def _homes(package: str, file: Path) -> dict[str, str]:
    """By name, the module that it is from, read from the source."""
    found: dict[str, str] = {}
    for block in ast.parse(file.read_bytes()).body:
        if isinstance(block, ast.If) and ast.unparse(block.test) == "TYPE_CHECKING":
            for line in block.body:
                if isinstance(line, ast.ImportFrom):
                    home = f"{package}.{line.module}" if line.level else str(line.module)
                    found |= {alias.asname or alias.name: home for alias in line.names}
    return found
