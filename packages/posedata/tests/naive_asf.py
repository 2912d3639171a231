"""ASF/AMC by other means: a frame and a bone at a time, with scipy's rotations. For CMU's files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

INCH = 0.0254


def naive_ends(asf: Path, amc: Path, every: int = 1) -> dict[str, np.ndarray]:
    """Where the root is and each bone ends (T, 3), metres and y up, of every n-th frame."""
    skeleton = asf.read_text(encoding="latin-1")
    inches = 1 / float(skeleton.split("length", 1)[1].split()[0])
    bones: dict[str, dict[str, list[str]]] = {}
    for part in skeleton.partition(":bonedata")[2].partition(":hierarchy")[0].split("begin")[1:]:
        lines = [line.split() for line in part.splitlines() if line.strip()]
        said = {words[0]: words[1:] for words in lines}
        bones[said["name"][0]] = said
    tree = [
        line.split() for line in skeleton.partition(":hierarchy")[2].splitlines() if len(line.split()) > 1
    ]
    frames: list[dict[str, list[float]]] = []
    for line in amc.read_text(encoding="latin-1").splitlines():
        words = line.split()
        if words and words[0].isdigit():
            frames.append({})
        elif words and words[0][0] not in "#:":
            frames[-1][words[0]] = [float(word) for word in words[1:]]
    posed = [_pose(frame, bones, tree, inches) for frame in frames[::every]]
    return {name: np.array([pose[name] for pose in posed]) for name in posed[0]}


def _pose(
    frame: dict[str, list[float]],
    bones: dict[str, dict[str, list[str]]],
    tree: list[list[str]],
    inches: float,
) -> dict[str, np.ndarray]:
    places = {"root": np.array(frame["root"][:3])}
    turns = {"root": Rotation.from_euler("xyz", frame["root"][3:], degrees=True)}
    for parent, *children in tree:
        for child in children:
            bone = bones[child]
            axis = Rotation.from_euler("xyz", [float(word) for word in bone["axis"][:3]], degrees=True)
            angles = dict.fromkeys(("rx", "ry", "rz"), 0.0)
            angles |= dict(zip(bone.get("dof", []), frame.get(child, []), strict=True))
            moved = Rotation.from_euler("xyz", list(angles.values()), degrees=True)
            turns[child] = turns[parent] * axis * moved * axis.inv()
            along = np.array([float(word) for word in bone["direction"]]) * float(bone["length"][0])
            places[child] = places[parent] + turns[child].apply(along)
    return {name: place * inches * INCH for name, place in places.items()}
