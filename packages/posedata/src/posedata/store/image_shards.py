"""Pictures on their way into a store's shards."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from posedata.store.npy import GrowingNpy
from posedata.store.schema import IMAGE_KINDS, TAR, tar_name
from posedata.store.tar_shards import TarShardWriter


class ImageShards:
    """Streams images into numbered files, so many images each: an .npy a kind, or a tar of all."""

    def __init__(self, per_shard: int, *, tar: bool = False) -> None:
        self.per_shard, self.tar = per_shard, tar
        self.count = 0
        self.digests: dict[str, str] = {}
        self.kinds: tuple[str, ...] = ()
        self.size = (0, 0)
        self._open: _NpyShards | TarShardWriter | None = None

    def describe(self) -> dict[str, Any]:
        said = {"count": self.count, "per_shard": self.per_shard, "kinds": list(self.kinds)}
        return said | ({"layout": TAR} if self.tar else {})

    def add(self, folder: Path, arrays: dict[str, np.ndarray], where: Path) -> None:
        self._check(arrays, where)
        folder.mkdir(exist_ok=True)
        total, done = len(next(iter(arrays.values()))), 0
        while done < total:
            self._open = self._open or self._begun(folder, arrays)
            step = min(total - done, self.per_shard - self.count % self.per_shard)
            self._open.append({kind: array[done : done + step] for kind, array in arrays.items()})
            done += step
            self.count += step
            if self.count % self.per_shard == 0:
                self.close()

    def close(self) -> None:
        if self._open is None:
            return
        shard = (self.count - 1) // self.per_shard
        self.digests |= {f"images/{kind}-{shard:05d}": one for kind, one in self._open.close().items()}
        self._open = None

    def _begun(self, folder: Path, arrays: dict[str, np.ndarray]) -> _NpyShards | TarShardWriter:
        number = self.count // self.per_shard
        if self.tar:
            return TarShardWriter(folder / tar_name(number), self.count)
        return _NpyShards({k: GrowingNpy(folder / f"{k}-{number:05d}.npy", arrays[k]) for k in self.kinds})

    def _check(self, arrays: dict[str, np.ndarray], where: Path) -> None:
        if not arrays:
            raise ValueError(f"{where}: add_images got no image; give rgb, depth or mask")
        shapes = {kind: array.shape[:3] for kind, array in arrays.items()}
        size = (next(iter(shapes.values()))[2], next(iter(shapes.values()))[1])
        if not self.kinds:
            self.kinds, self.size = tuple(arrays), size
        if tuple(arrays) != self.kinds or size != self.size or len(set(shapes.values())) > 1:
            raise ValueError(
                f"{where}: images {shapes} differ from the first ones ({', '.join(self.kinds)} of"
                f" {self.size[0]}x{self.size[1]}); give the same kinds and size in every call"
            )
        for kind, array in arrays.items():
            dtype, trailing = IMAGE_KINDS[kind]
            if array.dtype != np.dtype(dtype) or array.shape[3:] != trailing:
                raise ValueError(
                    f"{where}: {kind} images are {array.dtype} {array.shape}, the schema wants"
                    f" {np.dtype(dtype)} (n, H, W{''.join(f', {t}' for t in trailing)}); convert them"
                )


class _NpyShards(NamedTuple):
    files: dict[str, GrowingNpy]

    def append(self, arrays: Mapping[str, np.ndarray]) -> None:
        for kind, file in self.files.items():
            file.append(arrays[kind])

    def close(self) -> dict[str, str]:
        return {kind: file.close(sync=True) for kind, file in self.files.items()}
