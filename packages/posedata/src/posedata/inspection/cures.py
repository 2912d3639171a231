"""What mends a store, said for the format that it was prepared from."""

from __future__ import annotations

import dataclasses
import json
from typing import Any, get_args, get_type_hints

from posedata.store.pose_store import PoseStore

UNITS = {"millimetres": 1000.0, "centimetres": 100.0, "inches": 39.37, "feet": 3.281, "CMU units": 17.717}
"""Units of a metre."""
_OPTION = {"millimetres": "mm", "centimetres": "cm", "inches": "inch", "CMU units": "cmu"}


def unit_cure(store: PoseStore, unit: str | None) -> str:
    """What makes metres of lengths in this unit of `UNITS`, or in one that is not known."""
    form, _ = _told(store)
    if _has(form, "unit") and unit in _OPTION:
        return f"prepare the store again with --unit {_OPTION[unit]}"
    if unit is None:
        return "convert the joints to metres and prepare the store again"
    return f"divide the joints by {UNITS[unit]:g} and prepare the store again"


def order_cure(store: PoseStore) -> str:
    """What puts joints in the order of their skeleton."""
    return (
        f"put the joints in the order of {store.skeleton.name} (posedata.skeleton.Skeleton.convert) and"
        " prepare the store again"
    )


def axis_cure(store: PoseStore, along: str) -> str:
    """What turns the axis that people stand along up, said for the format."""
    form, options = _told(store)
    if _has(form, "up") and form is not None:
        # Y up is turned (x, y, z) to (x, -z, y); z up is left as it is.
        given = str(options.get("up", "y"))
        known = get_args(get_type_hints(form)["up"])
        if not known:
            return "prepare the store again with --up and the recording's own vertical axis"
        file_axis = {"x": "x", "-x": "-x", "y": "-z", "-y": "z", "z": "y", "-z": "-y"}[along]
        wanted = {"z": along, "y": file_axis}.get(given)
        if wanted in known:
            return f"prepare the store again with --up {wanted}"
    turned = {
        "x": "[..., [1, 2, 0]]",
        "y": "[..., [0, 2, 1]] * [1, -1, 1]",
        "-x": "[..., [2, 1, 0]] * [1, 1, -1]",
        "-y": "[..., [0, 2, 1]] * [1, 1, -1]",
        "-z": " * [1, -1, -1]",
    }[along]
    return f"turn z up (joints{turned}) and prepare the store again"


def limb_cure(store: PoseStore) -> str:
    """What to do where limbs are of no human's proportions."""
    if store.meta.get("format") == "bvh":
        return (
            "converters drop segments (amc2bvh thorax and wrists): take the original, for CMU its ASF and AMC"
        )
    return "check which joints were taken for which, or leave these people out"


def _told(store: PoseStore) -> tuple[type | None, dict[str, Any]]:
    """The store's format and the options that it was prepared with."""
    from posedata.readers.registry import FORMATS

    file = store.path / "sources.json"
    options = json.loads(file.read_text(encoding="utf-8")).get("options", {}) if file.is_file() else {}
    return FORMATS.get(str(store.meta.get("format"))), options


def _has(form: type | None, name: str) -> bool:
    return form is not None and any(field.name == name for field in dataclasses.fields(form))
