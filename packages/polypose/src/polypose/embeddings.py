"""What embedding gives: points of the shared space, by modality and together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from posedata.arrays import check_ending, write_embeddings
from torch import Tensor
from torch.nn.functional import normalize

from polypose.inputs import Like


@dataclass(frozen=True)
class Embeddings:
    """N rows, UniHPR's on the unit sphere. Arrays are NumPy's, or tensors where tensors were given.

    Attributes:
        vectors: (N, D): of one modality its own, of several the direction (of a view-invariant model the
            place) between those that a row has; NaN where it has none.
        by: by modality ("image", "2d", "3d") (N, D); NaN where a row has nobody in it.
        valid: (N,) whether a row has any.
    """

    vectors: Any
    by: Mapping[str, Any]
    valid: Any

    @classmethod
    def of(cls, by: Mapping[str, Tensor], like: Like, *, unit: bool = True) -> Embeddings:
        """From vectors by modality, of unit length or not."""
        stacked = torch.stack(list(by.values()))
        known = stacked.isfinite().all(-1, keepdim=True)
        total = torch.where(known, stacked, 0).sum(0)
        valid = known.any(0)[:, 0]
        middle = normalize(total, dim=-1) if unit else total / known.sum(0)
        vectors = middle.masked_fill(~valid[:, None], torch.nan)
        return cls(
            like.give(vectors), {name: like.give(value) for name, value in by.items()}, like.give(valid)
        )

    def __len__(self) -> int:
        return len(self.vectors)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(torch.as_tensor(self.vectors).cpu(), dtype=dtype)

    def __repr__(self) -> str:
        nobody = len(self) - int(self.valid.sum())
        rest = f", {nobody} without a person" if nobody else ""
        return (
            f"Embeddings({len(self)} rows, {self.vectors.shape[1]} wide, from {' and '.join(self.by)}{rest})"
        )

    def save(self, path: str | Path) -> Path:
        """Write them by modality, and `valid`, as .npz or .csv (`posedata.arrays`)."""
        path = Path(path)
        check_ending(path)
        by = {name: np.asarray(torch.as_tensor(x).cpu()) for name, x in self.by.items()}
        write_embeddings(path, by, np.asarray(torch.as_tensor(self.valid).cpu()))
        return path
