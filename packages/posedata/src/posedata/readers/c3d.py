"""C3D, what marker systems (Vicon, Qualisys, OptiTrack) record, as Human3.6M-17 by its points' labels."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from posedata.readers._clips import files_of, names_of, stride_for, units_of
from posedata.readers.files.c3d import read_c3d as parse
from posedata.readers.files.markers import Markers, Reading, h36m17, people
from posedata.readers.format import Clip, Context, Format, Plan, Unit, option, register
from posedata.readers.merge import Dataset, collect

UNIT = "auto (as the file says), m, cm, mm or inch."
UP = "The vertical axis, x, y or z; auto takes the one along which people stand."
MISSING = "Where a joint cannot be had from the labels: refuse, or mark it in 'valid'."


@register
@dataclass(frozen=True)
class C3d(Format):
    """Every C3D file of a folder (or one), as Human3.6M-17 in metres, z up.

    Joint centres are taken by their labels, else estimated from surface markers, which is told. Of several
    subjects in a file (labels "NAME:LASI") each is a clip. A joint whose markers a frame lacks is marked in
    `valid`.
    """

    name = "c3d"
    title = "C3D marker recordings, a folder of them or one"

    unit: str = option("auto", UNIT)
    up: Literal["auto", "x", "y", "z"] = option("auto", UP)
    missing: Literal["refuse", "mark"] = option("refuse", MISSING)

    def plan(self, source: Path, context: Context) -> Plan:
        check_options(self.unit, self.up, self.missing)
        return Plan(units_of(files_of(source, ".c3d"), source), "C3D motion capture")

    def read(self, unit: Unit, context: Context) -> Iterator[Clip]:
        (file,) = unit.files
        how = Reading(self.unit, self.up, self.missing == "mark")
        yield from clips(file, parse(file, context.note), how, "z", self.fps, context.note)


def read_c3d(source: str | Path, **options: Any) -> Dataset:
    """Read C3D files into memory; options are the fields of `C3d`."""
    return collect(C3d(**options), source)


def clips(
    file: Path,
    markers: Markers,
    how: Reading,
    usual_up: str,
    fps: int | float | None,
    note: Callable[[str], None],
) -> Iterator[Clip]:
    """A clip for each person in a recording; raises what the first cannot be read for if none can."""
    stride = stride_for(file, markers.rate, fps)
    numbers = markers.frames - min(1, int(markers.frames[0]))
    kept = (numbers - numbers[0]) % stride == 0
    subject, sequence, action = names_of(file)
    persons, faults = people(file, markers), []
    for person, places in persons.items():
        seen = {label: place[kept] for label, place in places.items()}
        try:
            joints, valid = h36m17(file, seen, markers.unit, how, usual_up, note)
        except ValueError as error:
            faults.append(str(error))
            continue
        columns = {"frame": numbers[kept] // stride, "valid": valid}
        names = (person, f"{sequence}-{person}") if len(persons) > 1 and person else (subject, sequence)
        yield Clip(joints, *names, action, columns, fps=fps or markers.rate)
    if len(faults) == len(persons):
        raise ValueError(faults[0])


def check_options(unit: str, up: str, missing: str) -> None:
    known = {
        "unit": ("auto", "m", "cm", "mm", "inch"),
        "up": ("auto", "x", "y", "z"),
        "missing": ("refuse", "mark"),
    }
    for name, value in {"unit": unit, "up": up, "missing": missing}.items():
        if value not in known[name]:
            raise ValueError(f"{name} {value!r} is not known; use one of {', '.join(known[name])}")
