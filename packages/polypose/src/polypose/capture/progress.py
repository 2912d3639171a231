"""How far a film has been seen, on a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from posedata.terminal import Terminal, visible

Watch = Callable[[str, float, float | None], None]
"""Told of each frame: the film's name, seconds of it done, and how many there are in all."""


@contextmanager
def bars(console: Terminal) -> Iterator[Watch]:
    """A bar a film, with the time left; nothing where nobody looks."""
    from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.fields[film]}", markup=False),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
    )
    tasks: dict[str, TaskID] = {}
    with Progress(
        *columns, TimeRemainingColumn(), console=console, disable=not console.is_terminal
    ) as progress:

        def watch(name: str, done: float, total: float | None) -> None:
            if name not in tasks:  # begins where an earlier run was stopped
                tasks[name] = progress.add_task("", total=total, film=visible(name)[:40])
                progress.reset(tasks[name], completed=int(done))
            progress.update(tasks[name], completed=done)

        yield watch
