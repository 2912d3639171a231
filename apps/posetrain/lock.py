"""One training a run folder: a lock that the system takes away when its process dies, however it dies.

The lock file `.NAME.lock` lies beside the folder `NAME`, since --overwrite replaces the folder itself.
"""

from __future__ import annotations

import errno
import json
import os
import platform
import sys
from pathlib import Path
from typing import IO

from posedata.machine import now
from posedata.terminal import visible

_held: dict[Path, IO[str]] = {}
_FAR = 1 << 30
"""Where Windows locks a byte, which nobody can then read."""


def hold(folder: Path) -> None:
    """Take a run folder for this process until `release`; to take it again changes nothing.

    Raises:
        ValueError: another process has it; the message says which.
    """
    path = folder.resolve().with_name(f".{folder.resolve().name}.lock")
    if path in _held:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    file = path.open("a+", encoding="utf-8")
    try:
        _lock(file)
    except BlockingIOError:
        holder = _holder(file)
        file.close()
        raise ValueError(
            f"{folder}: is being trained by {holder}; wait for it, stop it, or give another --name"
        ) from None
    except OSError as error:  # a network's file system, for instance
        print(visible(f"note: {folder} cannot be locked ({error.strerror}); train it once"), file=sys.stderr)
    file.truncate(0)
    file.write(json.dumps({"pid": os.getpid(), "host": platform.node(), "since": now()}))
    file.flush()
    _held[path] = file


def release(folder: Path) -> None:
    """Give it back."""
    file = _held.pop(folder.resolve().with_name(f".{folder.resolve().name}.lock"), None)
    if file is not None:
        file.close()


def _lock(file: IO[str]) -> None:
    """Raise BlockingIOError where another process has locked the file, OSError where none can."""
    if sys.platform == "win32":
        import msvcrt

        file.seek(_FAR)
        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError as error:
            if error.errno not in (errno.EACCES, errno.EDEADLOCK):
                raise
            raise BlockingIOError(error.errno, error.strerror) from None
        finally:
            file.seek(0)
    else:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _holder(file: IO[str]) -> str:
    file.seek(0)
    try:
        found = json.loads(file.read(4096))
        return f"process {found['pid']} on {found['host']} since {found['since']}"
    except (ValueError, KeyError, TypeError):
        return "another process"
