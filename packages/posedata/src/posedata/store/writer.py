"""Writes a pose store: under a temporary name, synced, and renamed when it is whole."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from jaxtyping import UInt8, UInt16

from posedata.skeleton import get_skeleton
from posedata.store.digests import NAME, write_digests
from posedata.store.files import building, put, standing, sync_folder
from posedata.store.image_shards import ImageShards
from posedata.store.npy import GrowingNpy, digest
from posedata.store.schema import NAME_LISTS, SCHEMA, as_column, check_columns, check_meta
from posedata.writing import sync, write_text

SHARD_IMAGES = 2048
_CHECKED_ROWS = 1 << 16


class StoreWriter:
    """Context manager that builds a store beside its final name and renames it there on success.

    Columns are written as they are added or appended to, images are streamed into shards, so memory stays
    bounded by what one call hands over. An exception inside the block removes everything; a kill leaves at
    most a hidden `.NAME.*.partial` folder, never anything under the final name.

    Args:
        path: the store to make; FileExistsError as of `refuse_existing`.
        meta: skeleton, fps, source, licence [required]; subjects, sequences, actions (lists of names);
            anything else that JSON can hold is kept as it is.
        shards: pictures in tar files (`posedata.store.tar_shards`) instead of .npy files.
        scratch: where to build it, on the same file system; by default the store's parent.
    """

    def __init__(
        self,
        path: str | Path,
        meta: Mapping[str, Any],
        *,
        overwrite: bool = False,
        shard_images: int = SHARD_IMAGES,
        shards: bool = False,
        scratch: Path | None = None,
    ) -> None:
        self.path = Path(path)
        self.meta = {key: value for key, value in meta.items() if key not in ("fingerprint", "images")}
        self._overwrite = overwrite
        self._scratch = scratch
        self._columns: dict[str, np.ndarray] = {}
        self._growing: dict[str, GrowingNpy] = {}
        self._digests: dict[str, str] = {}
        if shard_images < 1:
            raise ValueError(f"{self.path}: shard_images is {shard_images}; give 1 or more")
        self._images = ImageShards(shard_images, tar=shards)
        check_meta(self.meta, self.path)
        refuse_existing(self.path, overwrite)

    def __enter__(self) -> StoreWriter:
        self._place = contextlib.ExitStack()
        self._folder = self._place.enter_context(building(self.path, self._scratch))
        return self

    def add_columns(self, columns: Mapping[str, np.ndarray]) -> None:
        """Write columns now (values are cast to the schema's dtype; a lossy cast of kind is an error)."""
        for name, values in columns.items():
            if name in self._columns or name in self._growing:
                raise ValueError(f"{self.path}: column {name!r} is given twice; add each once")
            array = as_column(name, values, self.path)
            target = self._folder / f"{name}.npy"
            with target.open("wb") as file:
                np.save(file, array, allow_pickle=False)
                sync(file)
            self._digests[name] = digest(array)
            self._columns[name] = np.load(target, mmap_mode="r", allow_pickle=False)

    def append_columns(self, columns: Mapping[str, np.ndarray]) -> None:
        """Append rows to columns that grow so: for stores that are larger than memory."""
        for name, values in columns.items():
            if name in self._columns:
                raise ValueError(f"{self.path}: column {name!r} is given twice; add each once")
            array = as_column(name, values, self.path)
            if name not in self._growing:
                self._growing[name] = GrowingNpy(self._folder / f"{name}.npy", array)
            self._growing[name].append(array)

    def add_json(self, name: str, value: Any) -> None:
        """Put a further file beside the columns; it is no part of the fingerprint."""
        try:
            text = json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False)
        except (TypeError, ValueError, RecursionError):
            raise ValueError(
                f"{self.path}: {name} is given what JSON cannot hold; give text, finite numbers, lists and"
                " objects of them"
            ) from None
        write_text(self._folder / name, text + "\n")

    def add_images(
        self,
        rgb: UInt8[np.ndarray, "n H W 3"] | None = None,
        depth: UInt16[np.ndarray, "n H W"] | None = None,
        mask: UInt8[np.ndarray, "n H W"] | None = None,
    ) -> None:
        """Append images to the shards; the first call fixes which kinds there are and their size."""
        given = {"rgb": rgb, "depth": depth, "mask": mask}
        kinds = {kind: array for kind, array in given.items() if array is not None}
        self._images.add(self._folder / "images", kinds, self.path)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._images.close()
            for name, file in self._growing.items():
                self._digests[name] = file.close(sync=True)
                self._columns[name] = np.load(file.path, mmap_mode="r", allow_pickle=False)
            if kind is None:
                self._finish()
        finally:
            self._columns.clear()
            self._place.close()

    def _finish(self) -> None:
        check_columns(self._columns, self.meta, self._images.count, self.path)
        _check_finite(self._columns, self.meta, self.path)
        digests = {**self._digests, **self._images.digests}
        meta = {"schema": SCHEMA, **self.meta, "rows": len(self._columns["joints"]), "digests": NAME}
        meta["columns"] = sorted(self._columns)
        if self._images.count:
            meta["images"] = self._images.describe()
            meta["image_size"] = list(self._images.size)
        meta["fingerprint"] = fingerprint(digests, meta)
        self.add_json("meta.json", meta)
        self._columns.clear()
        write_digests(self._folder)
        sync_folder(self._folder)
        refuse_existing(self.path, self._overwrite)  # it may have appeared meanwhile
        put(self._folder, self.path)


