"""What a reader is made of: a format, which is described here, its units and its clips."""

from __future__ import annotations

import dataclasses
import hashlib
import shutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import numpy as np
from jaxtyping import Float32

from posedata.store.schema import check_fps

UNKNOWN = "unknown"
F = TypeVar("F", bound="type[Format]")


@dataclass(frozen=True)
class ClipCamera:
    """One camera of a clip: its name (several subjects may share one), then what `Camera` holds.

    focal, centre (2,) pixels; rotation (3, 3) world to camera; translation (3,) metres; distortion (5,)
    k1, k2, p1, p2, k3; size (width, height).
    """

    name: str
    focal: Sequence[int | float] | np.ndarray
    centre: Sequence[int | float] | np.ndarray
    rotation: np.ndarray
    translation: Sequence[int | float] | np.ndarray
    size: Sequence[int] | np.ndarray
    distortion: Sequence[int | float] | np.ndarray = (0.0, 0.0, 0.0, 0.0, 0.0)


@dataclass(frozen=True)
class Clip:
    """One recording as one camera (or nobody) saw it: joints (T, J, 3) in world metres, z up; whose it is.

    Attributes:
        columns: further row columns of length T by the store's names (`valid`, `keypoints_NAME`, `boxes`,
            ...), the same ones in every clip of a data set; `frame` where it is not 0, 1, 2, ...
        cameras: the cameras that `columns["camera"]` counts (a moving one has T). One alone needs no column.
        images: batches in the order of the rows, e.g. `{"rgb": (n, H, W, 3) uint8}`, drawn from once; where
            some rows have none, `columns["image"]` numbers them from 0 in the clip, -1 for none.
        fps: only where `Plan.fps` is None, because it takes reading to know.
    """

    joints: Float32[np.ndarray, "T J 3"]
    subject: str
    sequence: str
    action: str = UNKNOWN
    columns: Mapping[str, np.ndarray] = field(default_factory=dict)
    cameras: Sequence[ClipCamera] = ()
    images: Iterable[Mapping[str, np.ndarray]] | None = None
    fps: int | float | None = None


@dataclass(frozen=True)
class Unit:
    """What is read by itself: a name of its own, the files it is read from, and plain data for `read`.

    The files are what is checksummed, and what makes a unit be read again if one of them has changed.
    """

    name: str
    files: tuple[Path, ...]
    detail: Any = None


@dataclass(frozen=True)
class Plan:
    """The units in the store's order, and what is known of the whole.

    Attributes:
        source: for the store's meta, in words.
        fps: after skipping; None where the clips tell.
        skeleton: of all clips.
        meta: more for the store's meta.json.
    """

    units: Sequence[Unit]
    source: str
    fps: int | float | None = None
    skeleton: str = "h36m17"
    meta: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Total:
    """A published count of rows (of frames seen by cameras, where there are cameras), at the native rate.

    Attributes:
        what: "training frames".
        rows: as published.
        source: where.
        subjects, actions, sequences, cameras: only rows with these names; all, if empty.
        at_least: a lower count that known copies of the data set have, e.g. ports that lose some frames.
        views: how many cameras are counted in it, for stores that have each pose once and no camera.
    """

    what: str
    rows: int
    source: str
    subjects: tuple[str, ...] = ()
    actions: tuple[str, ...] = ()
    sequences: tuple[str, ...] = ()
    cameras: tuple[str, ...] = ()
    at_least: int | None = None
    views: int | None = None


@dataclass(frozen=True)
class Context:
    """What `plan` and `read` are given.

    Attributes:
        scratch: a folder that both see, kept while the run may be resumed; files in it are `plan`'s.
        note: tells of a fault that can be lived with, "FILE: what; cure". With `--strict` it is an error.
        tell: tells of what is left out or assumed and no fault: crowds of COCO, people of no keypoint.
    """

    scratch: Path
    note: Callable[[str], None]
    tell: Callable[[str], None] = lambda text: None

    def unpacked(self, files: Sequence[Path], make: Callable[[Path], None]) -> Path:
        """A folder in the scratch that `make` fills from these files; one filled by an earlier run serves.

        For containers that cannot be read in parts (a gzipped file, a pickle): call it from `plan`.
        """
        states = [(str(file.resolve()), file.stat().st_size, file.stat().st_mtime_ns) for file in files]
        place = self.scratch / hashlib.sha256(repr(states).encode()).hexdigest()[:24]
        if not place.is_dir():
            unfinished = place.with_suffix(".partial")
            shutil.rmtree(unfinished, ignore_errors=True)
            unfinished.mkdir(parents=True)
            make(unfinished)
            unfinished.rename(place)
        return place


def option(default: Any, text: str, *, whole: tuple[Any, ...] = ()) -> Any:
    """A field of a format that the command line offers as an option with this help text.

    `whole`, of an option that selects what is read: the values with which the format's `totals` hold.
    """
    return field(default=default, metadata={"help": text, "whole": whole})


@dataclass(frozen=True)
class Format(ABC):
    """A layout in which a data set is distributed. Fields are options; instances travel to other processes.

    Class attributes: `name` (what the command line takes), `title` (one line), `terms` (the licence where the
    user gives none), `totals`, `reference_fps` (the rate at which the totals hold), `version` (raise it when
    what is read from the same files changes).
    """

    name: ClassVar[str]
    title: ClassVar[str]
    terms: ClassVar[str] = "as its source states"
    totals: ClassVar[tuple[Total, ...]] = ()
    reference_fps: ClassVar[int | float | None] = None
    version: ClassVar[int] = 1

    fps: int | float | None = option(None, "Keep every n-th frame to get this rate.")
    licence: str | None = option(None, "Terms of the data, kept in the store.")

    def __post_init__(self) -> None:
        if self.fps is not None:
            check_fps(self.fps, "fps")

    @abstractmethod
    def plan(self, source: Path, context: Context) -> Plan:
        """List the units of a data set. Cheap: looks at names and headers, unpacks what has to be."""

    @abstractmethod
    def read(self, unit: Unit, context: Context) -> Iterable[Clip]:
        """The clips of a unit, in a fixed order."""

    def options(self) -> dict[str, Any]:
        """The options as JSON can hold them: paths as their names alone."""
        given = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return {name: value.name if isinstance(value, Path) else value for name, value in given.items()}


FORMATS: dict[str, type[Format]] = {}
"""Formats by name; importing `posedata.readers.registry` fills it."""


def register(cls: F) -> F:
    """Class decorator: make a format known by its name."""
    if cls.name in FORMATS and FORMATS[cls.name].__qualname__ != cls.__qualname__:
        raise ValueError(f"format {cls.name!r} is registered twice; rename one")
    FORMATS[cls.name] = cls
    return cls


def inside(folder: Path, *parts: str) -> Path:
    """`folder` joined with parts that came out of a file; ValueError if that leaves the folder."""
    pieces = [piece for part in parts for piece in str(part).split("/")]
    if any("\0" in piece or len(piece.encode("utf-8", "replace")) > 255 for piece in pieces):
        raise ValueError(f"{folder}: a name in it is none of a file ({'/'.join(parts)[:80]!r}); get it again")
    root = folder.resolve()
    path = root.joinpath(*parts).resolve()
    if not path.is_relative_to(root):
        raise ValueError(f"{folder}: a name in it leads outside ({'/'.join(parts)[:80]}); it is not followed")
    return folder / path.relative_to(root)
