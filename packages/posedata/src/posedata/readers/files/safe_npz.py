"""Reads npz files without trust: no code in them is run, and none of them grows beyond what it may hold.

An npz is a zip of arrays. Its table may promise sizes that no memory holds, and a few kilobytes may unpack to
gigabytes; so the sizes are added up first, and each array is checked against the bytes that came.
"""

from __future__ import annotations

import io
import sys
import zipfile
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from posedata.errors import DAMAGED
from posedata.readers.files.damage import DamagedError, cure, reason
from posedata.readers.files.safe_pickle import plain_pickle

SPARE_BYTES = 64 << 20
MAX_RATIO = 100
MAX_ENTRIES = 10_000


def load_plain_npz(path: str | Path) -> dict[str, Any]:
    """Every entry of an npz; an object array of one item is returned as that item.

    Raises FileNotFoundError; ValueError where the file is damaged, unpacks to more than it should, or asks
    for anything but plain data.
    """
    return dict(_entries(Path(path), objects=True, only=()))


def load_npz_arrays(path: str | Path, only: Collection[str] = ()) -> dict[str, np.ndarray]:
    """Every array (or only these) of an npz that holds no objects; entries that do are refused.

    Raises FileNotFoundError; ValueError as `load_plain_npz` does.
    """
    return dict(_entries(Path(path), objects=False, only=only))


def check_real(array: np.ndarray, where: str) -> np.ndarray:
    """The array, if it holds real numbers; ValueError for complex, bool, text and objects."""
    if array.dtype.kind not in "fiu":
        raise ValueError(f"{where} is an array of {array.dtype}, wanted real numbers; save it as float32")
    return array


def _entries(path: Path, *, objects: bool, only: Collection[str]) -> Iterator[tuple[str, Any]]:
    if path.is_dir():
        raise ValueError(f"{path}: is a folder; give the npz file")
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    try:
        with zipfile.ZipFile(path) as archive:
            _bound(archive, path.stat().st_size)
            for entry in archive.infolist():
                name = entry.filename.removesuffix(".npy")
                if not only or name in only:
                    yield name, _member(archive, entry, path, objects)
    except DAMAGED as error:
        if isinstance(error, ValueError) and str(error).startswith(str(path)):
            raise
        told = f"cannot be read as plain data ({reason(error)}); {cure(error, 'get it again')}"
        raise ValueError(f"{path}: {told}") from None


def _bound(archive: zipfile.ZipFile, size: int) -> None:
    entries = archive.infolist()
    if len(entries) > MAX_ENTRIES:
        raise DamagedError(f"it has more than {MAX_ENTRIES} entries")
    if sum(entry.file_size for entry in entries) > SPARE_BYTES + MAX_RATIO * size:
        raise DamagedError(f"it would unpack to more than {MAX_RATIO} times its size")


def _member(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, path: Path, objects: bool) -> Any:
    with archive.open(entry) as file:
        data = file.read(entry.file_size)
    head = io.BytesIO(data)
    version = np.lib.format.read_magic(head)
    if version not in ((1, 0), (2, 0), (3, 0)):
        raise DamagedError(f"entry {entry.filename[:40]!r} is of an unknown version")
    header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = header(head)
    if not dtype.hasobject:
        return array_of(data[head.tell() :], shape, dtype, fortran, entry.filename)
    if not objects:
        raise DamagedError(
            f"entry {entry.filename[:40]!r} holds pickled objects", "save arrays of numbers alone"
        )
    loaded = plain_pickle(data[head.tell() :], f"{path}: {entry.filename[:80]}")
    return loaded.item() if isinstance(loaded, np.ndarray) and shape == () and loaded.size == 1 else loaded


def array_of(data: bytes, shape: Any, dtype: np.dtype, fortran: bool, name: str) -> np.ndarray:
    """An array over these bytes; ValueError unless they fill its shape."""
    count = 1
    for n in shape:
        count *= int(n)
    if any(n < 0 for n in shape) or dtype.itemsize == 0 or count * dtype.itemsize > len(data):
        raise DamagedError(f"entry {name[:40]!r} has fewer bytes than its shape {str(shape)[:40]} needs")
    array = np.frombuffer(data, dtype, count)
    if dtype.kind == "U" and count and array.view(f"{dtype.str[0]}u4").max() > sys.maxunicode:
        raise DamagedError(f"entry {name[:40]!r} has characters that do not exist")
    return array.reshape(shape, order="F" if fortran else "C")
