"""Reads npz files that hold pickled Python objects, admitting only plain data.

A pickle is a program: loading one from a stranger runs what the stranger wrote. Here the unpickler knows
nothing but what numpy arrays are rebuilt from, so that dicts, lists, tuples, strings, numbers and arrays
load, and anything else is refused before it is looked up.
"""

from __future__ import annotations

import io
import pickle
import zipfile
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy._core import multiarray as _multiarray

_PLAIN = (str, bytes, bool, int, float, complex, type(None), np.generic)


def load_plain_npz(path: str | Path) -> dict[str, Any]:
    """Every entry of an npz; an object array of one item is returned as that item.

    Raises FileNotFoundError; ValueError where the file is damaged or asks for anything but plain data.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    try:
        with zipfile.ZipFile(path) as archive:
            return {
                name.removesuffix(".npy"): _member(archive.read(name), f"{path}: {name}")
                for name in archive.namelist()
            }
    except (zipfile.BadZipFile, EOFError, pickle.UnpicklingError) as error:
        raise ValueError(f"{path}: cannot be read as plain data ({error}); get it anew") from None


def _member(data: bytes, where: str) -> Any:
    file = io.BytesIO(data)
    version = np.lib.format.read_magic(file)
    header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = header(file)
    if not dtype.hasobject:
        return np.load(io.BytesIO(data), allow_pickle=False)
    loaded = _PlainUnpickler(file, encoding="latin1").load()
    _check(loaded, where)
    return loaded.item() if isinstance(loaded, np.ndarray) and shape == () else loaded


class _PlainUnpickler(pickle.Unpickler):
    """Knows only what numpy pickles arrays, dtypes and scalars with."""

    def find_class(self, module: str, name: str) -> Any:
        if module in ("numpy.core.multiarray", "numpy._core.multiarray"):
            if name == "_reconstruct":
                return _multiarray._reconstruct
            if name == "scalar":
                return _multiarray.scalar
        if module == "numpy" and name in ("ndarray", "dtype"):
            return getattr(np, name)
        if (module, name) == ("_codecs", "encode"):
            return _latin1
        raise pickle.UnpicklingError(f"it asks for {module}.{name}, which is no plain data")

    def persistent_load(self, pid: Any) -> NoReturn:
        raise pickle.UnpicklingError("it refers to data outside the file")


def _latin1(text: str, encoding: str) -> bytes:
    """How old pickles spell bytes; no other codec is admitted."""
    if not isinstance(text, str) or encoding != "latin1":
        raise pickle.UnpicklingError(f"it asks for the codec {encoding!r}")
    return text.encode("latin1")


def _check(value: Any, where: str) -> None:
    if isinstance(value, dict):
        for key, item in value.items():
            _check(key, where)
            _check(item, where)
    elif isinstance(value, list | tuple):
        for item in value:
            _check(item, where)
    elif isinstance(value, np.ndarray):
        if value.dtype.hasobject:
            for item in value.reshape(-1):
                _check(item, where)
    elif not isinstance(value, _PLAIN):
        raise ValueError(f"{where}: holds a {type(value).__name__}, which is no plain data; get it anew")
