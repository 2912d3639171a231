"""One training a run folder, by a lock (`posedata.lock`).

The lock file `.NAME.lock` lies beside the folder `NAME`, since --overwrite replaces the folder itself.
"""

from __future__ import annotations

import json
import os
import platform
import sys
from pathlib import Path
from typing import IO

from posedata.lock import lock
from posedata.machine import now
from posedata.terminal import visible

_held: dict[Path, IO[str]] = {}


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
        lock(file)
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


def _holder(file: IO[str]) -> str:
    file.seek(0)
    try:
        found = json.loads(file.read(4096))
        return f"process {found['pid']} on {found['host']} since {found['since']}"
    except (ValueError, KeyError, TypeError):
        return "another process"
