"""Acclaim ASF (skeleton) and AMC (motion) files, as CMU's motion capture database publishes them.

A bone with axis rotation C, joint rotation M, direction d and length l turns and extends its parent's end:

    G = G_parent C M C⁻¹,   end = end_parent + l G d,   C = Rz Ry Rx (axis),   M = Rz Ry Rx (dof)

The root's values come in the order that ":root" names; it is at its position plus the motion's, its rotations
are in the order of its axis ("XYZ": x first), and G = O M with its starting orientation O (Lander, "Working
with Motion Capture File Formats", Game Developer, January 1998). No kept library reads
the format, hence the parser.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from posedata.readers._clips import files_of, names_of, stride_for, units_of, y_up_to_z_up
from posedata.readers.files.bvh import about
from posedata.readers.files.text import motion_text
from posedata.readers.format import Clip, Context, Format, Plan, Unit, option, register
from posedata.readers.merge import Dataset, collect
from posedata.skeleton import get_skeleton

INCH = 0.0254
_LEG = (0.55, 1.2)
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
class Root:
    """What ":root" says: order of its values ("tx", ...) and of its rotations, position, orientation (3,)."""

    values: tuple[str, ...] = ("tx", "ty", "tz", "rx", "ry", "rz")
    order: str = "xyz"
    position: np.ndarray = field(default_factory=lambda: np.zeros(3))
    orientation: np.ndarray = field(default_factory=lambda: np.zeros(3))


@dataclass(frozen=True)
class AsfSkeleton:
    """The bones of an ASF file in hierarchy order (parents first); `unit` metres per file unit.

    `radians` per unit of angle, of the motion too unless that says otherwise.
    """

    bones: dict[str, Bone]
    unit: float
    radians: float
    root: Root = field(default_factory=Root)


@dataclass(frozen=True)
class AmcMotion:
    """Frames of an AMC file: values by bone, as written; their numbers (T,); radians per unit, if stated."""

    frames: list[dict[str, list[float]]]
    numbers: np.ndarray
    radians: float | None = None


@register
@dataclass(frozen=True)
class AsfAmc(Format):
    """Every AMC file of a folder (or one) with the ASF beside it, as Human3.6M-17 in metres, z up.

    The ASF of an AMC is the one in its folder for the same subject number, the one with which its name
    begins, or the only one there. Where frame numbers are missing, column `frame` has the gap.
    """

    name = "asf_amc"
    title = "ASF/AMC motion capture (CMU), a folder of it or one .amc"
    terms = CMU_LICENCE
    version = 2

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
        skeleton, motion = read_asf(asf), read_amc(amc)
        _tell_gaps(amc, motion.numbers, context.note)
        stride = stride_for(amc, self.rate, self.fps)
        numbers = motion.numbers - min(1, motion.numbers[0])
        kept = (numbers - numbers[0]) % stride == 0
        joints = h36m17_of(bone_ends(skeleton, motion, amc), amc)[kept]
        joints *= _human_scale(asf, joints, skeleton.unit, context.note)
        yield Clip(joints.astype(np.float32), *names_of(amc), columns={"frame": numbers[kept] // stride})


def read_asf_amc(source: str | Path, **options: Any) -> Dataset:
    """Read ASF/AMC pairs into memory; options are the fields of `AsfAmc`."""
    return collect(AsfAmc(**options), source)


def read_asf(path: Path) -> AsfSkeleton:
    """Parse an ASF file. Raises ValueError naming the file and the field that is missing or unusual."""
    sections = _sections(path)
    units = {words[0].lower(): words[1] for words in sections.get("units", []) if len(words) == 2}
    if "length" not in units:
        raise ValueError(f"{path}: field ':units length' is missing; restore it (CMU writes 0.45)")
    radians = 1.0 if units.get("angle", "deg").lower().startswith("rad") else math.radians(1)
    described = dict(_bone_fields(sections.get("bonedata", [])))
    bones: dict[str, Bone] = {}
    for parent, *children in sections.get("hierarchy", []):
        for child in children:
            if child not in described or (parent != "root" and parent not in bones):
                raise ValueError(f"{path}: hierarchy names {child[:40]!r} before its bone or parent; mend it")
            bones[child] = _bone(path, child, parent, described[child], radians)
    if not bones:
        raise ValueError(f"{path}: has no bones in ':hierarchy'; it is not an ASF file, or cut short")
    try:
        length = float(units["length"])
    except ValueError:
        length = 0.0
    if not (np.isfinite(length) and length > 0):
        raise ValueError(
            f"{path}: field ':units length' is not a positive number; restore it (CMU writes 0.45)"
        )
    return AsfSkeleton(bones, INCH / length, radians, _root(path, sections.get("root", []), radians))


def read_amc(path: Path) -> AmcMotion:
    """Parse an AMC file. Raises ValueError naming a line that is none of a frame, or frames out of order."""
    frames: list[dict[str, list[float]]] = []
    numbers: list[int] = []
    radians = None
    for number, line in enumerate(motion_text(path).split("\n"), start=1):
        words = line.split()
        if not words or words[0][0] in "#:":
            stated = words[0].lower() if words else ""
            radians = {":radians": 1.0, ":degrees": math.radians(1)}.get(stated, radians)
            continue
        if len(words) == 1 and words[0].isascii() and words[0].isdigit() and len(words[0]) < 10:
            if numbers and int(words[0]) <= numbers[-1]:
                raise ValueError(
                    f"{path}: line {number}: frame {words[0]} comes after frame {numbers[-1]}; are these two"
                    " recordings? put each in a file of its own"
                )
            frames.append({})
            numbers.append(int(words[0]))
            continue
        try:
            values = [float(word) for word in words[1:]]
            if not all(map(math.isfinite, values)):
                raise ValueError
            frames[-1][words[0]] = values
        except (ValueError, IndexError):
            raise ValueError(
                f"{path}: line {number} is not a bone of a frame ({line[:40]!r}); export it again, or mend it"
            ) from None
    if not frames:
        raise ValueError(f"{path}: has no frame; it is not an AMC file, or cut short")
    return AmcMotion(frames, np.array(numbers), radians)


def bone_ends(skeleton: AsfSkeleton, motion: AmcMotion, path: Path) -> dict[str, Float[np.ndarray, "T 3"]]:
    """Forward kinematics: where each bone ends (and the root is), metres, in the file's axes (y up)."""
    radians = skeleton.radians if motion.radians is None else motion.radians
    root = skeleton.root
    values = _values(motion, "root", len(root.values), path)
    moved, turned = np.zeros((2, len(values), 3))
    for k, name in enumerate(root.values):
        (moved if name[0] == "t" else turned)[:, "xyz".index(name[1])] = values[:, k]
    turns = {"root": _euler(root.orientation, root.order) @ _euler(turned * radians, root.order)}
    ends = {"root": root.position + moved}
    for name, bone in skeleton.bones.items():
        dof = np.zeros((len(values), 3))
        if bone.dof:
            dof[:, bone.dof] = _values(motion, name, len(bone.dof), path) * radians
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
    beside = sorted(
        p for p in amc.parent.iterdir() if p.suffix.lower() == ".asf" and not p.name.startswith("._")
    )
    same = [p for p in beside if p.stem.replace("-", "_").split("_")[0] == subject]
    begins = [p for p in beside if amc.stem.lower().startswith(p.stem.lower())]
    longest = [p for p in begins if len(p.stem) == max(len(other.stem) for other in begins)]
    chosen = same or longest or beside
    if len(chosen) != 1:
        raise ValueError(f"{amc}: {len(chosen)} ASF files fit it there; put the subject's own beside it")
    return chosen[0]


