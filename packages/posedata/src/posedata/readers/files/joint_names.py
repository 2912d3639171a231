"""Joints by the names that tools give them: "LShoulder", "left shoulder", "l_shoulder"."""

from __future__ import annotations

import re
from collections.abc import Sequence

_ALIASES = {
    "neck": "shoulder_centre", "mid_hip": "pelvis", "midhip": "pelvis", "hip": "pelvis", "root": "pelvis",
    "head_top": "head", "top_head": "head", "top_of_head": "head",
    "left_bigtoe": "left_big_toe", "right_bigtoe": "right_big_toe",
    "left_smalltoe": "left_small_toe", "right_smalltoe": "right_small_toe",
}  # fmt: skip
_SIDED = (
    r"(?P<side>left|right)_?(?P<rest>.+)",
    r"(?P<side>[lr])_(?P<rest>.+)",
    r"(?P<rest>.+)_(?P<side>left|right|l|r)",
    r"(?P<side>[lr])(?P<rest>eye|ear|shoulder|elbow|wrist|hip|knee|ankle)",
)


def canonical(name: str) -> str:
    """The name that the joint has in the skeletons here, if it has one there; else the name in lower case.

    The neck of detectors is the middle of the shoulders.
    """
    split = re.sub(r"^([LR])(?=[A-Z])", r"\1_", name.strip())
    split = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", split).lower()
    word = re.sub(r"[^a-z0-9]+", "_", split).strip("_")
    side, rest = "", word
    for pattern in _SIDED:
        if found := re.fullmatch(pattern, word):
            side, rest = {"l": "left_", "r": "right_"}[found["side"][0]], found["rest"]
            break
    return _ALIASES.get(side + rest, side + rest)


def places_of(joints: Sequence[str], names: Sequence[str]) -> list[int]:
    """For each of the joints where it stands among the names, -1 where it does not."""
    known = [canonical(name) for name in names]
    return [known.index(joint) if joint in known else -1 for joint in joints]
