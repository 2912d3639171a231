"""Damages files of every format, and judges what reading them does.

`damage` makes a file truncated, bit-flipped or hostile, by a seed. `judge` reads a data set and says "right"
(clips that a store accepts) or "named" (one line that names a file); anything else is a `Violation`. `watch`
makes a process record what reading must never do.
"""

from __future__ import annotations

import gzip
import io
import pickle
import random
import re
import struct
import sys
import zipfile
import zlib
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import scipy.io
from formats_sets import DataSet
from posedata.readers.amass import body_model
from posedata.readers.format import Context
from posedata.readers.merge import clip_columns
from posedata.readers.registry import get_format
from posedata.skeleton import SKELETONS
from posedata.store.schema import check_columns
from posedata.store.writer import _check_finite


class Violation(Exception):  # noqa: N818 (no error of the code here, but of the code under test)
    """Reading did what it must never do."""


LIBRARY = re.compile(
    r"unpack_from|requires a buffer|[Uu]nable to|can't open|codec|convert string|could not|cannot identify"
    r"|invalid literal|Expecting|pickle data|File is not a zip|Bad CRC|bad magic|decompressing|\[Errno"
    r"|out of range|object is not|has no attribute|NoneType|Traceback|invalid load key|Ran out of input"
    r"|truncated file|allow_pickle|magic string|reshape array|cannot be interpreted|unhashable"
    r"|not subscriptable|argument must be|byte string|not enough values|too many values"
    r"|must be real number|mmap"
)
"""What Python, numpy and others say in their own words, and no message here may."""
NUMBERS = (
    b"nan",
    b"-1",
    b"0",
    b"1e999",
    b"-1e38",
    b"9" * 30,
    b"9" * 5000,
    b"2147483648",
    b"0x10",
    b"1_0",
    b"\xd9\xa3",
)
WORDS = (
    b"../../../../escaped",
    b"/escaped",
    b"\x00",
    b"",
    b"\xff\xfe",
    b"[" * 5000,
    b'"',
    b"null",
    b"true",
    b"{}",
    b"[]",
)
PLACES = (0, 1, -1, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, -0x80000000, 0x7FFFFFFFFFFFFFFF)


def damage(data: bytes, rng: random.Random, canary: Path) -> tuple[str, bytes]:
    """What was done to a file, and the file."""
    kinds: list[tuple[str, int, Callable[[bytes, random.Random], bytes]]] = [
        ("truncated", 3, lambda d, r: d[: r.randrange(len(d) + 1)]),
        ("bit-flipped", 4, _flipped),
        ("integer forged", 4, _forged),
        ("spliced", 2, _spliced),
        ("word replaced", 4, _replaced),
        ("inside its container", 4, _inside),
        ("hostile", 1, lambda d, r: r.choice(hostile(canary))),
    ]
    name, _, make = rng.choices(kinds, [weight for _, weight, _ in kinds])[0]
    return name, make(data, rng)


def _flipped(data: bytes, rng: random.Random) -> bytes:
    out = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 8, 64)) if out else 0):
        out[rng.randrange(len(out))] ^= 1 << rng.randrange(8)
    return bytes(out)


def _forged(data: bytes, rng: random.Random) -> bytes:
    """A length, offset or count set to an extreme; headers more often than the rest."""
    code = rng.choice(("<b", "<h", ">h", "<i", ">i", "<q", ">q"))
    size = struct.calcsize(code)
    if len(data) < size:
        return data
    most = len(data) - size
    at = rng.randint(0, min(most, rng.choice((64, 512, 4096, 1 << 40))))
    value = rng.choice((*PLACES, len(data), at)) & ((1 << 8 * size) - 1)
    return data[:at] + value.to_bytes(size, "little" if code[0] == "<" else "big") + data[at + size :]


def _spliced(data: bytes, rng: random.Random) -> bytes:
    a, b = sorted((rng.randrange(len(data) + 1), rng.randrange(len(data) + 1)))
    b = min(b, a + 200)
    return data[:a] + rng.choice((b"", data[a:b] * 2, data[a:b] * 50, rng.randbytes(b - a))) + data[b:]


