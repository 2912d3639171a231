"""What a user reads of an error: one line, which names the file and says what to do."""

from __future__ import annotations

import errno
import os

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


def one_line(error: BaseException) -> str:
    """An error on one line. One of the operating system becomes "FILE: what is wrong; cure"."""
    text = " ".join(str(error).split())
    if not isinstance(error, OSError) or error.errno is None:
        return text
    what = error.strerror or os.strerror(error.errno)
    file = "" if error.filename is None else f"{os.fsdecode(error.filename)}: "
    return f"{file}{what[:1].lower()}{what[1:]}; {_CURES.get(error.errno, 'see whether the disk is sound')}"
