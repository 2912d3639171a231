"""Arrays on disk: .npy files that grow, the digest of what an array holds, and mapping a file whole."""

from __future__ import annotations

import hashlib
import math
import mmap
import os
import tokenize
import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np

from posedata import writing
from posedata.store.digests import Stamp, stamp


class GrowingNpy:
    """An .npy file whose first axis grows from 0, with the item shape and dtype of `like`.

    The header is rewritten in place when it is closed, which returns the digest of the content.
    """

    def __init__(self, path: Path, like: np.ndarray) -> None:
        self.path = path
        self._shape, self._dtype, self._length = like.shape[1:], like.dtype, 0
        self._hash = hashlib.sha256()
        self._file = path.open("wb")
        self._header()
        self._start = self._file.tell()

    def append(self, array: np.ndarray) -> None:
        if array.shape[1:] != self._shape or array.dtype != self._dtype:
            raise ValueError(
                f"{self.path.stem}: {array.dtype} {array.shape[1:]} does not go with"
                f" {self._dtype} {self._shape}; give the same shape throughout"
            )
        data = as_bytes(array)
        self._file.write(data.data)
        self._hash.update(data.data)
        self._length += len(array)

    def close(self, *, sync: bool = False) -> str:
        self._file.seek(0)
        self._header()
        if self._file.tell() != self._start:
            raise RuntimeError(f"{self.path}: the npy header changed its length; use a newer numpy")
        if sync:
            writing.sync(self._file)
        self._file.close()
        self._hash.update(head(self._dtype, (self._length, *self._shape)))
        return self._hash.hexdigest()

    def _header(self) -> None:
        header = {
            "descr": np.lib.format.dtype_to_descr(self._dtype),
            "fortran_order": False,
            "shape": (self._length, *self._shape),
        }
        np.lib.format.write_array_header_1_0(self._file, header)


@dataclass(frozen=True)
class MappedNpy:
    """An .npy file mapped into memory, read-only: its array, the bytes of its header, its stamp."""

    array: np.ndarray
    header: bytes
    stamp: Stamp

    @classmethod
    def map(cls, file: IO[bytes], *, keep: bool = False) -> MappedNpy:
        """Map a file that is open for reading; it may be closed, replaced and removed afterwards.

        Args:
            keep: a descriptor of it as long as it is mapped, for `descriptor`.

        Raises ValueError or EOFError for what is no such file, is cut short or goes on after the array.
        """
        file.seek(0)
        try:
            version = np.lib.format.read_magic(file)
        except ValueError:
            raise ValueError("it does not begin as an .npy file") from None
        readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
        if version not in readers:
            raise ValueError(f"npy version {version}")
        try:
            shape, fortran, dtype = readers[version](file)
        except (ValueError, EOFError, SyntaxError, tokenize.TokenError, TypeError, RecursionError):
            raise ValueError("its header is not that of an array") from None
        if dtype.hasobject or fortran:
            raise ValueError(f"an array of {'objects' if dtype.hasobject else 'transposed order'}")
        start = file.tell()
        file.seek(0)
        header = file.read(start)
        size, due = os.fstat(file.fileno()).st_size, start + math.prod(shape) * dtype.itemsize
        if size != due:
            raise ValueError(f"{size} bytes where {due} are due")
        array = np.memmap(file, dtype, "r", start, shape) if size > start else np.empty(shape, dtype)
        if keep and isinstance(array.base, mmap.mmap):
            own = os.dup(file.fileno())
            _DESCRIPTORS[array.base] = own, start
            weakref.finalize(array.base, os.close, own)
        return cls(array, header, stamp(file))

    def sha256(self) -> str:
        """Of the file."""
        total = hashlib.sha256(self.header)
        for block in _blocks(self.array):
            total.update(block.data)
        return total.hexdigest()


_DESCRIPTORS: weakref.WeakKeyDictionary[mmap.mmap, tuple[int, int]] = weakref.WeakKeyDictionary()


def descriptor(array: np.ndarray) -> tuple[int, int] | None:
    """Of the file that a kept array is mapped from, and at which byte it begins; None of every other."""
    return _DESCRIPTORS.get(array.base) if isinstance(array.base, mmap.mmap) else None


def as_bytes(array: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8)


def head(dtype: np.dtype, shape: tuple[int, ...]) -> bytes:
    return f"{dtype.str} {shape}".encode()


def _blocks(array: np.ndarray) -> Iterator[np.ndarray]:
    """The bytes of an array, 16 MiB at a time."""
    step = max(1, (1 << 24) // max(1, array[:1].nbytes))
    for start in range(0, len(array), step):
        yield as_bytes(array[start : start + step])


def digest(array: np.ndarray) -> str:
    """sha256 of values, type and shape: what a store's fingerprint is made of."""
    total = hashlib.sha256()
    for block in _blocks(array):
        total.update(block.data)
    total.update(head(array.dtype, array.shape))
    return total.hexdigest()


def digest_file(path: Path) -> str:
    """The digest of a column or shard on disk, as the writer computed it."""
    return digest(np.load(path, mmap_mode="r", allow_pickle=False))
