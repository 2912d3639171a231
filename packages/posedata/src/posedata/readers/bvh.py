"""Biovision BVH motion files, parsed and posed by pybvh, as Human3.6M-17 by the names of their nodes."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from posedata.prepare.format import Clip, Context, Format, Plan, Unit, option, register
from posedata.prepare.merge import Dataset, collect
from posedata.readers._clips import files_of, names_of, stride_for, units_of, y_up_to_z_up
from posedata.skeleton import get_skeleton

UNITS = {"m": 1.0, "cm": 0.01, "mm": 0.001, "inch": 0.0254, "cmu": 0.0254 / 0.45}
"""Metres per file unit; BVH does not tell. "cmu" is CMU's: an inch divided by 0.45."""
_THIGH = (0.28, 0.58)
_JUMP = 0.5
_ALIASES: dict[str, tuple[str, ...]] = {
    "spine": ("spine1", "chest", "spine", "abdomen"),
    "thorax": ("neck1", "neck"),
    "neck": ("head",),
    "left_hip": ("leftupleg", "lthigh", "leftthigh", "lefthip", "lhip"),
    "left_knee": ("leftleg", "lshin", "leftshin", "leftknee", "lknee"),
    "left_ankle": ("leftfoot", "lfoot", "leftankle", "lankle"),
    "left_shoulder": ("leftarm", "lshldr", "leftuparm", "leftshoulder", "lshoulder"),
    "left_elbow": ("leftforearm", "lforearm", "leftlowarm", "leftelbow", "lelbow"),
    "left_wrist": ("lefthand", "lhand", "leftwrist", "lwrist"),
}


@register
@dataclass(frozen=True)
class Bvh(Format):
    """Every BVH file of a folder (or one), as Human3.6M-17 in metres, z up.

    A first frame that is no motion but the T-pose which converters put there is left out: one without any
    rotation, or one from which a joint jumps, by over half a radian and five times any later step.
    CMU files made by amc2bvh lack the thorax and wrist segments (offset 0), so their trunks are some 11 cm
    and their forearms 9 cm short: prefer the ASF/AMC originals.
    """

    name = "bvh"
    title = "BVH motion files, a folder of them or one"

    unit: str = option("auto", "m, cm, mm, inch or cmu; auto takes the one that gives human thighs.")
    up: Literal["y", "z"] = option("y", "The files' vertical axis, y or z.")

    def plan(self, source: Path, context: Context) -> Plan:
        if self.unit != "auto" and self.unit not in UNITS:
            raise ValueError(f"unit {self.unit!r} is not known; use one of auto, {', '.join(UNITS)}")
        if self.up not in ("y", "z"):
            raise ValueError(f"up {self.up!r}: give the vertical axis, y or z")
        files = files_of(source, ".bvh")
        return Plan(units_of(files, source), "BVH motion capture")

    def read(self, unit: Unit, context: Context) -> Iterator[Clip]:
        (file,) = unit.files
        joints, rate = _joints(file, self.unit)
        kept = joints[:: stride_for(file, rate, self.fps)]
        kept = y_up_to_z_up(kept) if self.up == "y" else kept
        yield Clip(kept.astype(np.float32), *names_of(file), fps=self.fps or rate)


def read_bvh(source: str | Path, **options: Any) -> Dataset:
    """Read BVH files into memory; options are the fields of `Bvh`."""
    return collect(Bvh(**options), source)


def _joints(file: Path, unit: str) -> tuple[np.ndarray, float]:
    """(T, 17, 3) in metres and the file's axes, and its frame rate."""
    import pybvh  # here: takes 0.4 s, which other readers should not pay

    try:
        with warnings.catch_warnings(action="error"):  # so it meets a file without motion
            bvh = pybvh.read_bvh_file(file, world_up="+y")
    except (ValueError, IndexError, KeyError, TypeError, Warning) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise ValueError(f"{file}: is no BVH file that can be read ({reason}); mend or replace it") from None
    with np.errstate(invalid="ignore", over="ignore"):
        nodes = bvh.node_positions()
    if not np.isfinite(nodes).all() or not 1e-5 < bvh.frame_time < 1e5:
        raise ValueError(f"{file}: a motion value or the frame time is no number that can be; mend it")
    first = int(_starts_at_rest(bvh.joint_angles))
    by_name = {_plain(node.name): nodes[first:, i] for i, node in enumerate(bvh.nodes)}
    at = _named(by_name, file)
    joints = np.stack([at[name] for name in get_skeleton("h36m17").joints], axis=1)
    thigh = float(np.linalg.norm(at["left_knee"] - at["left_hip"], axis=-1).mean())
    return joints * _metres(thigh, unit, file), round(1 / bvh.frame_time, 2)


def _starts_at_rest(angles: np.ndarray) -> bool:
    """Whether frame 0 is an artificial rest pose: no rotation at all, or a jump like no other follows it."""
    if len(angles) < 3:
        return False
    turns = (np.diff(angles, axis=0) + np.pi) % (2 * np.pi) - np.pi
    steps = np.abs(turns).reshape(len(turns), -1).max(axis=1)
    return not angles[0].any() or bool(steps[0] > max(_JUMP, 5 * steps[1:].max()))


def _named(nodes: dict[str, np.ndarray], file: Path) -> dict[str, np.ndarray]:
    at: dict[str, np.ndarray] = {}
    for left, aliases in _ALIASES.items():
        pairs = [(left, aliases)]
        if left.startswith("left_"):
            mirrored = tuple(
                "right" + name[4:] if name.startswith("left") else "r" + name[1:] for name in aliases
            )
            pairs.append((left.replace("left_", "right_"), mirrored))
        for joint, names in pairs:
            found = next((name for name in names if name in nodes), None)
            if found is None:
                raise ValueError(f"{file}: no node for {joint} (looked for {', '.join(names)}); rename one")
            at[joint] = nodes[found]
    tip = nodes.get("endsitehead", at["neck"])
    # CMU's head bone ends in the middle of the head: as in its ASF files, the top is as far again.
    at["head"] = 2 * tip - at["neck"] if "neck1" in nodes else tip
    at["pelvis"] = (at["left_hip"] + at["right_hip"]) / 2
    return at


def _plain(name: str) -> str:
    return name.rpartition(":")[2].replace("_", "").replace("-", "").replace(" ", "").lower()


def _metres(thigh: float, unit: str, file: Path) -> float:
    if unit != "auto":
        return UNITS[unit]
    for scale in UNITS.values():
        if _THIGH[0] <= thigh * scale <= _THIGH[1]:
            return scale
    raise ValueError(f"{file}: a thigh of {thigh:.3g} fits no known unit; give one of {', '.join(UNITS)}")
