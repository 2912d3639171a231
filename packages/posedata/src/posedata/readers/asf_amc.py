"""Acclaim ASF (skeleton) and AMC (motion) files, as CMU's motion capture database publishes them.

A bone with axis rotation C, joint rotation M, direction d and length l turns and extends its parent's end:

    G = G_parent C M C⁻¹,   end = end_parent + l G d,   C = Rz Ry Rx (axis),   M = Rz Ry Rx (dof)

(Lander, "Working with Motion Capture File Formats", Game Developer, January 1998). No kept library reads
the format, hence the parser.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from posedata.prepare.format import Clip, Context, Format, Plan, Unit, option, register
from posedata.prepare.merge import Dataset, collect
from posedata.readers._clips import files_of, names_of, stride_for, units_of, y_up_to_z_up
from posedata.skeleton import get_skeleton

INCH = 0.0254
CMU_LICENCE = (
    "free for all uses, not to be resold as such; mocap.cs.cmu.edu, created with funding from NSF EIA-0196217"
)
_ENDS = {
    "hip": "hipjoint",
    "knee": "femur",
    "ankle": "tibia",
    "shoulder": "clavicle",
    "elbow": "humerus",
    "wrist": "wrist",
}
_TRUNK = {"spine": "upperback", "thorax": "lowerneck", "neck": "upperneck"}


@dataclass(frozen=True)
class Bone:
    """One ASF bone: its parent's name, vector (3,) in the file's units, axis (3,) radians, dof axes."""

    parent: str
    vector: np.ndarray
    axis: np.ndarray
    dof: tuple[int, ...]


@dataclass(frozen=True)
class AsfSkeleton:
    """The bones of an ASF file in hierarchy order (parents first); `unit` metres per file unit."""

    bones: dict[str, Bone]
    unit: float
    radians: float


@register
@dataclass(frozen=True)
class AsfAmc(Format):
    """Every AMC file of a folder (or one) with the ASF beside it, as Human3.6M-17 in metres, z up.

    The ASF of an AMC is the one in its folder for the same subject number, or the only one there.
    """

    name = "asf_amc"
    title = "ASF/AMC motion capture (CMU), a folder of it or one .amc"
    terms = CMU_LICENCE

    rate: int | float = option(
        120.0, "Frames/s of the recordings, which AMC does not tell (CMU: 120, few 60)."
    )

    def plan(self, source: Path, context: Context) -> Plan:
        files = files_of(source, ".amc")
        stride_for(source, self.rate, self.fps)
        units = units_of(files, source)
        units = [Unit(u.name, (*u.files, _asf_for(u.files[0], names_of(u.files[0])[0]))) for u in units]
        return Plan(units, "ASF/AMC motion capture", fps=self.fps or self.rate)

    def read(self, unit: Unit, context: Context) -> Iterator[Clip]:
        amc, asf = unit.files
        ends = bone_ends(read_asf(asf), read_amc(amc), amc)
        joints = h36m17_of(ends, amc)[:: stride_for(amc, self.rate, self.fps)]
        yield Clip(joints.astype(np.float32), *names_of(amc))


def read_asf_amc(source: str | Path, **options: Any) -> Dataset:
    """Read ASF/AMC pairs into memory; options are the fields of `AsfAmc`."""
    return collect(AsfAmc(**options), source)


def read_asf(path: Path) -> AsfSkeleton:
    """Parse an ASF file. Raises ValueError naming the file and the field that is missing or unusual."""
    sections = _sections(path)
    units = {words[0]: words[1] for words in sections.get("units", []) if len(words) == 2}
    if "length" not in units:
        raise ValueError(f"{path}: field ':units length' is missing; restore it (CMU writes 0.45)")
    radians = 1.0 if units.get("angle", "deg").startswith("rad") else math.radians(1)
    described = dict(_bone_fields(sections.get("bonedata", [])))
    bones: dict[str, Bone] = {}
    for parent, *children in sections.get("hierarchy", []):
        for child in children:
            if child not in described or (parent != "root" and parent not in bones):
                raise ValueError(f"{path}: hierarchy names {child[:40]!r} before its bone or parent; mend it")
            bones[child] = _bone(path, child, parent, described[child], radians)
    if not bones:
        raise ValueError(f"{path}: has no bones in ':hierarchy'; it is no ASF file, or cut short")
    try:
        length = float(units["length"])
    except ValueError:
        length = 0.0
    if not (np.isfinite(length) and length > 0):
        raise ValueError(f"{path}: field ':units length' is no positive number; restore it (CMU writes 0.45)")
    return AsfSkeleton(bones, INCH / length, radians)


def read_amc(path: Path) -> list[dict[str, list[float]]]:
    """Frames of an AMC file: bone name to its values, as written."""
    frames: list[dict[str, list[float]]] = []
    for number, line in enumerate(path.read_text(encoding="latin-1").splitlines(), start=1):
        words = line.split()
        if not words or words[0][0] in "#:":
            continue
        if len(words) == 1 and words[0].isdigit():
            frames.append({})
            continue
        try:
            values = [float(word) for word in words[1:]]
            if not all(map(math.isfinite, values)):
                raise ValueError
            frames[-1][words[0]] = values
        except (ValueError, IndexError):
            raise ValueError(f"{path}: line {number} is no bone of a frame ({line[:40]!r})") from None
    if not frames:
        raise ValueError(f"{path}: has no frame; it is no AMC file, or cut short")
    return frames


def bone_ends(
    skeleton: AsfSkeleton, frames: list[dict[str, list[float]]], path: Path
) -> dict[str, Float[np.ndarray, "T 3"]]:
    """Forward kinematics: where each bone ends (and the root is), metres, in the file's axes (y up)."""
    root = _values(frames, "root", 6, path)
    turns = {"root": _euler(root[:, 3:] * skeleton.radians)}
    ends = {"root": root[:, :3]}
    for name, bone in skeleton.bones.items():
        dof = np.zeros((len(frames), 3))
        if bone.dof:
            dof[:, bone.dof] = _values(frames, name, len(bone.dof), path) * skeleton.radians
        axis = _euler(bone.axis)
        turns[name] = turns[bone.parent] @ axis @ _euler(dof) @ axis.T
        ends[name] = ends[bone.parent] + turns[name] @ bone.vector
    return {name: end * skeleton.unit for name, end in ends.items()}


