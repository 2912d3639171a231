"""Where arms go: families of shoulder and elbow angles, and how the hands of an action wander among them."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from posedata.synthetic.people.body import DOF
from posedata.synthetic.people.curves import Range, key_positions, through, uniform

Weights = dict[str, float | int]

FAMILIES: dict[str, tuple[Range, ...]] = {
    #            elevation    plane        rotation    elbow
    "hang": ((3, 22), (-30, 80), (-20, 40), (3, 45)),
    "front": ((35, 125), (55, 110), (-60, 60), (0, 90)),
    "side": ((35, 125), (-25, 45), (-80, 50), (0, 110)),
    "high": ((115, 170), (0, 95), (-60, 60), (0, 100)),
    "bent": ((5, 65), (20, 100), (0, 70), (80, 145)),
    "across": ((50, 100), (95, 125), (-10, 60), (30, 120)),
    "back": ((10, 52), (-95, -60), (-20, 60), (0, 80)),
}
"""Ranges in degrees. Plane is the direction of elevation: 0 sideways, 90 forward, above that across the
chest."""

EVERYWHERE: Weights = {
    "hang": 1.0,
    "front": 1.5,
    "side": 1.2,
    "high": 1.2,
    "bent": 1.2,
    "across": 0.7,
    "back": 0.5,
}
"""Weights of the families for an action that leaves the arms free."""

SAFE = (math.radians(15), math.radians(55), 0.0, math.radians(20))
"""Shoulder flexion, abduction, rotation and elbow flexion of an arm that touches nothing, whatever the legs
do."""

ARM_DOFS = {
    side: [
        DOF[f"{side}_{name}"]
        for name in ("shoulder_flexion", "shoulder_abduction", "shoulder_rotation", "elbow_flexion")
    ]
    for side in ("left", "right")
}


def sample_arms(
    generator: torch.Generator, shape: tuple[int, ...], weights: Weights
) -> Float[Tensor, "*shape 4"]:
    """Shoulder flexion, abduction, rotation and elbow flexion (radians) of arms drawn from weighted
    families."""
    ranges = torch.tensor([FAMILIES[name] for name in weights]) * (math.pi / 180)
    chances = torch.tensor(list(weights.values()), dtype=torch.float32)
    count = math.prod(shape)
    family = torch.multinomial(chances, count, replacement=True, generator=generator)
    low, high = ranges[family].unbind(-1)
    elevation, plane, rotation, elbow = uniform(generator, (count, 4), low, high).unbind(-1)
    arms = torch.stack([elevation * plane.sin(), elevation * plane.cos(), rotation, elbow], -1)
    return arms.reshape(*shape, 4)


def wandering_arms(
    generator: torch.Generator,
    people: int,
    frames: int,
    fps: float,
    weights: Weights,
    rate: Range = (0.5, 1.6),
) -> Float[Tensor, "people frames 2 4"]:
    """Both arms (left, right) moving from pose to pose; about every other pose the two do alike."""
    position, count = key_positions(generator, people, frames, fps, rate)
    keys = sample_arms(generator, (people, count, 2), weights)
    alike = torch.rand(people, count, generator=generator) < 0.4
    keys[alike] = keys[alike][:, :1] + uniform(generator, (int(alike.sum()), 2, 4), -0.1, 0.1)
    return through(keys.flatten(2), position).unflatten(-1, (2, 4))
