"""Flesh and clothes for any pose in h36m17: tapered capsules and ellipsoids that follow the bones.

Only joint positions are needed, so real motion can be dressed as well as synthetic. Front and back, left and
right can be told apart: a face under hair, a nose, a badge on the chest, shoes that point forward.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from posedata.skeleton import get_skeleton

Array = NDArray[np.float32]
_JOINTS = get_skeleton("h36m17").joints
_J = {name: index for index, name in enumerate(_JOINTS)}
_FRAMES = (
    *("pelvis", "chest", "yoke", "neck", "head"),
    *("left_arm", "left_fore", "left_thigh", "left_shank", "left_foot"),
    *("right_arm", "right_fore", "right_thigh", "right_shank", "right_foot"),
)
_BONES = (
    *(("pelvis", "spine"), ("spine", "thorax"), ("right_shoulder", "left_shoulder"), ("thorax", "neck")),
    ("neck", "head"),
    *(
        (f"{side}_{start}", f"{side}_{end}")
        for side in ("left", "right")
        for start, end in (("shoulder", "elbow"), ("elbow", "wrist"), ("hip", "knee"), ("knee", "ankle"))
    ),
)
_ALONG = [_FRAMES.index(name) for name in _FRAMES if not name.endswith("_foot")]
_STARTS = np.array([_J[start] for start, _ in _BONES])
_ENDS = np.array([_J[end] for _, end in _BONES])
_TRUNK_OF_RADII = 0.53
"""The radii below are those of a person whose pelvis and thorax are this far apart along the spine, in
metres."""

_FOOT = 0.16


class Part(NamedTuple):
    """A capsule between two points with radii (front, left, along) at either end, in a bone's frame."""

    colour: str
    frame: str
    start: dict[str, float]
    end: dict[str, float]
    radii: tuple[float, float, float]
    end_radii: tuple[float, float, float] | None = None
    offset: tuple[float, float, float] = (0.0, 0.0, 0.0)
    end_offset: tuple[float, float, float] | None = None


def _ball(colour: str, frame: str, joint: str, offset: tuple, radii: tuple) -> Part:
    return Part(colour, frame, {joint: 1}, {joint: 1}, radii, offset=offset)


def _parts() -> tuple[Part, ...]:
    trunk = [
        Part(
            "trousers", "pelvis", {"pelvis": 1}, {"pelvis": 1}, (0.105, 0.148, 0.10), end_offset=(0, 0, 0.07)
        ),
        Part("belt", "pelvis", {"pelvis": 1}, {"pelvis": 1}, (0.108, 0.146, 0.022), offset=(0, 0, 0.11)),
        Part("shirt", "pelvis", {"pelvis": 0.75, "spine": 0.25}, {"spine": 1}, (0.096, 0.136, 0.08)),
        Part(
            "shirt",
            "chest",
            {"spine": 1},
            {"spine": 0.35, "thorax": 0.65},
            (0.100, 0.140, 0.09),
            (0.112, 0.158, 0.11),
        ),
        Part("shirt", "yoke", {"right_shoulder": 1}, {"left_shoulder": 1}, (0.062, 0.062, 0.055)),
        Part(
            "skin",
            "neck",
            {"thorax": 1},
            {"neck": 0.7, "head": 0.3},
            (0.056, 0.056, 0.05),
            (0.05, 0.05, 0.05),
        ),
        Part(
            "badge",
            "chest",
            {"spine": 0.4, "thorax": 0.6},
            {"spine": 0.4, "thorax": 0.6},
            (0.03, 0.066, 0.06),
            offset=(0.106, 0, 0),
        ),
    ]
    head = [
        _ball("skin", "head", "head", (0.022, 0, -0.118), (0.088, 0.072, 0.112)),
        _ball("hair", "head", "head", (-0.010, 0, -0.086), (0.098, 0.081, 0.096)),
        _ball("skin", "head", "head", (0.112, 0, -0.128), (0.022, 0.013, 0.024)),
        _ball("mouth", "head", "head", (0.092, 0, -0.172), (0.013, 0.026, 0.008)),
        *(_ball("eye", "head", "head", (0.096, y, -0.103), (0.014, 0.014, 0.011)) for y in (-0.031, 0.031)),
        *(_ball("skin", "head", "head", (0.0, y, -0.125), (0.022, 0.014, 0.03)) for y in (-0.078, 0.078)),
    ]
    limbs = []
    for side in ("left", "right"):
        hip, knee, ankle = f"{side}_hip", f"{side}_knee", f"{side}_ankle"
        shoulder, elbow, wrist = f"{side}_shoulder", f"{side}_elbow", f"{side}_wrist"
        limbs += [
            Part("trousers", f"{side}_thigh", {hip: 1}, {knee: 1}, (0.086,) * 3, (0.058, 0.058, 0.05)),
            Part("leg", f"{side}_shank", {knee: 1}, {ankle: 1}, (0.058, 0.058, 0.05), (0.04, 0.04, 0.04)),
            Part("shirt", f"{side}_arm", {shoulder: 1}, {elbow: 1}, (0.057,) * 3, (0.042,) * 3),
            Part("sleeve", f"{side}_fore", {elbow: 1}, {wrist: 1}, (0.042,) * 3, (0.031,) * 3),
            Part(
                "skin",
                f"{side}_fore",
                {wrist: 1.12, elbow: -0.12},
                {wrist: 1.38, elbow: -0.38},
                (0.036, 0.03, 0.035),
                (0.038, 0.026, 0.03),
            ),
            Part(
                "shoe",
                f"{side}_foot",
                {ankle: 1},
                {ankle: 1},
                (0.042, 0.042, 0.04),
                (0.03, 0.046, 0.04),
                (-0.028, 0, -0.045),
                (-0.04, 0, 0.10),
            ),
            Part(
                "toecap",
                f"{side}_foot",
                {ankle: 1},
                {ankle: 1},
                (0.032, 0.048, 0.045),
                offset=(-0.042, 0, 0.135),
            ),
        ]
    return (*trunk, *head, *limbs)


