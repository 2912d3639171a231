"""What a user reads of an error: one line, which names the file and says what to do."""

from __future__ import annotations

import errno
import os
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
"""What the system says of a disk without room."""

DAMAGED = (
    zipfile.BadZipFile, zlib.error, struct.error, tokenize.TokenError, SyntaxError, EOFError, OSError,
    ValueError, TypeError, AttributeError, KeyError, IndexError, OverflowError, NotImplementedError,
    RuntimeError, MemoryError,
)  # fmt: skip
"""What zipfile and numpy raise where a file's bytes make no sense."""
_CURES = {
    errno.EACCES: "give this user the right to it",
    errno.EPERM: "give this user the right to it",
    errno.ENOENT: "give a path that exists",
    errno.EISDIR: "give a file in it",
    errno.ENOTDIR: "give a folder",
    errno.EROFS: "give a place that can be written",
    errno.ENOSPC: "free some, then run the command again",
    errno.EDQUOT: "free some, then run the command again",
    errno.ENAMETOOLONG: "give a shorter name",
    errno.EMFILE: "raise the limit on open files (ulimit -n)",
}


def check_new_file(path: Path | None) -> None:
    """Refuse, before any work, a file that cannot be written.

    Raises:
        ValueError: it is a folder, or stands below a file, or the folder may not be written to.
    """
    if path is None:
        return
    if path.is_dir():
        raise ValueError(f"{path}: is a folder; name a file in it")
    above = next(folder for folder in path.absolute().parents if folder.exists())
    if not above.is_dir():
        raise ValueError(f"{path}: {above} is a file; name a folder")
    if not os.access(above, os.W_OK):
        raise ValueError(f"{path}: {above} cannot be written to; give this user the right to it")


def one_line(error: BaseException) -> str:
    """An error on one line. One of the operating system becomes "FILE: what is wrong; cure"."""
    text = " ".join(str(error).split())
    if not isinstance(error, OSError) or error.errno is None:
        return text
    what = error.strerror or os.strerror(error.errno)
    file = "" if error.filename is None else f"{os.fsdecode(error.filename)}: "
    return f"{file}{what[:1].lower()}{what[1:]}; {_CURES.get(error.errno, 'see whether the disk is sound')}"


@contextmanager
def room_for(path: Path) -> Iterator[None]:
    """Where the disk is full, name the file that could not be written and the cure.

    Raises:
        OSError: there is no room; or what else went wrong with the file.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise no_room(path) from None


def no_room(path: Path) -> OSError:
    """The error of a disk that is full."""
    return OSError(f"{path}: no room on the disk to write it; free some, then run the command again")
