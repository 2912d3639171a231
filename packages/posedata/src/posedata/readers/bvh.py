"""Biovision BVH motion files of any exporter, as Human3.6M-17 by the names of their nodes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from posedata.readers._clips import files_of, names_of, stride_for, units_of, y_up_to_z_up
from posedata.readers._rig import Rig, find_rig
from posedata.readers.files.bvh import Motion, Node, read_motion
from posedata.readers.format import Clip, Context, Format, Plan, Unit, option, register
from posedata.readers.merge import Dataset, collect
from posedata.skeleton import get_skeleton

UNITS = {"m": 1.0, "cm": 0.01, "mm": 0.001, "inch": 0.0254, "cmu": 0.0254 / 0.45}
"""Metres per file unit; BVH does not tell. "cmu" is CMU's: an inch divided by 0.45."""
_LEG = (0.6, 1.1)
"""Metres from the hip over the knee to the ankle; some exporters draw the knee too low or too high."""
_CHILD = 0.4
"""The same of a child; taken where no unit makes it a grown person's, and of the decimal units alone."""
_BONES = (("hip", "knee"), ("knee", "ankle"))
_JUMP, _START = 0.5, 0.1


@register
@dataclass(frozen=True)
class Bvh(Format):
    """Every BVH file of a folder (or one), as Human3.6M-17 in metres, z up.

    A first frame that is no motion but the T-pose which converters put there is left out: one from which a
    joint jumps, by over half a radian and five times any later step, or one without any rotation and a step
    of 0.1 radian after it. Of several skeletons in a file the first that is a person's is read.
    CMU files made by amc2bvh lack the thorax and wrist segments (offset 0), so their trunks are some 11 cm
    and their forearms 9 cm short: prefer the ASF/AMC originals.
    """

    name = "bvh"
    title = "BVH motion files, a folder of them or one"
    version = 2

    unit: str = option("auto", "m, cm, mm, inch, cmu, or metres per unit; auto takes the one of human legs.")
    up: Literal["y", "z"] = option("y", "The files' vertical axis, y or z.")

    def plan(self, source: Path, context: Context) -> Plan:
        if self.unit != "auto":
            _given(self.unit)
        if self.up not in ("y", "z"):
            raise ValueError(f"up {self.up!r}: give the vertical axis, y or z")
        files = files_of(source, ".bvh")
        return Plan(units_of(files, source), "BVH motion capture")

    def read(self, unit: Unit, context: Context) -> Iterator[Clip]:
        (file,) = unit.files
        motion = read_motion(file, context.note)
        rate = round(1 / motion.frame_time, 2)
        first = int(_starts_at_rest(motion))
        stride = stride_for(file, rate, self.fps)
        frames = motion.frames[first:] - motion.frames[first]
        kept = frames % stride == 0
        motion = dataclasses.replace(motion, values=motion.values[first:][kept])
        joints = _joints(file, motion, self.unit, context.note)
        _tell_lying(file, joints, self.up, context.note)
        joints = y_up_to_z_up(joints) if self.up == "y" else joints
        columns = {"frame": frames[kept] // stride}
        yield Clip(joints.astype(np.float32), *names_of(file), columns=columns, fps=self.fps or rate)


def read_bvh(source: str | Path, **options: Any) -> Dataset:
    """Read BVH files into memory; options are the fields of `Bvh`."""
    return collect(Bvh(**options), source)


def _joints(file: Path, motion: Motion, unit: str, note: Callable[[str], None]) -> np.ndarray:
    """(T, 17, 3) in metres and the file's axes."""
    rig = _rig(file, motion, note)
    nodes = dict(rig.nodes)
    if rig.top is not None:
        nodes["head"] = len(motion.nodes)
        top = Node("top of the head", nodes["neck"], end=True, offset=rig.top)
        motion = dataclasses.replace(motion, nodes=[*motion.nodes, top])
    with np.errstate(over="ignore", invalid="ignore"):
        places = motion.positions(list(nodes.values()))
    at = {joint: places[:, k] for k, joint in enumerate(nodes)}
    at["pelvis"] = (at["left_hip"] + at["right_hip"]) / 2
    leg = [np.linalg.norm(at[f"left_{a}"] - at[f"left_{b}"], axis=-1).mean() for a, b in _BONES]
    scale = _metres(float(sum(leg)), unit, file)
    joints = np.stack([at[name] for name in get_skeleton("h36m17").joints], axis=1) * scale
    if not np.isfinite(joints).all() or np.abs(joints).max() > 1e6:
        raise ValueError(f"{file}: joints lie more than 1000 km away; mend its positions, or the unit given")
    if rig.top is not None and rig.estimated:
        head = motion.nodes[nodes["neck"]].name
        far = f"{np.linalg.norm(rig.top) * scale * 1000:.0f}"
        note(f"{file}: the head {head} {rig.estimated.format(mm=far)}; export a HeadTop_End to have its own")
    return joints


def _rig(file: Path, motion: Motion, note: Callable[[str], None]) -> Rig:
    """Of the first root below which there is a person."""
    roots = [i for i, node in enumerate(motion.nodes) if node.parent < 0]
    faults = []
    for root in roots:
        try:
            rig = find_rig(motion, root)
        except ValueError as error:
            faults.append(str(error))
            continue
        if len(roots) > 1:
            names = ", ".join(motion.nodes[i].name for i in roots[:20])
            note(
                f"{file}: has {len(roots)} roots ({names}); {motion.nodes[root].name} is read: split the file"
            )
        return rig
    raise ValueError(f"{file}: {faults[0]}")


def _starts_at_rest(motion: Motion) -> bool:
    """Whether frame 0 is an artificial rest pose."""
    turns = [n.column + k for n in motion.nodes for k, (_, turning) in enumerate(n.channels) if turning]
    if len(motion.values) < 3 or not turns:
        return False
    steps = np.zeros(len(motion.values) - 1)
    for column in turns:  # one by one: a long recording is not held twice
        step = np.abs((np.diff(motion.values[:, column]) + 180) % 360 - 180)
        np.maximum(steps, np.radians(step), out=steps)
    if not motion.values[0, turns].any() and steps[0] > _START:
        return True
    return bool(steps[0] > max(_JUMP, 5 * steps[1:].max()))


def _given(unit: str) -> float:
    try:
        metres = UNITS.get(unit) or float(unit)
    except ValueError:
        metres = 0.0
    if not 1e-6 < metres < 1e3:
        raise ValueError(
            f"unit {unit!r} is not known; use one of auto, {', '.join(UNITS)}, or the metres of a unit (0.04)"
        )
    return metres


def _metres(leg: float, unit: str, file: Path) -> float:
    if unit != "auto":
        return _given(unit)
    for scale in UNITS.values():
        if _LEG[0] <= leg * scale <= _LEG[1]:
            return scale
    for name in ("m", "cm", "mm"):
        if _CHILD <= leg * UNITS[name] < _LEG[0]:
            return UNITS[name]
    raise ValueError(
        f"{file}: a leg of {leg:.3g} (thigh and shank) fits no known unit; give one: --unit"
        f" {', '.join(UNITS)}, or the metres of a unit (--unit {0.85 / max(leg, 1e-6):.2g} makes it 0.85 m)"
    )


def _tell_lying(file: Path, joints: np.ndarray, up: str, note: Callable[[str], None]) -> None:
    """Where trunk and legs point along the other axis that BVH has for up."""
    h36m = get_skeleton("h36m17")
    feet = (joints[:, h36m.index("left_ankle")] + joints[:, h36m.index("right_ankle")]) / 2
    tall = np.abs(np.median(joints[:, h36m.index("thorax")] - feet, axis=0))
    other = {"y": "z", "z": "y"}[up]
    if tall["xyz".index(other)] > 0.9 * np.linalg.norm(tall):
        note(f"{file}: people lie along {other}; if they stand, {other} is the file's vertical: --up {other}")
