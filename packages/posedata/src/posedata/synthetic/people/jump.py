"""Jumping: crouch, spring, fly, land."""

from dataclasses import dataclass

import torch
from torch import Tensor

from posedata.synthetic.people.arms import EVERYWHERE, wandering_arms
from posedata.synthetic.people.body import Body
from posedata.synthetic.people.course import DEGREE, Course, set_arms, trunk_angles
from posedata.synthetic.people.curves import Range, minimum_jerk, uniform
from posedata.synthetic.people.kinematics import root_rotation
from posedata.synthetic.people.stance import REST, standing

_GRAVITY = 9.81


@dataclass(frozen=True)
class Jump:
    """Crouch, spring, fly, land, again and again; on the spot or onwards."""

    cycle: Range = (1.3, 1.9)
    travel: Range = (-0.1, 0.6)

    def __call__(self, body: Body, frames: int, fps: float, generator: torch.Generator) -> Course:
        people = len(body.stature)

        def draw(low: float | int, high: float | int) -> Tensor:
            return uniform(generator, (people, 1), low, high)

        cycle, crouch = draw(*self.cycle), draw(0.6, 0.85)
        phase = draw(0, 1) + torch.arange(frames) / fps / cycle
        knots, rest = torch.tensor([0.0, 0.30, 0.46, 0.70, 0.80, 1.0]), torch.full_like(crouch, 0.97)
        bent = torch.stack([rest, crouch, rest + 0.015, rest, (crouch + rest) / 2, rest], -1)
        height = _at_knots(phase % 1, knots, bent[:, 0])
        flying = ((phase % 1 - 0.46) / 0.24).clamp(0, 1)
        lift = _GRAVITY * (0.24 * cycle) ** 2 / 8 * 4 * flying * (1 - flying)
        along = draw(*self.travel) * (phase.floor() + flying - phase[:, :1].floor())
        low = 1 - (height - crouch) / (rest - crouch)
        channels = {"height": height, "fore": -0.12 * low, "side": torch.zeros_like(low)}
        angles = trunk_angles(generator, people, frames, fps, 4 + 14 * low)
        free = wandering_arms(generator, people, frames, fps, EVERYWHERE)
        back, up = draw(-35, -5), draw(20, 150)
        swing = torch.tensor([0.0, 0.24, 0.52, 0.72, 0.85, 1.0])
        flexion = _at_knots(phase % 1, swing, torch.cat([0 * up, back, up, up * 0.6, up * 0.3, 0 * up], -1))
        spread, elbow = draw(5, 40), draw(5, 60)
        arm = torch.stack([flexion, spread + 0 * flexion, 0 * flexion, elbow + 0 * flexion], -1) * DEGREE
        engaged = (torch.rand(people, 1, 1, 1, generator=generator) < 0.35).float()
        set_arms(angles, arm[:, :, None] + engaged * (free - arm[:, :, None]))
        rotation = root_rotation(
            torch.zeros_like(low), (4 + draw(10, 30) * low) * DEGREE, torch.zeros_like(low)
        )
        feet, toes = REST.feet(body, torch.zeros(people, frames, 1), generator)
        feet = feet + lift[..., None, None] * torch.tensor([0.0, 0.0, 1.0])
        course = standing(body, angles, rotation, channels, feet, toes)
        course.position[..., 0] += along
        return course


def _at_knots(phase: Tensor, knots: Tensor, values: Tensor) -> Tensor:
    """Minimum-jerk movement (B, T) between values (B, K) at knots (K,) of a cycle."""
    index = (torch.bucketize(phase, knots, right=True) - 1).clamp(0, len(knots) - 2)
    step = minimum_jerk((phase - knots[index]) / (knots[index + 1] - knots[index]))
    start, end = values.gather(1, index), values.gather(1, index + 1)
    return start + step * (end - start)
