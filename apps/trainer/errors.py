"""Errors a user can mend become one line on stderr and exit code 2."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from posedata.terminal import visible


@contextmanager
def plain_errors() -> Iterator[None]:
    """Turn ValueError and OSError into one line on stderr and exit code 2.

    Decorates a Typer command, under `@app.command()`, or wraps a block. POLYPOSE_TRACEBACK=1 lets the
    traceback through.
    """
    try:
        yield
    except (ValueError, OSError) as error:
        if os.environ.get("POLYPOSE_TRACEBACK"):
            raise
        print(visible(f"error: {' '.join(str(error).split())}"), file=sys.stderr)
        sys.exit(2)
