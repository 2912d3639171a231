"""What the commands of `polypose` share: the screen, and what becomes of the user's faults."""

from __future__ import annotations

import contextlib
import functools
import inspect
import sys
from collections.abc import Callable, Iterator
from typing import Any

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


def taking(shared: type[Any]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command, after its own options, the fields of a dataclass that several commands take.

    The command is called with an instance of it first; `faults` are told.
    """
    more = list(inspect.signature(shared, eval_str=True).parameters.values())

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        own = list(inspect.signature(command, eval_str=True).parameters.values())[1:]

        @functools.wraps(command)
        def run(**given: Any) -> None:
            with faults():
                command(shared(**{each.name: given.pop(each.name) for each in more}), **given)

        del run.__wrapped__  # Typer would read the options of what is within
        named = [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in (*own, *more)]
        run.__signature__ = inspect.Signature(named)  # type: ignore[attr-defined]
        run.__annotations__ = {each.name: each.annotation for each in named}
        return run

    return decorate
