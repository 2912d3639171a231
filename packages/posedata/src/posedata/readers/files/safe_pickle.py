"""Reads pickles as plain data: nothing in them is run, and numpy is never handed their state.

A pickle is a program: loading one from a stranger runs what the stranger wrote. Here its opcodes are looked
over first (only those that plain data needs, no place in the memo beyond what the file can fill); then they
are run by an unpickler that knows nothing but stand-ins for numpy's arrays, dtypes and scalars; then the
stand-ins become arrays, each checked against the bytes that it has. Dicts, lists, tuples, strings, numbers
and arrays load; anything else is refused before it is looked up, or, where the caller allows it, left out.
"""

from __future__ import annotations

import io
import pickle
import pickletools
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from posedata.readers.files.damage import DamagedError, cure, reason

_SAVE_SO = "save numbers, text, lists, dicts and arrays alone"
MAX_BYTES = 4 << 30
MAX_STEPS = 1_000_000
MAX_DEPTH = 16
MAX_ITEMS = 20_000_000

_REFUSED = {
    "PERSID", "BINPERSID", "INST", "OBJ", "NEWOBJ_EX", "EXT1", "EXT2", "EXT4", "NEXT_BUFFER",
    "READONLY_BUFFER", "BYTEARRAY8", "EMPTY_SET", "ADDITEMS", "FROZENSET",
}  # fmt: skip
_PLAIN = (str, bytes, bool, int, float, complex, type(None))
_KINDS = "biufcSU"


class Foreign:
    """Stands for a value of a class that is not admitted; it takes whatever it is given and keeps nothing."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Foreign:
        return object.__new__(cls)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        pass

    def __setitem__(self, key: Any, value: Any) -> None:
        pass

    def append(self, value: Any) -> None:
        pass

    def extend(self, values: Any) -> None:
        pass


def read_plain_pickle(path: str | Path, *, foreign: bool = False) -> Any:
    """The value that a pickle file holds.

    Args:
        path: the file. Strings of Python 2 are decoded as latin-1.
        foreign: let values of unknown classes pass as `Foreign`, which hold nothing, instead of refusing.

    Raises: FileNotFoundError; ValueError where the file is damaged, hostile, or asks for anything but plain
    data.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    if path.stat().st_size > MAX_BYTES:
        raise ValueError(f"{path}: is larger than {MAX_BYTES >> 30} GiB; it is not taken for plain data")
    return plain_pickle(path.read_bytes(), str(path), foreign=foreign)


def plain_pickle(data: bytes, where: str, *, foreign: bool = False) -> Any:
    """The value that a pickle holds; `where` begins the one line of a ValueError."""
    try:
        _look_over(data)
        loaded = _PlainUnpickler(io.BytesIO(data), foreign).load()
        return _Builder().build(loaded, 0)[0]
    except RecursionError:
        fault: BaseException = DamagedError("it is nested too deep")
    except MemoryError:
        fault = DamagedError("it asks for more memory than there is")
    except Exception as error:  # a hostile pickle can make the unpickler raise anything
        fault = error
    raise ValueError(
        f"{where}: cannot be read as plain data ({reason(fault)}); {cure(fault, 'get it again')}"
    )


def _look_over(data: bytes) -> None:
    """Refuse opcodes that plain data does without, and places in the memo that no honest file needs."""
    places = 0
    for step, (opcode, argument, _) in enumerate(pickletools.genops(data)):
        if step > MAX_STEPS:
            raise DamagedError(f"it has more than {MAX_STEPS} steps")
        if opcode.name in _REFUSED:
            raise DamagedError(f"it uses {opcode.name}, which plain data does without", _SAVE_SO)
        if opcode.name in ("PUT", "BINPUT", "LONG_BINPUT"):
            places += 1
            if argument is None or not 0 <= argument <= 2 * places + 256:
                raise DamagedError("its memo has gaps")


class _PlainUnpickler(pickle.Unpickler):
    """Knows only stand-ins for what numpy pickles arrays, dtypes and scalars with."""

    def __init__(self, file: io.BytesIO, foreign: bool) -> None:
        super().__init__(file, encoding="latin1")
        self._foreign = foreign

    def find_class(self, module: str, name: str) -> Any:
        if module in ("numpy.core.multiarray", "numpy._core.multiarray") and name in _FROM_MULTIARRAY:
            return _FROM_MULTIARRAY[name]
        if module == "numpy" and name in ("ndarray", "dtype"):
            return _Array if name == "ndarray" else _Dtype
        if (module, name) == ("_codecs", "encode"):
            return _latin1
        if (module, name) in (("__builtin__", "bytes"), ("builtins", "bytes")):
            return _no_bytes
        if self._foreign:
            return Foreign
        raise DamagedError(f"it asks for {module}.{name}, which is not plain data", _SAVE_SO)

    def persistent_load(self, pid: Any) -> NoReturn:
        raise DamagedError("it refers to data outside the file")


class _Dtype:
    """A dtype as pickled: a code such as "f8", then a state of which only the byte order is taken."""

    def __init__(self, code: Any, *flags: Any) -> None:
        code = code.decode("ascii") if isinstance(code, bytes) else code
        self.object = code in ("O", "O8", "O4")
        if not self.object and (not isinstance(code, str) or np.dtype(code).kind not in _KINDS):
            raise DamagedError(f"it has an array of type {str(code)[:20]!r}")
        self.dtype = np.dtype(object) if self.object else np.dtype(code)

    def __setstate__(self, state: Any) -> None:
        if not isinstance(state, tuple) or len(state) < 5 or any(part is not None for part in state[2:5]):
            raise DamagedError("it has an array of a structured type")
        order = state[1].decode("ascii") if isinstance(state[1], bytes) else state[1]
        if order not in ("<", ">", "=", "|"):
            raise DamagedError("it has an array without a byte order")
        if not self.object and order == ">":
            self.dtype = self.dtype.newbyteorder(">")
        elif not self.object and order == "<":
            self.dtype = self.dtype.newbyteorder("<")


