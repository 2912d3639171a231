"""What the commands of `polypose` share: the screen, and what becomes of the user's faults."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator

import typer
from posedata.errors import one_line
from posedata.terminal import Terminal, visible

console = Terminal(highlight=False, soft_wrap=True)


@contextlib.contextmanager
def faults() -> Iterator[None]:
    """What the user can mend becomes one line and exit code 2."""
    try:
        yield
    except (ValueError, OSError, ModuleNotFoundError) as error:
        print(visible(f"polypose: {one_line(error)}"), file=sys.stderr)
        raise typer.Exit(2) from None
