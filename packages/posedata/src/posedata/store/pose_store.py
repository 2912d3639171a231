"""The pose store: a folder of memory-mappable .npy columns, a camera table, image shards, meta.json, digests.

Every reader writes it, every trainer reads it. Column names, types and shapes are in `posedata.store.schema`:

- `joints` (N, J, 3) world metres; `valid`, `visible_true` (N, J) bool
- `subject`, `sequence`, `action` (N,) indices into the name lists of meta.json; `frame` (N,)
- `camera` (N,) index into the camera table (`camera_focal`, ...) or -1
- `keypoints_NAME` (N, J, 3) pixels and confidence; NAME is "true" or a detector's
- `image` (N,) index into the image shards or -1; `boxes` (N, 4) the crop in pixels, x0 y0 x1 y1
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Integer

from posedata.geometry.camera import Camera
from posedata.skeleton import Skeleton, get_skeleton
from posedata.store.mapped import MappedRows
from posedata.store.names import did_you_mean
from posedata.store.opening import Opened, open_files
from posedata.store.schema import CAMERA_COLUMNS, IMAGE_KINDS, NAME_LISTS, tar_name
from posedata.store.writer import StoreWriter, write_store

__all__ = ["PoseStore", "StoreWriter", "read_split", "write_store"]

ALL_OTHERS = "all other subjects"


class PoseStore:
    """A store opened for reading: validated, memory-mapped, never modified.

    Attributes:
        path: the folder.
        meta: meta.json as a dict.
        skeleton: the `Skeleton` of its joints.
    """

    def __init__(self, path: Path, opened: Opened) -> None:
        self.path = path
        self.meta = opened.meta
        self.skeleton: Skeleton = get_skeleton(opened.meta["skeleton"])
        self._columns = opened.columns
        self._opened = opened

    @classmethod
    def open(cls, path: str | Path, *, verify: bool = False) -> PoseStore:
        """Open and validate: schema version, skeleton, every column's dtype, shape and length, index ranges.

        Columns (of up to 8 GiB) and meta.json are read once and compared with `digests.json`; an image shard
        is when a picture of it is first asked for, or with `verify` everything now. What a process has read
        is not read again.
        A store that is replaced after it was opened goes on to be read as it was.
        Raises FileNotFoundError or ValueError with one line that names the file, the field and the cure.
        Warns of a store without digests (of an earlier version); with `verify` its fingerprint is compared.
        """
        store = cls(Path(path), open_files(Path(path)))
        if verify:
            store._opened.verify()
        return store

    def __len__(self) -> int:
        return len(self._columns["joints"])

    def __contains__(self, column: str) -> bool:
        return column in self._columns

    def __repr__(self) -> str:
        return f"PoseStore({str(self.path)!r}, {len(self)} rows, {self.meta['skeleton']})"

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the columns that this store has."""
        return tuple(self._columns)

    @property
    def fingerprint(self) -> str:
        """sha256 of the content; equal content has an equal fingerprint wherever it was written."""
        return str(self.meta["fingerprint"])

    @property
    def image_size(self) -> tuple[int, int]:
        """(width, height) of the stored images in pixels; ValueError for a store without images."""
        if "image_size" not in self.meta:
            raise ValueError(f"{self.path}: has no images; make them with 'posedata render'")
        width, height = self.meta["image_size"]
        return int(width), int(height)

    def column(self, name: str) -> np.ndarray:
        """A column as a read-only memory map; ValueError names the columns there are."""
        if name not in self._columns:
            raise ValueError(
                f"{self.path}: has no column {name!r}{did_you_mean(name, self._columns)};"
                f" it has {', '.join(self._columns)}"
            )
        return self._columns[name]

    def joints(self, rows: Integer[np.ndarray, "*n"] | slice = slice(None)) -> np.ndarray:
        """World joints (*n, J, 3) of these rows, in memory; NaN where they are not valid."""
        joints = np.array(self._columns["joints"][rows])
        if "valid" in self:
            joints[~self._columns["valid"][rows]] = np.nan
        return joints

    def names(self, column: str) -> list[str]:
        """The names that the indices of `subject`, `sequence` or `action` stand for."""
        return list(self.meta.get(NAME_LISTS[column], []))

    def tensors(
        self, names: Iterable[str], device: str | torch.device = "cpu", rows: np.ndarray | None = None
    ) -> dict[str, torch.Tensor]:
        """Columns as tensors on a device, to be indexed there (`rows`: only these, in this order)."""
        out = {}
        rows = None if rows is None else self.checked(rows)
        for name in names:
            column = self.column(name)
            out[name] = torch.from_numpy(np.array(column if rows is None else column[rows])).to(device)
        return out

    def camera(self, rows: Integer[np.ndarray, " n"] | None = None) -> Camera:
        """The cameras of these rows (all rows by default) as one `Camera` with batch shape (n,)."""
        rows = None if rows is None else self.checked(rows)
        index = self.column("camera") if rows is None else self.column("camera")[rows]
        if (index < 0).any():
            where = int(np.flatnonzero(index < 0)[0])
            row = where if rows is None else int(rows[where])
            raise ValueError(f"{self.path}: row {row} has no camera; make views with 'posedata views'")
        table = {name: torch.from_numpy(np.array(self.column(name)[index])) for name in CAMERA_COLUMNS}
        return Camera(**{name.removeprefix("camera_"): value for name, value in table.items()})

    def rows(
        self,
        subjects: Iterable[str] | None = None,
        actions: Iterable[str] | None = None,
        sequences: Iterable[str] | None = None,
    ) -> Integer[np.ndarray, " n"]:
        """Indices, ascending, of the rows that match every given list of names.

        Raises ValueError for a name that the store does not know, with the nearest one it does.
        """
        keep = np.ones(len(self), dtype=bool)
        for column, wanted in (("subject", subjects), ("action", actions), ("sequence", sequences)):
            if wanted is not None:
                keep &= np.isin(self.column(column), [self._name_index(column, name) for name in wanted])
        return np.flatnonzero(keep)

    def split(self, parts: Mapping[str, Sequence[str] | str] | str | Path) -> dict[str, np.ndarray]:
        """Rows by part of a split by subject, e.g. `{"test": ["s9"], "train": "all other subjects"}`.

        `parts` may be the path of a JSON file that holds it. Subjects in two parts are an error; subjects
        that the store lacks are too.
        """
        named = dict(parts) if isinstance(parts, Mapping) else read_split(parts)
        where = "split" if isinstance(parts, Mapping) else str(parts)
        listed: list[str] = []
        for part, names in named.items():
            if isinstance(names, list | tuple) and all(isinstance(name, str) for name in names):
                listed += names
            elif names != ALL_OTHERS:
                raise ValueError(
                    f"{where}: part {part!r} is {names!r}; give a list of names or {ALL_OTHERS!r}"
                )
        if sum(names == ALL_OTHERS for names in named.values()) > 1:
            raise ValueError(f"{where}: two parts are {ALL_OTHERS!r}; only one may be")
        if twice := sorted({name for name in listed if listed.count(name) > 1}):
            raise ValueError(f"{where}: subject {twice[0]!r} is in two parts; keep it in one")
        rest = [name for name in self.names("subject") if name not in listed]
        return {
            part: self.rows(subjects=rest if names == ALL_OTHERS else names) for part, names in named.items()
        }

    def own_split(self) -> dict[str, np.ndarray]:
        """Rows by part of the split that the data set's reader left in meta.json, as `split` gives them.

        Of its people those count whom the store has; empty where no split was left.
        """
        left = self.meta.get("split") or {}
        known = set(self.names("subject"))
        return self.split({part: [name for name in names if name in known] for part, names in left.items()})

    def checked(self, rows: Any) -> Integer[np.ndarray, " n"]:
        """Row numbers, or a mask of all rows, as row numbers; ValueError for one that there is not."""
        rows = np.asarray(rows)
        if rows.dtype == bool and rows.shape == (len(self),):
            return np.flatnonzero(rows)
        if rows.ndim != 1 or (rows.size and rows.dtype.kind not in "iu"):
            raise ValueError(f"{self.path}: rows are {rows.dtype} {rows.shape}; give a list of row numbers")
        if rows.size and not (rows.min() >= 0 and rows.max() < len(self)):
            bad = int(rows[(rows < 0) | (rows >= len(self))][0])
            raise ValueError(f"{self.path}: there is no row {bad}; give numbers from 0 to {len(self) - 1}")
        return rows.astype(np.int64)

    def mapped(
        self, name: str, device: str | torch.device = "cpu", rows: np.ndarray | None = None
    ) -> MappedRows:
        """A column, or some rows of it, read from disk as they are asked for; ValueError as of `column`."""
        return MappedRows(self.column(name), None if rows is None else self.checked(rows), device)

    @property
    def image_kinds(self) -> tuple[str, ...]:
        """Which images its rows have: of "rgb", "depth" and "mask"."""
        return tuple(self.meta.get("images", {}).get("kinds", ()))

    def images(self, rows: Integer[np.ndarray, " n"], kind: str = "rgb") -> np.ndarray:
        """Images of these rows, read across shards into memory.

        Returns: rgb (n, H, W, 3) uint8; depth (n, H, W) uint16 millimetres (0: none); mask (n, H, W) uint8.
        """
        rows = self.checked(rows)
        if kind not in self.image_kinds:
            raise ValueError(f"{self.path}: has no {kind} images; make them with 'posedata render'")
        index = np.asarray(self.column("image")[rows])
        if (index < 0).any():
            row = int(rows[np.flatnonzero(index < 0)[0]])
            raise ValueError(f"{self.path}: row {row} has no image; make it with 'posedata render'")
        per_shard = self.meta["images"]["per_shard"]
        width, height = self.image_size
        dtype, trailing = IMAGE_KINDS[kind]
        out = np.empty((len(rows), height, width, *trailing), dtype=dtype)
        self._opened.read(out, kind, index // per_shard, index % per_shard)
        return out

    def shards(self, rows: Integer[np.ndarray, " n"]) -> Integer[np.ndarray, " n"]:
        """Which shard the image of each row is in; ValueError for a store without images."""
        if "images" not in self.meta:
            raise ValueError(f"{self.path}: has no images; make them with 'posedata render'")
        return np.asarray(self.column("image")[self.checked(rows)]) // self.meta["images"]["per_shard"]

    def check_shard(self, number: int) -> None:
        """Read a tar file of images whole; ValueError if it is damaged, or cannot be had from elsewhere."""
        self._opened.tar(tar_name(number))

    def _name_index(self, column: str, name: str) -> int:
        try:
            return self._name_indices[column][name]
        except KeyError:
            near = did_you_mean(name, self.names(column))
            raise ValueError(f"{self.path}: no {column} is called {name!r}{near}") from None

    @cached_property
    def _name_indices(self) -> dict[str, dict[str, int]]:
        return {column: {name: i for i, name in enumerate(self.names(column))} for column in NAME_LISTS}


def read_split(path: str | Path) -> dict[str, Any]:
    """A split file: JSON with a list of subject names per part, or "all other subjects" for one part."""
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such split file; give a JSON file with subjects per part")
    try:
        parts = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise ValueError(f"{path}: is not JSON from line {error.lineno} on; mend or replace it") from None
    except (ValueError, RecursionError):
        raise ValueError(f"{path}: is not JSON; mend or replace it") from None
    if not isinstance(parts, dict):
        raise ValueError(f"{path}: holds a {type(parts).__name__}; give an object with subjects per part")
    return parts
