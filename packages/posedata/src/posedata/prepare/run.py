"""Prepares a data set: units in parallel, each to a part on disk, then all parts to one store, in order.

Beside OUT a hidden folder `.OUT.prepare` holds the parts. A run that was interrupted, even killed, leaves
them there; the next run with the same source and options takes up those that are whole and reads the rest.
Since parts are joined in the order of the plan, the store is the same to the byte however often it was
interrupted and however many processes worked.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from posedata.errors import one_line
from posedata.lock import lock
from posedata.prepare.finish import finish
from posedata.prepare.parts import Part, Reader, checksum, unit_key
from posedata.processes import can_leave, in_processes
from posedata.readers.files.packed import left_packed, unpacked
from posedata.readers.format import Context, Format, Plan, Unit
from posedata.readers.registry import get_format
from posedata.store.names import is_text
from posedata.store.writer import refuse_existing

Progress = Callable[[int, int], None]
"""Called with how many units are done, and of how many."""
ALONE_SECONDS = 2.0
"""How long one process reads before others, which take as long to start, are called in."""
_OUR_TROUBLE = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EMFILE, errno.ENFILE, errno.ENOMEM}
"""What is no fault of the source: a full disk must not leave units out. The next run goes on."""
Files = tuple[tuple[str, int, str], ...]


@dataclass(frozen=True)
class Failure:
    """A unit that could not be read, and why."""

    unit: str
    message: str
    missing: bool


def prepare(
    format_name: str,
    source: str | Path,
    out: str | Path,
    *,
    overwrite: bool = False,
    strict: bool = False,
    workers: int = 1,
    shards: bool = False,
    progress: Progress | None = None,
    say: Callable[[str], None] = lambda text: None,
    **options: Any,
) -> Path:
    """Read a data set of a known format and write it as a pose store, going on where a run was interrupted.

    The store also has `sources.json`: every source file with its bytes and sha256, every unit with its rows
    and what was noted. Same source and options, same bytes, whatever `workers` is.

    Args:
        format_name: a key of `FORMATS`.
        source: file or folder, as the format takes it; or a zip file of either, unpacked beside `out`.
        out: the store to make.
        overwrite: replace `out` if it is a store.
        strict: raise where something is missing, odd or unreadable, instead of telling and leaving it out;
            what is left out because the data set itself marks it so is said, and no fault.
        workers: processes; 1 reads in this one, as does a format that is defined in the script itself.
        shards: write pictures as PNG in tar files (`posedata.store.tar_shards`).
        progress: called as units are done.
        say: called with each fault as it is found, "FILE: what; cure".
        options: the format's, e.g. `fps`.

    Raises:
        ValueError: the format or an option is not known; `out` is to be replaced and holds the source; with
            `strict`, anything was noted; nothing could be read.
        FileNotFoundError: there is no source.
        FileExistsError: the store exists, or with `overwrite` something that is no store.
    """
    form, source, out = get_format(format_name, **options), Path(source), Path(out)
    refuse_existing(out, overwrite)
    if out.exists() and source.resolve().is_relative_to(out.resolve()):
        raise ValueError(f"{out}: holds {source}, which is to be read; choose another name")
    notes: list[str] = []
    faults: list[str] = []

    def tell(text: str) -> None:
        notes.append(text)
        say(text)

    def note(text: str) -> None:
        faults.append(text)
        tell(text)

    with _work_folder(out) as work, _named(source, work) as named:
        given = unpacked(source, Context(work / "scratch", note))
        context = Context(work / "scratch", lambda text: note(named(text)), lambda text: tell(named(text)))
        job = _Job(form, given, work / "parts", context.scratch)
        plan = form.plan(given, context)
        _check_plan(plan, given)
        for text in left_packed(given, [file for unit in plan.units for file in unit.files]):
            note(named(text))
        if strict and faults:
            raise _strict(source, faults)
        files, parts = _read_all(job, plan, workers, progress, context)
        if strict and faults:
            raise _strict(source, faults)
        kept = [text.replace(f"{source}{os.sep}", "") for text in notes]  # wherever the source lay
        finish(form, plan, parts, files, kept, work, out, overwrite=overwrite, shards=shards)
        shutil.rmtree(job.folder)
    return out


@contextlib.contextmanager
def _named(source: Path, work: Path) -> Iterator[Callable[[str], str]]:
    """What unpacked files are called in notes, and in errors raised inside: by the zip file they lay in."""
    place = re.compile(re.escape(str(work / "scratch")) + r"/[0-9a-f]{24}/" + re.escape(source.stem))

    def named(text: str) -> str:
        return place.sub(lambda _: str(source), text)

    try:
        yield named
    except (ValueError, FileNotFoundError) as error:
        text = str(error)
        if named(text) == text:
            raise
        raise (ValueError if isinstance(error, ValueError) else FileNotFoundError)(named(text)) from None


def _read_all(
    job: _Job, plan: Plan, workers: int, progress: Progress | None, context: Context
) -> tuple[Files, list[tuple[str, Part]]]:
    """Checksums of the files that units share, and the parts (with their keys) that could be read."""
    owners: dict[Path, int] = {}
    for unit in plan.units:
        for file in set(unit.files):
            owners[file] = owners.get(file, 0) + 1
    shared = sorted(file for file, count in owners.items() if count > 1)
    tasks = [_Task(files=(file,)) for file in shared]
    tasks += [
        _Task(tuple(file for file in dict.fromkeys(unit.files) if owners[file] == 1), unit, job.key(unit))
        for unit in plan.units
    ]
    files: list[tuple[str, int, str]] = []
    parts: list[tuple[str, Part]] = []
    failures: list[Failure] = []
    for done, (task, result) in enumerate(zip(tasks, _results(job, tasks, workers), strict=True), start=1):
        if isinstance(result, Part):
            parts.append((task.key, result))
            for text in result.notes:
                context.note(text)
            for text in result.remarks:
                context.tell(text)
        elif isinstance(result, Failure):
            failures.append(result)
            context.note(f"{result.message} [{result.unit} is left out]")
        else:
            files += result
        if progress is not None:
            progress(done, len(tasks))
    if failures and not any(part.rows for _, part in parts):
        first = failures[0]
        raise FileNotFoundError(first.message) if first.missing else ValueError(first.message)
    return tuple(files), parts


@dataclass(frozen=True)
class _Task:
    """Files to checksum and, mostly, a unit to read."""

    files: tuple[Path, ...]
    unit: Unit | None = None
    key: str = ""


@dataclass(frozen=True)
class _Job:
    """What is the same for all units; sent to each worker once."""

    form: Format
    source: Path
    folder: Path
    scratch: Path

    def key(self, unit: Unit) -> str:
        for file in unit.files:
            if not file.is_file():
                raise FileNotFoundError(f"{file}: no such file; restore it, or get the data set again")
        return unit_key(unit, self.form, self.source)

    def run(self, task: _Task) -> Part | Failure | Files:
        if task.unit is None:
            return tuple(checksum(file, self.source) for file in task.files)
        reader = Reader(self.form, self.source, self.folder, self.scratch)
        try:
            return reader.part(task.unit, task.key, task.files)
        except (ValueError, OSError) as error:
            if isinstance(error, OSError) and error.errno in _OUR_TROUBLE:
                raise
            return Failure(task.unit.name, one_line(error), isinstance(error, FileNotFoundError))


_in_this_process: _Job | None = None


def _start_worker(job: _Job) -> None:
    global _in_this_process
    _in_this_process = job


def _work(task: _Task) -> Part | Failure | Files:
    assert _in_this_process is not None
    return _in_this_process.run(task)


def _results(job: _Job, tasks: Sequence[_Task], workers: int) -> Iterator[Part | Failure | Files]:
    """In the order of the tasks; never more than a few wait. Processes are started for long work only."""
    begun, done = time.monotonic(), 0
    alone = workers <= 1 or not can_leave(job.form)
    while done < len(tasks) and (alone or time.monotonic() - begun < ALONE_SECONDS):
        yield job.run(tasks[done])
        done += 1
    if not (rest := tasks[done:]):
        return
    try:
        yield from in_processes(_work, rest, min(workers, len(rest)), _start_worker, job)
    except ValueError as error:
        raise ValueError(f"{job.source}: {error}; it goes on where this stopped") from None


def _check_plan(plan: Plan, source: Path) -> None:
    if not plan.units:
        raise ValueError(f"{source}: nothing to read there; check the folder, or what was selected")
    names = [unit.name for unit in plan.units]
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{source}: {twice!r} is there twice; remove one")
    for text in [*names, *(str(file) for unit in plan.units for file in unit.files)]:
        if not is_text(text):
            raise ValueError(f"{source}: the name {text!r} is no UTF-8; rename it")


def _strict(source: Path, notes: Sequence[str]) -> ValueError:
    more = f" (and {len(notes) - 1} more)" if len(notes) > 1 else ""
    return ValueError(f"{notes[0]}{more}; mend {source.name}, or leave --strict out")


@contextlib.contextmanager
def _work_folder(out: Path) -> Iterator[Path]:
    """The hidden folder beside the store, held against a second run; the lock dies with the process.

    What an earlier run left half done in it is removed, whole parts are kept. It stays after an error only
    if it has parts, so that the next run goes on.
    """
    work = out.resolve().parent / f".{out.name}.prepare"
    parts = work / "parts"
    parts.mkdir(parents=True, exist_ok=True)
    with (work / "lock").open("w") as file:
        try:
            lock(file)
        except BlockingIOError:
            raise ValueError(f"{out}: another prepare is writing it; wait, or choose another name") from None
        _remove_unfinished(work)
        (work / "scratch").mkdir(exist_ok=True)
        try:
            yield work
        finally:
            _remove_unfinished(work)
            if not parts.is_dir() or not any(parts.iterdir()):
                shutil.rmtree(work)


def _remove_unfinished(work: Path) -> None:
    for left in [*work.glob(".*.partial"), *work.glob("*/*.partial")]:
        shutil.rmtree(left, ignore_errors=True)
