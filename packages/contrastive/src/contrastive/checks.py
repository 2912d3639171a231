"""What every loss refuses, by name: before anything is computed, and without waiting for a GPU."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor


def check_temperature(temperature: float | Tensor) -> None:
    """Refuses what is no positive, finite scalar. On a GPU its value is not read."""
    if isinstance(temperature, Tensor):
        if temperature.numel() != 1 or not temperature.is_floating_point():
            raise ValueError(
                f"temperature: {tuple(temperature.shape)} {temperature.dtype}; pass one positive number"
            )
        if temperature.device.type != "cpu":
            return
        temperature = temperature.item()
    value = float(temperature)
    if not 0 < value < math.inf:
        raise ValueError(f"temperature: {value:.3g}; it must be positive and finite")


def check_number(name: str, value: float | Tensor) -> None:
    """Refuses a weight or margin that is negative or not finite. On a GPU its value is not read."""
    if isinstance(value, Tensor) and value.device.type != "cpu":
        return
    if not 0 <= float(value) < math.inf:
        raise ValueError(f"{name}: {float(value):.3g}; it must be 0 or above, and finite")


def check_shapes(features: Sequence[Tensor], names: Sequence[str] | None = None) -> None:
    """Refuses all but two or more floating-point tensors (B, D) of one shape, precision and device."""
    names = names or [f"features[{number}]" for number in range(len(features))]
    shapes = [tuple(x.shape) for x in features]
    if len(shapes) < 2 or len(set(shapes)) > 1 or len(shapes[0]) != 2:
        raise ValueError(f"features: shapes {shapes}; pass two or more tensors (B, D) of one shape")
    if not shapes[0][1]:
        raise ValueError(f"features: shapes {shapes}; rows of no numbers cannot be compared")
    for name, x in zip(names, features, strict=True):
        if not x.is_floating_point():
            raise ValueError(f"{name}: {x.dtype}; pass floating-point numbers")
    kinds = {(torch.promote_types(x.dtype, torch.float32), x.device) for x in features}
    if len(kinds) > 1:
        found = ", ".join(f"{x.dtype} on {x.device}" for x in features)
        raise ValueError(f"features: {found}; bring them to one dtype and device")


def check_batch(rows: int) -> None:
    """Refuses an empty batch."""
    if not rows:
        raise ValueError("features: the batch is empty; leave such a batch out")


def check_rows(
    features: Sequence[Tensor],
    present: Tensor | None = None,
    *,
    unit: bool = False,
    names: Sequence[str] | None = None,
) -> None:
    """Refuses rows that are not finite and, of unit features, not of norm 1, unless they are absent.

    On a CPU only, as a GPU would have to be waited for. present: (B, n). names: what each is called.
    """
    for number, x in enumerate(features):
        if x.device.type != "cpu":
            continue
        squares = x.detach().square().sum(1)
        right = (squares - 1).abs() <= 0.05 if unit else squares.isfinite()
        if present is not None:
            right = right | ~present[:, number]
        if right.all():
            continue
        place = names[number] if names else f"features[{number}]"
        row = int(right.long().argmin())
        if not x[row].isfinite().all():
            raise ValueError(f"{place}: row {row} is not finite")
        if unit:
            norm = squares[row].sqrt().item()
            cure = "apply normalize(x, dim=1) first" if norm else "leave it out, or say so by `present`"
            raise ValueError(f"{place}: row {row} has norm {norm:.3g}; {cure}")
        raise ValueError(f"{place}: row {row} is too large to be squared")
