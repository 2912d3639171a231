"""Errors of the operating system are told as ours are: file, what is wrong, cure."""

import errno
import os
from pathlib import Path

import pytest
from posedata.errors import one_line


def test_a_folder_that_is_opened_as_a_file(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError) as caught:
        tmp_path.read_bytes()
    assert one_line(caught.value) == f"{tmp_path}: is a directory; give a file in it"


@pytest.mark.parametrize(
    ("number", "cure"),
    [
        (errno.EACCES, "permission denied; give this user the right to it"),
        (errno.ENOSPC, "no space left on device; free some, then run the command again"),
        (errno.EIO, "input/output error; see whether the disk is sound"),
    ],
)
def test_the_systems_words_get_a_cure(number: int, cure: str) -> None:
    assert one_line(OSError(number, os.strerror(number), b"a/b.npy")) == f"a/b.npy: {cure}"
    assert one_line(OSError(number, os.strerror(number))) == cure


def test_our_own_words_stay_and_stand_on_one_line() -> None:
    assert one_line(FileNotFoundError("a.npz: no such\n file")) == "a.npz: no such file"
    assert one_line(ValueError("x: y; z")) == "x: y; z"
