"""What was found in one source, on the disk: places by view, a table, thumbnails.

    invariant.npy    (N, 32) float32, memory-mappable: NumPy opens it
    camera.npy       (N, 512) float32 of unit length, 0 where no camera saw it; left out where none did
    table.parquet    a row each: recording, person, action, camera, frame, time, box (x, y, width, height),
                     thumbnail
    pictures.parquet thumbnails as JPEG, by the number in the table

Rows of one person in one recording stand together, in the order of time.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import IO, Any

import numpy as np
from posedata.store.npy import GrowingNpy, MappedNpy
from posedata.writing import sync

from polypose.search.embedding import VIEWS, View
from polypose.search.manifest import SEGMENTS, Entry
from polypose.search.rows import Rows

TABLE, PICTURES = "table.parquet", "pictures.parquet"
_GROUP = 1 << 16
"""Rows of the table that are written, and later read, at once."""
_WORDS = ("recording", "person", "action", "camera")
_BOX = ("x", "y", "width", "height")


def arrow() -> tuple[Any, Any]:
    """pyarrow, and its Parquet. ModuleNotFoundError says how to install it."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ModuleNotFoundError:
        raise ModuleNotFoundError("pyarrow is not installed: pip install 'polypose[search]'") from None
    return pyarrow, pyarrow.parquet


def schema() -> Any:
    """Of the table."""
    pa, _ = arrow()
    words = [pa.field(name, pa.dictionary(pa.int32(), pa.string())) for name in _WORDS]
    numbers = [pa.field("frame", pa.int64()), pa.field("time", pa.float64())]
    box = [pa.field(name, pa.float32()) for name in _BOX]
    return pa.schema([*words, *numbers, *box, pa.field("thumbnail", pa.int32())])


class SegmentWriter:
    """Writes a segment to a folder that nobody reads yet.

    Attributes:
        rows: written so far.
        recordings, seconds: how many sequences there were, and how long all of it is.
    """

    def __init__(self, folder: Path, name: str) -> None:
        _, pq = arrow()
        self._folder, self._name = folder, name
        self._vectors: dict[View, GrowingNpy] = {}
        self._widths: dict[View, int] = {}
        self._pending: list[dict[str, Any]] = []
        self._held, self._pictures = 0, 0
        self._files: dict[str, IO[bytes]] = {n: (folder / n).open("wb") for n in (TABLE, PICTURES)}
        self._table = pq.ParquetWriter(self._files[TABLE], schema())
        self._jpegs = pq.ParquetWriter(self._files[PICTURES], _picture_schema())
        self._last: dict[str, float] = {}
        self.rows = 0

    @property
    def recordings(self) -> int:
        return len(self._last)

    @property
    def seconds(self) -> float:
        return sum(self._last.values())

    def add(self, rows: Rows, places: Mapping[View, np.ndarray]) -> None:
        """Take in the rows that hold somebody."""
        known = np.isfinite(places["invariant"]).all(1)
        if not known.any():
            return
        self._add_places(places, known)
        name = f"{self._name}/{rows.recording}" if rows.recording else self._name
        box = np.full((len(rows), 4), np.nan) if rows.box is None else rows.box
        numbers: dict[str, Any] = {"frame": rows.frame[known], "time": rows.time[known]}
        numbers |= {side: box[known, i].astype(np.float32) for i, side in enumerate(_BOX)}
        numbers["thumbnail"] = self._add_pictures(rows)[known]
        words = (name, rows.person, rows.action, rows.camera)
        self._pending.append({"words": words, **numbers})
        self._held += int(known.sum())
        self.rows += int(known.sum())
        length = float(rows.time[-1] - rows.time[0])
        self._last[name] = max(self._last.get(name, 0.0), length)
        if self._held >= _GROUP:
            self._flush()

    def close(self) -> dict[str, str]:
        """Write what is left, wait for the disk, and give the sha256 of every file."""
        self._flush()
        self._table.close()
        self._jpegs.close()
        for file in self._files.values():
            sync(file)
            file.close()
        for growing in self._vectors.values():
            growing.close(sync=True)
        return {path.name: _sha256(path) for path in sorted(self._folder.iterdir())}

    def abandon(self) -> None:
        """Leave it unfinished."""
        for writer in (self._table, self._jpegs):
            writer.close()
        for file in self._files.values():
            file.close()
        for growing in self._vectors.values():
            growing.close()

    def _add_places(self, places: Mapping[View, np.ndarray], known: np.ndarray) -> None:
        count = int(known.sum())
        for view in {*self._vectors, *places}:
            if view in places:
                kept = np.ascontiguousarray(np.nan_to_num(places[view][known]), dtype=np.float32)
            else:
                kept = np.zeros((count, self._widths[view]), np.float32)
            if view not in self._vectors:
                self._widths[view] = kept.shape[1]
                self._vectors[view] = GrowingNpy(self._folder / f"{view}.npy", kept)
                self._vectors[view].append(np.zeros((self.rows, kept.shape[1]), np.float32))
            self._vectors[view].append(kept)

    def _add_pictures(self, rows: Rows) -> np.ndarray:
        """The number of every row's thumbnail; -1 before the first."""
        number = np.full(len(rows), -1, np.int32)
        if not rows.pictures:
            return number
        pa, _ = arrow()
        for row, _ in rows.pictures:
            number[row:] = self._pictures
            self._pictures += 1
        self._jpegs.write_table(pa.table({"jpeg": [jpeg for _, jpeg in rows.pictures]}, _picture_schema()))
        return number

    def _flush(self) -> None:
        if not self._pending:
            return
        pa, _ = arrow()
        counts = [len(part["frame"]) for part in self._pending]
        columns: dict[str, Any] = {}
        for place, word in enumerate(_WORDS):
            said = [part["words"][place] for part in self._pending]
            names = list(dict.fromkeys(said))
            index = np.repeat([names.index(each) for each in said], counts).astype(np.int32)
            columns[word] = pa.DictionaryArray.from_arrays(index, pa.array(names, pa.string()))
        for name in ("frame", "time", *_BOX, "thumbnail"):
            columns[name] = np.concatenate([part[name] for part in self._pending])
        self._table.write_table(pa.table(columns, schema()))
        self._pending, self._held = [], 0


