"""A motion as .c3d, what marker systems record: z up, millimetres, residual -1 for a gap (by ezc3d)."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from posedata.errors import no_room
from posedata.writing import replacing

from polypose.capture.write import c3d_file
from polypose.capture.write.c3d_file import write_file
from polypose.capture.write.labels import labels_of
from polypose.capture.write.people import check_somebody, steady

if TYPE_CHECKING:
    from polypose.capture.motion import Motion, Person

_MOST_FRAMES = 65535
"""What the header's 16 bits count."""
_MOST_POINTS, _FEWEST_FRAMES = 1_200_000, 1024
"""In one file: joints of everybody in every frame, of which the library holds 0.2 kB each; and frames that a
file has however many people are in it."""


def write_c3d(motion: Motion, path: Path) -> tuple[Path, ...]:
    """Write everybody in one file; of several people the labels are person1:RKnee, person2:RKnee.

    C3D has a rate and no times (`people.steady`). It counts 65,535 frames, and holds a place for everybody in
    every frame: later ones, and of many people fewer at a time, are in NAME.part2.c3d, with who is there.
    Such parts of a longer motion that was written there before are removed.

    Raises:
        ValueError, OSError: nobody, no place to write to.
        ModuleNotFoundError: ezc3d is not installed.
    """
    check_somebody(motion, path)
    motion, rate = steady(motion)
    names, written, parts = labels_of(motion.skeleton), [], list(_parts(motion))
    for part, (span, people) in enumerate(parts, start=1):
        places = np.full((span.stop - span.start, len(people), len(names), 3), np.nan)
        for number, person in enumerate(people):
            first, last = max(span.start, person.first), min(span.stop, person.frames.stop)
            mine = person.joints[first - person.first : last - person.first]
            places[first - span.start : last - span.start, number] = 1000 * mine
        labels = [
            f"person{person.id}:{name}" if len(motion.people) > 1 else name
            for person in people
            for name in names
        ]
        file = _part(path, part)
        _write(file, labels, places.reshape(len(places), len(labels), 3), rate, apart=len(parts) > 1)
        written.append(file)
    left = len(parts) + 1
    while (old := _part(path, left)).is_file():  # of a longer motion that was written there before
        old.unlink()
        left += 1
    return tuple(written)


def _part(path: Path, number: int) -> Path:
    return path if number == 1 else path.with_name(f"{path.stem}.part{number}{path.suffix}")


def _parts(motion: Motion) -> Iterator[tuple[slice, list[Person]]]:
    """Spans of frames with those who are there, some frames long and so small that they fit into memory."""
    start, most = 0, _MOST_POINTS // len(motion.skeleton)
    while start < len(motion):
        stop = min(start + _MOST_FRAMES, len(motion))
        while True:
            people = [p for p in motion.people if p.first < stop and p.frames.stop > start]
            if len(people) * (stop - start) <= most or stop - start <= _FEWEST_FRAMES:
                break
            stop = max(start + _FEWEST_FRAMES, start + (stop - start) // 2)
        yield slice(start, stop), people or [motion.people[0]]
        start = stop


def _write(path: Path, labels: list[str], places: np.ndarray, rate: float, apart: bool) -> None:
    """places: (T, M, 3) millimetres, NaN for gaps; `apart` in a process of its own."""
    if find_spec("ezc3d") is None:
        raise ModuleNotFoundError(f"{path}: C3D needs ezc3d; pip install 'polypose[video]'")
    with replacing(path) as whole:
        made = Path(f"{os.fsdecode(whole.name)}.c3d")  # the library adds this ending to any other
        try:
            if apart:
                write_apart(made, labels, places, rate, path)
            else:
                write_file(str(made), labels, places, rate)
            if made.stat().st_size < 16 * len(labels) * len(places):  # it does not say that the disk is full
                raise no_room(path)
            with made.open("rb") as source:
                shutil.copyfileobj(source, whole)
        finally:
            made.unlink(missing_ok=True)


def write_apart(made: Path, labels: list[str], places: np.ndarray, rate: float, path: Path) -> None:
    """`write_file` in a process of its own, whose memory goes with it; in this one, where Python is embedded.

    Args:
        made: the file to write.
        path: what it becomes in the end, for messages.

    Raises:
        OSError: it did not write.
    """
    if not sys.executable or getattr(sys, "frozen", False):
        write_file(str(made), labels, places, rate)
        return
    told = io.BytesIO()
    np.savez(told, labels=labels, places=places, rate=rate)
    program = [sys.executable, "-P", c3d_file.__file__, str(made)]  # beside it is a csv.py, not Python's
    try:
        subprocess.run(program, input=told.getvalue(), capture_output=True, check=True)
    except subprocess.CalledProcessError as error:
        why = error.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        why = why or f"its process ended with {error.returncode}"
        raise OSError(f"{path}: cannot be written: {why}") from None
