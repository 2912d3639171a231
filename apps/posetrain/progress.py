"""What long work says: a live bar on a terminal, a plain line now and then elsewhere."""

import time
from types import TracebackType

from posedata.terminal import Terminal, print_line
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

PLAIN_EVERY_SECONDS = 15.0


class StageProgress:
    """`with StageProgress("align", total=500) as progress: progress.update(step, "loss 1.2")`."""

    def __init__(self, name: str, total: int, start: int = 0, quiet: bool = False) -> None:
        self.name, self.total, self.start = name, total, start
        self.quiet = quiet
        self.console = Terminal()
        self.began = self.said = time.monotonic()
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self.bar = Progress(*columns, TextColumn("{task.fields[text]}"), console=self.console)
        self.task = self.bar.add_task(name, total=total, completed=start, text="")

    def __enter__(self) -> "StageProgress":
        if self.console.is_terminal and not self.quiet:
            self.bar.start()
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self.bar.live.is_started:
            self.bar.stop()

    def update(self, step: int, text: str) -> None:
        """Show how far the work is."""
        self.bar.update(self.task, completed=step, text=text, description=self.name)
        now = time.monotonic()
        due = step == self.total or now - self.said > PLAIN_EVERY_SECONDS
        if due and not self.quiet and not self.console.is_terminal:
            self.said = now
            rate = (step - self.start) / max(now - self.began, 1e-9)
            left = (self.total - step) / rate if rate else 0.0
            print_line(f"{self.name} {step}/{self.total}  {text}  {rate:.1f} steps/s  {left:.0f} s left")

    def say(self, doing: str) -> None:
        """Name what is being done now, "evaluating" for instance."""
        self.bar.update(self.task, description=f"{self.name}: {doing}")
