"""Clips to rows: what a clip looks like as columns, and how the clips of a data set share names and cameras.

Used twice: unit by unit through files (`prepare`), and at once in memory (`collect`).
"""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from posedata.readers.files.packed import unpacked
from posedata.readers.format import Clip, ClipCamera, Context, Format, Plan
from posedata.store.schema import CAMERA_COLUMNS, NAME_LISTS, as_column, column_spec

_FILLS = {"valid": True, "camera": -1, "image": -1}
"""What a clip that lacks one of these columns means, where others have it."""


@dataclass(frozen=True)
class Dataset:
    """Columns and meta of a pose store, as `posedata.store.write_store` takes them."""

    columns: dict[str, np.ndarray]
    meta: dict[str, Any]


@dataclass(frozen=True)
class Label:
    """Whose and how long a run of rows is."""

    subject: str
    sequence: str
    action: str
    rows: int
    fps: int | float | None

    @classmethod
    def of(cls, clip: Clip) -> Label:
        return cls(clip.subject, clip.sequence, clip.action, len(clip.joints), clip.fps)


def clip_columns(clip: Clip, cameras_before: int, images_before: int) -> dict[str, np.ndarray]:
    """The columns of a clip but for its names, its camera and image numbers counted on from those before.

    Raises ValueError for a column whose length is not the clip's or that no store has.
    """
    count = len(clip.joints)
    columns: dict[str, np.ndarray] = {"frame": np.arange(count), **clip.columns, "joints": clip.joints}
    if clip.cameras and "camera" not in columns:
        if len(clip.cameras) > 1:
            raise ValueError(
                f"{clip.sequence}: has {len(clip.cameras)} cameras and no column 'camera'; add it"
            )
        columns["camera"] = np.zeros(count, dtype=np.int32)
    if clip.images is not None and "image" not in columns:
        columns["image"] = np.arange(count)
    for name, values in columns.items():
        if len(values) != count:
            raise ValueError(f"{clip.sequence}: column {name!r} has {len(values)} rows for {count} poses")
    for name, before in (("camera", cameras_before), ("image", images_before)):
        if name in columns:
            index = np.asarray(columns[name])
            columns[name] = np.where(index < 0, -1, index + before)
    return {name: as_column(name, values, clip.sequence) for name, values in columns.items()}


class Names:
    """The name lists of the store, and the columns that index them."""

    def __init__(self, labels: Iterable[Label], plan: Plan) -> None:
        labels = list(labels)
        self.lists: dict[str, list[str]] = {}
        for column, field in NAME_LISTS.items():
            found = {getattr(label, column) for label in labels}
            listed = list(plan.meta.get(field, sorted(found)))
            if missing := sorted(found - set(listed)):
                raise ValueError(f"{field} of the plan lack {missing[0]!r}; list every one")
            self.lists[field] = listed
        rates = {label.fps for label in labels} if plan.fps is None else {plan.fps}
        if len(rates) != 1 or None in rates:
            listing = ", ".join(f"{rate:g}" for rate in sorted(filter(None, rates)))
            raise ValueError(f"files are at {listing} frames/s; give an fps that divides them all")
        self.fps = rates.pop() or 0.0

    def columns(self, labels: Sequence[Label]) -> dict[str, np.ndarray]:
        """subject, sequence and action of consecutive runs of rows."""
        out = {}
        for column, field in NAME_LISTS.items():
            index = {name: i for i, name in enumerate(self.lists[field])}
            each = np.array([index[getattr(label, column)] for label in labels], dtype=np.int32)
            out[column] = np.repeat(each, [label.rows for label in labels])
        return out


