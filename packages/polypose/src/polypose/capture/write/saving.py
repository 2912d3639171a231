"""A motion to files, by the suffix of the name given."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from posedata.errors import check_new_file

if TYPE_CHECKING:
    from polypose.capture.motion import Motion

FORMATS = ("npz", "csv", "trc", "c3d", "bvh", "glb", "html")
"""Endings that `save` knows; each is a module here."""


def check_suffix(path: Path) -> str:
    """The format of a file to write, before any work.

    Raises:
        ValueError: another ending, or no file can be written there.
    """
    suffix = path.suffix.lower().removeprefix(".")
    if suffix not in FORMATS:
        raise ValueError(
            f"{path}: write to a file that ends in .{', .'.join(FORMATS[:-1])} or .{FORMATS[-1]}"
        )
    check_new_file(path)
    return suffix


def save(motion: Motion, path: Path) -> tuple[Path, ...]:
    """Write a motion by the suffix of `path`; the files written, the first of them `path` itself.

    Raises:
        ValueError, OSError: as of `Motion.save`.
    """
    suffix = check_suffix(path)
    module = import_module(f"polypose.capture.write.{suffix}")
    written: tuple[Path, ...] = getattr(module, f"write_{suffix}")(motion, path)
    return written
