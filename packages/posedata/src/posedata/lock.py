"""One process at a time: a lock that the system takes away when its holder dies, however it dies."""

import errno
import sys
from typing import IO, Any

_FAR = 1 << 30
"""Where Windows locks a byte, which nobody can then read."""


def lock(file: IO[Any]) -> None:
    """Lock an open file until it is closed.

    Raises:
        BlockingIOError: another process has locked it.
        OSError: it lies where none can be locked, on some networks' file systems for instance.
    """
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
