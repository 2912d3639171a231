"""BVH by other means: a line-by-line parser and a forward kinematics of one frame and one node at a time.

The oracle of `posedata.readers.bvh`: scipy's intrinsic Euler angles where the reader multiplies matrices, a
recursion where it runs over arrays, positions that replace offsets. It knows no exceptions and mends nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

Tree = dict[str, Any]


def naive_joints(text: str) -> tuple[list[str], np.ndarray]:
    """Names of the nodes (an End Site is "End of NAME") in the file's order, positions (T, N, 3)."""
    tree, frames = parse(text)
    posed = [list(_pose(tree, list(frame), np.zeros(3), Rotation.identity())) for frame in frames]
    return [name for name, _ in posed[0]], np.array([[place for _, place in frame] for frame in posed])


def parse(text: str) -> tuple[Tree, list[list[float]]]:
    head, _, motion = text.partition("MOTION")
    lines = [line.strip() for line in re.sub(r"([{}])", r"\n\1\n", head).splitlines() if line.strip()]
    lines = [part for line in lines for part in re.sub(r"\s(?=OFFSET|CHANNELS)", "\n", line).split("\n")]
    tree = _node(iter(lines[2:]), lines[1], None)
    rows = []
    for line in motion.splitlines():
        words = line.split()
        if words and not words[0].startswith("Frame"):
            rows.append([float(word) for word in words])
    return tree, rows


def _node(lines: Iterator[str], title: str, parent: str | None) -> Tree:
    name = f"End of {parent}" if title.startswith("End") else title.split(None, 1)[1]
    node: Tree = {"name": name, "offset": None, "channels": [], "children": []}
    assert next(lines).strip() == "{"
    for line in lines:
        words = line.split()
        if words[0] == "}":
            break
        if words[0] == "OFFSET":
            node["offset"] = np.array([float(word) for word in words[1:4]])
        elif words[0] == "CHANNELS":
            node["channels"] = words[2:]
        else:
            node["children"].append(_node(lines, line, name))
    return node


def _pose(
    node: Tree, values: list[float], place: np.ndarray, turn: Rotation
) -> Iterator[tuple[str, np.ndarray]]:
    """Takes the node's values off the front of `values`, which is shared by the whole tree."""
    shift, order, angles = node["offset"].copy(), "", []
    for channel in node["channels"]:
        value, axis = values.pop(0), channel[0].upper()
        if channel.lower().endswith("position"):
            shift["XYZ".index(axis)] = value
        else:
            order, angles = order + axis, [*angles, value]
    place = place + turn.apply(shift)
    for axis, angle in zip(order, angles, strict=True):
        turn = turn * Rotation.from_euler(axis, angle, degrees=True)
    yield node["name"], place
    for child in node["children"]:
        yield from _pose(child, values, place, turn)
