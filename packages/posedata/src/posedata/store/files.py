"""Folders that others see whole or not at all: built under a hidden name, put in place in one step.

    with building(Path("data/poses")) as folder:      # data/.poses.x1y2z3w4.partial
        (folder / "joints.npy").write_bytes(...)
        put(folder, Path("data/poses"))                # takes the name; what had it before is removed

A reader finds the old folder or the new one under the name, at every moment and after a kill at any moment:
where the file system can, the two names are exchanged (renameat2 on Linux, renamex_np on macOS). Where it
cannot, the old folder is `.NAME.replaced` for an instant, and `standing` finds it there.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import secrets
import shutil
import sys
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

MINUTE, DAY = 60.0, 86_400.0
_OURS = re.compile(r"\.(.+)\.[0-9a-z_]{8}\.(begun|partial)")


@contextlib.contextmanager
def building(target: Path, scratch: Path | None = None) -> Iterator[Path]:
    """A hidden folder in which to build `target`, removed in the end unless it was `put` in place.

    It lies in `scratch`, on the same file system as the target; by default beside it. While this process
    lives a lock on it keeps `sweep` away; what killed processes left of the same target is swept first.
    """
    place = (scratch or target.resolve().parent).resolve()
    place.mkdir(parents=True, exist_ok=True)
    sweep(place, target.name)
    # Locked before it has the name that `sweep` looks for.
    made = place / f".{target.name}.{secrets.token_hex(4)}.begun"
    made.mkdir()
    lock = _lock(made)
    folder = made.rename(made.with_suffix(".partial"))
    try:
        yield folder
    finally:
        _remove(folder)
        if lock is not None:
            os.close(lock)


def sweep(folder: Path, name: str | None = None) -> None:
    """Remove what killed processes left half-built in a folder: of one target, or (in a cache) of any.

    A hidden `*.partial` folder goes when no process holds it any more or, where locks are not available,
    when nothing in it has changed for a day.
    """
    if not folder.is_dir():
        return
    for left in folder.iterdir():
        match = _OURS.fullmatch(left.name)
        if match and match[1] == (name or match[1]) and left.is_dir() and not left.is_symlink():
            gone = _abandoned(left) if match[2] == "partial" else _idle(left) > MINUTE
            if gone:
                _remove(left)


def put(source: Path, target: Path) -> None:
    """Give a whole folder the name `target`; a folder of that name is replaced, and removed."""
    parent = target.resolve().parent if not target.is_symlink() else target.parent.resolve()
    target = parent / target.name
    old = _old(target)
    if os.path.lexists(old):
        _restore(target, old)
    if not os.path.lexists(target):
        source.rename(target)
    elif exchange(source, target):
        sync_folder(parent)
        _remove(source)
    else:
        target.rename(old)
        source.rename(target)
        sync_folder(parent)
        _remove(old)
    sync_folder(parent)


def standing(path: Path) -> Path:
    """Where a folder is, even if a writer was killed while replacing it: under its own name, or
    `.NAME.replaced`."""
    old = _old(path)
    return old if not os.path.lexists(path) and old.is_dir() else path


def exchange(one: Path, other: Path) -> bool:
    """Exchange two names in one step; False where the system or the file system cannot."""
    call, arguments = _exchange_call()
    if call is None:
        return False
    a, b = os.fsencode(one), os.fsencode(other)
    return bool(call(*arguments(a, b)) == 0)


def sync_folder(folder: Path) -> None:
    """Wait until a folder's names are on the disk."""
    with contextlib.suppress(OSError):  # Windows opens no folder
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


@cache
def _exchange_call() -> tuple[Any, Any]:
    """The C function that exchanges two names, and how its arguments are made of them."""
    try:
        library = ctypes.CDLL(None, use_errno=True)
        if sys.platform == "darwin":
            swap = 2  # RENAME_SWAP
            return library.renamex_np, lambda a, b: (a, b, ctypes.c_uint(swap))
        here, swap = -100, 2  # AT_FDCWD, RENAME_EXCHANGE
        return library.renameat2, lambda a, b: (here, a, here, b, ctypes.c_uint(swap))
    except (OSError, AttributeError, TypeError):
        return None, None


def _restore(target: Path, old: Path) -> None:
    """End what a killed `put` began: the old folder gets its name back, or goes if the new one has it."""
    if os.path.lexists(target):
        _remove(old)
    else:
        old.rename(target)


def _old(target: Path) -> Path:
    return target.with_name(f".{target.name}.replaced")


def _remove(path: Path) -> None:
    if path.is_symlink():
        path.unlink()
    else:
        shutil.rmtree(path, ignore_errors=True)


def _abandoned(folder: Path) -> bool:
    try:
        lock = _lock(folder)
    except BlockingIOError:
        return False
    if lock is None:
        return _idle(folder) > DAY
    os.close(lock)
    return True


def _idle(folder: Path) -> float:
    """Seconds since anything in it changed; 0 for one that vanishes meanwhile."""
    try:
        return time.time() - max(path.stat().st_mtime for path in [folder, *folder.rglob("*")])
    except OSError:
        return 0.0


def _lock(folder: Path) -> int | None:
    """Lock a folder until the descriptor is closed or the process dies; None where locks are not available.

    Raises BlockingIOError where another process holds it.
    """
    try:
        import fcntl

        handle = os.open(folder, os.O_RDONLY)
    except (ImportError, OSError):
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        raise
    except OSError:
        os.close(handle)
        return None
    return handle
