"""Rows of a column that stays on disk, read as they are asked for: for more poses than memory holds."""

from __future__ import annotations

import mmap

import numpy as np
import torch
from jaxtyping import Integer, Shaped
from torch import Tensor


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
        values = torch.from_numpy(np.array(self.column[at if self.rows is None else self.rows[at]]))
        # else every page that was ever read would count as this process' memory
        if isinstance(self.column.base, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
            self.column.base.madvise(mmap.MADV_DONTNEED)
        return values.to(self.device)