def _tell_gaps(amc: Path, numbers: np.ndarray, note: Callable[[str], None]) -> None:
    after = np.flatnonzero(np.diff(numbers) > 1)
    if len(after):
        first, last = numbers[after[0]] + 1, numbers[after[0] + 1] - 1
        more = f" (and {len(after) - 1} more gaps)" if len(after) > 1 else ""
        note(f"{amc}: frames {first} to {last} are missing{more}; they are left out, in column 'frame' too")


def _human_scale(asf: Path, joints: np.ndarray, unit: float, note: Callable[[str], None]) -> float:
    """1, or what makes legs human where the ASF's values are not in inches by its length, as CMU's are."""
    at = [get_skeleton("h36m17").index(f"left_{part}") for part in ("hip", "knee", "ankle")]
    leg = float(np.linalg.norm(np.diff(joints[:, at], axis=1), axis=-1).mean(axis=0).sum())
    for name, metres in {"": unit, "metres": 1.0, "centimetres": 0.01, "millimetres": 0.001}.items():
        if _LEG[0] <= leg / unit * metres <= _LEG[1]:
            if name:
                note(f"{asf}: a leg of {leg:.3g} m by its ':units length'; taken for {name}: mend the length")
            return metres / unit
    return 1.0


def _sections(path: Path) -> dict[str, list[list[str]]]:
    """Lines as words by ":section"; `begin` and `end` are kept only where bones need them."""
    sections: dict[str, list[list[str]]] = {}
    lines: list[list[str]] = []
    for line in motion_text(path).split("\n"):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        key = words[0].lower()
        if key.startswith(":"):
            lines = sections.setdefault(key[1:], [])
        elif key == "begin" or (key == "end" and lines is not sections.get("bonedata")):
            continue
        else:
            lines.append(words)
    return sections