class Cameras:
    """The camera table: cameras with the same name and the same values are one."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self._rows: list[tuple[np.ndarray, ...]] = []
        self._known: dict[tuple[Any, ...], int] = {}

    def add(self, names: Sequence[str], table: Mapping[str, np.ndarray]) -> np.ndarray:
        """Take in a part's table; where each of its cameras stands in this one, and -1 last (for -1)."""
        places = []
        for i, name in enumerate(names):
            row = tuple(table[column][i] for column in CAMERA_COLUMNS)
            key = (name, *(values.tobytes() for values in row))
            if key not in self._known:
                self._known[key] = len(self._rows)
                self._rows.append(row)
                self.names.append(name)
            places.append(self._known[key])
        return np.array([*places, -1], dtype=np.int32)

    def columns(self) -> dict[str, np.ndarray]:
        if not self._rows:
            return {}
        return {name: np.stack([row[i] for row in self._rows]) for i, name in enumerate(CAMERA_COLUMNS)}


def camera_table(cameras: Sequence[ClipCamera]) -> dict[str, np.ndarray]:
    """Columns of the store's camera table for these cameras."""
    out = {}
    for column in CAMERA_COLUMNS:
        spec = column_spec(column)
        values = [getattr(camera, column.removeprefix("camera_")) for camera in cameras]
        out[column] = np.array(values, dtype=spec.dtype).reshape(len(cameras), *spec.shape)
    return out


def common_columns(parts: Iterable[tuple[str, Iterable[str]]]) -> list[str]:
    """Every column of the parts, given as name of the unit and its columns.

    Raises ValueError naming a unit that lacks a column which nothing can fill.
    """
    sets = [(unit, set(names)) for unit, names in parts]
    everywhere = set().union(*(names for _, names in sets))
    for name in sorted(everywhere - set(_FILLS)):
        lacking = [unit for unit, names in sets if name not in names]
        if lacking:
            raise ValueError(
                f"unit {lacking[0]!r} has no column {name!r} and others have; leave it out, or give it"
            )
    return sorted(everywhere)


def filled(columns: Mapping[str, np.ndarray], name: str) -> np.ndarray:
    """A column of a part, or what its absence means there."""
    if name in columns:
        return columns[name]
    shape = columns["joints"].shape[: 1 + len(column_spec(name).shape)]
    return np.full(shape, _FILLS[name], dtype=column_spec(name).dtype)


def store_meta(
    form: Format, plan: Plan, names: Names, cameras: Cameras, extra: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """meta.json of the store."""
    meta: dict[str, Any] = {"skeleton": plan.skeleton, "fps": names.fps, "source": plan.source}
    meta |= {"licence": form.licence or form.terms, **plan.meta, **(extra or {}), **names.lists}
    if cameras.names:
        meta["cameras"] = cameras.names
    return meta


def collect(form: Format, source: str | Path, note: Callable[[str], None] = lambda text: None) -> Dataset:
    """A whole data set in memory, without images: for small ones, and for tests of readers.

    Args:
        note: told of faults that can be lived with; what cannot be read is raised.
    """
    with tempfile.TemporaryDirectory() as scratch:
        context = Context(Path(scratch), note)
        plan = form.plan(unpacked(Path(source), context), context)
        clips = [clip for unit in plan.units for clip in form.read(unit, context) if len(clip.joints)]
    if not clips:
        raise ValueError(f"{source}: has no frame; check what was selected")
    clips = [dataclasses.replace(clip, images=None) for clip in clips]
    labels = [Label.of(clip) for clip in clips]
    names, cameras, parts = Names(labels, plan), Cameras(), []
    for clip in clips:
        columns = clip_columns(clip, 0, 0)
        places = cameras.add([camera.name for camera in clip.cameras], camera_table(clip.cameras))
        if "camera" in columns:
            columns["camera"] = places[columns["camera"]]
        parts.append(columns)
    known = common_columns((clip.sequence, part) for clip, part in zip(clips, parts, strict=True))
    table = {name: np.concatenate([filled(part, name) for part in parts]) for name in known}
    table |= names.columns(labels) | cameras.columns()
    return Dataset(table, store_meta(form, plan, names, cameras))
