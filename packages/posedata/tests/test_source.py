"""Sources: made once, found again, and clear about what is missing."""

from pathlib import Path

import numpy as np
import pytest
from posedata.source import SyntheticPeople, open_source


def test_synthetic_people_are_made_once(tmp_path: Path) -> None:
    people = SyntheticPeople(subjects=1, clips=1, frames=5)
    said: list[str] = []
    first = open_source("synthetic", None, tmp_path, synthetic=people, say=said.append)
    again = open_source("synthetic", None, tmp_path, synthetic=people, say=said.append)
    assert len(said) == 1
    assert first.fingerprint == again.fingerprint
    np.testing.assert_array_equal(first.column("joints"), again.column("joints"))
    other = SyntheticPeople(subjects=1, clips=1, frames=5, seed=1)
    assert (
        open_source("synthetic", None, tmp_path, synthetic=other, say=said.append).fingerprint
        != first.fingerprint
    )


def test_missing_paths_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"data\.path is not set"):
        open_source("joints", None, tmp_path)
    with pytest.raises(FileNotFoundError, match=r"no\.npz: no such file"):
        open_source("joints", tmp_path / "no.npz", tmp_path)


def test_a_source_is_read_anew_when_its_reader_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    people = SyntheticPeople(subjects=1, clips=1, frames=5)
    said: list[str] = []
    for code in ("a", "b", "b"):
        monkeypatch.setattr("posedata.source.code_key", lambda *modules, code=code: code)
        open_source("synthetic", None, tmp_path, synthetic=people, say=said.append)
    assert len(said) == 2
