"""Which of a store's poses to train and to test on: rows of different people."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from posedata.source import PoseSource, check_poses, require_skeleton
from posedata.terminal import print_line

if TYPE_CHECKING:
    import numpy as np

    from posedata.store.pose_store import PoseStore

Part = Literal["test", "validation"]
"""What people that training never sees are for: the last number, or the choice of settings."""

PARTS = ("train", "test", "validation")
"""Of a split, in the order in which seeds are counted."""

_TOLD: set[tuple[Path, str]] = set()


def split_poses(
    config: PoseSource, store: PoseStore, *, whole: bool = True, say: Callable[[str], None] = print_line
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
    kept = {part: whole_rows(store, rows) for part, rows in parts.items()}
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


def whole_rows(store: PoseStore, rows: np.ndarray) -> np.ndarray:
    """Those of the rows whose joints are all valid."""
    return rows[store.column("valid")[rows].all(axis=1)] if "valid" in store else rows


def evenly(rows: np.ndarray, wanted: int) -> np.ndarray:
    """At most so many of the rows, evenly spaced."""
    import numpy as np

    return rows[np.unique(np.linspace(0, len(rows) - 1, min(len(rows), wanted)).round().astype(int))]


@dataclass(frozen=True)
class Elsewhere:
    """Other data to measure a model on than those it was trained for: any labelled store.

    Attributes:
        store: its folder.
        split: a JSON file of its people; by default what the data set's reader left in the store, else all.
        keypoints: the store's column keypoints_NAME that stands for a detector's; a noise model if empty.
        views: as `recorded`, where the store has cameras, or by the model's own `virtual` ones.
    """

    store: Path
    split: Path | None = None
    keypoints: str = ""
    views: Literal["recorded", "virtual"] | None = None

    def open(
        self, part: str, skeleton: str | None = None, say: Callable[[str], None] = print_line
    ) -> tuple[PoseStore, np.ndarray]:
        """The store, and the rows of a part of its split; what is wrong with its poses is said.

        Args:
            skeleton: the only one that will do.

        Raises:
            ValueError, FileNotFoundError: there is no such store or part.
        """
        from posedata.store.pose_store import PoseStore

        store = PoseStore.open(self.store)
        if skeleton is not None:
            require_skeleton(store, skeleton)
        check_poses(store, self.store, True, say)
        return store, self.rows(store, part)

    def rows(self, store: PoseStore, part: str) -> np.ndarray:
        """The rows of a part of the split.

        Raises:
            ValueError: the split has no such part, or nobody of it.
        """
        parts = store.split(self.split) if self.split else store.own_split()
        if not parts:
            return store.rows()
        if part not in parts or not len(parts[part]):
            known = ", ".join(name for name, rows in parts.items() if len(rows)) or "none"
            raise ValueError(f"{self.split or self.store}: has no part {part!r}; it has {known}")
        return parts[part]
