"""Save the batch at which training failed, whatever its nesting."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from posedata.writing import write_tensors
from torch import Tensor


def save_batch(batch: Any, path: Path) -> None:
    """Write every tensor of a batch to a safetensors file, named by its place: "pose/keypoints", "1/0"."""
    write_tensors(path, {name or "batch": value for name, value in flatten(batch).items()})


def flatten(batch: Any, at: str = "") -> dict[str, Tensor]:
    """Tensors of nested mappings, sequences and dataclasses by slash-separated name."""
    if isinstance(batch, Tensor):
        return {at: batch.detach().cpu().contiguous().clone()}
    if isinstance(batch, Mapping):
        items = list(batch.items())
    elif dataclasses.is_dataclass(batch):
        items = [(field.name, getattr(batch, field.name)) for field in dataclasses.fields(batch)]
    elif hasattr(batch, "_asdict"):
        items = list(batch._asdict().items())
    elif isinstance(batch, list | tuple):
        items = [(str(i), value) for i, value in enumerate(batch)]
    else:
        return {}
    found: dict[str, Tensor] = {}
    for name, value in items:
        found |= flatten(value, f"{at}/{name}" if at else str(name))
    return found
