"""Work that processes share: each of `torch.distributed`'s does a part, and all or the first have the whole.

    with sharing():                        # on every process
        parts = shared(work, tasks)        # [work(task) for task in tasks], on every process

    with helping():                        # on the first, while each of the others is in `help_first`
        for part in streamed(work, tasks, 1, begin): ...

Tasks are whole pieces of work as one process would do them, so results do not depend on how many share them.
Outside of these blocks, and where there is one process, both are plain loops.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from typing import Any, TypeVar

import torch
from torch import distributed

from posedata.processes import can_leave, in_processes

Task = TypeVar("Task")
Result = TypeVar("Result")
Name = TypeVar("Name")

_sharing: ContextVar[bool] = ContextVar("sharing", default=False)
_helping: ContextVar[bool] = ContextVar("helping", default=False)


def processes() -> tuple[int, int]:
    """This process' number and how many there are; 0 of 1 alone."""
    if not (distributed.is_available() and distributed.is_initialized()):
        return 0, 1
    return distributed.get_rank(), distributed.get_world_size()


@contextlib.contextmanager
def sharing() -> Iterator[None]:
    """Inside the block, which every process runs alike, `shared` gives each a part."""
    with _set(_sharing, processes()[1] > 1):
        yield


def shared(work: Callable[[Task], Result], tasks: Iterable[Task]) -> list[Result]:
    """What work makes of every task, in their order.

    Args:
        work: gives tensors, or tuples, lists and dicts of tensors and of what can be pickled; tensors come to
            the device that this process' own are on. What it calls shares no further.
    """
    todo = list(tasks)
    rank, count = processes() if _sharing.get() else (0, 1)
    if count == 1 or len(todo) < 2:
        return [work(task) for task in todo]
    with _set(_sharing, False):
        mine = [work(task) for task in todo[rank::count]]
    device = next(_devices(mine), None)
    every: list[Any] = [None] * count
    distributed.all_gather_object(every, _moved(mine, torch.device("cpu")))
    if device is None:
        device = torch.device("cpu") if distributed.get_backend() == "gloo" else torch.device("cuda")
    return [_moved(every[i % count][i // count], device) for i in range(len(todo))]


def shared_out(measures: Mapping[Name, Callable[[], Result]]) -> dict[Name, Result]:
    """What each of several functions gives, by name: those that take longest come first."""
    return dict(zip(measures, shared(lambda name: measures[name](), measures), strict=True))


@contextlib.contextmanager
def helping() -> Iterator[None]:
    """Inside the block, on the first process, `streamed` is helped by the others: in `help_first`."""
    alone = processes()[1] == 1
    with _set(_helping, not alone):
        yield
        if not alone:  # after an error the others see this process end
            _announce(None)


def help_first() -> None:
    """Do what `streamed` asks for, until the first process leaves its `helping`."""
    rank, _ = processes()
    while (asked := _hear()) is not None:
        work, tasks, workers, begin, given, able = asked
        ready = _ready(able)
        helpers = _agree(ready)
        if ready:
            mine = tasks[helpers.index(rank) :: len(helpers)]
            for result in _done(work, mine, _share_of(workers), begin, given):
                distributed.send_object_list([result], dst=0)


def streamed(
    work: Callable[[Task], Result],
    tasks: Sequence[Task],
    workers: int,
    begin: Callable[..., None],
    *given: Any,
    able: Callable[[], bool] = bool,
) -> Iterator[Result]:
    """`posedata.processes.in_processes`, or without workers in this one, with the help of other processes.

    Args:
        workers: of this process and of each that helps; they share the host's.
        able: whether a process can do such work at all, for instance because it sees the files that it reads.
    """
    if not _helping.get() or len(tasks) < 2 or not can_leave(work, begin, tasks[0], given, able):
        yield from _done(work, tasks, workers, begin, given)
        return
    _announce((work, tasks, workers, begin, given, able))
    helpers = _agree(True)
    count = len(helpers)
    with _set(_helping, False):
        mine = _done(work, tasks[::count], _share_of(workers), begin, given)
        for i in range(len(tasks)):
            if i % count == 0:
                yield next(mine)
            else:
                found: list[Any] = [None]
                distributed.recv_object_list(found, src=helpers[i % count])
                yield found[0]


def _done(
    work: Callable[[Task], Result],
    tasks: Sequence[Task],
    workers: int,
    begin: Callable[..., None],
    given: tuple[Any, ...],
) -> Iterator[Result]:
    if min(workers, len(tasks)) > 1:
        yield from in_processes(work, tasks, min(workers, len(tasks)), begin, *given)
        return
    begin(*given)
    yield from map(work, tasks)


def _share_of(workers: int) -> int:
    """Of a host's workers, those of one of its processes."""
    return max(1, workers // int(os.environ.get("LOCAL_WORLD_SIZE", "1")))


def _ready(able: Callable[[], bool]) -> bool:
    try:
        return bool(able())
    except (OSError, ValueError):
        return False


def _agree(ready: bool) -> list[int]:
    """The processes that are ready."""
    every: list[Any] = [None] * processes()[1]
    distributed.all_gather_object(every, ready)
    return [rank for rank, one in enumerate(every) if one]


def _announce(what: object) -> None:
    distributed.broadcast_object_list([what], src=0)


def _hear() -> Any:
    heard: list[Any] = [None]
    distributed.broadcast_object_list(heard, src=0)
    return heard[0]


@contextlib.contextmanager
def _set(variable: ContextVar[bool], value: bool) -> Iterator[None]:
    token = variable.set(value)
    try:
        yield
    finally:
        variable.reset(token)


def _devices(value: Any) -> Iterator[torch.device]:
    if isinstance(value, torch.Tensor):
        yield value.device
    elif isinstance(value, Mapping):
        yield from _devices(list(value.values()))
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _devices(part)


def _moved(value: Any, device: torch.device) -> Any:
    if isinstance(value, torch.Tensor):
        return value.to(device)
    if isinstance(value, dict):
        return {key: _moved(part, device) for key, part in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(_moved(part, device) for part in value))
    if isinstance(value, list | tuple):
        return type(value)(_moved(part, device) for part in value)
    return value
