"""What an index holds: manifest.json, replaced as a whole, and the lock of who writes.

INDEX/manifest.json           sources, models, digests of every file
INDEX/segments/ID/            what was found in one source (`polypose.search.segments`)
INDEX/engine/VIEW/            an approximate index of a large one (`polypose.search.ivf`)
INDEX/work/                   what is not done yet (`polypose.search.making`)
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from posedata.lock import lock
from posedata.readers.listing import is_junk
from posedata.writing import write_text

NAME = "manifest.json"
SEGMENTS, ENGINE, WORK, LOCK = "segments", "engine", "work", "lock"
VERSION = 1


@dataclass(frozen=True)
class Entry:
    """One source: a film, a picture, a file of motion capture, a store.

    Attributes:
        name: in tables and filters, unique in an index.
        path: where it was read, absolute.
        kind: film, photo, sequence, rgbd, motion, keypoints, store, format.
        digest: sha256 of its content and of how it was read.
        how: it was read, as `sources.how_read` tells.
        stamp: bytes and time of change, by which an unchanged file is known without reading it.
        folder: of its segment.
        rows, recordings: how many poses and sequences were found in it.
        seconds: that it lasts.
        files: sha256 by name in the folder.
        notes: what was odd about it.
    """

    name: str
    path: str
    kind: str
    digest: str
    how: str
    stamp: tuple[int, int]
    folder: str
    rows: int
    recordings: int
    seconds: float
    files: Mapping[str, str]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Manifest:
    """All sources, and the models that embedded them (`Held.made_by`) by view."""

    models: Mapping[str, Mapping[str, str]]
    entries: tuple[Entry, ...] = field(default=())

    @classmethod
    def read(cls, index: Path) -> Manifest:
        """Raises FileNotFoundError or ValueError where there is no index, or not a whole one."""
        path = index / NAME
        try:
            content = path.read_text(encoding="utf-8")
        except (FileNotFoundError, NotADirectoryError):
            raise FileNotFoundError(f"{index}: no index; make one: polypose index add {index} PATH") from None
        except UnicodeDecodeError:
            raise _damaged(path) from None
        try:
            told = json.loads(content)
            if told["version"] != VERSION:
                raise ValueError(f"{path}: is of version {told['version']}; pip install -U polypose")
            body = told["body"]
            if told["sha256"] != digest_of(body):
                raise _damaged(path)
            return cls(body["models"], tuple(entry_of(entry) for entry in body["entries"]))
        except (KeyError, TypeError, AttributeError, RecursionError, json.JSONDecodeError):
            raise _damaged(path) from None

    def write(self, index: Path) -> None:
        """Replace the manifest; who reads sees the old one or the new one."""
        body = {"models": self.models, "entries": [dataclasses.asdict(entry) for entry in self.entries]}
        body = json.loads(json.dumps(body))
        told = {"version": VERSION, "body": body, "sha256": digest_of(body)}
        write_text(index / NAME, json.dumps(told, indent=1, ensure_ascii=False))

    def replaced(self, entry: Entry) -> Manifest:
        """With this entry, instead of one that was read from the same path."""
        entries = [entry if other.path == entry.path else other for other in self.entries]
        return Manifest(self.models, tuple(entries if entry in entries else [*entries, entry]))

    def without(self, names: set[str]) -> Manifest:
        return Manifest(self.models, tuple(entry for entry in self.entries if entry.name not in names))


def entry_of(told: dict[str, Any]) -> Entry:
    """Of what `dataclasses.asdict` gave. KeyError, TypeError or ValueError where it is none."""
    size, changed = told.pop("stamp")
    folder = str(told["folder"])
    if "/" in folder or "\\" in folder or folder in ("", ".", ".."):
        raise KeyError(folder)
    return Entry(**{**told, "stamp": (int(size), int(changed)), "notes": tuple(told.pop("notes"))})


def digest_of(body: Any) -> str:
    """sha256 of what a manifest says."""
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


def _damaged(path: Path) -> ValueError:
    return ValueError(f"{path}: is damaged; add the sources again to a new index")


@contextlib.contextmanager
def writing(index: Path) -> Iterator[None]:
    """Hold an index against others who write; the lock dies with the process.

    Raises:
        ValueError: somebody is writing it, or it is a folder of something else.
    """
    if index.exists() and not index.is_dir():
        raise ValueError(f"{index}: is a file; name a folder for the index")
    held = {path.name for path in index.iterdir() if not is_junk(path.name)} if index.is_dir() else set()
    if held - {NAME, SEGMENTS, ENGINE, WORK, LOCK}:
        raise ValueError(f"{index}: holds other things than an index; name a folder of its own")
    (index / SEGMENTS).mkdir(parents=True, exist_ok=True)
    with (index / LOCK).open("w") as file:
        try:
            lock(file)
        except BlockingIOError:
            raise ValueError(f"{index}: another run is writing it; wait for its end") from None
        yield
