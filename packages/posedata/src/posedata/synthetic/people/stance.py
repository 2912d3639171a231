"""What is done on the spot: legs bend to reach feet that stay where they are."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from posedata.synthetic.people.arms import EVERYWHERE, Weights, wandering_arms
from posedata.synthetic.people.body import DOF, Body, clamp_to_limits
from posedata.synthetic.people.course import DEGREE, Course, set_arms, trunk_angles
from posedata.synthetic.people.curves import Range, key_positions, through, uniform
from posedata.synthetic.people.kinematics import leg_angles, root_rotation


@dataclass(frozen=True)
class Stance:
    """Everything that is done on the spot: a cycle between a rest and an extreme of the pelvis and trunk,
    with planted feet, or with one foot lifted. Each clip draws its own rest and extreme. Degrees and metres,
    but `height`, of the hips above the ankles, as a share of the legs' length."""

    height: Range = (0.965, 0.99)
    fore: Range = (-0.05, 0.0)
    side: Range = (-0.05, 0.05)
    tilt: Range = (-3, 8)
    roll: Range = (-4, 4)
    yaw: Range = (-8, 8)
    spine: Range = (-5, 8)
    """Flexion of lumbar and thoracic spine each."""
    twist: Range = (-10, 10)
    width: Range = (0.05, 0.22)
    """Of the stance, beyond the hips' own breadth."""
    stagger: Range = (-0.12, 0.12)
    """How far the left foot stands before the right."""
    lift: tuple[Range, Range, Range] | None = None
    """Forward, outward and upward range of a foot that leaves the floor."""
    starts_bent: float = 0.0
    """The chance that a clip never returns to rest."""
    rate: Range = (0.5, 1.2)
    arms: Weights = field(default_factory=lambda: EVERYWHERE)

    def __call__(self, body: Body, frames: int, fps: float, generator: torch.Generator) -> Course:
        people = len(body.stature)
        position, count = key_positions(generator, people, frames, fps, self.rate)
        keys = uniform(generator, (people, count, 1), 0.6, 1.0)
        rests = torch.rand(people, 1, 1, generator=generator) >= self.starts_bent
        keys[:, ::2] *= torch.where(rests, uniform(generator, (people, 1, 1), 0.0, 0.3), 1.0)
        amount = through(keys, position)
        channels = {}
        for name in ("height", "fore", "side", "tilt", "roll", "yaw", "spine", "twist"):
            rest = uniform(generator, (people, 1), *getattr(REST, name))
            extreme = uniform(generator, (people, 1), *getattr(self, name))
            channels[name] = rest + amount[..., 0] * (extreme - rest)
        angles = trunk_angles(generator, people, frames, fps, channels["spine"])
        angles[..., DOF["thoracic_twist"]] += channels["twist"] * DEGREE
        set_arms(angles, wandering_arms(generator, people, frames, fps, self.arms))
        rotation = root_rotation(*(channels[name] * DEGREE for name in ("yaw", "tilt", "roll")))
        feet, toes = self.feet(body, amount, generator)
        return standing(body, angles, rotation, channels, feet, toes)

    def feet(self, body: Body, amount: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Ankles (B, T, 2, 3) and the directions of the toes (B, 1, 2, 3), left and right."""
        people, frames = amount.shape[:2]
        width = body.length("hip")[:, None] + uniform(generator, (people, 1), *self.width) / 2
        stagger = uniform(generator, (people, 1), *self.stagger) / 2
        signs = torch.tensor([1.0, -1.0])
        ankle = body.length("ankle")[:, None].expand(people, 2)
        feet = torch.stack([signs * stagger, signs * width, ankle], -1)[:, None].repeat(1, frames, 1, 1)
        if self.lift is not None:
            low, high = torch.tensor(self.lift).unbind(-1)
            offset = uniform(generator, (people, 1, 3), low, high) * amount
            chosen = torch.nn.functional.one_hot(torch.randint(0, 2, (people,), generator=generator), 2)
            offset = offset[:, :, None] * chosen[:, None, :, None]
            feet = feet + offset * torch.stack([torch.ones(2), signs, torch.ones(2)], -1)
        out = signs * uniform(generator, (people, 2), 0, 18) * DEGREE
        return feet, torch.stack([out.cos(), out.sin(), torch.zeros_like(out)], -1)[:, None]


REST = Stance()


def standing(
    body: Body,
    angles: Tensor,
    rotation: Tensor,
    channels: dict[str, Tensor],
    feet: Tensor,
    toes: Tensor,
) -> Course:
    """The pelvis at its height, lowered where the feet would be out of reach, and legs that reach the
    feet."""
    legs = (body.length("thigh") + body.length("shank"))[:, None]
    floor = feet[..., 2].amin(2)
    weight = torch.softmax(-feet[..., 2] / 0.05, -1)
    ground = (weight[..., None] * feet[..., :2]).sum(2)
    along = ground + torch.stack([channels["fore"], channels["side"]], -1)
    allowed = [floor + channels["height"] * legs]
    for index, sign in enumerate((1.0, -1.0)):
        hip = sign * rotation[..., 1] * body.length("hip")[:, None, None]
        across = torch.linalg.vector_norm(along + hip[..., :2] - feet[..., index, :2], dim=-1)
        rise = ((0.99 * legs) ** 2 - across**2).clamp(min=0.01).sqrt()
        allowed.append(feet[..., index, 2] + rise - hip[..., 2])
    height = -torch.logsumexp(-torch.stack(allowed) / 0.01, 0) * 0.01
    position = torch.cat([along, height[..., None]], -1)
    turned = (rotation @ rotation.new_tensor([1.0, 0.0, 0.0])) * rotation.new_tensor([1.0, 1.0, 0.0])
    angles = angles.clone()
    for index, side in enumerate(("left", "right")):
        knees = torch.nn.functional.normalize(turned, dim=-1) + toes[..., index, :]
        legs_of = leg_angles(body, side, rotation, position, feet[..., index, :], knees)
        first = DOF[f"{side}_hip_flexion"]
        angles[..., first : first + 4] = legs_of
    return Course(clamp_to_limits(angles), rotation, position)