def write_store(
    path: str | Path, columns: Mapping[str, np.ndarray], meta: Mapping[str, Any], *, overwrite: bool = False
) -> Path:
    """Write a store without images in one go; see `StoreWriter` for `meta` and the errors raised."""
    with StoreWriter(path, meta, overwrite=overwrite) as writer:
        writer.add_columns(columns)
    return Path(path)


def refuse_existing(path: Path, overwrite: bool) -> None:
    """Raise FileExistsError unless nothing is there, or with `overwrite` what may go.

    A pose store may go (its meta.json says so) and an empty folder, and nothing else.
    """
    if not os.path.lexists(standing(path)):
        return
    if not overwrite:
        raise FileExistsError(f"{path}: exists already; choose another name, or allow overwriting")
    path = standing(path)
    if not (_is_store(path) or (path.is_dir() and not any(path.iterdir()))):
        raise FileExistsError(f"{path}: is not a pose store, so it is not overwritten; choose another name")


def fingerprint(digests: Mapping[str, str], meta: Mapping[str, Any]) -> str:
    """sha256 over the digests of columns and shards by name, and the meta fields that give them meaning."""
    total = hashlib.sha256()
    for field in ("skeleton", "fps", "subjects", "sequences", "actions"):
        total.update(json.dumps([field, meta.get(field)]).encode())
    for name in sorted(digests):
        total.update(f"{name} {digests[name]}\n".encode())
    return total.hexdigest()


def _check_finite(columns: Mapping[str, np.ndarray], meta: Mapping[str, Any], where: Path) -> None:
    """Joints must be finite where `valid` says so (everywhere without it); the rest always."""
    for name, array in columns.items():
        if array.dtype.kind != "f":
            continue
        for start in range(0, len(array), _CHECKED_ROWS):
            rows = slice(start, start + _CHECKED_ROWS)
            values = _read_rows(array, rows)
            bad = ~np.isfinite(values).reshape(*values.shape[:2], -1).all(axis=-1)
            if name == "joints" and "valid" in columns:
                bad &= columns["valid"][rows]
            if bad.any():
                row, item = (int(i) for i in np.argwhere(bad)[0])
                raise ValueError(f"{where}: {_not_finite(name, start + row, item, columns, meta)}")


def _not_finite(
    name: str, row: int, item: int, columns: Mapping[str, np.ndarray], meta: Mapping[str, Any]
) -> str:
    """Which number of a column is NaN or infinite, and what to do about it."""
    if name.startswith("camera_"):
        return f"column {name!r} is not finite in camera {row}; mend that camera's calibration"
    place = f"row {row}"
    if {"sequence", "frame"} <= columns.keys():
        sequence = meta[NAME_LISTS["sequence"]][columns["sequence"][row]]
        place += f" (sequence {sequence!r}, frame {columns['frame'][row]})"
    if name == "boxes":
        return f"column 'boxes' is not finite in {place}; give every row a box, or leave the row out"
    joint = get_skeleton(meta["skeleton"]).joints[item]
    cure = "leave that frame out, or give it confidence 0 and any finite pixel"
    if name == "joints":
        cure = "leave that frame out at its source, or write a column 'valid' that is false there"
    return f"column {name!r} is not finite in {place}, joint {joint}; {cure}"


def _read_rows(array: np.ndarray, rows: slice) -> np.ndarray:
    """Rows of a memory-mapped array, without leaving the whole of it resident."""
    if not isinstance(array, np.memmap) or array.filename is None:
        return array[rows]
    return np.load(array.filename, mmap_mode="r", allow_pickle=False)[rows]


def _is_store(path: Path) -> bool:
    try:
        meta = json.loads((path / "meta.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(meta, dict) and "schema" in meta
