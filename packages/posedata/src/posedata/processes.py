"""Worker processes that any caller can start: its script is not imported in them.

Python's own pools import the caller's main module in every worker, so that a plain script without
`if __name__ == "__main__":` starts itself again and again. What these workers run comes from modules.
"""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import os
import pickle
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.context import SpawnContext, SpawnProcess
from types import ModuleType
from typing import Any, TypeVar

Task = TypeVar("Task")
Result = TypeVar("Result")
_starting = threading.Lock()


def can_leave(*values: object) -> bool:
    """Whether values can be sent to workers: not if a class of theirs is defined in the caller's script."""
    return b"__main__" not in pickle.dumps(values)


def in_processes(
    work: Callable[[Task], Result],
    tasks: Iterable[Task],
    workers: int,
    begin: Callable[..., None],
    *given: Any,
) -> Iterator[Result]:
    """Results in the order of the tasks; no more than eight a worker are begun or wait.

    Args:
        work: a module's function.
        begin: called once in each process with `given`, after torch was set to one thread. It must not raise.

    Raises:
        ValueError: a process was killed.
        Exception: what `work` raises.
    """
    with ProcessPoolExecutor(workers, _Context(), _begin, (begin, *given)) as pool:
        waiting: deque[Future[Result]] = deque()
        try:
            for task in tasks:
                waiting.append(pool.submit(work, task))
                if len(waiting) >= 8 * workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        except BrokenProcessPool:
            raise ValueError(
                "a worker process was killed, most likely for want of memory; run again with fewer workers"
            ) from None
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


class _Process(SpawnProcess):
    """A spawned process whose main module is empty."""

    @staticmethod
    def _Popen(process: Any) -> Any:  # noqa: N802 (multiprocessing's hook)
        with _starting:
            main = sys.modules["__main__"]
            sys.modules["__main__"] = ModuleType("__main__")
            try:
                return SpawnProcess._Popen(process)
            finally:
                sys.modules["__main__"] = main


class _Context(SpawnContext):
    """Spawns: a forked child would inherit torch's thread pool in a state that hangs."""

    Process = _Process


def _begin(begin: Callable[..., None], *given: Any) -> None:
    import torch

    torch.set_num_threads(1)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    begin(*given)


def _end_with_parent() -> None:
    """A worker of a killed run must not go on: nobody would ever end it."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)
