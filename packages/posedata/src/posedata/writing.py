"""Writing a file so that a reader sees the old one or the new one, never half of it."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from posedata.errors import room_for

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor


@contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """A binary file to write, which takes this name when it is whole; folders above it are made."""
    with room_for(path):
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


def write_tensors(
    path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None
) -> None:
    """Write a safetensors file, readable as other files are, and wait until it is on the disk."""
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    with room_for(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        mode = path.stat().st_mode
        try:
            save_file(dict(tensors), path, dict(metadata) if metadata else None)
        except SafetensorError as error:  # which keeps the system's number in its text alone
            found = re.search(r"os error (\d+)", str(error))
            number = int(found[1]) if found else errno.EIO
            raise OSError(number, os.strerror(number), str(path)) from None
        path.chmod(mode)
        sync(path)


def write_npz(path: Path, **arrays: np.ndarray) -> None:
    """Write arrays by name, under exactly this path."""
    with replacing(path) as file:
        import numpy as np

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
