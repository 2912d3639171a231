"""A motion as .bvh, a file for each person: y up, centimetres, a turning rig (`rig`)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from posedata.writing import replacing

from polypose.capture.write.people import each_person, steady
from polypose.capture.write.rig import Bone, Rig, rig_of

if TYPE_CHECKING:
    from polypose.capture.motion import Motion

_CENTIMETRES = 100
_BLOCK = 4096


def write_bvh(motion: Motion, path: Path) -> tuple[Path, ...]:
    """Write every person in a file of its own, from its first frame to its last.

    BVH has a rate and no times (`people.steady`), and no gaps (`rig`).
    """
    motion, rate = steady(motion)
    written = []
    for person, file in each_person(motion, path):
        _write(rig_of(person.joints, motion.skeleton, rate), rate, file)
        written.append(file)
    return tuple(written)


def _write(rig: Rig, rate: float, path: Path) -> None:
    turning = [i for i, bone in enumerate(rig.bones) if not bone.tip]
    with replacing(path) as file:
        file.write("\n".join(("HIERARCHY", *_tree(rig.bones, 0, ""), "MOTION", "")).encode())
        file.write(f"Frames: {len(rig.root)}\nFrame Time: {1 / rate:.9f}\n".encode())
        for start in range(0, len(rig.root), _BLOCK):
            block = slice(start, start + _BLOCK)
            degrees = np.degrees(_angles(rig.turns[block, turning].astype(float))).reshape(
                -1, 3 * len(turning)
            )
            for row in np.concatenate([rig.root[block] * _CENTIMETRES, degrees], axis=1).tolist():
                file.write((" ".join([f"{value:.6f}" for value in row]) + "\n").encode())


def _tree(bones: Sequence[Bone], i: int, indent: str) -> Iterator[str]:
    bone = bones[i]
    kind = "End Site" if bone.tip else f"{'JOINT' if i else 'ROOT'} {bone.name}"
    yield f"{indent}{kind}"
    yield f"{indent}{{"
    yield f"{indent}\tOFFSET {' '.join(f'{_CENTIMETRES * x + 0.0:.6f}' for x in bone.offset.tolist())}"
    if not bone.tip:
        places = "" if i else "Xposition Yposition Zposition "
        yield f"{indent}\tCHANNELS {3 if i else 6} {places}Zrotation Xrotation Yrotation"
    for k, child in enumerate(bones):
        if child.parent == i:
            yield from _tree(bones, k, f"{indent}\t")
    yield f"{indent}}}"


def _angles(turns: np.ndarray) -> np.ndarray:
    """(..., 3) radians about z, x, y of rotations Rz Rx Ry."""
    x = np.arctan2(turns[..., 2, 1], np.hypot(turns[..., 0, 1], turns[..., 1, 1]))
    z = np.arctan2(-turns[..., 0, 1], turns[..., 1, 1])
    y = np.arctan2(-turns[..., 2, 0], turns[..., 2, 2])
    locked = np.hypot(turns[..., 0, 1], turns[..., 1, 1]) < 1e-6
    z = np.where(locked, np.arctan2(turns[..., 1, 0], turns[..., 0, 0]), z)
    return np.stack([z, x, np.where(locked, 0.0, y)], axis=-1)
