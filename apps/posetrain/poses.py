"""The poses that a recipe's data section names, and which of them to train and to test on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

from posedata.ranges import Count, Positive, Seed
from posedata.terminal import print_line

if TYPE_CHECKING:
    import numpy as np
    from posedata.inspection.examine import Findings
    from posedata.store import PoseStore

Part = Literal["test", "validation"]
"""What people that training never sees are for: the last number, or the choice of settings."""

PARTS = ("train", "test", "validation")
"""Of a split, in the order in which seeds are counted."""

_SAMPLE, _SEQUENCES, _IMAGES = 4000, 100, 32
_SEEN: dict[tuple[Path, str], Findings] = {}
_TOLD: set[tuple[Path, str]] = set()


@dataclass(frozen=True)
class SyntheticDataset:
    """The embedded data set, for `data.format: synthetic`.

    Attributes:
        test_subjects: the last so many are the test.
        validation_subjects: so many before them are for validation.
    """

    subjects: Positive = 24
    test_subjects: Positive = 4
    validation_subjects: Count = 0
    clips: Positive = 12
    frames: Positive = 90
    seed: Seed = 0


class Source(Protocol):
    """What a data section has to say of where its poses come from.

    Attributes:
        format: `synthetic`, `store`, or any reader's name (`posedata prepare --help`).
        path: what the format reads; not for `synthetic`.
        split: a JSON file {"train": ..., "validation": ..., "test": ...} by subject; by default the split
            that the data set's reader left in the store. Not for `synthetic`.
        cache: where prepared stores are kept, by content.
        accept_faults: train although something is wrong with the poses (`check_poses`).
        synthetic: the people of `synthetic`.
    """

    @property
    def format(self) -> str: ...
    @property
    def path(self) -> Path | None: ...
    @property
    def split(self) -> Path | None: ...
    @property
    def cache(self) -> Path: ...
    @property
    def accept_faults(self) -> bool: ...
    @property
    def synthetic(self) -> SyntheticDataset: ...


def open_poses(
    config: Source, skeleton: str | None = None, say: Callable[[str], None] = print_line
) -> PoseStore:
    """Open a recipe's poses; what is not a store yet is prepared in the cache first.

    Args:
        skeleton: the only one that will do.
        say: told what takes long.

    Raises:
        ValueError, FileNotFoundError: the data cannot be had, or something is wrong with them; the message
            says what to set.
    """
    from posedata.source import SyntheticPeople, open_source

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
    people = SyntheticPeople(made.subjects, made.clips, made.frames, made.seed)
    store = open_source(config.format, config.path, config.cache, synthetic=people, say=say)
    if skeleton is not None and store.skeleton.name != skeleton:
        raise ValueError(
            f"{store.path}: skeleton is {store.skeleton.name}, {skeleton} is needed; convert the store"
        )
    if config.format != "synthetic":
        check_poses(store, config.path or store.path, config.accept_faults, say)
    return store


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


def split_poses(
    config: Source, store: PoseStore, *, whole: bool = True, say: Callable[[str], None] = print_line
) -> dict[str, np.ndarray]:
    """Rows of `train` and of `test`, of different people, and of other parts that the split names.

    Args:
        whole: leave out poses with a joint that is not valid, whose place is no place.
        say: told how many, once in a process.

    Raises:
        ValueError: no split is set and the store has none of its own, or a part is empty.
    """
    if config.split is not None:
        parts = store.split(config.split)
    elif config.format == "synthetic":
        names, made = store.names("subject"), config.synthetic
        rest, test = names[: -made.test_subjects], names[-made.test_subjects :]
        named = {"validation": rest[-made.validation_subjects :]} if made.validation_subjects else {}
        parts = store.split({"test": test, **named, "train": "all other subjects"})
    elif not (parts := store.own_split()):
        raise ValueError(
            "data.split is not set, and the data have none of their own; give a JSON file with the subjects"
            " of train and test"
        )
    if whole and "valid" in store:
        parts = _whole(parts, store, say)
    for part in ("train", "test"):
        part_rows(parts, part)
    return parts


def _whole(
    parts: Mapping[str, np.ndarray], store: PoseStore, say: Callable[[str], None]
) -> dict[str, np.ndarray]:
    """The rows of each part whose joints are all valid."""
    import numpy as np

    valid = np.asarray(store.column("valid"))
    kept = {part: rows[valid[rows].all(axis=1)] for part, rows in parts.items()}
    for part, rows in kept.items():
        if len(parts[part]) and not len(rows):
            never = [store.skeleton.joints[i] for i in np.flatnonzero(~valid.any(axis=0))]
            which = f"{', '.join(never)} never are" if never else "each lacks another"
            raise ValueError(
                f"{store.path}: no pose of part {part!r} has all joints valid ({which}), and training needs"
                " whole ones; give a store of whole 3D poses"
            )
    count = sum(map(len, parts.values()))
    lost = count - sum(map(len, kept.values()))
    if lost and (store.path, store.fingerprint) not in _TOLD:
        _TOLD.add((store.path, store.fingerprint))
        say(f"{store.path}: {lost:,} of {count:,} poses have a joint that is not valid; left out")
    return kept


def part_rows(parts: Mapping[str, np.ndarray], part: Part | Literal["train"]) -> np.ndarray:
    """Rows of one part of `split_poses`.

    Raises:
        ValueError: the part has none.
    """
    if part not in parts or not len(parts[part]):
        cure = "; of synthetic people set data.synthetic.validation_subjects" if part == "validation" else ""
        raise ValueError(f"data.split: part {part!r} has no frames; name subjects for it{cure}")
    return parts[part]


def evenly(rows: np.ndarray, wanted: int) -> np.ndarray:
    """At most so many of the rows, evenly spaced."""
    import numpy as np

    return rows[np.unique(np.linspace(0, len(rows) - 1, min(len(rows), wanted)).round().astype(int))]
