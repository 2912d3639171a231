"""Errors a user can mend become one line on stderr and exit code 2; an interrupt says how to go on."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from posedata.errors import FULL, no_room, one_line
from posedata.terminal import visible

from posetrain import interrupts


@contextmanager
def plain_errors() -> Iterator[None]:
    """Turn ValueError and OSError into one line on stderr and exit code 2, an interrupt into 130 or 143.

    Decorates a Typer command, under `@app.command()`, or wraps a block. POLYPOSE_TRACEBACK=1 lets the
    traceback through.
    """
    try:
        yield
    except (ValueError, OSError) as error:
        if os.environ.get("POLYPOSE_TRACEBACK"):
            raise
        if isinstance(error, OSError) and error.errno in FULL and error.filename:
            error = no_room(Path(os.fsdecode(error.filename)))
        print(visible(f"error: {one_line(error)}"), file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt as error:
        sys.exit(interrupts.tell(error))
