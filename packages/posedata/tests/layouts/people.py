"""Who is recorded: synthetic people in clothes of their own, forearms painted by side; and the truth."""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from posedata.geometry.boxes import bounding_box
from posedata.skeleton import get_skeleton
from posedata.synthetic import Flesh, generate_motion
from posedata.synthetic.flesh import PARTS, Mesh
from posedata.synthetic.people.actions import ACTIONS
from posedata.views.noise import DetectorNoise

LEFT, RIGHT = (20, 200, 40), (210, 30, 190)
"""Colours of the left and the right forearm and hand before they are lit: green, and magenta."""
_ROOM = 0.5
"""How far from the middle of the room a clip is placed, metres, along x and y."""

Key = tuple[str, str]


@dataclass
class Truth:
    """What was written, by names of the store: sequences, and pairs of sequence and camera.

    Attributes:
        folder: the source that `posedata prepare` takes.
        joints: (T, 17, 3) by sequence, Human3.6M's 17, world metres, z up, every frame that was annotated.
        pixels: (T, 17, 2) by sequence and camera, where the joints truly are, by the data set's own formula.
        detected: (T, 17, 3) by sequence and camera, pixels and confidence as the detector told them.
        visible: (T, 17) by sequence and camera, whether a joint can be seen in the picture; only of those
            that were filmed.
    """

    folder: Path
    joints: dict[str, np.ndarray] = field(default_factory=dict)
    pixels: dict[Key, np.ndarray] = field(default_factory=dict)
    detected: dict[Key, np.ndarray] = field(default_factory=dict)
    visible: dict[Key, np.ndarray] = field(default_factory=dict)


@dataclass(frozen=True)
class Painted(Flesh):
    """Flesh whose left forearm and hand are green, and the right ones magenta."""

    def mesh(self, joints: np.ndarray) -> Mesh:
        mesh = super().mesh(joints)
        colours = mesh.colours.reshape(len(PARTS), -1, 3).copy()
        for side, colour in (("left", LEFT), ("right", RIGHT)):
            colours[[part.frame == f"{side}_fore" for part in PARTS]] = colour
        return mesh._replace(colours=colours.reshape(-1, 3))


@dataclass(frozen=True)
class Person:
    """Looks, and by action what the person does: (takes, T, 17, 3), world metres, z up."""

    flesh: Flesh
    clips: dict[str, np.ndarray]


def cast(
    names: Sequence[str], frames: int, *, rate: float, seed: int, takes: int = 1, painted: bool = True
) -> dict[str, Person]:
    """People by name, all of other bodies and clothes, who do every action of `ACTIONS` in mid-room."""
    motion = generate_motion(len(names), takes * len(ACTIONS), frames, fps=rate, seed=seed)
    generator = torch.Generator().manual_seed(seed)
    joints = motion.joints.reshape(len(names), -1, frames, 17, 3)
    place = _ROOM * (2 * torch.rand(*joints.shape[:2], 1, 1, 2, generator=generator).numpy() - 1)
    joints[..., :2] += place - joints[:, :, :, :1, :2].mean(2, keepdims=True)
    action = motion.action.reshape(len(names), -1, frames)[..., 0]
    people = {}
    for number, name in enumerate(names):
        flesh = Flesh.sample(generator)
        clips = {done: joints[number, action[number] == i] for i, done in enumerate(motion.action_names)}
        people[name] = Person(Painted(flesh.colours, flesh.girth) if painted else flesh, clips)
    return people


def detect(pixels: np.ndarray, noise: DetectorNoise | None, seed: int) -> np.ndarray:
    """(T, 17, 3) pixels and confidence, as a detector with this noise would have told (T, 17, 2)."""
    given = torch.from_numpy(pixels)
    sure = torch.ones(given.shape[:2], dtype=given.dtype)
    if noise is not None:
        box = bounding_box(given, torch.ones(given.shape[:2], dtype=torch.bool), margin=0.1)
        given, sure = replace(noise, skeleton="h36m17").apply(given, box, torch.Generator().manual_seed(seed))
    return torch.cat([given, sure[..., None]], -1).numpy()


_RULES = {
    "lower_spine": {"pelvis": 0.5, "spine": 0.5}, "middle_spine": {"spine": 1},
    "upper_spine": {"spine": 0.5, "thorax": 0.5}, "spine2": {"spine": 0.8, "thorax": 0.2},
    "spine3": {"spine": 0.5, "thorax": 0.5}, "spine4": {"spine": 0.25, "thorax": 0.75},
    "clavicle": {"thorax": 0.7, "shoulder": 0.3}, "hand": {"wrist": 1.25, "elbow": -0.25},
    "foot": {"ankle": 1.1, "knee": -0.1}, "toe": {"ankle": 1.2, "knee": -0.2},
    "hand_tip": {"wrist": 1.4, "elbow": -0.4}, "thumb": {"wrist": 1.2, "elbow": -0.2},
    "shoulder_centre": {"left_shoulder": 0.5, "right_shoulder": 0.5},
    "head_centre": {"neck": 0.5, "head": 0.5},
    "torso": {"left_shoulder": 0.25, "right_shoulder": 0.25, "left_hip": 0.25, "right_hip": 0.25},
    "nose": {"neck": 1}, "eye": {"neck": 0.6, "head": 0.3, "shoulder": 0.1},
    "ear": {"neck": 0.4, "head": 0.4, "shoulder": 0.2},
}  # fmt: skip
"""Joints that Human3.6M's 17 lack, by those that it has; sided ones of their own side."""


def as_skeleton(joints: np.ndarray, name: str) -> np.ndarray:
    """(T, 17, 3) as "smpl24", "mpi_inf_3dhp28", "ntu25", "itop15" or "panoptic19", further joints made up."""
    known = get_skeleton("h36m17")
    made = []
    for joint in get_skeleton(name).joints:
        side, _, part = joint.partition("_") if joint.startswith(("left_", "right_")) else ("", "", joint)
        rule = {joint: 1} if joint in known.joints else _RULES[part]
        sided = {f"{side}_{p}" if side and p in _SIDED else p: share for p, share in rule.items()}
        made.append(sum(share * joints[:, known.index(p)] for p, share in sided.items()))
    return np.stack(made, 1)


_SIDED = ("shoulder", "elbow", "wrist", "knee", "ankle")


def seed_of(*parts: object) -> int:
    """A number that depends on these and on nothing else."""
    return zlib.crc32(" ".join(map(str, parts)).encode())


def y_up(points: np.ndarray) -> np.ndarray:
    """(x, y, z) with z up to the y-up worlds of 3DPW and MPI-INF-3DHP."""
    return np.stack([points[..., 0], points[..., 2], -points[..., 1]], -1)
