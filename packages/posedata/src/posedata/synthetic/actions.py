"""What people do: each action turns bodies and random numbers into joint angles and the pelvis's course.

An action starts at the origin, heading along x. Feet stand on the floor, z = 0, of themselves: a gait is moved
along by its lower foot, everything else bends its legs to reach feet that stay where they are.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

from posedata.synthetic.arms import ARM_DOFS, EVERYWHERE, wandering_arms
from posedata.synthetic.body import DOF, Body, clamp_to_limits
from posedata.synthetic.curves import RUN, WALK, key_positions, minimum_jerk, periodic, through, uniform
from posedata.synthetic.kinematics import forward_kinematics, leg_angles, root_rotation

Range = tuple[float, float]
_DEGREE = math.pi / 180
_LEFT_ANKLE, _RIGHT_ANKLE = 6, 3
_GRAVITY = 9.81


@dataclass
class Course:
    """Clips in the making: angles (B, T, dof) radians, pelvis rotation (B, T, 3, 3) and position (B, T, 3) metres,
    body frame to world."""

    angles: Float[Tensor, "people frames dof"]
    rotation: Float[Tensor, "people frames 3 3"]
    position: Float[Tensor, "people frames 3"]

    def joints(self, body: Body) -> Float[Tensor, "people frames 17 3"]:
        return forward_kinematics(body, self.angles, self.rotation, self.position)


Action = Callable[[Body, int, float, torch.Generator], Course]


@dataclass(frozen=True)
class Gait:
    """Walking and its relatives. Angles in degrees; cadence in strides a second; `turning` in degrees a second."""

    legs: dict[str, tuple[float, ...]]
    cadence: Range
    stride: Range
    """Factor on the hips' swing about its mean."""
    lean: Range
    turning: float
    swing: Range
    """Amplitude of the shoulders."""
    elbow: Range
    aloft: float = 0.0
    """Share of a cycle in flight."""
    arms: dict[str, float] = field(default_factory=lambda: EVERYWHERE)

    def __call__(self, body: Body, frames: int, fps: float, generator: torch.Generator) -> Course:
        people = len(body.stature)

        def draw(low: float, high: float) -> Tensor:
            return uniform(generator, (people, 1), low, high)

        time = torch.arange(frames) / fps
        phase = draw(0, 1) + draw(*self.cadence) * time
        angles = _trunk(generator, people, frames, fps, draw(*self.lean), amount=0.5)
        stride, bend = draw(*self.stride), draw(0.85, 1.15)
        for side, offset in (("left", 0.0), ("right", 0.5)):
            hip = periodic(self.legs["hip"], phase + offset)
            angles[..., DOF[f"{side}_hip_flexion"]] = (10 + stride * (hip - 10)) * _DEGREE
            knee = periodic(self.legs["knee"], phase + offset) * bend * (0.4 + 0.6 * stride)
            angles[..., DOF[f"{side}_knee_flexion"]] = knee * _DEGREE
            angles[..., DOF[f"{side}_hip_abduction"]] = draw(-2, 4) * _DEGREE
        turn = 2 * math.pi * phase
        arms = _counter_swing(turn, draw(*self.swing), draw(*self.elbow))
        free = wandering_arms(generator, people, frames, fps, self.arms)
        engaged = (torch.rand(people, 1, 2, 1, generator=generator) < 0.4).float()
        _set_arms(angles, arms + engaged * (free - arms))
        swing = 4 * _DEGREE * stride * turn.sin()
        angles[..., DOF["thoracic_twist"]] += 2 * swing
        heading = _wander(generator, people, frames, fps, self.turning * _DEGREE) - swing
        rotation = root_rotation(
            heading, draw(-2, 6) * _DEGREE * torch.ones(frames), 2 * _DEGREE * turn.cos()
        )
        course = Course(clamp_to_limits(angles), rotation, torch.zeros(people, frames, 3))
        return _moved_by_feet(body, course, fps, self._flight(phase, draw(0.5, 1)), smooth=self.aloft > 0)

    def _flight(self, phase: Tensor, height: Tensor) -> Tensor:
        """How far the lower foot is off the floor: twice a stride, after each push-off."""
        if not self.aloft:
            return torch.zeros_like(phase)
        s = ((2 * phase - 0.75) % 1.0) / (2 * self.aloft)
        return 0.09 * height * torch.where(s < 1, (4 * s * (1 - s)).clamp(min=0) ** 2, 0.0)


