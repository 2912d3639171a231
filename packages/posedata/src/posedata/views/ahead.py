"""Reading what is asked for next while what has been read is used."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

from jaxtyping import Int
from torch import Tensor

Read = TypeVar("Read")


class Ahead(Generic[Read]):
    """Reads rows, and in a thread of its own those that are said to follow: one batch ahead, no more.

    What follows need not be asked for: other rows are read as if nothing had been read ahead.

    Args:
        read: what is read of rows; whatever it reads may be read by other threads at the same time.
    """

    def __init__(self, read: Callable[[Tensor], Read]) -> None:
        self._read = read
        self._thread = ThreadPoolExecutor(1, "ahead")
        self._next: tuple[list[int], Future[Read]] | None = None

    def __call__(self, rows: Int[Tensor, " n"], following: Int[Tensor, " m"] | None = None) -> Read:
        """What is read of the rows; an error of reading ahead is raised once these rows are asked for."""
        ahead, self._next = self._next, None
        known = ahead[1] if ahead is not None and ahead[0] == rows.tolist() else None
        found = self._read(rows) if known is None else known.result()
        if following is not None:
            self._next = following.tolist(), self._thread.submit(self._read, following)
        return found