def h36m17_of(ends: dict[str, np.ndarray], path: Path) -> np.ndarray:
    """CMU's bones as Human3.6M-17, z up (T, 17, 3).

    The pelvis is the midpoint of the hips. CMU's head bone ends in the middle of the head, so the top is
    taken as far again beyond it.
    """
    needed = {"lhipjoint", "rhipjoint", "upperneck", "head", *_TRUNK.values()}
    needed |= {side + bone for side in "lr" for bone in _ENDS.values()}
    missing = sorted(needed - set(ends))
    if missing:
        raise ValueError(f"{path}: its ASF lacks the bones {', '.join(missing)}; only CMU's names are known")
    at = {joint: ends[bone] for joint, bone in _TRUNK.items()}
    for side in ("left", "right"):
        at |= {f"{side}_{joint}": ends[side[0] + bone] for joint, bone in _ENDS.items()}
    at["pelvis"] = (ends["lhipjoint"] + ends["rhipjoint"]) / 2
    at["head"] = 2 * ends["head"] - ends["upperneck"]
    return y_up_to_z_up(np.stack([at[name] for name in get_skeleton("h36m17").joints], axis=1))


def _asf_for(amc: Path, subject: str) -> Path:
    beside = sorted(p for p in amc.parent.iterdir() if p.suffix.lower() == ".asf")
    same = [p for p in beside if p.stem.replace("-", "_").split("_")[0] == subject]
    chosen = same or beside
    if len(chosen) != 1:
        raise ValueError(f"{amc}: {len(chosen)} ASF files fit it there; put the subject's own beside it")
    return chosen[0]


def _sections(path: Path) -> dict[str, list[list[str]]]:
    """Lines as words by ":section"; `begin` and `end` are kept only where bones need them."""
    sections: dict[str, list[list[str]]] = {}
    lines: list[list[str]] = []
    for line in path.read_text(encoding="latin-1").splitlines():
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if words[0].startswith(":"):
            lines = sections.setdefault(words[0][1:], [])
        elif words[0] == "begin" or (words[0] == "end" and lines is not sections.get("bonedata")):
            continue
        else:
            lines.append(words)
    return sections


def _bone_fields(lines: list[list[str]]) -> Iterator[tuple[str, dict[str, list[str]]]]:
    fields: dict[str, list[str]] = {}
    for words in lines:
        if words[0] == "end":
            yield (fields.get("name") or ["?"])[0], fields
            fields = {}
        else:
            fields[words[0]] = words[1:]


def _bone(path: Path, name: str, parent: str, fields: dict[str, list[str]], radians: float) -> Bone:
    try:
        direction = np.array([float(word) for word in fields["direction"][:3]])
        axis = np.array([float(word) for word in fields["axis"][:3]])
        length = float(fields["length"][0])
        dof = tuple(("rx", "ry", "rz").index(word.lower()) for word in fields.get("dof", []))
    except (KeyError, ValueError, IndexError) as error:
        raise ValueError(f"{path}: bone {name[:40]!r}: cannot read {str(error)[:80]}; mend it") from None
    if fields["axis"][3:] not in ([], ["XYZ"]):
        order = " ".join(fields["axis"][3:])[:40]
        raise ValueError(f"{path}: bone {name[:40]!r}: axis order {order} is not read; only XYZ is")
    if len(direction) != 3 or len(axis) != 3 or not np.isfinite([*direction, *axis, length]).all():
        raise ValueError(f"{path}: bone {name[:40]!r}: direction, axis or length is damaged; mend the file")
    return Bone(parent, direction * length, axis * radians, dof)


def _values(frames: list[dict[str, list[float]]], bone: str, count: int, path: Path) -> np.ndarray:
    for number, frame in enumerate(frames, start=1):
        if len(frame.get(bone, ())) != count:
            found = len(frame.get(bone, ()))
            raise ValueError(
                f"{path}: frame {number}: {bone!r} has {found} values, its ASF says {count}; mend it"
            )
    return np.array([frame[bone] for frame in frames])


def _euler(angles: Float[np.ndarray, "*T 3"]) -> Float[np.ndarray, "*T 3 3"]:
    """Rz Ry Rx of angles (x, y, z) in radians."""
    (cx, cy, cz), (sx, sy, sz) = np.moveaxis(np.cos(angles), -1, 0), np.moveaxis(np.sin(angles), -1, 0)
    rows = (
        (cz * cy, cz * sy * sx - sz * cx, cz * sy * cx + sz * sx),
        (sz * cy, sz * sy * sx + cz * cx, sz * sy * cx - cz * sx),
        (-sy, cy * sx, cy * cx),
    )
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)
