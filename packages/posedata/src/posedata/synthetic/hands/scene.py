"""Scenes of one hand or two: where the hands are, how they meet, and the cameras that see them."""

import math
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from roma import rotvec_to_rotmat
from torch import Tensor

from posedata.synthetic.hands.hand import penetration, sample_hands
from posedata.views.hand_ranges import TILT
from posedata.views.rigs import Rig

HAND_RIG = Rig(
    elevation=(math.radians(-30), math.radians(45)),
    roll=(math.radians(-30), math.radians(30)),
    distance=(0.75, 1.1),
    focal=(1250.0, 1250.0),
    target_jitter=0.01,
    size=(512, 512),
    body_margin=0.02,
)
"""About InterHand2.6M's own: focal length and distance in pixels of its 512x334 images, from all around."""

_TURN = math.radians(75)
_TOUCH = 0.002
_GAP = 0.02
_STEP = 0.0002


class Scenes(NamedTuple):
    """joints (N, 42, 3): world metres, z up, InterHand2.6M's order, 0 where there is no hand; valid (N, 42);
    kind (N,): index into `KINDS`."""

    joints: Float[Tensor, "N 42 3"]
    valid: Bool[Tensor, "N 42"]
    kind: Int[Tensor, " N"]


def sample_scenes(
    count: int,
    generator: torch.Generator,
    interacting: float = 0.5,
    tilt: float = TILT,
    touching: float = 0.0,
) -> Scenes:
    """Scenes of one person's hands about the world's origin, fingers upwards by and large.

    Args:
        count: N.
        generator: of every draw.
        interacting: share of two hands; the rest is right and left alike.
        tilt: radians; how far from upright a lone hand, or the right one of two, is at most.
        touching: share of the pairs that `touch` at some joint; the others `meet` palm towards palm.
    """
    kind = torch.where(
        torch.rand(count, generator=generator) < interacting,
        2,
        torch.randint(2, (count,), generator=generator),
    )
    right, left = sample_hands(count, generator), _mirror(sample_hands(count, generator))
    alone = torch.cat([right, left], 1)
    met = meet(right, left, generator)
    if touching:
        chosen = torch.rand(count, generator=generator) < touching
        met = torch.where(chosen[:, None, None], touch(right, left, generator), met)
    pairs = torch.where((kind == 2)[:, None, None], met, alone)
    there = torch.stack([kind != 1, kind != 0], 1).repeat_interleave(21, dim=1)
    middle = _middle(pairs, there)
    turned = (pairs - middle) @ _upright(count, tilt, generator).mT
    return Scenes(torch.where(there[..., None], turned, 0.0), there, kind)


def meet(
    right: Float[Tensor, "N 21 3"], left: Float[Tensor, "N 21 3"], generator: torch.Generator
) -> Float[Tensor, "N 42 3"]:
    """A left hand brought near a right one: they touch, or pass within two centimetres.

    The left palm faces the right one, turned away from that by up to `_TURN`, and is backed off in a random
    direction, for the most part out of the right palm, until the hands no longer run through each other.
    """
    count = len(right)
    facing = right.new_tensor([1.0, -1.0, -1.0]).diag()
    left = (left - _palm(left)) @ (_random_turn(count, _TURN, generator) @ facing).mT + _palm(right)
    away = torch.randn(count, 3, generator=generator) + torch.tensor([0.0, 0.0, -1.2])
    away = torch.nn.functional.normalize(away, dim=-1)[:, None]
    shift, inside = torch.zeros(count), torch.arange(count)
    while len(inside):
        moved = left[inside] + shift[inside, None, None] * away[inside]
        depth = penetration(right[inside], moved)
        inside, depth = inside[depth > _TOUCH], depth[depth > _TOUCH]
        shift[inside] += depth
    touching = left + shift[:, None, None] * away
    apart = touching + (_GAP * torch.rand(count, generator=generator))[:, None, None] * away
    free = penetration(right, apart) <= _TOUCH  # further along there may be another finger
    return torch.cat([right, torch.where(free[:, None, None], apart, touching)], 1)


def touch(
    right: Float[Tensor, "N 21 3"], left: Float[Tensor, "N 21 3"], generator: torch.Generator
) -> Float[Tensor, "N 42 3"]:
    """A left hand that touches a right one, a joint of its own at a joint of the other's: half of its joints
    are fingertips.

    Its palm faces the right hand's palm or its back, turned away from that by up to `_TURN`. It is backed off
    until flesh gives by `_TOUCH`, to `_STEP`: no part of a hand sinks in by more than it is moved.
    """
    count = len(right)
    rows = torch.arange(count)
    tip = 4 * torch.randint(5, (count,), generator=generator)
    at = torch.where(torch.rand(count, generator=generator) < 0.5, tip, _any_joint(count, generator))
    faces = torch.stack([torch.eye(3), right.new_tensor([1.0, -1.0, -1.0]).diag()])
    facing = faces[torch.randint(2, (count,), generator=generator)]
    left = left @ (_random_turn(count, _TURN, generator) @ facing).mT
    left = left + (right[rows, _any_joint(count, generator)] - left[rows, at])[:, None]
    away = _palm(left) - _palm(right) + 0.05 * torch.randn(count, 1, 3, generator=generator)
    away = torch.nn.functional.normalize(away, dim=-1)
    inside = rows
    while len(inside):
        depth = penetration(right[inside], left[inside]) - _TOUCH
        inside, depth = inside[depth > _STEP], depth[depth > _STEP]
        left[inside] += depth[:, None, None] * away[inside]
    return torch.cat([right, left], 1)


def _any_joint(count: int, generator: torch.Generator) -> Int[Tensor, " count"]:
    return torch.randint(21, (count,), generator=generator)


def _mirror(hands: Tensor) -> Tensor:
    return hands * hands.new_tensor([1.0, -1.0, 1.0])


def _palm(hands: Tensor) -> Tensor:
    """Half-way from the wrist to the knuckle of the middle finger, (N, 1, 3)."""
    return (hands[:, 20:21] + hands[:, 11:12]) / 2


def _middle(joints: Tensor, valid: Tensor) -> Tensor:
    weight = valid[..., None].to(joints)
    return (weight * joints).sum(1, keepdim=True) / weight.sum(1, keepdim=True)


def _random_turn(count: int, most: float, generator: torch.Generator) -> Float[Tensor, "count 3 3"]:
    axis = torch.nn.functional.normalize(torch.randn(count, 3, generator=generator), dim=-1)
    return rotvec_to_rotmat(axis * (most * torch.rand(count, 1, generator=generator)))


def _upright(count: int, tilt: float, generator: torch.Generator) -> Float[Tensor, "count 3 3"]:
    """Fingers (x) to the world's z, then tilted; cameras come from all azimuths."""
    up = torch.tensor([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [-1.0, 0.0, 0.0]]).mT
    return _random_turn(count, tilt, generator) @ up
