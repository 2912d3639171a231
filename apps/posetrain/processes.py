"""The processes of a training: how they find each other, and how long one waits for another."""

from __future__ import annotations

import atexit
import re
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

import torch.distributed
from accelerate import PartialState
from accelerate.utils import gather_object
from posedata.sharing import help_first, helping
from posedata.terminal import print_line

from posetrain.stage import LoopConfig

_BROKEN = re.compile(r"timed? ?out|connection (closed|reset|refused)|broken pipe", re.IGNORECASE)


def join_processes(config: LoopConfig) -> PartialState:
    """This process among those that train together, on the device that the recipe says."""
    first = not torch.distributed.is_initialized()
    state = PartialState(cpu=config.device == "cpu", timeout=timedelta(seconds=config.timeout))
    if first and torch.distributed.is_initialized():
        atexit.register(_part)
    return state


def _part() -> None:
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


@contextmanager
def first_alone(config: LoopConfig) -> Iterator[Callable[[str], None]]:
    """Inside the block the first process goes ahead; yields what to tell the user by.

    The others help it where its work can be shared (`posedata.sharing.streamed`), else they wait.

    Raises:
        TimeoutError: it took longer than `loop.timeout`.
    """
    state = join_processes(config)
    with patient(config):
        if state.is_main_process:
            with helping():
                yield print_line
            state.wait_for_everyone()
        else:
            help_first()
            state.wait_for_everyone()
            yield lambda text: None


@contextmanager
def patient(config: LoopConfig) -> Iterator[None]:
    """Say what it means that another process has not come.

    Raises:
        TimeoutError: one took longer than `loop.timeout`, or ended.
    """
    try:
        yield
    except RuntimeError as error:
        if not _BROKEN.search(str(error)):
            raise
        raise TimeoutError(
            "another process of this training ended, or kept this one waiting for longer than loop.timeout"
            f" ({config.timeout:g} s): see what it says; where it only takes long (to prepare data, to"
            " evaluate), set loop.timeout higher, and go on with --resume"
        ) from error


def agree(what: str, mine: object, cure: str) -> None:
    """Stop where processes, which may be on several hosts, do not have the same; call it in all of them.

    Raises:
        ValueError: they differ; it names hosts and what each has.
    """
    if PartialState().num_processes == 1:
        return
    found = gather_object([(socket.gethostname(), PartialState().process_index, mine)])
    if len({value for _, _, value in found}) > 1:
        each = ", ".join(f"{host} process {index}: {value}" for host, index, value in found)
        raise ValueError(f"{what} is not the same everywhere ({each}); {cure}")