PARTS = _parts()
_PART_FRAME = np.array([_FRAMES.index(part.frame) for part in PARTS])
_COLOURS = (
    "skin",
    "hair",
    "eye",
    "mouth",
    "shirt",
    "sleeve",
    "trousers",
    "leg",
    "belt",
    "badge",
    "shoe",
    "toecap",
)
_PART_COLOUR = np.array([_COLOURS.index(part.colour) for part in PARTS])
_WEIGHTS = np.zeros((len(PARTS), 2, len(_JOINTS)), np.float32)
_OFFSETS = np.zeros((len(PARTS), 2, 3), np.float32)
_RADII = np.zeros((len(PARTS), 2, 3), np.float32)
for _i, _part in enumerate(PARTS):
    for _end, _mix in enumerate((_part.start, _part.end)):
        for _name, _weight in _mix.items():
            _WEIGHTS[_i, _end, _J[_name]] = _weight
    _OFFSETS[_i] = _part.offset, _part.end_offset or _part.offset
    _RADII[_i] = _part.radii, _part.end_radii or _part.radii

_JOINT_RADIUS = {
    "pelvis": 0.15,
    "hip": 0.13,
    "spine": 0.14,
    "thorax": 0.13,
    "neck": 0.09,
    "head": 0.10,
    "shoulder": 0.08,
    "elbow": 0.06,
    "wrist": 0.05,
    "knee": 0.075,
    "ankle": 0.06,
}
JOINT_RADII: Array = np.array([_JOINT_RADIUS[name.split("_")[-1]] for name in _JOINTS], np.float32)
"""How deep under the skin each joint lies at most, in metres, for a person of medium build."""


class Mesh(NamedTuple):
    """vertices, normals (V, 3) float32; triangles (F, 3) uint32; colours (F, 3) float32, 0 to 255; scale: the
    person's size against that of the radii."""

    vertices: Array
    normals: Array
    triangles: NDArray[np.uint32]
    colours: Array
    scale: float


