"""Readers: one module per format, each a function from a path to the columns and meta of a pose store."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from posedata._schema import did_you_mean
from posedata.readers._clips import Dataset
from posedata.readers.asf_amc import read_asf_amc
from posedata.readers.bvh import read_bvh
from posedata.readers.h36m_npz import read_h36m_npz
from posedata.readers.joints import read_joints
from posedata.store import write_store

__all__ = ["READERS", "Dataset", "prepare", "read_asf_amc", "read_bvh", "read_h36m_npz", "read_joints"]

READERS: dict[str, Callable[..., Dataset]] = {
    "joints": read_joints,
    "bvh": read_bvh,
    "asf_amc": read_asf_amc,
    "h36m_npz": read_h36m_npz,
}
"""Formats by the name that `posedata prepare` takes."""


def prepare(
    format_name: str, source: str | Path, out: str | Path, *, overwrite: bool = False, **options: Any
) -> Path:
    """Read a data set of a known format and write it as a pose store.

    Args:
        format_name: a key of `READERS`.
        source: file or folder, as the format's reader takes it.
        out: the store to make.
        overwrite: replace `out` if it exists.
        options: the reader's keyword arguments, e.g. `fps`.

    Raises: ValueError for an unknown format; whatever reader and store raise, naming file, field and cure.
    """
    if format_name not in READERS:
        near = did_you_mean(format_name, READERS)
        raise ValueError(f"format {format_name!r} is not known{near}; use one of {', '.join(READERS)}")
    data = READERS[format_name](source, **options)
    return write_store(out, data.columns, data.meta, overwrite=overwrite)
