"""TRC, the marker text of OpenSim, Cortex, Pose2Sim and Sports2D, as Human3.6M-17 by its labels."""

from __future__ import annotations

import re
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from posedata.readers._clips import files_of, units_of
from posedata.readers.c3d import MISSING, UNIT, UP, check_options, clips
from posedata.readers.files.markers import Markers, Reading
from posedata.readers.files.text import motion_text
from posedata.readers.format import Clip, Context, Format, Plan, Unit, option, register
from posedata.readers.merge import Dataset, collect

_MOST = 4096


@register
@dataclass(frozen=True)
class Trc(Format):
    """Every TRC file of a folder (or one), as Human3.6M-17 in metres, z up.

    Markers become joints as those of C3D do. What has empty or NaN cells, or lies at the origin to the digit,
    was not seen.
    """

    name = "trc"
    title = "TRC marker files (OpenSim, Pose2Sim, Sports2D), a folder of them or one"

    unit: str = option("auto", UNIT)
    up: Literal["auto", "x", "y", "z"] = option("auto", UP)
    missing: Literal["refuse", "mark"] = option("refuse", MISSING)

    def plan(self, source: Path, context: Context) -> Plan:
        check_options(self.unit, self.up, self.missing)
        return Plan(units_of(files_of(source, ".trc"), source), "TRC motion capture")

    def read(self, unit: Unit, context: Context) -> Iterator[Clip]:
        (file,) = unit.files
        how = Reading(self.unit, self.up, self.missing == "mark")
        yield from clips(file, parse(file, context.note), how, "y", self.fps, context.note)


def read_trc(source: str | Path, **options: Any) -> Dataset:
    """Read TRC files into memory; options are the fields of `Trc`."""
    return collect(Trc(**options), source)


def parse(file: Path, note: Callable[[str], None]) -> Markers:
    """Labels and places; raises ValueError naming the file, and the line where it is one."""
    lines = motion_text(file).split("\n")
    top = next((i for i, line in enumerate(lines[:20]) if line.lstrip().startswith("Frame#")), None)
    keys = next((i for i, line in enumerate(lines[:20]) if "DataRate" in line), None)
    if top is None or keys is None:
        raise ValueError(
            f"{file}: is not a TRC file (no 'DataRate' and 'Frame#' lines at its top); export it again"
        )
    header = dict(zip(lines[keys].split(), lines[keys + 1].split(), strict=False))
    labels = [word.strip() for word in re.split(r"\t+|\s{2,}", lines[top].strip())][2:]
    if not 0 < len(labels) <= _MOST:
        raise ValueError(f"{file}: line {top + 1} has no marker's name after 'Frame#' and 'Time'; mend it")
    table = _table(file, lines, top + 1, 2 + 3 * len(labels))
    frames, times = table[:, 0], table[:, 1]
    if not np.isfinite(frames).all() or (np.diff(frames) <= 0).any() or np.abs(frames).max() > 2**31:
        raise ValueError(
            f"{file}: its frame numbers do not grow from line to line; are these two recordings?"
        )
    numbers = frames.astype(np.int64)
    gaps = np.flatnonzero(np.diff(numbers) > 1)
    if len(gaps):
        first, last = numbers[gaps[0]] + 1, numbers[gaps[0] + 1] - 1
        note(f"{file}: frames {first} to {last} are missing; column 'frame' has the gap")
    places = table[:, 2:].reshape(len(table), len(labels), 3)
    places[~places.any(axis=-1)] = np.nan
    places[np.isnan(places).any(axis=-1)] = np.nan
    rate = _rate(file, header.get("DataRate", ""), numbers, times, note)
    said = header.get("NumMarkers", "")
    if said.isdigit() and int(said) != len(labels):
        note(f"{file}: says {said[:9]} markers and names {len(labels)}, which are read")
    said = header.get("NumFrames", "")
    if said.isdigit() and int(said) != len(table):
        note(f"{file}: says {said[:9]} frames and has {len(table)}, which are read; was it cut short?")
    return Markers(labels, places, numbers, rate, header.get("Units", ""))


def _table(file: Path, lines: list[str], start: int, width: int) -> np.ndarray:
    """(T, width) of the lines below the names; cells that are empty or NaN are NaN."""
    data = array("d")
    for number, line in enumerate(lines[start:], start=start + 1):
        if not line.strip() or re.match(r"\s*X1\s", line + " "):
            continue
        cells = line.split("\t") if "\t" in line else line.split()
        while len(cells) > width and not cells[-1].strip():
            cells.pop()
        if len(cells) > width:
            raise ValueError(
                f"{file}: line {number} has {len(cells)} values for {width}; mend its marker names"
            )
        row = []
        for cell in cells:
            try:
                row.append(float(cell) if cell.strip() else np.nan)
            except ValueError:
                raise ValueError(f"{file}: line {number}: {cell[:40]!r} is not a number; mend it") from None
        data.extend(row)
        data.extend([np.nan] * (width - len(row)))
    if not len(data):
        raise ValueError(f"{file}: has no frame; it is cut short: export it again")
    table = np.frombuffer(data, dtype=np.float64).reshape(-1, width).copy()
    table[~(np.abs(table) < 1e9)] = np.nan
    return table


def _rate(
    file: Path, said: str, numbers: np.ndarray, times: np.ndarray, note: Callable[[str], None]
) -> float:
    """Frames a second: what the times say, if they do and differ from the header."""
    try:
        rate = float(said)
    except ValueError:
        rate = 0.0
    known = np.isfinite(times)
    ends = np.flatnonzero(known)[[0, -1]] if known.any() else np.zeros(2, int)
    seconds, count = float(np.diff(times[ends])[0]), int(np.diff(numbers[ends])[0])
    timed = count / seconds if count and seconds > 1e-5 else 0.0
    if not 0.1 <= rate <= 1e5:
        rate = round(timed, 2)
    elif timed and abs(timed - rate) > 0.02 * rate:
        note(
            f"{file}: says DataRate {said[:20]} and its times {timed:.4g} frames/s, which are taken; mend one"
        )
        rate = round(timed, 2)
    if not 0.1 <= rate <= 1e5:
        raise ValueError(f"{file}: field DataRate is {said[:20]!r}, no frames a second; write them")
    return rate
