"""A pose store from what a recipe says of its data: synthetic people, a store, a file of a known format."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from posedata.ranges import Count, Positive, Seed
from posedata.store.cache import cached, code_key
from posedata.terminal import print_line

if TYPE_CHECKING:
    from posedata.inspection.examine import Findings
    from posedata.store.pose_store import PoseStore

_SAMPLE, _SEQUENCES, _IMAGES = 4000, 100, 32
_SEEN: dict[tuple[Path, str], Findings] = {}


@dataclass(frozen=True)
class SyntheticPeople:
    """The embedded data set, for `format: synthetic`.

    Attributes:
        subjects: how many people.
        test_subjects: the last so many are the test.
        validation_subjects: so many before them are for validation.
        clips: of each person.
        frames: of a clip.
    """

    subjects: Positive = 24
    test_subjects: Positive = 4
    validation_subjects: Count = 0
    clips: Positive = 12
    frames: Positive = 90
    seed: Seed = 0


@dataclass(frozen=True)
class PoseSource:
    """Where poses come from: what every data section of a recipe begins with.

    Attributes:
        format: `synthetic`, `store`, or any reader's name (`posedata prepare --help`).
        path: what the format reads; not for `synthetic`.
        split: a JSON file {"train": ..., "validation": ..., "test": ...} by subject; by default the split
            that the data set's reader left in the store. Not for `synthetic`.
        cache: where what has to be made first is kept, by content.
        accept_faults: train although something is wrong with the poses, which is said first.
        synthetic: the people of `synthetic`.
    """

    format: str = "synthetic"
    path: Path | None = None
    split: Path | None = None
    cache: Path = Path("data")
    accept_faults: bool = False
    synthetic: SyntheticPeople = field(default_factory=SyntheticPeople)


def open_poses(
    config: PoseSource, skeleton: str | None = None, say: Callable[[str], None] = print_line
) -> PoseStore:
    """Open a recipe's poses; what is not a store yet is prepared in the cache first.

    Args:
        skeleton: the only one that will do.
        say: told what takes long.

    Raises:
        ValueError, FileNotFoundError: the data cannot be had, or something is wrong with them; the message
            says what to set.
    """
    made = config.synthetic
    if config.format == "synthetic" and config.path is not None:
        raise ValueError(
            f"data.path is {config.path}, but data.format is synthetic, which reads none; set data.format"
        )
    held_out = made.test_subjects + made.validation_subjects
    if config.format == "synthetic" and held_out >= made.subjects:
        raise ValueError(
            f"data.synthetic: test_subjects and validation_subjects are {held_out}; leave some of"
            f" {made.subjects} to train"
        )
    store = open_source(config.format, config.path, config.cache, synthetic=made, say=say)
    if skeleton is not None:
        require_skeleton(store, skeleton)
    if config.format != "synthetic":
        check_poses(store, config.path or store.path, config.accept_faults, say)
    return store


def require_skeleton(store: PoseStore, skeleton: str) -> None:
    """Raise ValueError where a store has another one."""
    if store.skeleton.name != skeleton:
        raise ValueError(
            f"{store.path}: skeleton is {store.skeleton.name}, {skeleton} is needed; convert the store"
        )


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
    from posedata.store.pose_store import PoseStore

    if kind == "synthetic":
        from posedata.synthetic.people.build import build_synthetic

        chosen = synthetic or SyntheticPeople()
        people = {name: getattr(chosen, name) for name in ("subjects", "clips", "frames", "seed")}

        def move(out: Path) -> None:
            say(f"moving {chosen.subjects} synthetic people: {out}")
            build_synthetic(out, **people)

        key = [people, code_key("posedata.synthetic.people.motion")]
        return PoseStore.open(cached(cache, "synthetic", key, move))
    if path is None:
        raise ValueError(f"data.path is not set; give what data.format={kind} reads: --set data.path=...")
    if kind == "store":
        return PoseStore.open(path)
    from posedata.prepare.run import prepare
    from posedata.readers.registry import get_format

    source = path

    def read(out: Path) -> None:
        say(f"reading {source}: {out}")
        prepare(kind, source, out)

    read_from: list[object] = [_state(source), code_key(type(get_format(kind)).__module__)]
    return PoseStore.open(cached(cache, f"{kind}-{source.stem}", read_from, read))


def check_poses(
    store: PoseStore, source: Path, accept: bool, say: Callable[[str], None] = print_line
) -> None:
    """Look at some of a store's rows as `posedata inspect` does, and say what is odd, once in a process.

    Rows that differ from published counts are said and no reason to stop: training may want a part.

    Args:
        source: what the user gave, for the message.
        accept: say what is wrong too, and go on.

    Raises:
        ValueError: something is wrong; the message says what, and how to train all the same.
    """
    from posedata.inspection.examine import examine

    key = (store.path, store.fingerprint)
    new = key not in _SEEN
    if new:
        _SEEN[key] = examine(store, sample=_SAMPLE, sequences=_SEQUENCES, images=_IMAGES, counts=False)
    found = _SEEN[key]
    if found.faults and not accept:
        raise ValueError(
            f"{source}: {'; '.join(found.faults)}. 'posedata inspect {store.path}' tells more; to train on it"
            " as it is, set data.accept_faults=true"
        )
    for text in (*found.faults, *found.warnings) if new else ():
        say(f"{source}: {text}")


def _state(path: Path) -> list[object]:
    """What tells one version of a source from another without reading it whole."""
    from posedata.readers.listing import files_below

    if not path.exists():
        raise FileNotFoundError(f"{path}: no such file or folder; set data.path to what data.format reads")
    files = [path] if path.is_file() else files_below(path)
    names = [p.name if p == path else p.relative_to(path).as_posix() for p in files]
    return [[n, p.stat().st_size, p.stat().st_mtime_ns] for n, p in zip(names, files, strict=True)]
