"""One unit, read and written to disk by itself: what a worker does, and what a resumed run finds again."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from posedata.readers.format import Clip, Context, Format, Unit
from posedata.readers.merge import Label, camera_table, clip_columns
from posedata.store.npy import GrowingNpy, digest_file
from posedata.store.schema import IMAGE_KINDS

_BLOCK = 1 << 22


@dataclass(frozen=True)
class Part:
    """A unit on disk: a folder of columns, images as they came, and `part.json` (the fields here).

    `files` are (name, bytes, sha256) of the source files that only this unit has; `digests` those of the
    arrays, so that a part which a power cut spoilt is not taken for whole.
    """

    unit: str
    labels: tuple[Label, ...] = ()
    cameras: tuple[str, ...] = ()
    digests: Mapping[str, str] = dataclasses.field(default_factory=dict)
    images: int = 0
    notes: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    files: tuple[tuple[str, int, str], ...] = ()

    @property
    def rows(self) -> int:
        return sum(label.rows for label in self.labels)


class Reader:
    """Reads units into `folder`; one lives in each process."""

    def __init__(self, form: Format, source: Path, folder: Path, scratch: Path) -> None:
        self._form, self._source, self._folder, self._scratch = form, source, folder, scratch

    def part(self, unit: Unit, key: str, own: tuple[Path, ...]) -> Part:
        """The unit's part, as an earlier run left it or read now; `own` are the files to checksum.

        Raises what the format raises.
        """
        place = self._folder / key
        found = load_part(place)
        if found is not None:
            return found
        # A name of its own: a process of a killed run may still be at this unit.
        unfinished = Path(tempfile.mkdtemp(prefix=f"{key}.", suffix=".partial", dir=self._folder))
        notes: list[str] = []
        remarks: list[str] = []
        context = Context(self._scratch, notes.append, remarks.append)
        writer = _PartWriter(unfinished)
        try:
            for clip in self._form.read(unit, context):
                _check_finite(clip, unit)
                writer.add(clip)
        finally:
            digests = writer.close()
        part = Part(
            unit=unit.name,
            labels=tuple(writer.labels),
            cameras=tuple(writer.cameras),
            digests=digests,
            images=writer.images,
            notes=tuple(notes),
            remarks=tuple(remarks),
            files=tuple(checksum(file, self._source) for file in own),
        )
        (unfinished / "part.json").write_text(json.dumps(dataclasses.asdict(part)), encoding="utf-8")
        shutil.rmtree(place, ignore_errors=True)
        unfinished.rename(place)
        return part


def load_part(place: Path) -> Part | None:
    """The part in this folder if it is whole, else None."""
    try:
        about = json.loads((place / "part.json").read_text(encoding="utf-8"))
        if any(digest_file(place / f"{name}.npy") != digest for name, digest in about["digests"].items()):
            return None
    except (OSError, ValueError, EOFError):
        return None
    about["labels"] = tuple(Label(**label) for label in about["labels"])
    about["files"] = tuple(tuple(file) for file in about["files"])
    return Part(**about | {name: tuple(about.get(name, ())) for name in ("cameras", "notes", "remarks")})


def checksum(file: Path, source: Path) -> tuple[str, int, str]:
    """Name within the source (its own name, if it is that or lies elsewhere), size in bytes and sha256."""
    digest, size = hashlib.sha256(), 0
    with file.open("rb") as handle:
        while block := handle.read(_BLOCK):
            digest.update(block)
            size += len(block)
    return name_in(file, source), size, digest.hexdigest()


def name_in(file: Path, source: Path) -> str:
    inside = file != source and file.is_relative_to(source)
    return file.relative_to(source).as_posix() if inside else file.name


def unit_key(unit: Unit, form: Format, source: Path) -> str:
    """Changes whenever reading the unit could give something else: format, options, files, detail."""
    stats = [(name_in(file, source), *_state(file)) for file in unit.files]
    total = hashlib.sha256()
    _feed(
        total, [form.name, form.version, form.options(), str(source.resolve()), unit.name, stats, unit.detail]
    )
    return total.hexdigest()[:32]


def _state(file: Path) -> tuple[int, int]:
    stat = file.stat()
    return stat.st_size, stat.st_mtime_ns


def _feed(total: Any, value: Any) -> None:
    """Hash plain data by content; equal values feed equal bytes."""
    if isinstance(value, np.ndarray):
        total.update(f"{value.dtype.str}{value.shape}".encode())
        total.update(np.ascontiguousarray(value).view(np.uint8).data if value.size else b"")
    elif isinstance(value, Mapping):
        total.update(f"map{len(value)}".encode())
        for key, item in value.items():
            _feed(total, key)
            _feed(total, item)
    elif isinstance(value, list | tuple):
        total.update(f"list{len(value)}".encode())
        for item in value:
            _feed(total, item)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        _feed(total, {field.name: getattr(value, field.name) for field in dataclasses.fields(value)})
    else:
        text = f"{type(value).__name__} {value!s}".encode()
        total.update(f"{len(text)} ".encode() + text)


def _check_finite(clip: Clip, unit: Unit) -> None:
    """Refuse a joint that is not finite and not said to be invalid: no store takes it."""
    bad = ~np.isfinite(clip.joints).all(-1)
    if "valid" in clip.columns and bad.shape == np.shape(clip.columns["valid"]):
        bad &= np.asarray(clip.columns["valid"], bool)
    if bad.any():
        row, joint = (int(i) for i in np.argwhere(bad)[0])
        raise ValueError(
            f"{unit.files[0]}: {clip.sequence}: joint {joint} of frame {row} is not finite; mend the file"
            " there, or leave that frame out of it"
        )


class _PartWriter:
    """Appends clips to a folder; memory holds one clip, and one batch of its images."""

    def __init__(self, folder: Path) -> None:
        self.labels: list[Label] = []
        self.cameras: list[str] = []
        self.images = 0
        self._folder = folder
        self._columns: set[str] = set()
        self._open: dict[str, GrowingNpy] = {}

    def add(self, clip: Clip) -> None:
        if not len(clip.joints):
            return
        columns = clip_columns(clip, len(self.cameras), self.images)
        if self.labels and set(columns) != self._columns:
            odd = sorted(set(columns) ^ self._columns)[0]
            raise ValueError(
                f"{clip.sequence}: column {odd!r} is in some clips only; give it in all of a unit"
            )
        self._columns = set(columns)
        if clip.images is not None:
            self._add_images(clip, columns["image"])
        for name, values in columns.items():
            self._append(name, values)
        if clip.cameras:
            for name, values in camera_table(clip.cameras).items():
                self._append(name, values)
        self.cameras += [camera.name for camera in clip.cameras]
        self.labels.append(Label.of(clip))

    def close(self) -> dict[str, str]:
        return {name: file.close() for name, file in self._open.items()}

    def _add_images(self, clip: Clip, index: np.ndarray) -> None:
        due, came = int(index.max()) + 1 - self.images, 0
        for batch in clip.images or ():
            for kind, pictures in batch.items():
                if pictures.dtype != IMAGE_KINDS[kind][0]:
                    raise ValueError(f"{clip.sequence}: {kind} images are {pictures.dtype}; convert them")
                self._append(kind, pictures)
            came += len(next(iter(batch.values())))
        if came != due:
            raise ValueError(f"{clip.sequence}: {came} images came where {due} are due; check its frames")
        self.images += came

    def _append(self, name: str, values: np.ndarray) -> None:
        if name not in self._open:
            self._open[name] = GrowingNpy(self._folder / f"{name}.npy", values)
        self._open[name].append(values)