def _capsule_template(segments: int, rings: int) -> tuple[Array, NDArray[np.int64], NDArray[np.int64]]:
    """Unit directions (n, 3), the end each belongs to (n,), triangles (m, 3), outward by the right hand."""
    turn = 2 * np.pi * np.arange(segments) / segments
    polar = np.linspace(-np.pi / 2, 0, rings + 1)[1:]
    latitude = np.concatenate([polar, -polar[::-1]])
    around = np.stack([np.cos(turn), np.sin(turn)], -1)
    rows = [np.c_[np.cos(a) * around, np.full(segments, np.sin(a))] for a in latitude]
    directions = np.concatenate([[[0, 0, -1]], *rows, [[0, 0, 1]]]).astype(np.float32)
    end = np.repeat([0, 1], len(directions) // 2)
    this, after = np.arange(segments), (np.arange(segments) + 1) % segments
    last = len(directions) - 1
    triangles = [np.stack([np.zeros_like(this), 1 + after, 1 + this], -1)]
    for row in range(2 * rings - 1):
        low, high = 1 + row * segments, 1 + (row + 1) * segments
        triangles.append(np.stack([low + this, low + after, high + after], -1))
        triangles.append(np.stack([low + this, high + after, high + this], -1))
    top = 1 + (2 * rings - 1) * segments
    triangles.append(np.stack([np.full_like(this, last), top + this, top + after], -1))
    return directions, end, np.concatenate(triangles)


def capsule_mesh(
    ends: Array, radius: float, segments: int, rings: int
) -> tuple[Array, Array, NDArray[np.uint32]]:
    """Vertices and unit normals (V, 3) and triangles (F, 3) of a capsule between two points, `ends` (2, 3);
    of a sphere where they coincide."""
    directions, end, triangles = _capsule_template(segments, rings)
    world = np.eye(3, dtype=np.float32)
    along = ends[1:] - ends[:1] if (ends[0] != ends[1]).any() else world[2:]
    frame = _axes(along, world[:1], world[1])[0]
    normals = (directions @ frame).astype(np.float32)
    return ends[end] + np.float32(radius) * normals, normals, triangles.astype(np.uint32)


_DIRECTIONS, _END, _TRIANGLES = _capsule_template(12, 3)
_ALL_TRIANGLES = (
    (_TRIANGLES + len(_DIRECTIONS) * np.arange(len(PARTS))[:, None, None]).reshape(-1, 3).astype(np.uint32)
)


@dataclass(frozen=True)
class Flesh:
    """One person's looks: `colours` (12, 3) float32, 0 to 255, of skin, hair, clothes; `girth`, 1 for
    medium."""

    colours: Array
    girth: float = 1.0

    @classmethod
    def sample(cls, generator: torch.Generator) -> "Flesh":
        """A random person: long or short sleeves and trousers, colours, build."""
        rng = np.random.default_rng(int(torch.randint(0, 2**62, (1,), generator=generator)))
        skin = _between(rng, (248, 213, 184), (88, 54, 36))
        hair = _HAIR[rng.integers(len(_HAIR))] + rng.uniform(-12, 12, 3)
        shirt, trousers, shoe = (rng.uniform(15, 240, 3) * rng.uniform(0.5, 1) for _ in range(3))
        light = shirt.mean() > 110
        table = {
            "skin": skin,
            "hair": hair,
            "eye": np.array([25, 25, 35]),
            "mouth": skin * (0.75, 0.45, 0.45),
            "shirt": shirt,
            "sleeve": shirt if rng.random() < 0.5 else skin,
            "trousers": trousers,
            "leg": trousers if rng.random() < 0.65 else skin,
            "belt": trousers * 0.4,
            "badge": shirt * 0.25 if light else 255 - 0.4 * (255 - shirt),
            "shoe": shoe,
            "toecap": 255 - 0.35 * shoe,
        }
        colours = np.stack([table[name] for name in _COLOURS]).clip(0, 255).astype(np.float32)
        return cls(colours, float(rng.uniform(0.86, 1.2)))

    def mesh(self, joints: Array) -> Mesh:
        """The person's surface in the pose `joints` (17, 3): metres, h36m17 order, world z up."""
        frames = bone_frames(joints)
        trunk = np.linalg.norm(joints[_J["spine"]] - joints[_J["pelvis"]])
        trunk += np.linalg.norm(joints[_J["thorax"]] - joints[_J["spine"]])
        scale = float(np.clip(trunk / _TRUNK_OF_RADII, 0.5, 1.5))
        axes = frames[_PART_FRAME]
        ends = _WEIGHTS @ joints + np.matmul(_OFFSETS * scale, axes)
        thick = np.where(_FRAMES.index("head") == _PART_FRAME, 1.0, self.girth)[:, None, None]
        radii = (_RADII * (scale * thick)).astype(np.float32)[:, _END]
        vertices = ends[:, _END] + np.matmul(_DIRECTIONS * radii, axes)
        normals = np.matmul(_DIRECTIONS / radii, axes)
        normals /= np.sqrt(np.einsum("pvi,pvi->pv", normals, normals))[..., None]
        colours = np.repeat(self.colours[_PART_COLOUR], len(_TRIANGLES), 0)
        return Mesh(
            np.ascontiguousarray(vertices.reshape(-1, 3), np.float32),
            normals.reshape(-1, 3).astype(np.float32, copy=False),
            _ALL_TRIANGLES,
            colours,
            scale * self.girth,
        )


_HAIR = np.array(
    [(30, 22, 18), (62, 40, 25), (110, 72, 40), (200, 165, 95), (120, 118, 116), (130, 50, 25)], np.float32
)


def _between(rng: np.random.Generator, one: tuple, other: tuple) -> NDArray[np.float64]:
    return np.array(one) + rng.random() * (np.array(other) - np.array(one, float))


def bone_frames(joints: Array) -> Array:
    """Axes (15, 3, 3) of `_FRAMES` as rows front, left, along; of feet: up, left, towards the toes."""
    along = joints[_ENDS] - joints[_STARTS]
    hips = joints[_J["left_hip"]] - joints[_J["right_hip"]]
    shoulders = along[2]
    spread = np.repeat(np.stack([hips, shoulders])[[0, 1, 1, 1, 1, 1, 1, 0, 0, 1, 1, 0, 0]], 1, 0)
    spread[2] = -np.cross(along[1], shoulders)
    frames = np.empty((len(_FRAMES), 3, 3), np.float32)
    frames[_ALONG] = _axes(along, spread, spare=along[1])
    for side in ("left", "right"):
        frames[_FRAMES.index(f"{side}_foot")] = _foot(joints, side, frames[0, 0])
    return frames


def _axes(along: Array, left: Array, spare: Array) -> Array:
    """Frames (K, 3, 3) about bones; `spare` replaces a left that is nearly parallel to the bone."""
    z = along / (np.linalg.norm(along, axis=-1, keepdims=True) + 1e-9)
    left = left / (np.linalg.norm(left, axis=-1, keepdims=True) + 1e-9)
    front = np.cross(left, z)
    size = np.linalg.norm(front, axis=-1, keepdims=True)
    if (size < 0.2).any():
        front = np.where(size < 0.2, np.cross(spare / (np.linalg.norm(spare) + 1e-9), z), front)
        size = np.linalg.norm(front, axis=-1, keepdims=True)
    x = front / (size + 1e-9)
    return np.stack([x, np.cross(z, x), z], 1)


def _foot(joints: Array, side: str, front: Array) -> Array:
    """The foot stands square to the shank, turned as the knee bends, and does not dip below the lower
    ankle's sole."""
    hip, knee, ankle = (joints[_J[f"{side}_{name}"]] for name in ("hip", "knee", "ankle"))
    shank, leg = ankle - knee, ankle - hip
    shank = shank / (np.linalg.norm(shank) + 1e-9)
    leg = leg / (np.linalg.norm(leg) + 1e-9)
    bend = (knee - hip) - leg * ((knee - hip) @ leg)
    toes = front + 12 * bend
    toes = toes - shank * (toes @ shank)
    toes = toes / (np.linalg.norm(toes) + 1e-9)
    lowest = min(joints[_J["left_ankle"], 2], joints[_J["right_ankle"], 2])
    if toes[2] < (floor := (lowest - ankle[2]) / _FOOT):
        flat = np.hypot(toes[0], toes[1]) + 1e-9
        rise = max(floor, -0.95)
        toes = np.array([*(toes[:2] / flat * np.sqrt(1 - rise**2)), rise], np.float32)
    up = -shank - toes * (-shank @ toes)
    if np.linalg.norm(up) < 0.2:
        up = front - toes * (front @ toes)
    up = up / (np.linalg.norm(up) + 1e-9)
    return np.stack([up, np.cross(toes, up), toes])
