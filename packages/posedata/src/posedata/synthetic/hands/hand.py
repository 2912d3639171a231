"""The synthetic hand: bone lengths, joint limits, poses drawn within them, forward kinematics.

A right hand's frame: origin at the wrist, x towards the knuckle of the middle finger, y towards the thumb,
z out of the back of the hand. Joints of one hand come in InterHand2.6M's order: thumb, index, middle, ring,
little, each from its tip to its base, then the wrist. A left hand is the mirror image, y negated.
"""

import math

import torch
from jaxtyping import Bool, Float
from roma import euler_to_rotmat, rotvec_to_rotmat
from torch import Tensor

from posedata.synthetic.people.collision import segment_distance

FINGERS = ("thumb", "index", "middle", "ring", "little")

LENGTHS_MM = {
    "thumb": (30.0, 46.22, 31.57, 27.34),
    "index": (87.1, 39.78, 22.38, 19.66),
    "middle": (83.6, 44.63, 26.33, 21.35),
    "ring": (77.0, 41.37, 25.65, 21.25),
    "little": (72.7, 32.74, 18.11, 19.69),
}
"""Wrist to base, and the three segments to the tip. Bones: Buryanov and Kotiuk, Proportions of hand segments,
Int. J. Morphology 28(3), 2010, tables of mean lengths; the last has the soft tissue of the tip with it, the
first of a finger is its metacarpal and 19 mm of carpus, of the thumb 30 mm of carpus: our choice."""

SIZE_SPREAD, SEGMENT_SPREAD = 0.07, 0.04
"""Standard deviations of a hand's size and of each segment beside it, as shares."""

LIMITS_DEGREES = {
    "finger": ((-10.0, 90.0), (-15.0, 15.0), (0.0, 110.0), (0.0, 80.0)),
    "thumb": ((-15.0, 25.0), (-20.0, 25.0), (-5.0, 55.0), (-10.0, 80.0)),
}
"""Flexion and abduction of the first joint, flexion of the second and of the third. Fingers: Lin, Wu and
Huang, Modeling the constraints of human hand motion, 2000, equations 1 and 2, with 10 degrees of extension
at the knuckle; thumb: about the ranges of the AAOS (Joint Motion, 1965)."""

DIP_OF_PIP = 2 / 3
"""The last joint of a finger bends by two thirds of the middle one: Lin, Wu and Huang 2000, equation 3."""

_BASE_DEGREES = {
    "thumb": (42.0, -34.0),
    "index": (15.5, -4.5),
    "middle": (0.0, 0.0),
    "ring": (-15.5, -1.0),
    "little": (-30.5, -5.0),
}
_REST_DEGREES = {
    "thumb": (45.0, -20.0, -65.0),
    "index": (4.0, 0.0, -8.0),
    "middle": (0.0, 0.0, 0.0),
    "ring": (-4.0, 0.0, 10.0),
    "little": (-10.0, 0.0, 18.0),
}
"""Azimuth and elevation of wrist to base; azimuth, elevation and roll of a straight finger's frame: how the
palm arches and that fingers converge when they bend. Chosen, by looking at hands."""

RADII_MM = {
    "thumb": (11.0, 11.5, 9.5, 8.5),
    "index": (10.0, 9.0, 8.0, 7.0),
    "middle": (10.0, 9.0, 8.0, 7.0),
    "ring": (10.0, 8.5, 7.5, 6.5),
    "little": (9.5, 7.5, 6.5, 6.0),
}
"""Half thicknesses of the segments of `LENGTHS_MM`, in the same order; chosen."""

_GIVE_MM = 3.0
"""Flesh gives: overlaps up to this depth are allowed."""


def sample_lengths(count: int, generator: torch.Generator) -> Float[Tensor, "count 5 4"]:
    """Segments of ``count`` hands, metres: one size a hand, and a spread of every segment."""
    mean = torch.tensor([LENGTHS_MM[finger] for finger in FINGERS]) / 1000
    size = torch.randn(count, 1, 1, generator=generator).clamp(-2.5, 2.5)
    spread = torch.randn(count, 5, 4, generator=generator).clamp(-2.5, 2.5)
    return mean * (1 + SIZE_SPREAD * size) * (1 + SEGMENT_SPREAD * spread)


def limits() -> Float[Tensor, "5 4 2"]:
    """Lowest and highest angle of every finger's four degrees of freedom, radians."""
    rows = [LIMITS_DEGREES["thumb" if finger == "thumb" else "finger"] for finger in FINGERS]
    return torch.tensor(rows) * (math.pi / 180)


