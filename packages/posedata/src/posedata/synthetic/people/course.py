"""Clips in the making: what every action has in common."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from posedata.synthetic.people.arms import ARM_DOFS
from posedata.synthetic.people.body import DOF, Body
from posedata.synthetic.people.curves import key_positions, through, uniform
from posedata.synthetic.people.kinematics import forward_kinematics

DEGREE = math.pi / 180


@dataclass
class Course:
    """Clips in the making: angles (B, T, dof) radians, pelvis rotation (B, T, 3, 3) and position (B, T, 3)
    metres, body frame to world."""

    angles: Float[Tensor, "people frames dof"]
    rotation: Float[Tensor, "people frames 3 3"]
    position: Float[Tensor, "people frames 3"]

    def joints(self, body: Body) -> Float[Tensor, "people frames 17 3"]:
        return forward_kinematics(body, self.angles, self.rotation, self.position)


Action = Callable[[Body, int, float, torch.Generator], Course]
"""(body of each clip, frames, frames a second, generator) -> one clip a body: it starts at the origin and
heads along x; the floor is z = 0."""


def trunk_angles(
    generator: torch.Generator, people: int, frames: int, fps: float, flexion: Tensor, amount: float = 1.0
) -> Tensor:
    """Angles (B, T, dof): spine flexed by `flexion` degrees in each half, small movements, a head that looks
    about."""
    wide = {"lumbar": 4, "thoracic": 8, "neck": 28}
    position, count = key_positions(generator, people, frames, fps, (0.4, 1.2))
    keys = uniform(generator, (people, count, 9), -1, 1)
    moves = amount * through(keys, position)
    angles = torch.zeros(people, frames, len(DOF))
    for i, (part, degrees) in enumerate(wide.items()):
        for j, name in enumerate(("flexion", "bend", "twist")):
            angles[..., DOF[f"{part}_{name}"]] = degrees * DEGREE * moves[..., 3 * i + j]
    for part in ("lumbar", "thoracic"):
        angles[..., DOF[f"{part}_flexion"]] += flexion * DEGREE
    return angles


def set_arms(angles: Tensor, arms: Tensor) -> None:
    for index, side in enumerate(("left", "right")):
        angles[..., ARM_DOFS[side]] = arms[..., index, :]