def _root(path: Path, lines: list[list[str]], radians: float) -> Root:
    fields = {words[0].lower(): words[1:] for words in lines}
    values = tuple(word.lower() for word in fields.get("order", Root.values))
    order = "".join(fields.get("axis", ["XYZ"])).lower()
    if len(set(values)) != len(values) or not set(values) <= set(Root.values) or sorted(order) != list("xyz"):
        stated = f"order {' '.join(values)}, axis {order}"[:80]
        raise ValueError(f"{path}: ':root' has {stated}; only TX TY TZ RX RY RZ and an axis of XYZ are read")
    places = []
    for name in ("position", "orientation"):
        try:
            place = np.array([float(word) for word in fields.get(name, ["0"] * 3)])
        except ValueError:
            place = np.array([])
        if place.shape != (3,) or not np.isfinite(place).all():
            raise ValueError(f"{path}: ':root' {name} is not three numbers; mend it")
        places.append(place)
    return Root(values, order, places[0], places[1] * radians)


def _bone_fields(lines: list[list[str]]) -> Iterator[tuple[str, dict[str, list[str]]]]:
    fields: dict[str, list[str]] = {}
    for words in lines:
        if words[0].lower() == "end":
            yield (fields.get("name") or ["?"])[0], fields
            fields = {}
        else:
            fields[words[0].lower()] = words[1:]


def _bone(path: Path, name: str, parent: str, fields: dict[str, list[str]], radians: float) -> Bone:
    where = f"{path}: bone {name[:40]!r}"
    direction, axis, length = (
        _numbers(fields, key, count, where) for key, count in (("direction", 3), ("axis", 3), ("length", 1))
    )
    dof = [word.lower() for word in fields.get("dof", [])]
    if not set(dof) <= {"rx", "ry", "rz"}:
        raise ValueError(f"{where}: dof is {' '.join(dof)[:40]!r}, only rx, ry and rz are read; correct it")
    if fields["axis"][3:] not in ([], ["XYZ"]):
        order = " ".join(fields["axis"][3:])[:40]
        raise ValueError(f"{where}: axis order {order} is not read, only XYZ is; export the skeleton so")
    turned = tuple(("rx", "ry", "rz").index(word) for word in dof)
    return Bone(parent, direction * length[0], axis * radians, turned)


def _numbers(fields: dict[str, list[str]], key: str, count: int, where: str) -> np.ndarray:
    """The first values of a bone's field, (count,)."""
    words = fields.get(key, [])[:count]
    try:
        values = np.array([float(word) for word in words])
    except ValueError:
        values = np.array([np.nan])
    if len(words) < count or not np.isfinite(values).all():
        wanted = "a number" if count == 1 else f"{count} numbers"
        found = repr(" ".join(words)[:40]) if words else "missing"
        raise ValueError(f"{where}: {key} is {found}, wanted {wanted}; correct it")
    return values


def _values(motion: AmcMotion, bone: str, count: int, path: Path) -> np.ndarray:
    for number, frame in zip(motion.numbers, motion.frames, strict=True):
        if len(frame.get(bone, ())) != count:
            found = len(frame.get(bone, ()))
            raise ValueError(
                f"{path}: frame {number}: {bone!r} has {found} values, its ASF says {count}; mend it"
            )
    return np.array([frame[bone] for frame in motion.frames])


def _euler(angles: Float[np.ndarray, "*T 3"], order: str = "xyz") -> Float[np.ndarray, "*T 3 3"]:
    """Rotation by angles (x, y, z) in radians about the fixed axes in this order: Rz Ry Rx for "xyz"."""
    turn = np.broadcast_to(np.eye(3), (*angles.shape, 3))
    for axis in map("xyz".index, order):
        turn = about(axis, angles[..., axis]) @ turn
    return turn
