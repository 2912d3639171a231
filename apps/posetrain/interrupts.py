"""Ctrl-C and SIGTERM end a training with the command that goes on with it, and the exit code they have."""

from __future__ import annotations

import os
import shlex
import signal
import sys
import threading
from pathlib import Path
from types import FrameType

from posedata.terminal import visible

INTERRUPTED, TERMINATED = 130, 143


class Terminated(KeyboardInterrupt):
    """SIGTERM came."""


_training = False


def begin() -> None:
    """From now on there is something to resume; SIGTERM is an exception, as Ctrl-C is."""
    global _training
    _training = True
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, _terminate)


def end() -> None:
    """Nothing is left to resume."""
    global _training
    _training = False
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def tell(error: KeyboardInterrupt) -> int:
    """Say what to do next, on the first process; returns the exit code."""
    word, code = ("terminated", TERMINATED) if isinstance(error, Terminated) else ("interrupted", INTERRUPTED)
    if os.environ.get("RANK", "0") == "0":
        said = f"{word}; go on from the last checkpoint with: {resuming(sys.argv)}" if _training else word
        print(visible(said), file=sys.stderr)
    return code


def resuming(arguments: list[str]) -> str:
    """The command that goes on with what this one began."""
    program, *rest = arguments
    name = f"python {shlex.quote(program)}" if program.endswith(".py") else Path(program).name
    kept = [argument for argument in rest if argument not in ("--overwrite", "--resume")]
    return " ".join([name, *map(shlex.quote, kept), "--resume"])


def _terminate(signum: int, frame: FrameType | None) -> None:
    raise Terminated
