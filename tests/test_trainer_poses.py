"""From a data section to poses and to rows of different people."""

import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from trainer.poses import SyntheticConfig, open_poses, part_rows, split_poses

PEOPLE = SyntheticConfig(subjects=3, test_subjects=1, clips=1, frames=6)


@dataclass(frozen=True)
class Section:
    cache: Path
    format: str = "synthetic"
    path: Path | None = None
    split: Path | None = None
    synthetic: SyntheticConfig = PEOPLE


def test_the_last_people_are_held_out(tmp_path: Path) -> None:
    section, said = Section(tmp_path), []
    store = open_poses(section, "h36m17", said.append)
    parts = split_poses(section, store)
    people = np.asarray(store.column("subject"))
    assert set(people[parts["test"]]) == {2}
    assert set(people[parts["train"]]) == {0, 1}
    assert len(said) == 1
    assert open_poses(section, "h36m17", said.append).fingerprint == store.fingerprint
    assert len(said) == 1  # found again


def test_those_before_the_last_are_for_validation(tmp_path: Path) -> None:
    people = replace(PEOPLE, subjects=6, test_subjects=2, validation_subjects=3)
    section = Section(tmp_path, synthetic=people)
    store = open_poses(section, say=lambda text: None)
    parts = split_poses(section, store)
    subject = np.asarray(store.column("subject"))
    found = {name: sorted(set(subject[rows].tolist())) for name, rows in parts.items()}
    assert found == {"train": [0], "validation": [1, 2, 3], "test": [4, 5]}
    assert np.array_equal(part_rows(parts, "validation"), parts["validation"])
    with pytest.raises(ValueError, match=r"part 'validation' has no frames.*synthetic\.validation_subjects"):
        part_rows({"test": parts["test"]}, "validation")
    nobody = replace(section, synthetic=replace(people, validation_subjects=4))
    with pytest.raises(ValueError, match="test_subjects and validation_subjects are 6; leave some of 6"):
        open_poses(nobody)


def test_what_cannot_be_had_is_named(tmp_path: Path) -> None:
    section = Section(tmp_path)
    store = open_poses(section, say=lambda text: None)
    with pytest.raises(ValueError, match="skeleton is h36m17, coco17 is needed; convert"):
        open_poses(section, "coco17")
    everyone = replace(section, synthetic=replace(section.synthetic, test_subjects=3))
    with pytest.raises(ValueError, match=r"validation_subjects are 3; leave some of 3 to train"):
        open_poses(everyone)
    with pytest.raises(ValueError, match=r"data\.path is not set"):
        open_poses(replace(section, format="joints"))
    with pytest.raises(ValueError, match=r"data\.split is not set"):
        split_poses(replace(section, format="store"), store)
    split = tmp_path / "split.json"
    split.write_text(json.dumps({"train": list(store.names("subject")), "test": []}))
    with pytest.raises(ValueError, match="part 'test' has no frames"):
        split_poses(replace(section, split=split), store)
