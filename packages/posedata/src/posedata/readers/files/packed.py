"""A zip file as a source: unpacked whole beside the store that is made, and nothing outside that folder.

What a member claims is looked at before anything is written: number, sizes, the ratio to what is there, and
names. Links, encrypted members and names that lead outside are refused.
"""

from __future__ import annotations

import shutil
import stat
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from posedata.readers.format import Context
from posedata.readers.listing import files_below, is_junk

MAX_MEMBERS = 500_000
MAX_RATIO = 200
_SPARE = 64 << 20
_BLOCK = 1 << 22
_NAME = 255
_DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError, OSError)
"""What zipfile raises where a file's bytes make no sense; OSError for seeks outside it."""


def unpacked(source: Path, context: Context) -> Path:
    """The source; or, of a zip file, the folder in the scratch that holds what was packed.

    Raises ValueError, naming the file, where it is damaged, encrypted, leads outside or unpacks to too much.
    """
    if not (source.is_file() and source.suffix.lower() == ".zip"):
        return source
    return context.unpacked([source], lambda place: _extract(source, place / source.stem)) / source.stem


def left_packed(source: Path, used: Sequence[Path]) -> list[str]:
    """A note for each zip file beside the files that were read which holds more of their kind."""
    suffixes = {file.suffix.lower() for file in used}
    names = {file.name for file in used}
    notes = []
    for file in files_below(source) if source.is_dir() else []:
        if file.suffix.lower() != ".zip" or file in used:
            continue
        more = [n for n in _names(file) if PurePosixPath(n).suffix.lower() in suffixes]
        more = [n for n in more if PurePosixPath(n).name not in names]
        if more:
            notes.append(
                f"{file}: is packed, its {len(more)} recordings (e.g. {more[0][-60:]}) are left out; unpack"
                " it there, or prepare it by itself"
            )
    return notes


def _names(file: Path) -> list[str]:
    """Names of a zip file's members; none where it is damaged, since nothing in it can be read anyway."""
    try:
        with zipfile.ZipFile(file) as archive:
            return [entry.filename for entry in archive.infolist()[:MAX_MEMBERS] if not _skipped(entry)]
    except _DAMAGED:
        return []


def _skipped(entry: zipfile.ZipInfo) -> bool:
    return entry.is_dir() or any(is_junk(part) for part in PurePosixPath(entry.filename).parts)


def _extract(source: Path, place: Path) -> None:
    try:
        archive = zipfile.ZipFile(source)
    except _DAMAGED:
        raise ValueError(f"{source}: is not a whole zip file; copy it again") from None
    with archive:
        members = [entry for entry in archive.infolist() if not _skipped(entry)]
        _check(source, members, place)
        place.mkdir()
        for entry in members:
            _write(source, archive, entry, place)


def _check(source: Path, members: Sequence[zipfile.ZipInfo], place: Path) -> None:
    if not members:
        raise ValueError(f"{source}: is empty; give a zip file that holds recordings")
    if len(members) > MAX_MEMBERS:
        raise ValueError(f"{source}: holds more than {MAX_MEMBERS} files; unpack it, give the folder")
    total = sum(entry.file_size for entry in members)
    if total > _SPARE + MAX_RATIO * source.stat().st_size:
        raise ValueError(
            f"{source}: would unpack to over {MAX_RATIO} times its size, so it is not; copy it again"
        )
    if total > shutil.disk_usage(place.parent).free:
        raise ValueError(
            f"{source}: unpacks to {total >> 20} MiB, more than the disk has left; free some, or unpack it"
            " elsewhere and give that folder"
        )
    seen: set[str] = set()
    for entry in members:
        name, path = entry.filename, PurePosixPath(entry.filename)
        where = f"{source}: member {name[-60:]!r}"
        outside = path.is_absolute() or ".." in path.parts or "\\" in name or ":" in path.parts[0]
        if outside or any(len(part.encode("utf-8", "replace")) > _NAME for part in path.parts):
            raise ValueError(f"{where} has a name that leads outside, or none of a file; it is not unpacked")
        if stat.S_ISLNK(entry.external_attr >> 16):
            raise ValueError(f"{where} is a link, which is not followed; pack the files themselves")
        if entry.flag_bits & 1:
            raise ValueError(f"{where} is encrypted; unpack it yourself, give the folder")
        if str(path).lower() in seen:
            raise ValueError(f"{where} is there twice; unpack it yourself, give the folder")
        seen.add(str(path).lower())


def _write(source: Path, archive: zipfile.ZipFile, entry: zipfile.ZipInfo, place: Path) -> None:
    """One member; never more bytes than it claims, which were counted."""
    target = place / entry.filename
    left = entry.file_size
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with archive.open(entry) as read, target.open("wb") as write:
            while block := read.read(min(_BLOCK, left + 1)):
                left -= len(block)
                if left < 0:
                    raise zipfile.BadZipFile
                write.write(block)
    except _DAMAGED as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise ValueError(f"{source}: member {entry.filename[-60:]!r} is damaged; copy it again") from None
