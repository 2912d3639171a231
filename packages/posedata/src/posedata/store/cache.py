"""What has been made once is found again: folders under names that change with all they are made of.

That is the data and the settings, by content, and the code too: `code_key` is a digest of the source text of
the modules that do the work and of all they import here. A version number kept by hand would be forgotten,
and a picture rendered to compare would notice only what it happens to show; reading some forty small files
takes milliseconds, and errs by making again what a changed comment left as it was.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib.util
import json
from collections.abc import Callable, Iterator
from pathlib import Path

from posedata.store.files import sweep


def cached(cache: Path, name: str, key: object, make: Callable[[Path], object]) -> Path:
    """The folder `cache/NAME-...` that `make` makes where it is not there yet.

    Args:
        cache: a folder of such folders; what killed processes left half-made in it is removed.
        name: how the folder's name begins.
        key: all that decides the content, as JSON; the name ends in a digest of it.
        make: given the path; puts a whole folder there, in one step (`StoreWriter`, `store.files.put`).
    """
    path = cache / f"{name}-{content_key(key)}"
    sweep(cache)
    if not path.is_dir():
        try:
            make(path)
        except FileExistsError:
            if not path.is_dir():  # else another process made the same meanwhile
                raise
    return path


def content_key(value: object) -> str:
    """A short name that changes with a JSON value."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:12]


@functools.cache
def code_key(*modules: str, packages: tuple[str, ...] = ("posedata",)) -> str:
    """A short name that changes with the source of modules and of what they import, directly or not.

    Args:
        modules: dotted names; where one is a package, its `__init__` counts.
        packages: imports are followed within these packages only.
    """
    total = hashlib.sha256()
    for name, source in sorted(sources(*modules, packages=packages).items()):
        total.update(f"{name} {len(source)}\n".encode() + source)
    return total.hexdigest()[:12]


def sources(*modules: str, packages: tuple[str, ...] = ("posedata",)) -> dict[str, bytes]:
    """What `code_key` is of: the source by module."""
    found: dict[str, bytes] = {}
    todo = list(modules)
    while todo:
        name = todo.pop()
        file = None if name in found else _source(name)
        if file is not None:
            found[name] = file.read_bytes()
            todo += [other for other in _imports(found[name]) if other.partition(".")[0] in packages]
    return found


def _imports(source: bytes) -> Iterator[str]:
    """Dotted names that a source may import; `from a import b` gives both a and a.b."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _source(module: str) -> Path | None:
    """The file of a module, found without importing it; None where there is none of this name."""
    top, *rest = module.split(".")
    spec = None if top == "__main__" else importlib.util.find_spec(top)
    if spec is None or not spec.submodule_search_locations:
        return None
    path = Path(spec.submodule_search_locations[0], *rest)
    return next((p for p in (path / "__init__.py", path.with_suffix(".py")) if p.is_file()), None)