def sample_angles(count: int, generator: torch.Generator) -> Float[Tensor, "count 5 4"]:
    """Flexion, abduction, flexion, flexion of every finger, radians, within `limits`.

    Half of the hands close as a whole, from flat to a fist, the other half finger by finger.
    """

    def noise(*shape: int) -> Tensor:
        return torch.randn(count, *shape, generator=generator)

    def uniform(*shape: int) -> Tensor:
        return torch.rand(count, *shape, generator=generator)

    together, alone = uniform(1, 1), uniform(5, 1)
    closed = torch.where(uniform(1, 1) < 0.5, together + 0.1 * noise(5, 1), alone)
    share = (closed + 0.12 * noise(5, 4)).clamp(0, 1)
    share[..., 1] = 0.5 + (uniform(5) - 0.5) * (1 - 0.8 * closed[..., 0].clamp(0, 1))
    low, high = limits().unbind(-1)
    angles = low + (high - low) * share
    coupled = DIP_OF_PIP * angles[:, 1:, 2] + math.radians(5) * noise(4)
    angles[:, 1:, 3] = torch.minimum(torch.maximum(coupled, low[1:, 3]), high[1:, 3])
    return angles


def forward_kinematics(
    lengths: Float[Tensor, "*batch 5 4"], angles: Float[Tensor, "*batch 5 4"]
) -> Float[Tensor, "*batch 21 3"]:
    """Joints of right hands in their own frame, metres; mirror y for left hands."""
    first, abduction, second, third = angles.unbind(-1)
    rest = _rest_frames(lengths)
    flexion = torch.stack([first, first + second, first + second + third], -1)
    # all joints of a finger bend about one axis, so their angles add
    planar = torch.stack([flexion.cos(), torch.zeros_like(flexion), -flexion.sin()], -1)
    turned = (rest @ _about_z(abduction))[..., None, :, :] @ planar[..., None]
    steps = torch.cat([_directions(lengths)[:, None].expand_as(turned[..., :1, :, 0]), turned[..., 0]], -2)
    joints = (steps * lengths[..., None]).cumsum(-2).flip(-2)
    wrist = torch.zeros_like(joints[..., :1, 0, :])
    return torch.cat([joints.flatten(-3, -2), wrist], -2)


def segments(joints: Float[Tensor, "*batch 21 3"]) -> Float[Tensor, "*batch 20 2 3"]:
    """The ends of every segment, nearer the wrist first, in the order of `LENGTHS_MM`."""
    chains = joints[..., :20, :].unflatten(-2, (5, 4)).flip(-2)
    wrist = joints[..., None, 20:, :].expand_as(chains[..., :1, :])
    starts = torch.cat([wrist, chains[..., :-1, :]], -2)
    return torch.stack([starts, chains], -2).flatten(-4, -3)


def radii() -> Float[Tensor, " 20"]:
    """Half the thickness of every segment, metres."""
    return torch.tensor([RADII_MM[finger] for finger in FINGERS]).flatten() / 1000


def penetration(
    one: Float[Tensor, "*batch 21 3"], other: Float[Tensor, "*batch 21 3"]
) -> Float[Tensor, "*batch"]:
    """How deep two hands run into each other at worst, metres; negative where they are apart."""
    a, b = segments(one)[..., :, None, :, :], segments(other)[..., None, :, :, :]
    gap = segment_distance(*torch.broadcast_tensors(a, b))
    return (radii()[:, None] + radii() - gap).amax((-2, -1))


def self_collides(joints: Float[Tensor, "*batch 21 3"]) -> Bool[Tensor, "*batch"]:
    """Whether fingers run through each other or into the palm by more than flesh gives."""
    bones, thick = segments(joints), radii()
    one, other = _SELF_PAIRS.T
    gap = segment_distance(bones[..., one, :, :], bones[..., other, :, :])
    return ((thick[one] + thick[other] - gap) > _GIVE_MM / 1000).any(-1)


def sample_hands(count: int, generator: torch.Generator) -> Float[Tensor, "count 21 3"]:
    """Right hands in their own frame, none of which collides with itself."""
    kept: list[Tensor] = []
    while sum(map(len, kept)) < count:
        joints = forward_kinematics(sample_lengths(count, generator), sample_angles(count, generator))
        kept.append(joints[~self_collides(joints)])
    return torch.cat(kept)[:count]


def _self_pairs() -> Tensor:
    """Segments of different fingers; of the palm only against the last two segments of a finger."""
    pairs = []
    for i in range(20):
        for j in range(i):
            palm = i % 4 == 0 or j % 4 == 0
            if i // 4 != j // 4 and (not palm or max(i % 4, j % 4) >= 2):
                pairs.append((i, j))
    return torch.tensor(pairs)


_SELF_PAIRS = _self_pairs()


def _directions(like: Tensor) -> Float[Tensor, "5 3"]:
    azimuth, elevation = like.new_tensor([_BASE_DEGREES[f] for f in FINGERS]).deg2rad().unbind(-1)
    flat = elevation.cos()
    return torch.stack([flat * azimuth.cos(), flat * azimuth.sin(), elevation.sin()], -1)


def _rest_frames(like: Tensor) -> Float[Tensor, "5 3 3"]:
    azimuth, elevation, roll = like.new_tensor([_REST_DEGREES[f] for f in FINGERS]).deg2rad().unbind(-1)
    return euler_to_rotmat("ZYX", torch.stack([azimuth, -elevation, roll], -1))


def _about_z(angle: Tensor) -> Tensor:
    still = torch.zeros_like(angle)
    return rotvec_to_rotmat(torch.stack([still, still, angle], -1))
