"""Which precision a run computes in: what its recipe, its machine and (resumed) its beginning say."""

import torch
from posedata.machine import native_bf16

FLOAT32 = "no"
"""Autocast's word for it."""


def choose_precision(wanted: str, device: torch.device, began: str | None = None) -> tuple[str, str]:
    """The precision of autocast, and why, in words to print ("" where the recipe says it and it is well).

    Args:
        wanted: `loop.precision`; `auto` is bf16 where the device computes in it natively, else float32.
        began: what the run that is resumed computes in, which `auto` keeps.
    """
    native = native_bf16(device)
    here = f"this {device.type.upper() if device.type == 'cpu' else device.type} device"
    chosen, why = wanted, ""
    if wanted == "auto" and began is not None:
        chosen, why = began, "as this run began"
    elif wanted == "auto":
        chosen, why = ("bf16", f"native to {here}") if native else (FLOAT32, f"{here} has no native bf16")
    if chosen == "bf16" and not native:
        slow = f"{here} only imitates bf16, and a step may take many times longer than in float32"
        why = f"{why}, but {slow}" if why else f"{slow}; leave loop.precision at auto"
    return chosen, why
