"""Writing a file so that a reader sees the old one or the new one, never half of it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np


@contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """A binary file to write, which takes this name when it is whole; folders above it are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.partial")
    try:
        with temporary.open("wb") as file:
            yield file
        sync(temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text as UTF-8."""
    with replacing(path) as file:
        file.write(text.encode())


def write_npz(path: Path, **arrays: np.ndarray) -> None:
    """Write arrays by name, under exactly this path."""
    with replacing(path) as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]


def write_png(path: Path, figure: Any, **options: Any) -> None:
    """Write a matplotlib figure; `options` go to its `savefig`. ValueError where the name is not a PNG's."""
    if path.suffix != ".png":
        raise ValueError(f"{path}: write the picture to a file that ends in .png")
    with replacing(path) as file:
        figure.savefig(file, format="png", **({"dpi": 110} | options))


def sync(path: Path) -> None:
    """Wait until a file's content is on the disk."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
