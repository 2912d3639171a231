"""The most memory that this process holds while something is done, by what it is of. Linux alone tells it."""

import threading
from pathlib import Path
from types import TracebackType

_EVERY = 0.02
"""Seconds between two looks."""


class Peak:
    """Looks at /proc/self/status again and again.

    Attributes:
        anonymous: most that was of the process alone (RssAnon), MiB.
        mapped: most that was of files (RssFile), which the system may take back at any time, MiB.
        most: the most of all at once since the process began (VmHWM), MiB.
    """

    def __init__(self) -> None:
        self.anonymous = self.mapped = self.most = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "Peak":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        self._look()

    def _watch(self) -> None:
        while not self._stop.wait(_EVERY):
            self._look()

    def _look(self) -> None:
        lines = Path("/proc/self/status").read_text().splitlines()
        told = {name: value.split() for name, _, value in (line.partition(":") for line in lines)}
        anonymous, mapped, most = (int(told[name][0]) // 1024 for name in ("RssAnon", "RssFile", "VmHWM"))
        self.anonymous, self.mapped = max(self.anonymous, anonymous), max(self.mapped, mapped)
        self.most = most
