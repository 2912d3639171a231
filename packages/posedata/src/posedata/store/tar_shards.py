"""Pictures in tar files, as WebDataset lays them out: lossless PNG, a key a picture and an ending a kind.

    images/00000.tar: 000000000.rgb.png 000000000.depth.png 000000000.mask.png 000000001.rgb.png ...

Any tar opens them, and so does `webdataset.WebDataset`. Here they are read by place: a picture is one read of
a file, so that memory holds what is asked for and no more. A file may lie elsewhere (`fsspec`: http, object
storage): it is copied whole when first asked for, and the last few copies are kept.
"""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import tarfile
import tempfile
import threading
import weakref
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import IO

import numpy as np

from posedata import writing
from posedata.errors import one_line
from posedata.store.digests import Stamp, stamp
from posedata.store.npy import as_bytes, head
from posedata.terminal import visible

KEPT = 8
"""So many copies of files from elsewhere a process keeps, on its disk."""
_THREADS = min(4, os.cpu_count() or 1)
_BLOCK = 1 << 20
_BATCH = 64
"""So many pictures are held as files at a time while they are written."""


class TarShardWriter:
    """One tar file of pictures.

    Args:
        path: the file.
        first: number of its first picture in the store.
    """

    def __init__(self, path: Path, first: int) -> None:
        self.path, self._next = path, first
        self._file = path.open("wb")
        self._tar = tarfile.TarFile(fileobj=self._file, mode="w", format=tarfile.USTAR_FORMAT)
        self._hashes: dict[str, hashlib._Hash] = {}
        self._kinds: dict[str, np.ndarray] = {}
        self._count = 0

    def append(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Pictures by kind, as many of each."""
        for kind, array in arrays.items():
            self._hashes.setdefault(kind, hashlib.sha256()).update(as_bytes(array).data)
            self._kinds[kind] = array[:0]
        count = len(next(iter(arrays.values())))
        names = [(i, kind) for i in range(count) for kind in arrays]
        with ThreadPoolExecutor(_THREADS) as pool:
            for start in range(0, len(names), _BATCH):
                some = names[start : start + _BATCH]
                files = pool.map(_png, (arrays[kind][i] for i, kind in some))
                for (i, kind), content in zip(some, files, strict=True):
                    info = tarfile.TarInfo(f"{self._next + i:09d}.{kind}.png")
                    info.size = len(content)
                    self._tar.addfile(info, io.BytesIO(content))
        self._next += count
        self._count += count

    def close(self) -> dict[str, str]:
        """The digests of what the pictures hold, by kind: those that an .npy file of them has."""
        self._tar.close()
        writing.sync(self._file)
        self._file.close()
        for kind, total in self._hashes.items():
            empty = self._kinds[kind]
            total.update(head(empty.dtype, (self._count, *empty.shape[1:])))
        return {kind: total.hexdigest() for kind, total in self._hashes.items()}


@dataclass(eq=False)
class TarShard:
    """A tar file that is open for reading, by any thread: it may be replaced and removed afterwards."""

    file: IO[bytes]
    stamp: Stamp = field(init=False)
    _seeking: threading.Lock = field(default_factory=threading.Lock, init=False)

    def __post_init__(self) -> None:
        self.stamp = stamp(self.file)
        weakref.finalize(self, self.file.close)

    @cached_property
    def places(self) -> dict[str, list[tuple[int, int]]]:
        """By kind where each picture's file begins, and its bytes."""
        found: dict[str, list[tuple[int, int]]] = {}
        with self._seeking:
            self.file.seek(0)
            with tarfile.open(fileobj=self.file, mode="r:") as tar:
                for member in tar:
                    found.setdefault(member.name.split(".")[1], []).append((member.offset_data, member.size))
        return found

    def picture(self, kind: str, number: int) -> np.ndarray:
        """A picture of one kind, by its number in this file."""
        at, size = self.places[kind][number]
        return _picture(os.pread(self.file.fileno(), size, at))

    def sha256(self) -> str:
        """Of the file."""
        with self._seeking:
            self.file.seek(0)
            return hashlib.file_digest(self.file, "sha256").hexdigest()  # type: ignore[arg-type]


def fill(out: np.ndarray, kind: str, wanted: Sequence[tuple[int, TarShard, int]]) -> None:
    """Read pictures by several threads: a row of `out`, the file and the picture's number in it, of each."""

    def read(one: tuple[int, TarShard, int]) -> None:
        row, shard, number = one
        out[row] = shard.picture(kind, number)

    if len(wanted) < _THREADS:
        for one in wanted:
            read(one)
        return
    with ThreadPoolExecutor(_THREADS) as pool:  # of this call: threads do not survive a fork
        for _ in pool.map(read, wanted):
            pass


class Elsewhere:
    """Tar files below a URL, copied when they are first asked for; the last `KEPT` copies are kept."""

    def __init__(self, url: str, where: Path) -> None:
        self.url, self.where = url.rstrip("/"), where
        self._kept: OrderedDict[str, TarShard] = OrderedDict()
        self._copying = threading.Lock()

    def open(self, name: str) -> TarShard:
        """A file's copy, under no name: it goes with the process, or once it is among the last no more.

        Raises:
            ValueError: it cannot be had.
        """
        with self._copying:
            if name in self._kept:
                self._kept.move_to_end(name)
                return self._kept[name]
            while len(self._kept) >= KEPT:
                self._kept.popitem(last=False)  # closed when nobody reads it any more
            self._kept[name] = TarShard(self._copy(f"{self.url}/{name}"))
            return self._kept[name]

    def forget(self, name: str) -> None:
        """Copy a file again when it is next asked for: what came of it is not what it should be."""
        with self._copying:
            self._kept.pop(name, None)

    def _copy(self, url: str) -> IO[bytes]:
        try:
            import fsspec
        except ImportError:
            raise ValueError(
                f"{self.where}: its pictures are at {url}: pip install 'posedata[shards]'"
            ) from None
        copy = tempfile.TemporaryFile()  # noqa: SIM115 (TarShard closes it)
        try:
            with fsspec.open(url, "rb") as remote:
                shutil.copyfileobj(remote, copy, _BLOCK)
        except BaseException as error:
            copy.close()
            if not isinstance(error, Exception):
                raise
            why = one_line(error)[:200] or type(error).__name__  # each storage has errors of its own
            raise ValueError(f"{visible(url)}: cannot be read ({why}); see {self.where}") from None
        copy.flush()
        return copy


def _png(picture: np.ndarray) -> bytes:
    from PIL import Image

    out = io.BytesIO()
    Image.fromarray(picture).save(out, "PNG", compress_level=1)
    return out.getvalue()


def _picture(content: bytes) -> np.ndarray:
    from PIL import Image

    with Image.open(io.BytesIO(content)) as image:
        picture = np.asarray(image)
    return picture.astype(np.uint16) if picture.dtype == np.int32 else picture
