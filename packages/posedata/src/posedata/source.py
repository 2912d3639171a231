"""A pose store from what a recipe says of its data: synthetic people, a store, a file of a known format."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from posedata.build import build_synthetic
from posedata.prepare.listing import files_below
from posedata.readers import prepare
from posedata.store import PoseStore


@dataclass(frozen=True)
class SyntheticPeople:
    """How many people the synthetic human is, how many clips of each, and frames of a clip."""

    subjects: int = 24
    clips: int = 12
    frames: int = 90
    seed: int = 0


def open_source(
    kind: str,
    path: Path | None,
    cache: Path,
    *,
    synthetic: SyntheticPeople | None = None,
    say: Callable[[str], None] = print,
) -> PoseStore:
    """Open a store, or make it in the cache first; what has been made once is found again by its content.

    Args:
        kind: `synthetic`, `store`, or a reader's name (`posedata.readers.READERS`).
        path: what the reader reads, or the store; not for `synthetic`.
        cache: a folder for stores made here.
        synthetic: the people, for `synthetic`.
        say: told what takes long.

    Raises:
        ValueError, FileNotFoundError: no path, or there is nothing.
    """
    if kind == "synthetic":
        people = synthetic or SyntheticPeople()
        out = cache / f"synthetic-{content_key(asdict(people))}"
        if not out.is_dir():
            say(f"moving {people.subjects} synthetic people: {out}")
            build_synthetic(out, **asdict(people))
        return PoseStore.open(out)
    if path is None:
        raise ValueError(f"data.path is not set; give what data.format={kind} reads: --set data.path=...")
    if kind == "store":
        return PoseStore.open(path)
    out = cache / f"{kind}-{path.stem}-{content_key(_state(path))}"
    if not out.is_dir():
        say(f"reading {path}: {out}")
        prepare(kind, path, out)
    return PoseStore.open(out)


def content_key(value: object) -> str:
    """A short name that changes with a JSON value."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:12]


def _state(path: Path) -> list[object]:
    """What tells one version of a source from another without reading it whole."""
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such file or folder; set data.path to what data.format reads")
    return [[p.name, p.stat().st_size, p.stat().st_mtime_ns] for p in files_below(path)]