@dataclass(frozen=True)
class Stance:
    """Everything that is done on the spot: a cycle between a rest and an extreme of the pelvis and trunk, with
    planted feet, or with one foot lifted. Each clip draws its own rest and extreme. Degrees and metres, but
    `height`, of the hips above the ankles, as a share of the legs' length."""

    height: Range = (0.94, 0.985)
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
    arms: dict[str, float] = field(default_factory=lambda: EVERYWHERE)

    def __call__(self, body: Body, frames: int, fps: float, generator: torch.Generator) -> Course:
        people = len(body.stature)
        position, count = key_positions(generator, people, frames, fps, self.rate)
        keys = uniform(generator, (people, count, 1), 0.6, 1.0)
        rests = torch.rand(people, 1, 1, generator=generator) >= self.starts_bent
        keys[:, ::2] *= torch.where(rests, uniform(generator, (people, 1, 1), 0.0, 0.3), 1.0)
        amount = through(keys, position)
        channels = {}
        for name in ("height", "fore", "side", "tilt", "roll", "yaw", "spine", "twist"):
            rest = uniform(generator, (people, 1), *getattr(_REST, name))
            extreme = uniform(generator, (people, 1), *getattr(self, name))
            channels[name] = rest + amount[..., 0] * (extreme - rest)
        angles = _trunk(generator, people, frames, fps, channels["spine"])
        angles[..., DOF["thoracic_twist"]] += channels["twist"] * _DEGREE
        _set_arms(angles, wandering_arms(generator, people, frames, fps, self.arms))
        rotation = root_rotation(*(channels[name] * _DEGREE for name in ("yaw", "tilt", "roll")))
        feet, toes = self._feet(body, amount, generator)
        return _standing(body, angles, rotation, channels, feet, toes)

    def _feet(self, body: Body, amount: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
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
        out = signs * uniform(generator, (people, 2), 0, 18) * _DEGREE
        return feet, torch.stack([out.cos(), out.sin(), torch.zeros_like(out)], -1)[:, None]


_REST = Stance()


@dataclass(frozen=True)
class Jump:
    """Crouch, spring, fly, land, again and again; on the spot or onwards."""

    cycle: Range = (1.2, 1.8)
    travel: Range = (-0.1, 0.6)

    def __call__(self, body: Body, frames: int, fps: float, generator: torch.Generator) -> Course:
        people = len(body.stature)

        def draw(low: float, high: float) -> Tensor:
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
        angles = _trunk(generator, people, frames, fps, 4 + 14 * low)
        free = wandering_arms(generator, people, frames, fps, EVERYWHERE)
        back, up = draw(-50, -10), draw(20, 170)
        flexion = _at_knots(phase % 1, knots, torch.cat([0 * up, back, up, up * 0.6, up * 0.3, 0 * up], -1))
        spread, elbow = draw(5, 40), draw(5, 60)
        arm = torch.stack([flexion, spread + 0 * flexion, 0 * flexion, elbow + 0 * flexion], -1) * _DEGREE
        engaged = (torch.rand(people, 1, 1, 1, generator=generator) < 0.35).float()
        _set_arms(angles, arm[:, :, None] + engaged * (free - arm[:, :, None]))
        rotation = root_rotation(
            torch.zeros_like(low), (4 + draw(10, 30) * low) * _DEGREE, torch.zeros_like(low)
        )
        feet, toes = _REST._feet(body, torch.zeros(people, frames, 1), generator)
        feet = feet + lift[..., None, None] * torch.tensor([0.0, 0.0, 1.0])
        course = _standing(body, angles, rotation, channels, feet, toes)
        course.position[..., 0] += along
        return course


ACTIONS: dict[str, Action] = {
    "walk": Gait(WALK, (0.7, 1.1), (0.6, 1.25), (-2, 8), 25, (8, 32), (10, 40)),
    "run": Gait(RUN, (1.15, 1.5), (0.7, 1.15), (4, 14), 25, (20, 45), (60, 105), aloft=0.13),
    "turn": Gait(WALK, (0.6, 1.0), (0.05, 0.3), (-3, 10), 110, (0, 15), (10, 60)),
    "wave": Stance(arms={"hang": 2, "high": 2, "side": 2, "bent": 0.5}, rate=(0.4, 1.0)),
    "reach": Stance(
        height=(0.8, 0.985), tilt=(-5, 30), roll=(-12, 12), yaw=(-35, 35), spine=(-8, 20), twist=(-30, 30),
        fore=(-0.12, 0.08), side=(-0.12, 0.12), stagger=(-0.3, 0.3), arms={"front": 3, "high": 2, "side": 1, "hang": 1},
    ),
    "gesture": Stance(twist=(-25, 25), yaw=(-20, 20), rate=(0.4, 1.0)),
    "sit": Stance(
        height=(0.4, 0.58), fore=(-0.42, -0.3), tilt=(-18, 15), spine=(-5, 22), width=(0.0, 0.3), starts_bent=0.6,
        twist=(-20, 20), stagger=(-0.15, 0.15), rate=(0.3, 0.8),
    ),
    "squat": Stance(
        height=(0.38, 0.75), fore=(-0.22, -0.08), tilt=(5, 45), spine=(-5, 18), width=(0.08, 0.4),
        arms={"front": 3, "high": 1, "hang": 1, "side": 1, "bent": 1},
    ),
    "bend": Stance(
        height=(0.86, 0.97), fore=(-0.2, -0.08), tilt=(20, 75), roll=(-10, 10), spine=(5, 32), twist=(-25, 25),
        arms={"front": 3, "hang": 1, "side": 1, "bent": 0.5, "high": 0.7},
    ),
    "lunge": Stance(
        height=(0.55, 0.85), stagger=(0.5, 0.95), fore=(-0.08, 0.1), tilt=(-5, 25), side=(-0.03, 0.03), width=(-0.05, 0.15),
        twist=(-20, 20),
    ),
    "straddle": Stance(height=(0.6, 0.95), width=(0.4, 0.8), side=(-0.2, 0.2), tilt=(0, 40), roll=(-15, 15)),
    "kick": Stance(lift=((-0.45, 0.7), (0.0, 0.4), (0.12, 0.6)), tilt=(-15, 20), roll=(-8, 8), rate=(0.7, 1.5)),
    "jump": Jump(),
    "free": Stance(
        height=(0.5, 0.98), fore=(-0.2, 0.1), side=(-0.15, 0.15), tilt=(-12, 50), roll=(-15, 15), yaw=(-40, 40),
        spine=(-12, 28), twist=(-30, 30), width=(0.0, 0.5), stagger=(-0.5, 0.5), starts_bent=0.5, rate=(0.4, 1.3),
    ),
}  # fmt: skip


def _trunk(
    generator: torch.Generator, people: int, frames: int, fps: float, flexion: Tensor, amount: float = 1.0
) -> Tensor:
    """Angles (B, T, dof): spine flexed by `flexion` degrees in each half, small movements, a head that looks about."""
    wide = {"lumbar": 4, "thoracic": 8, "neck": 28}
    position, count = key_positions(generator, people, frames, fps, (0.4, 1.2))
    keys = uniform(generator, (people, count, 9), -1, 1)
    moves = amount * through(keys, position)
    angles = torch.zeros(people, frames, len(DOF))
    for i, (part, degrees) in enumerate(wide.items()):
        for j, name in enumerate(("flexion", "bend", "twist")):
            angles[..., DOF[f"{part}_{name}"]] = degrees * _DEGREE * moves[..., 3 * i + j]
    for part in ("lumbar", "thoracic"):
        angles[..., DOF[f"{part}_flexion"]] += flexion * _DEGREE
    return angles


def _set_arms(angles: Tensor, arms: Tensor) -> None:
    for index, side in enumerate(("left", "right")):
        angles[..., ARM_DOFS[side]] = arms[..., index, :]


def _counter_swing(turn: Tensor, amplitude: Tensor, elbow: Tensor) -> Tensor:
    """Arms (B, T, 2, 4) in step with the other side's leg, which is foremost at turn = 0 for the left."""
    arms = []
    for sign in (-1.0, 1.0):
        flexion = sign * amplitude * turn.cos()
        bent = elbow + 0.5 * (flexion + amplitude)
        arms.append(torch.stack([flexion, 8 + 0 * flexion, 10 + 0 * flexion, bent], -1))
    return torch.stack(arms, 2) * _DEGREE


def _wander(generator: torch.Generator, people: int, frames: int, fps: float, rate: float) -> Tensor:
    """Heading (B, T) in radians whose speed wanders within +-rate radians a second."""
    position, count = key_positions(generator, people, frames, fps, (0.2, 0.6))
    speed = through(uniform(generator, (people, count, 1), -rate, rate), position)[..., 0]
    return speed.cumsum(-1) / fps


def _at_knots(phase: Tensor, knots: Tensor, values: Tensor) -> Tensor:
    """Minimum-jerk movement (B, T) between values (B, K) at knots (K,) of a cycle."""
    index = (torch.bucketize(phase, knots, right=True) - 1).clamp(0, len(knots) - 2)
    step = minimum_jerk((phase - knots[index]) / (knots[index + 1] - knots[index]))
    start, end = values.gather(1, index), values.gather(1, index + 1)
    return start + step * (end - start)


def _moved_by_feet(body: Body, course: Course, fps: float, lift: Tensor, smooth: bool) -> Course:
    """The pelvis set so that the lower ankle stays where it is, `lift` above its height when standing."""
    feet = course.joints(body)[:, :, [_LEFT_ANKLE, _RIGHT_ANKLE]]
    height = feet[..., 2]
    lowest = -torch.logsumexp(-height / 0.01, -1) * 0.01
    weight = torch.softmax(-height / 0.012, -1)
    weight = (weight[:, 1:] + weight[:, :-1]) / 2
    step = -(weight[..., None] * feet.diff(dim=1)[..., :2]).sum(2)
    if smooth:
        window = 2 * round(0.18 * fps / 2) + 1
        padded = torch.nn.functional.pad(step.transpose(1, 2), (window // 2,) * 2, mode="replicate")
        step = torch.nn.functional.avg_pool1d(padded, window, stride=1).transpose(1, 2)
    along = torch.nn.functional.pad(step.cumsum(1), (0, 0, 1, 0))
    up = body.length("ankle")[:, None] - lowest + lift
    return Course(course.angles, course.rotation, torch.cat([along, up[..., None]], -1))


def _standing(
    body: Body,
    angles: Tensor,
    rotation: Tensor,
    channels: dict[str, Tensor],
    feet: Tensor,
    toes: Tensor,
) -> Course:
    """The pelvis at its height, lowered where the feet would be out of reach, and legs that reach the feet."""
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
