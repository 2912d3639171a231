"""Files that others see whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from posedata.errors import room_for

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """A binary file to write, which takes this name when it is whole; folders above it are made."""
    with room_for(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.partial")
        try:
            with temporary.open("wb") as file:
                yield file
                sync(file)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


def sync(file: IO[Any]) -> None:
    """Wait until what was written to a file is on the disk."""
    file.flush()
    os.fsync(file.fileno())


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
        with path.open("rb") as file:
            os.fsync(file.fileno())


def write_npz(path: Path, **arrays: np.ndarray) -> None:
    """Write arrays by name, under exactly this path."""
    import numpy as np

    with replacing(path) as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]


def write_png(path: Path, figure: Any, **options: Any) -> None:
    """Write a matplotlib figure; `options` go to its `savefig`. ValueError where the name is not a PNG's."""
    if path.suffix != ".png":
        raise ValueError(f"{path}: write the picture to a file that ends in .png")
    with replacing(path) as file:
        figure.savefig(file, format="png", **({"dpi": 110} | options))


def append(path: Path, content: bytes) -> None:
    """Add to a file, all or nothing.

    Raises:
        OSError: there is no room for it.
    """
    with room_for(path), path.open("ab") as file:
        before = file.tell()
        try:
            file.write(content)
            file.flush()
        except OSError:
            with contextlib.suppress(OSError):
                file.close()
            os.truncate(path, before)
            raise


def keep_input(out: Path | None, *sources: Path | None) -> None:
    """Refuse, before any work, to write over what is read.

    Args:
        out: a file to write, if any.
        sources: files that are read, and folders of such.

    Raises:
        ValueError: it is one of them, or an existing file below one of them.
    """
    for source in sources:
        if out is None or source is None or not (out.exists() and source.exists()):
            continue
        if out.samefile(source) or (source.is_dir() and out.resolve().is_relative_to(source.resolve())):
            raise ValueError(f"{out}: is read, and would be written over; write to a file of another name")
