"""Rows of a column that stays on disk, read as they are asked for: for more poses than memory holds."""

from __future__ import annotations

import mmap
import os

import numpy as np
import torch
from jaxtyping import Integer, Shaped
from torch import Tensor

from posedata.store.npy import descriptor


class MappedRows:
    """Indexed as the tensor of these rows would be, without there being one.

    Args:
        column: a memory map (`PoseStore.column`).
        rows: those that count; all if None, which takes no memory however many there are.
        device: where what is read comes to.
    """

    def __init__(
        self, column: np.ndarray, rows: np.ndarray | None = None, device: torch.device | str = "cpu"
    ) -> None:
        self.column, self.rows, self.device = column, rows, torch.device(device)
        if isinstance(column.base, mmap.mmap) and hasattr(mmap, "MADV_RANDOM"):
            column.base.madvise(mmap.MADV_RANDOM)  # else a row brings 128 KiB around it along

    def __len__(self) -> int:
        return len(self.column if self.rows is None else self.rows)

    def __getitem__(self, index: Integer[Tensor, " n"]) -> Shaped[Tensor, n * item]:
        at = index.cpu().numpy()
        at = at if self.rows is None else self.rows[at]
        file = descriptor(self.column) if hasattr(os, "preadv") else None
        values = self._mapped(at) if file is None else self._read(*file, at)
        return torch.from_numpy(values).to(self.device)

    def _mapped(self, at: np.ndarray) -> np.ndarray:
        values = np.array(self.column[at])
        # else every page that was ever read would count as this process' memory
        if isinstance(self.column.base, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
            self.column.base.madvise(mmap.MADV_DONTNEED)
        return values

    def _read(self, file: int, begin: int, at: np.ndarray) -> np.ndarray:
        """Rows by a call each, a third of what it costs to fault a page in and to drop it again.

        Raises IndexError for a row that there is not, OSError where the file was cut since it was opened.
        """
        at = np.where(at < 0, at + len(self.column), at)
        if at.size and not (at.min() >= 0 and at.max() < len(self.column)):
            raise IndexError(f"row {at[(at < 0) | (at >= len(self.column))][0]} of {len(self.column)}")
        values = np.empty((len(at), *self.column.shape[1:]), self.column.dtype)
        size, buffer = self.column[:1].nbytes, values.reshape(-1).view(np.uint8).data
        for i, row in enumerate(at.tolist()):
            if os.preadv(file, [buffer[i * size : (i + 1) * size]], begin + row * size) != size:
                raise OSError(f"row {row}: the file was cut short while it was open")
        return values
