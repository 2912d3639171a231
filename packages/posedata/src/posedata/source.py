"""A pose store from what a recipe says of its data: synthetic people, a store, a file of a known format."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from posedata.prepare.run import prepare
from posedata.readers.listing import files_below
from posedata.readers.registry import get_format
from posedata.store.cache import cached, code_key
from posedata.store.pose_store import PoseStore
from posedata.synthetic.people.build import build_synthetic
from posedata.terminal import print_line


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
    say: Callable[[str], None] = print_line,
) -> PoseStore:
    """Open a store, or make it in the cache first; what has been made once is found again by its content.

    Args:
        kind: `synthetic`, `store`, or a format's name (`posedata.readers.registry.FORMATS`).
        path: what the reader reads, or the store; not for `synthetic`.
        cache: a folder for stores made here.
        synthetic: the people, for `synthetic`.
        say: told what takes long.

    Raises:
        ValueError, FileNotFoundError: no path, or there is nothing.
    """
    if kind == "synthetic":
        people = synthetic or SyntheticPeople()

        def move(out: Path) -> None:
            say(f"moving {people.subjects} synthetic people: {out}")
            build_synthetic(out, **asdict(people))

        key = [asdict(people), code_key("posedata.synthetic.people.motion")]
        return PoseStore.open(cached(cache, "synthetic", key, move))
    if path is None:
        raise ValueError(f"data.path is not set; give what data.format={kind} reads: --set data.path=...")
    if kind == "store":
        return PoseStore.open(path)
    source = path

    def read(out: Path) -> None:
        say(f"reading {source}: {out}")
        prepare(kind, source, out)

    read_from: list[object] = [_state(source), code_key(type(get_format(kind)).__module__)]
    return PoseStore.open(cached(cache, f"{kind}-{source.stem}", read_from, read))


def _state(path: Path) -> list[object]:
    """What tells one version of a source from another without reading it whole."""
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such file or folder; set data.path to what data.format reads")
    files = [path] if path.is_file() else files_below(path)
    names = [p.name if p == path else p.relative_to(path).as_posix() for p in files]
    return [[n, p.stat().st_size, p.stat().st_mtime_ns] for n, p in zip(names, files, strict=True)]
