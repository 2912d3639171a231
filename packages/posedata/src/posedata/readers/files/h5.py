"""Reads arrays from HDF5 files of strangers: the data set that is asked for, in this file, and nothing else.

An HDF5 file may point elsewhere: soft and external links, raw data in other files, virtual data sets made of
other files, compression filters that load a plug-in. None of these is followed. Sizes are looked at before
anything is read, so that a forged header costs no memory.
"""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Any

import h5py
import numpy as np

from posedata.readers.files.damage import CUT_SHORT

FILTERS = frozenset({"gzip", "lzf", "shuffle", "fletcher32"})
LARGEST_CHUNK = 1 << 28
_FILTER_NAMES = {1: "gzip", 2: "shuffle", 3: "fletcher32", 32000: "lzf"}
_DAMAGE = (OSError, RuntimeError, ValueError, KeyError, TypeError, AttributeError, OverflowError, MemoryError)
"""What h5py raises where the file's bytes make no sense."""


class H5File:
    """An HDF5 file opened for reading; a context manager.

    Raises FileNotFoundError, or ValueError where the file is no whole HDF5 file.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        if not self.path.is_file():
            raise FileNotFoundError(f"{self.path}: no such file; give an HDF5 file")
        try:
            self._file = h5py.File(self.path, "r", locking=False)
        except _DAMAGE:
            raise ValueError(f"{self.path}: is no whole HDF5 file ({CUT_SHORT}); copy it again") from None

    def __enter__(self) -> H5File:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def __contains__(self, name: str) -> bool:
        try:
            return name in self._file
        except _DAMAGE:
            raise ValueError(
                f"{self.path}: {name} cannot be read ({CUT_SHORT}); copy the file again"
            ) from None

    def array(self, name: str, shape: tuple[int | None, ...], kinds: str = "fiu") -> H5Array:
        """A data set of the file's root that has this shape (None: any length) and a dtype of these kinds.

        `kinds` are numpy's: f, i, u, b, S (bytes, also of variable length). Raises ValueError, naming the
        field, where it is missing, is another thing or lies outside this file.
        """
        where = f"{self.path}: {name}"
        try:
            link = self._file.get(name, getlink=True)
            if link is None:
                raise ValueError(f"{where} is missing; it has {', '.join(list(self._file)[:20])}")
            if not isinstance(link, h5py.HardLink):
                raise ValueError(f"{where} is a link to elsewhere, which is not followed; get the file again")
            found = self._file[name]
            if not isinstance(found, h5py.Dataset):
                raise ValueError(f"{where} is not an array; get the file again")
            _check_storage(found, where)
            _check_type(found, shape, kinds, where)
        except _DAMAGE as error:
            if isinstance(error, ValueError) and str(error).startswith(where):
                raise
            raise ValueError(f"{where} cannot be read ({CUT_SHORT}); copy the file again") from None
        return H5Array(found, where)


class H5Array:
    """A checked data set: its shape, and rows of it as numpy arrays."""

    def __init__(self, data: Any, where: str) -> None:
        self._data, self._where = data, where
        self.shape: tuple[int, ...] = tuple(data.shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice | np.ndarray) -> np.ndarray:
        """Rows: a slice, or ascending indices. ValueError where the bytes are damaged."""
        try:
            return np.asarray(self._data[rows])
        except _DAMAGE:
            raise ValueError(f"{self._where} cannot be read ({CUT_SHORT}); copy the file again") from None

    def all(self, largest: int = 1 << 30) -> np.ndarray:
        """The whole array; ValueError if it is of more than `largest` bytes."""
        size = int(np.prod(self.shape, dtype=float)) * self._data.dtype.itemsize
        if size > largest:
            raise ValueError(f"{self._where} has {size} bytes, too many to be real; get the file again")
        return self[slice(None)]


def _check_storage(data: Any, where: str) -> None:
    if data.external is not None or data.is_virtual:
        raise ValueError(f"{where} lies in another file, which is not followed; get the file again")
    layout = data.id.get_create_plist()
    for i in range(layout.get_nfilters()):
        number = layout.get_filter(i)[0]
        if _FILTER_NAMES.get(number) not in FILTERS:
            raise ValueError(f"{where} needs HDF5 filter {number}; rewrite it with gzip or without")
    if data.chunks is not None:
        size = np.prod(data.chunks, dtype=float) * data.dtype.itemsize
        if size > LARGEST_CHUNK:
            raise ValueError(f"{where} has chunks of {size:.0f} bytes; rewrite it in smaller ones")


def _check_type(data: Any, shape: tuple[int | None, ...], kinds: str, where: str) -> None:
    wanted = ", ".join("N" if size is None else str(size) for size in shape)
    if len(data.shape) != len(shape) or any(
        size not in (None, here) for size, here in zip(shape, data.shape, strict=True)
    ):
        raise ValueError(f"{where} has shape {tuple(data.shape)}, wanted ({wanted}); get the file again")
    text = h5py.check_string_dtype(data.dtype) is not None
    kind = "S" if text else data.dtype.kind
    if kind not in kinds or (kind == "O" and not text):
        raise ValueError(f"{where} is {data.dtype}, which is not what it should be; get the file again")
