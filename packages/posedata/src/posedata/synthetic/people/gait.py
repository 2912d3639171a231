"""Walking, running, turning: legs by the tables of the gait cycle, moved along by the foot that stands."""

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor

from posedata.skeleton import get_skeleton
from posedata.synthetic.people.arms import EVERYWHERE, Weights, wandering_arms
from posedata.synthetic.people.body import DOF, Body, clamp_to_limits
from posedata.synthetic.people.course import DEGREE, Course, set_arms, trunk_angles
from posedata.synthetic.people.curves import Range, Table, key_positions, periodic, through, uniform
from posedata.synthetic.people.kinematics import root_rotation

_ANKLES = [get_skeleton("h36m17").index(f"{side}_ankle") for side in ("left", "right")]


@dataclass(frozen=True)
class Gait:
    """Walking and its relatives. Angles in degrees; cadence in strides a second; `turning` in degrees a
    second."""

    legs: Table
    cadence: Range
    stride: Range
    """Factor on the hips' swing about its mean."""
    lean: Range
    turning: float | int
    swing: Range
    """Amplitude of the shoulders."""
    elbow: Range
    aloft: float = 0.0
    """Share of a cycle in flight."""
    arms: Weights = field(default_factory=lambda: EVERYWHERE)

    def __call__(self, body: Body, frames: int, fps: float, generator: torch.Generator) -> Course:
        people = len(body.stature)

        def draw(low: float | int, high: float | int) -> Tensor:
            return uniform(generator, (people, 1), low, high)

        time = torch.arange(frames) / fps
        phase = draw(0, 1) + draw(*self.cadence) * time
        angles = trunk_angles(generator, people, frames, fps, draw(*self.lean), amount=0.5)
        stride, bend = draw(*self.stride), draw(0.85, 1.15)
        for side, offset in (("left", 0.0), ("right", 0.5)):
            hip = periodic(self.legs["hip"], phase + offset)
            angles[..., DOF[f"{side}_hip_flexion"]] = (10 + stride * (hip - 10)) * DEGREE
            knee = periodic(self.legs["knee"], phase + offset) * bend * (0.4 + 0.6 * stride)
            angles[..., DOF[f"{side}_knee_flexion"]] = knee * DEGREE
            angles[..., DOF[f"{side}_hip_abduction"]] = draw(-2, 4) * DEGREE
        turn = 2 * math.pi * phase
        arms = _counter_swing(turn, draw(*self.swing), draw(*self.elbow))
        free = wandering_arms(generator, people, frames, fps, self.arms)
        engaged = (torch.rand(people, 1, 2, 1, generator=generator) < 0.4).float()
        set_arms(angles, arms + engaged * (free - arms))
        swing = 4 * DEGREE * stride * turn.sin()
        angles[..., DOF["thoracic_twist"]] += 2 * swing
        heading = _wander(generator, people, frames, fps, self.turning * DEGREE) - swing
        rotation = root_rotation(heading, draw(-2, 6) * DEGREE * torch.ones(frames), 2 * DEGREE * turn.cos())
        course = Course(clamp_to_limits(angles), rotation, torch.zeros(people, frames, 3))
        return _moved_by_feet(body, course, fps, self._flight(phase, draw(0.5, 1)))

    def _flight(self, phase: Tensor, height: Tensor) -> Tensor:
        """How far the lower foot is off the floor: twice a stride, after each push-off."""
        if not self.aloft:
            return torch.zeros_like(phase)
        s = ((2 * phase - 0.75) % 1.0) / (2 * self.aloft)
        return 0.09 * height * torch.where(s < 1, (4 * s * (1 - s)).clamp(min=0) ** 2, 0.0)


def _counter_swing(turn: Tensor, amplitude: Tensor, elbow: Tensor) -> Tensor:
    """Arms (B, T, 2, 4) in step with the other side's leg, which is foremost at turn = 0 for the left."""
    arms = []
    for sign in (-1.0, 1.0):
        flexion = sign * amplitude * turn.cos()
        bent = elbow + 0.5 * (flexion + amplitude)
        arms.append(torch.stack([flexion, 8 + 0 * flexion, 10 + 0 * flexion, bent], -1))
    return torch.stack(arms, 2) * DEGREE


def _wander(generator: torch.Generator, people: int, frames: int, fps: float, rate: float | int) -> Tensor:
    """Heading (B, T) in radians whose speed wanders within +-rate radians a second."""
    position, count = key_positions(generator, people, frames, fps, (0.2, 0.6))
    speed = through(uniform(generator, (people, count, 1), -rate, rate), position)[..., 0]
    return speed.cumsum(-1) / fps


def _moved_by_feet(body: Body, course: Course, fps: float, lift: Tensor) -> Course:
    """The pelvis set so that the lower ankle stays where it is, `lift` above its height when standing."""
    feet = course.joints(body)[:, :, _ANKLES]
    height = feet[..., 2]
    lowest = -torch.logsumexp(-height / 0.01, -1) * 0.01
    weight = torch.softmax(-height / 0.012, -1)
    weight = (weight[:, 1:] + weight[:, :-1]) / 2
    step = -(weight[..., None] * feet.diff(dim=1)[..., :2]).sum(2)
    if lift.any():
        flying = (lift[:, 1:] / lift.amax(1, keepdim=True).clamp_min(1e-9))[..., None]
        step = _average(step + flying * (_average(step, round(0.5 * fps)) - step), round(0.05 * fps))
    along = torch.nn.functional.pad(step.cumsum(1), (0, 0, 1, 0))
    up = body.length("ankle")[:, None] - lowest + lift
    return Course(course.angles, course.rotation, torch.cat([along, up[..., None]], -1))


def _average(steps: Tensor, reach: int) -> Tensor:
    """Mean over `reach` frames on either side of (B, T, C)."""
    padded = torch.nn.functional.pad(steps.transpose(1, 2), (reach, reach), mode="replicate")
    return torch.nn.functional.avg_pool1d(padded, 2 * reach + 1, stride=1).transpose(1, 2)