class Segment:
    """A segment that is read: places stay on the disk, the table is read when it is asked for.

    Raises:
        FileNotFoundError, ValueError: a file is missing, or is not what the manifest says.
    """

    def __init__(self, index: Path, entry: Entry) -> None:
        self.entry, self.folder = entry, index / SEGMENTS / entry.folder
        self.places: dict[View, np.ndarray] = {}
        for view in VIEWS:
            if f"{view}.npy" in entry.files:
                self.places[view] = self._mapped(view)
        self._columns: dict[str, Any] = {}
        self._last: tuple[int, Any] | None = None

    def __len__(self) -> int:
        return self.entry.rows

    def _mapped(self, view: View) -> np.ndarray:
        path = self.folder / f"{view}.npy"
        try:
            with path.open("rb") as file:
                places = MappedNpy.map(file).array
            if len(places):  # torch takes memory that may be written, which is then a copy
                places = np.load(path, mmap_mode="c", allow_pickle=False)
        except (ValueError, EOFError) as error:
            raise self.damaged(path, str(error)) from None
        if places.dtype != np.float32 or places.ndim != 2 or len(places) != len(self):
            raise self.damaged(path, f"holds {places.dtype} {places.shape}")
        return places

    def damaged(self, path: Path, why: str) -> ValueError:
        return ValueError(f"{path}: {why}; remove {self.entry.name} from the index and add it again")

    def row(self, number: int) -> dict[str, Any]:
        """What the table says of one row; of a large table only a part is read."""
        held = self._opened(None)
        for group in range(held.num_row_groups):
            count = held.metadata.row_group(group).num_rows
            if number < count:
                return dict(self._group(group).slice(number, 1).to_pylist()[0])
            number -= count
        raise self.damaged(self.folder / TABLE, f"lacks row {number}")

    def words(self, name: str) -> tuple[np.ndarray, list[str]]:
        """A column of names as numbers, and the names."""
        column = self._column(name)
        return column.indices.to_numpy(zero_copy_only=False), column.dictionary.to_pylist()

    def numbers(self, name: str) -> np.ndarray:
        """A column of numbers."""
        return np.asarray(self._column(name).to_numpy(zero_copy_only=False))

    def _column(self, name: str) -> Any:
        if name not in self._columns:
            table = self._opened([name])
            if len(table) != len(self):
                raise self.damaged(self.folder / TABLE, f"has {len(table)} rows of {len(self)}")
            column = table[name].unify_dictionaries().combine_chunks()
            self._columns[name] = column.chunk(0) if hasattr(column, "chunks") else column
        return self._columns[name]

    def _group(self, number: int) -> Any:
        """The last row group that was asked for is kept."""
        if self._last is None or self._last[0] != number:
            self._last = number, self._opened(None).read_row_group(number).cast(schema())
        return self._last[1]

    def _opened(self, columns: list[str] | None) -> Any:
        """These columns of the table, or its file."""
        pa, pq = arrow()
        try:
            if columns is None:
                return pq.ParquetFile(self.folder / TABLE, memory_map=True)
            table = pq.read_table(self.folder / TABLE, columns=columns, memory_map=True)
            return table.cast(pa.schema([schema().field(name) for name in columns]))
        except (pa.ArrowException, OSError, KeyError) as error:
            why = f"is no whole table ({str(error)[:60]})"
            raise self.damaged(self.folder / TABLE, why) from None

    @cached_property
    def tracks(self) -> np.ndarray:
        """Where one person of one recording begins, as one camera saw it, and the end: (T + 1,) rows."""
        every = [self.words(name)[0] for name in ("recording", "person", "camera")]
        changes = np.any([np.diff(column) != 0 for column in every], axis=0)
        changes |= np.diff(self.numbers("time")) < 0
        return np.concatenate([[0], np.flatnonzero(changes) + 1, [len(self)]])

    def picture(self, number: int) -> bytes | None:
        """A thumbnail."""
        _, pq = arrow()
        path = self.folder / PICTURES
        if number < 0:
            return None
        with pq.ParquetFile(path) as file:
            for group in range(file.num_row_groups):
                count = file.metadata.row_group(group).num_rows
                if number < count:
                    return bytes(file.read_row_group(group)["jpeg"][number].as_py())
                number -= count
        return None

    def verify(self) -> None:
        """Compare every file with the manifest."""
        for name, digest in self.entry.files.items():
            if _sha256(self.folder / name) != digest:
                raise self.damaged(self.folder / name, "was changed after it was written")


def _picture_schema() -> Any:
    pa, _ = arrow()
    return pa.schema([pa.field("jpeg", pa.binary())])


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        os.fsync(file.fileno())
        return hashlib.file_digest(file, "sha256").hexdigest()