def _replaced(data: bytes, rng: random.Random) -> bytes:
    """In text a number or a word by a hostile one; in binary data as it comes."""
    pattern = rng.choice((rb"-?\d+\.?\d*", rb"[A-Za-z_]{2,}", rb'"[^"]*"', rb"[\[\]{}:,()<>\n]"))
    found = [match.span() for match in re.finditer(pattern, data[: 1 << 16])]
    if not found:
        return _flipped(data, rng)
    start, stop = rng.choice(found)
    return data[:start] + rng.choice(NUMBERS + WORDS) + data[stop:]


def _inside(data: bytes, rng: random.Random) -> bytes:
    """The content of a compressed file, damaged and packed again, so that damage gets behind the checksum."""
    change = rng.choice((_flipped, _forged, _spliced, _replaced))
    if data[:4] == b"PK\x03\x04":
        out = io.BytesIO()
        with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
            names = old.namelist()
            chosen = rng.choice(names)
            for name in names:
                new.writestr(name, change(old.read(name), rng) if name == chosen else old.read(name))
        return out.getvalue()
    if data[:2] == b"\x1f\x8b":
        return gzip.compress(change(gzip.decompress(data), rng), 1)
    if data[124:128] == b"\x00\x01IM":
        at, parts = 128, []
        while at + 8 <= len(data):
            kind, size = struct.unpack_from("<II", data, at)
            parts.append((kind, data[at + 8 : at + 8 + size]))
            at += 8 + size
        chosen = rng.randrange(len(parts))
        packed = [
            (kind, zlib.compress(change(zlib.decompress(body), rng)) if i == chosen and kind == 15 else body)
            for i, (kind, body) in enumerate(parts)
        ]
        return data[:128] + b"".join(struct.pack("<II", kind, len(body)) + body for kind, body in packed)
    return change(data, rng)


class _Canary:
    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self) -> tuple[Any, ...]:
        return open, (self.path, "w")


@lru_cache(maxsize=1)
def hostile(canary: Path) -> tuple[bytes, ...]:
    """Whole files that a stranger might send: code, bombs, and files of other kinds."""
    code = pickle.dumps({"jointPositions": [_Canary(canary)], "S9": _Canary(canary)}, protocol=2)
    shell = b"cos\nsystem\n(S'touch " + str(canary).encode() + b"'\ntR."
    objects, matlab = io.BytesIO(), io.BytesIO()
    np.savez(
        objects,
        positions_3d=np.array({"S9": _Canary(canary)}, dtype=object),
        poses=np.array([_Canary(canary)]),
    )
    scipy.io.savemat(matlab, {"annot3": np.zeros((8, 8)), "annot2": {"a": "b"}})
    laughs = b'<!DOCTYPE l [<!ENTITY a0 "%s">' % (b"ha" * 500)
    laughs += (
        b"".join(b'<!ENTITY a%d "%s">' % (i, b"&a%d;" % (i - 1) * 20) for i in range(1, 9)) + b"]><l>&a8;</l>"
    )
    nested = b"\x80\x02]q\x00" + b"".join(b"](" + b"h\x00" * 9 + b"eq\x00" for _ in range(12)) + b"."
    return (
        b"",
        bytes(4096),
        b"<html>404 Not Found</html>",
        b"PK\x03\x04",
        b"\x89HDF\r\n\x1a\n" + bytes(600),
        code,
        shell,
        objects.getvalue(),
        matlab.getvalue(),
        nested_cells(),
        laughs,
        nested,
        b"[" * 200_000,
        b'{"a":' * 50_000,
        b"\x80\x02]r\xff\xff\xff\x7f.",
        b"\x80\x05\x96" + (1 << 40).to_bytes(8, "little") + b".",
        *bombs(),
    )


def bombs() -> Iterator[bytes]:
    """600 MB of zeros in less than one, as an npz and as gzip; written without holding them."""
    packed = io.BytesIO()
    with (
        zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("joints.npy", "w") as entry,
    ):
        for _ in range(600):
            entry.write(bytes(1 << 20))
    yield packed.getvalue()
    plain = io.BytesIO()
    with gzip.GzipFile(fileobj=plain, mode="wb", compresslevel=1) as stream:
        for _ in range(600):
            stream.write(bytes(1 << 20))
    yield plain.getvalue()


