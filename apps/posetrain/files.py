"""Adding to files all or nothing, and keeping what is read from being written over."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from posedata.errors import room_for
from posedata.writing import replacing, sync, write_npz, write_png, write_tensors, write_text

__all__ = [
    "append",
    "append_line",
    "keep_input",
    "replacing",
    "sync",
    "write_npz",
    "write_png",
    "write_tensors",
    "write_text",
]


def keep_input(out: Path | None, *sources: Path | None) -> None:
    """Refuse, before any work, to write over what is read.

    Args:
        out: a file to write, if any.
        sources: files that are read, and folders of such.

    Raises:
        ValueError: it is one of them, or an existing file below one of them.
    """
    for source in sources:
        if out is None or source is None or not (out.exists() and source.exists()):
            continue
        if out.samefile(source) or (source.is_dir() and out.resolve().is_relative_to(source.resolve())):
            raise ValueError(f"{out}: is read, and would be written over; write to a file of another name")


def append_line(path: Path, text: str) -> None:
    """Add a line to a text file, whole or not at all."""
    append(path, text.encode() + b"\n")


def append(path: Path, content: bytes) -> None:
    """Add to a file, all or nothing.

    Raises:
        OSError: there is no room for it.
    """
    with room_for(path), path.open("ab") as file:
        before = file.tell()
        try:
            file.write(content)
            file.flush()
        except OSError:
            with contextlib.suppress(OSError):
                file.close()
            os.truncate(path, before)
            raise
