"""digests.json: the sha256 of every file of a folder, and of itself, so that a flipped bit is noticed.

{"files": {"joints.npy": "9f86d0...", "meta.json": "..."}, "sha256": "of the lines above"}
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from io import BufferedReader
from pathlib import Path
from typing import IO

from posedata.writing import replacing

NAME = "digests.json"
Stamp = tuple[int, int, int, int, int]
_sound: set[tuple[Stamp, str]] = set()
"""What this process has read and found sound: nothing is read twice that has not changed since."""


def write_digests(folder: Path) -> None:
    """Write digests.json for all the files of a folder and of the folders in it."""
    files = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path != folder / NAME:
            with path.open("rb") as file:
                files[path.relative_to(folder).as_posix()] = sha256_of(file)
    with replacing(folder / NAME) as file:
        file.write(_text(files))


def combined(*fingerprints: str) -> str:
    """One fingerprint of several, short: 16 digits of the sha256 of them all."""
    return hashlib.sha256("".join(fingerprints).encode()).hexdigest()[:16]


def read_digests(folder: Path) -> dict[str, str] | None:
    """sha256 by file name, or None where there is no digests.json; ValueError if that is damaged itself."""
    file = folder / NAME
    try:
        content = file.read_bytes()
    except FileNotFoundError:
        return None
    try:
        files: dict[str, str] = json.loads(content)["files"]
        whole = _text(files) == content
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        whole = False
    if not whole:
        raise ValueError(f"{file}: is damaged")
    return files


def sha256_of(file: BufferedReader) -> str:
    """Of a file open for reading, from its beginning."""
    file.seek(0)
    return hashlib.file_digest(file, "sha256").hexdigest()


def is_sound(of: Stamp, digest: str, sha256: Callable[[], str]) -> bool:
    """Whether a file has this sha256; it is computed once a process, unless the file changes."""
    if (of, digest) in _sound:
        return True
    if sha256() != digest:
        return False
    _sound.add((of, digest))
    return True


def stamp(file: IO[bytes]) -> Stamp:
    """What changes when an open file is written to or another one takes its name."""
    stat = os.fstat(file.fileno())
    return stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns


def _text(files: Mapping[str, str]) -> bytes:
    listed = json.dumps(files, indent=1, sort_keys=True, ensure_ascii=False)
    own = hashlib.sha256(listed.encode()).hexdigest()
    return f'{{"files": {listed},\n"sha256": "{own}"}}\n'.encode()