def nested_cells() -> bytes:
    """A .mat file whose cells nest deeper than a stack is."""
    body = b""
    for _ in range(3000):
        head = struct.pack("<IIII", 6, 8, 1, 0) + struct.pack("<IIii", 5, 8, 1, 1) + struct.pack("<II", 1, 0)
        body = struct.pack("<II", 14, len(head) + len(body)) + head + body
    return b"MATLAB 5.0".ljust(124) + b"\x00\x01IM" + body


def _check_words(text: str) -> None:
    if LIBRARY.search(text):
        raise Violation(f"a library's words: {text[:300]}")


def read_all(name: str, data: DataSet, scratch: Path) -> int:
    """Read a data set as `prepare` does, images too; refuses what a store would. Returns the rows."""
    body_model.cache_clear()
    form = get_format(name, **data.options)
    context = Context(scratch, _check_words, _check_words)
    plan, rows = form.plan(data.source, context), 0
    for unit in plan.units:
        for clip in form.read(unit, context):
            columns, count = clip_columns(clip, 0, 0), len(clip.joints)
            images = 0
            for batch in clip.images or ():
                images += len(next(iter(batch.values())))
            due = int(columns["image"].max(initial=-1)) + 1 if "image" in columns else 0
            if images != (due if clip.images is not None else 0):
                raise ValueError(f"{unit.files[0]}: {images} images came where {due} are due")
            if count:
                columns.pop("camera", None), columns.pop("image", None)
                meta = {"skeleton": plan.skeleton}
                check_columns(columns, meta, None, unit.files[0])
                _check_finite(columns, meta, unit.files[0])
                assert columns["joints"].shape[1] == len(SKELETONS[plan.skeleton])
            rows += count
    return rows


def judge(name: str, data: DataSet, scratch: Path) -> str:
    """ "right" or "named"; a `Violation` for any other end."""
    try:
        read_all(name, data, scratch)
    except (ValueError, FileNotFoundError) as error:
        text = str(error)
        known = {part for file in data.files for part in (file.name, file.parent.name)} | {data.source.name}
        if len(text) > 4000 or not any(part in text for part in known):
            raise Violation(f"an error that names no file: {type(error).__name__}: {text[:300]}") from error
        _check_words(text)
        return "named"
    except MemoryError as error:
        raise Violation("memory over the limit") from error
    except Exception as error:
        raise Violation(f"{type(error).__name__}: {str(error)[:300]}") from error
    return "right"


_EVENTS = (
    "os.system",
    "subprocess.Popen",
    "os.exec",
    "os.posix_spawn",
    "os.spawn",
    "os.startfile",
    "socket.connect",
    "os.fork",
    "os.forkpty",
    "pty.spawn",
    "ctypes.dlopen",
    "shutil.unpack_archive",
    "webbrowser.open",
)
_CHANGES = (
    "os.mkdir",
    "os.rename",
    "os.remove",
    "os.rmdir",
    "os.link",
    "os.symlink",
    "os.truncate",
    "os.chmod",
    "shutil.rmtree",
    "shutil.copyfile",
    "shutil.move",
    "tempfile.mkdtemp",
    "tempfile.mkstemp",
)


def watch(allowed: Path) -> list[str]:
    """From now on this process records what it starts, connects to, and writes outside `allowed`."""
    seen: list[str] = []
    inside = str(allowed)

    def hook(event: str, args: tuple[Any, ...]) -> None:
        if event == "open":
            path, mode, flags = args
            writes = (isinstance(mode, str) and set(mode) & set("wax+")) or (
                isinstance(flags, int) and flags & 3
            )
            if writes and not str(path).startswith((inside, "/dev/null")) and not isinstance(path, int):
                seen.append(f"open {path} {mode}")
        elif event in _EVENTS or (event in _CHANGES and not str(args[0]).startswith(inside)):
            seen.append(f"{event} {str(args)[:120]}")

    sys.addaudithook(hook)
    return seen