class _Array:
    """An array as pickled; `array` makes it, from exactly the bytes that its shape needs."""

    def __init__(self, *args: Any) -> None:
        self.state: tuple[Any, ...] | None = None

    def __setstate__(self, state: Any) -> None:
        if not isinstance(state, tuple) or len(state) != 5 or not isinstance(state[2], _Dtype):
            raise DamagedError("it has an array without a proper state")
        self.state = state

    def shape(self) -> tuple[int, ...]:
        if self.state is None:
            raise DamagedError("it has an array without content")
        shape = self.state[1]
        if not isinstance(shape, tuple) or not all(type(n) is int and 0 <= n < 1 << 40 for n in shape):
            raise DamagedError("it has an array of an impossible shape")
        return shape

    def array(self, items: list[Any] | None) -> np.ndarray:
        shape, (_, _, kind, fortran, data) = self.shape(), self.state or ()
        count = int(np.prod([1, *shape], dtype=object))
        if items is not None:
            made = np.empty(len(items), dtype=object)
            for i, item in enumerate(items):
                made[i] = item
        else:
            data = data.encode("latin1") if isinstance(data, str) else data
            if (
                not isinstance(data, bytes)
                or len(data) != count * kind.dtype.itemsize
                or (not data and count)
            ):
                raise DamagedError("it has an array whose bytes do not fill its shape")
            made = np.frombuffer(data, kind.dtype) if data else np.empty(0, kind.dtype)
        if made.size != count:
            raise DamagedError("it has an array whose items do not fill its shape")
        return made.reshape(shape, order="F" if fortran else "C")


def _reconstruct(kind: Any, shape: Any, code: Any) -> Any:
    """How numpy begins an array; its content comes as the state."""
    if kind is not _Array:
        raise DamagedError("it asks for an array of a foreign class")
    return _Array()


def _scalar(kind: Any, data: Any = None) -> Any:
    if not isinstance(kind, _Dtype) or kind.object:
        raise DamagedError("it has a scalar that is not a number")
    data = data.encode("latin1") if isinstance(data, str) else data
    if not isinstance(data, bytes) or len(data) != kind.dtype.itemsize or not data:
        raise DamagedError("it has a scalar whose bytes do not fill it")
    return _Scalar(np.frombuffer(data, kind.dtype)[0])


class _Scalar:
    """A numpy scalar, made of bytes that were counted."""

    def __init__(self, value: np.generic) -> None:
        self.value = value

    def __hash__(self) -> int:
        return hash(self.value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Scalar) and bool(self.value == other.value)


def _latin1(text: Any, encoding: Any) -> bytes:
    """How old pickles spell bytes; no other codec is admitted."""
    if not isinstance(text, str) or encoding != "latin1":
        raise DamagedError(f"it asks for the codec {str(encoding)[:20]!r}")
    return text.encode("latin1")


def _no_bytes(*args: Any) -> bytes:
    """How old pickles spell no bytes at all."""
    if args:
        raise DamagedError("it makes bytes out of something")
    return b""


_FROM_MULTIARRAY = {"_reconstruct": _reconstruct, "scalar": _scalar}


class _Builder:
    """Turns what was loaded into plain data, counting as it goes.

    What is shared in the file is built once; it counts as often as it is referred to, since whoever walks
    over the result meets it that often.
    """

    def __init__(self) -> None:
        self._done: dict[int, tuple[Any, int]] = {}
        self._open: set[int] = set()
        self._kept: list[Any] = []  # so that no id is given twice

    def build(self, value: Any, depth: int) -> tuple[Any, int]:
        """The value and the number of items in it."""
        if isinstance(value, _PLAIN):
            return value, 1
        if id(value) in self._done:
            return self._done[id(value)]
        if depth > MAX_DEPTH or id(value) in self._open:
            raise DamagedError(f"it is nested more than {MAX_DEPTH} deep")
        self._open.add(id(value))
        made, count = self._make(value, depth)
        if count > MAX_ITEMS:
            raise DamagedError(f"it holds more than {MAX_ITEMS} items")
        self._open.discard(id(value))
        self._kept.append(value)
        self._done[id(value)] = made, count
        return made, count

    def _make(self, value: Any, depth: int) -> tuple[Any, int]:
        if isinstance(value, Foreign):
            return value, 1
        if isinstance(value, _Scalar):
            return value.value, 1
        if isinstance(value, _Array):
            items = value.state[4] if value.state and value.state[2].object else None
            if items is None:
                return value.array(None), 1
            built, count = self._all(items if isinstance(items, list) else [items], depth)
            return value.array(built), count
        if isinstance(value, list | tuple):
            built, count = self._all(value, depth)
            return (built if isinstance(value, list) else tuple(built)), count
        if isinstance(value, dict):
            keys, some = self._all(value.keys(), depth)
            items, more = self._all(value.values(), depth)
            return dict(zip(keys, items, strict=True)), some + more
        raise DamagedError(f"it holds a {type(value).__name__}, which is not plain data", _SAVE_SO)

    def _all(self, values: Any, depth: int) -> tuple[list[Any], int]:
        pairs = [self.build(value, depth + 1) for value in values]
        return [made for made, _ in pairs], 1 + sum(count for _, count in pairs)
