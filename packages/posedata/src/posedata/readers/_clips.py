"""What the readers share: recordings as clips, and clips as the columns of a pose store."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32

UNKNOWN = "unknown"


@dataclass(frozen=True)
class Dataset:
    """Columns and meta of a pose store, as `posedata.store.write_store` takes them."""

    columns: dict[str, np.ndarray]
    meta: dict[str, Any]


@dataclass(frozen=True)
class Clip:
    """One recording: joints (T, J, 3) in world metres, z up, and whose it is.

    `columns` holds further row columns of length T, the same ones in every clip of a data set.
    """

    joints: Float32[np.ndarray, "T J 3"]
    subject: str
    sequence: str
    action: str = UNKNOWN
    columns: dict[str, np.ndarray] = field(default_factory=dict)


def assemble(
    clips: Sequence[Clip], *, fps: int | float, source: str, licence: str, skeleton: str = "h36m17"
) -> Dataset:
    """One data set of many clips; names are sorted, frames counted from 0 in each clip."""
    names = {key: sorted({getattr(clip, key) for clip in clips}) for key in ("subject", "sequence", "action")}
    columns = {
        "joints": np.concatenate([clip.joints for clip in clips]),
        "frame": np.concatenate([np.arange(len(clip.joints), dtype=np.int32) for clip in clips]),
    }
    for column, known in names.items():
        index = {name: i for i, name in enumerate(known)}
        columns[column] = np.repeat(
            np.array([index[getattr(clip, column)] for clip in clips], dtype=np.int32),
            [len(clip.joints) for clip in clips],
        )
    for name in clips[0].columns:
        columns[name] = np.concatenate([clip.columns[name] for clip in clips])
    meta: dict[str, Any] = {"skeleton": skeleton, "fps": fps, "source": source, "licence": licence}
    meta |= {f"{column}s": known for column, known in names.items()}
    return Dataset(columns, meta)


def files_of(source: Path, suffix: str) -> list[Path]:
    """The file itself, or every file with this suffix in the folder and below, sorted by path.

    Raises FileNotFoundError if there is none.
    """
    if source.is_file() and source.suffix.lower() == suffix:
        return [source]
    found = sorted(p for p in source.rglob("*") if p.suffix.lower() == suffix) if source.is_dir() else []
    if not found:
        raise FileNotFoundError(f"{source}: no {suffix} file there; give one, or a folder that holds some")
    return found


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
