"""What the readers share: finding files, names told by them, skipping frames, axes."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from posedata.readers.format import UNKNOWN, Unit
from posedata.readers.listing import files_below, nothing_found


def files_of(source: Path, suffix: str) -> list[Path]:
    """The file itself, or every file with this suffix in the folder and below, sorted by path.

    Raises FileNotFoundError if there is none.
    """
    if source.is_file() and source.suffix.lower() == suffix:
        return [source]
    found = [file for file in files_below(source) if file.suffix.lower() == suffix] if source.is_dir() else []
    if not found:
        raise nothing_found(source, f"no {suffix} file there", "give one, or a folder that holds some")
    return found


def units_of(files: Iterable[Path], source: Path) -> list[Unit]:
    """A unit per file, named by its place in the source."""
    return [
        Unit(file.relative_to(source).as_posix() if file != source else file.name, (file,)) for file in files
    ]


def names_of(file: Path) -> tuple[str, str, str]:
    """Subject, sequence and action told by a file's name.

    CMU's numbers count where they stand: "07_05-walk" and "cmu_07_05_walk" are subject 07, sequence 07_05,
    action walk. Else the folder is the subject, the name the sequence and the action is unknown.
    """
    numbered = re.search(r"(?<!\d)(\d+)_(\d+)(?!\d)", file.stem)
    if not numbered:
        return file.parent.name or UNKNOWN, file.stem, UNKNOWN
    action = file.stem[numbered.end() :].strip("-_ ")
    return numbered.group(1), numbered.group(0), action or UNKNOWN


def stride_for(file: Path, rate: int | float, fps: int | float | None) -> int:
    """Every how many frames to keep; ValueError where `fps` does not divide the recording's rate."""
    stride = 1 if fps is None else round(rate / fps)
    if fps is not None and (stride < 1 or abs(rate / stride - fps) > 0.02 * fps):
        raise ValueError(f"{file}: recorded at {rate:g} frames/s, cannot keep {fps:g} by skipping; divide it")
    return stride


def y_up_to_z_up(points: np.ndarray) -> np.ndarray:
    """(x, y, z) with y up, as motion capture writes it, to (x, -z, y): z up, still right-handed."""
    return np.stack([points[..., 0], -points[..., 2], points[..., 1]], axis=-1)
