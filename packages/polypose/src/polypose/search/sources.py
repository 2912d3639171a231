"""What can be indexed under a path, and by what it is known again."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from posedata.errors import DAMAGED
from posedata.readers.files.recording import INTRINSICS
from posedata.readers.listing import is_junk
from posedata.terminal import print_line

from polypose.capture.films import FILMS, PICTURES
from polypose.search.manifest import LOCK, SEGMENTS

MOTIONS = {".bvh": "bvh", ".trc": "trc", ".c3d": "c3d", ".amc": "asf_amc"}
"""Files of motion capture and their readers."""
_MOTION, _KEYPOINTS = "motion", "keypoints"
_SMALLEST = 32
"""Rows of an image; of keypoints there are two or three columns."""
Say = Callable[[str], None]


@dataclass(frozen=True)
class Source:
    """One thing to index.

    Attributes:
        name: below the folder that was named.
        kind: as of `manifest.Entry`.
        form: the reader of posedata, if one is needed.
    """

    path: Path
    name: str
    kind: str
    form: str | None = None

    def files(self) -> list[Path]:
        """All that it is read from."""
        if self.path.is_dir():
            every = (Path(top) / name for top, _, names in os.walk(self.path) for name in names)
            return sorted(file for file in every if file.is_file() and not is_junk(file.name))
        if self.form == "asf_amc":
            return sorted({self.path, *self.path.parent.glob("*.[aA][sS][fF]")})
        return [self.path]

    def stamp(self) -> tuple[int, int]:
        """Bytes, and when it was last changed."""
        states = [file.stat() for file in self.files()]
        return sum(s.st_size for s in states), max((s.st_mtime_ns for s in states), default=0)

    def digest(self, how: str) -> str:
        """sha256 of its content, whatever it is called, and of how it is read."""
        total = hashlib.sha256(f"{how} {self.form} {self.path.is_dir()}".encode())
        for file in self.files():
            with file.open("rb") as opened:
                within = file.relative_to(self.path).as_posix() if self.path.is_dir() else ""
                total.update(f"\n{within} {hashlib.file_digest(opened, 'sha256').hexdigest()}".encode())
        return total.hexdigest()


def find(
    path: Path, form: str | None = None, rate: float | None = None, say: Say = print_line
) -> list[Source]:
    """Everything under a path that can be indexed, in a fixed order.

    Args:
        form: a format of `posedata prepare`, by which the path as a whole is read.
        rate: a folder of photos is one film, of so many a second.
        say: told how many files were passed over.

    Raises:
        FileNotFoundError: there is nothing.
        ValueError: what is there is nothing that can be indexed.
    """
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such file or folder; give films, pictures, motion capture")
    path = path.resolve()
    if form is not None:
        return [Source(path, path.name, "format", form)]
    if rate is not None and path.is_dir():
        return [Source(path, path.name, "sequence")]
    passed: list[Path] = []
    linked: list[Path] = []
    found = list(_below(path, path.name, passed, linked))
    for folder in linked:
        say(f"{folder}: is a link to a folder, and is passed over; name that folder itself")
    passed = [file for file in passed if file.suffix.lower() != ".asf" or not found]
    if passed and found:
        say(f"{path}: {len(passed)} files of other kinds are passed over, {passed[0].name} for one")
    if not found:
        what = f"{passed[0].name} is of no kind that is known" if passed else "nothing is in it"
        raise ValueError(f"{path}: {what}; give films, pictures, motion capture, or --format")
    return found


def _below(path: Path, name: str, passed: list[Path], linked: list[Path]) -> Iterator[Source]:
    if not path.is_dir():  # a link that leads nowhere and a pipe are no files either
        if not path.is_file() or (kind := _kind(path)) is None:
            passed.append(path)
        else:
            yield Source(path, name, *kind)
        return
    if (path / "meta.json").is_file() and (path / "joints.npy").is_file():
        yield Source(path, name, "store")
        return
    if (path / "depth").is_dir():
        yield Source(path, name, "rgbd")
        return
    if (path / SEGMENTS).is_dir() and (path / LOCK).is_file():  # an index that is kept with its sources
        return
    inside = sorted(item for item in path.iterdir() if not is_junk(item.name) and item.name[0] != ".")
    if len(inside) > 1 and all(item.suffix == ".json" for item in inside):  # OpenPose writes a file a frame
        yield Source(path, name, _KEYPOINTS)
        return
    for item in inside:
        if item.is_dir() and item.is_symlink():
            linked.append(item)
        else:
            yield from _below(item, f"{name}/{item.name}", passed, linked)


def _kind(path: Path) -> tuple[str, str | None] | None:
    suffix = path.suffix.lower()
    if suffix in FILMS:
        return "film", None
    if suffix == ".pcd" or (is_depth(path) and (suffix == ".png" or _has_camera(path))):
        return "rgbd", None
    if suffix in PICTURES:
        return "photo", None
    if suffix in MOTIONS:
        return _MOTION, MOTIONS[suffix]
    if suffix == ".glb":
        return _MOTION, None
    if suffix == ".json":
        return (_KEYPOINTS, None) if _is_detected(path) else None
    if suffix == ".csv":
        return _csv(path), None
    if suffix == ".npz":
        return _npz(path)
    return None


def _has_camera(path: Path) -> bool:
    """Without one an array with rows and columns may be anything."""
    return any((place / name).is_file() for place in (path.parent, path.parent.parent) for name in INTRINSICS)


def is_depth(path: Path) -> bool:
    """Whether a file is one depth image: a .png of 16 bits and one channel, an .npy with rows and columns."""
    suffix = path.suffix.lower()
    if suffix not in (".png", ".npy"):
        return False
    try:
        if suffix == ".npy":
            shape = np.load(path, mmap_mode="r", allow_pickle=False).shape
            return len(shape) == 2 and min(shape) >= _SMALLEST
        with path.open("rb") as file:
            return file.read(26)[24:] == b"\x10\x00"  # of its header: bits, and grey without alpha
    except (ValueError, EOFError, OSError):
        return False


def _is_detected(path: Path) -> bool:
    from polypose.reading import detector_of

    try:
        detector_of(path)
    except (ValueError, OSError):
        return False
    return True


def _csv(path: Path) -> str:
    with path.open("rb") as file:
        header = file.readline(1 << 16)
    return _MOTION if b"_x_m" in header else _KEYPOINTS


def _npz(path: Path) -> tuple[str, str | None] | None:
    """What an .npz holds, by the names in it."""
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            names = set(file.files)
    except DAMAGED:  # a TypeError, too: np.load opens what is an .npy by another name
        return None
    if "seq_names" in names:
        return _MOTION, "joints"
    if "joints" in names or {"times", "person_id"} <= names:
        return _MOTION, None
    return (_KEYPOINTS, None) if "keypoints" in names else None
