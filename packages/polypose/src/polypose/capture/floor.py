"""Which way is down, and where the floor is, from people who stand and walk on it.

Bodies on straight legs stand upright on average: that tells which way is up to some degrees. Feet that rest
lie in a plane: where they are spread wide enough, they tell better.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from posedata.skeleton import Skeleton
from posedata.stature import standing

from polypose.capture.stretches import sampled

_STRAIGHT = 0.93
"""Share of a leg's length that lies between hip and ankle of a leg that carries."""
_FEW = 10
_RESTS, _FOOT_SD = 0.35, 0.04
"""m/s below which a foot rests; metres by which its height errs."""
_LEAN_SD = np.radians(6.0)
"""By which people lean together, on average."""
_STEEP = np.radians(60.0)
_SWAY = np.radians(20.0)
_ROUNDS = 5
_MOST = 20_000
"""Frames of a person that tell the floor."""


@dataclass(frozen=True)
class Floor:
    """The way to a world whose z is up and whose floor is z = 0: x' = rotation x + translation.

    Attributes:
        tilt: radians by which the world was turned.
        sure: whether people told which way is up; otherwise the world's z was kept.
    """

    rotation: np.ndarray
    translation: np.ndarray
    tilt: float
    sure: bool


def find_floor(people: Sequence[np.ndarray], times: Sequence[np.ndarray], skeleton: Skeleton) -> Floor:
    """The floor that people stand on.

    Args:
        people: (T, J, 3) each, in a world whose z is roughly up; NaN where not known.
        times: (T,) seconds each.
    """
    rows = [sampled(np.isfinite(joints).all((1, 2)), _MOST) for joints in people]
    people = [joints[some] for joints, some in zip(people, rows, strict=True)]
    times = [clock[some] for clock, some in zip(times, rows, strict=True)]
    axes = np.concatenate([np.zeros((0, 3)), *(upright(joints, skeleton) for joints in people)])
    up, sure = np.array([0.0, 0, 1]), len(axes) >= _FEW
    if sure:
        up = _middle_axis(axes)
        sure = up[2] > np.cos(_STEEP)
        up = up if sure else np.array([0.0, 0, 1])
    rotation = turn_between(up, np.array([0.0, 0, 1]))
    turned = [joints @ rotation.T for joints in people]
    feet = np.concatenate(
        [np.zeros((0, 3)), *(resting(x, t, skeleton) for x, t in zip(turned, times, strict=True))]
    )
    if not len(feet):
        feet = _lowest(turned, skeleton)
    if not len(feet):
        return Floor(rotation, np.zeros(3), float(np.arccos(np.clip(up[2], -1, 1))), bool(sure))
    slope, level = _plane(feet, _LEAN_SD if sure else 1e-6)
    more = turn_between(np.array([-slope[0], -slope[1], 1.0]), np.array([0.0, 0, 1]))
    rotation = more @ rotation
    ankle = standing("left_ankle")
    middle = feet[:, :2].mean(0)
    ground = more @ np.array([*middle, level])  # under the middle of the feet
    down = np.array([0.0, 0, (ankle[2] if ankle else 0.0) - ground[2]])
    tilt = float(np.arccos(np.clip(rotation[2, 2], -1, 1)))
    return Floor(rotation, down, tilt, bool(sure))


def upright(joints: np.ndarray, skeleton: Skeleton) -> np.ndarray:
    """(N, 3) directions from between the ankles to the thorax, of frames in which a leg is straight."""
    at = {name: joints[:, skeleton.index(name)] for name in skeleton.joints}
    straight = np.zeros(len(joints), bool)
    for side in ("left", "right"):
        hip, knee, ankle = (at[f"{side}_{part}"] for part in ("hip", "knee", "ankle"))
        bent = np.linalg.norm(knee - hip, axis=-1) + np.linalg.norm(ankle - knee, axis=-1)
        straight |= np.linalg.norm(ankle - hip, axis=-1) > _STRAIGHT * bent
    axis = at["thorax"] - (at["left_ankle"] + at["right_ankle"]) / 2
    axis = axis[straight & np.isfinite(axis).all(-1)]
    return np.asarray(axis / np.linalg.norm(axis, axis=-1, keepdims=True))


def resting(joints: np.ndarray, times: np.ndarray, skeleton: Skeleton) -> np.ndarray:
    """(N, 3) places of ankles that hardly move and are the lower of the two."""
    ankles = joints[:, [skeleton.index(f"{side}_ankle") for side in ("left", "right")]]
    if len(times) < 3:
        return np.zeros((0, 3))
    speed = np.linalg.norm(np.gradient(ankles, times, axis=0), axis=-1)
    lower = ankles[..., 2] <= ankles[..., 2].min(1, keepdims=True) + _FOOT_SD
    found = ankles[lower & (speed < _RESTS)]
    return np.asarray(found[np.isfinite(found).all(-1)])


def turn_between(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """The least rotation that takes one direction to another, not opposite, one."""
    a, b = source / np.linalg.norm(source), target / np.linalg.norm(target)
    x, y, z = np.cross(a, b)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.asarray(np.eye(3) + cross + cross @ cross / (1 + a @ b))


def _middle_axis(axes: np.ndarray) -> np.ndarray:
    """The mean direction, of those about it."""
    weight = np.ones(len(axes))
    middle = np.array([0.0, 0, 1])
    for _ in range(_ROUNDS):
        mean = (weight[:, None] * axes).sum(0)
        middle = mean / np.linalg.norm(mean)
        angle = np.arccos(np.clip(axes @ middle, -1, 1))
        weight = 1 / (1 + (angle / _SWAY) ** 2) ** 2
    return middle


def _plane(feet: np.ndarray, tilt_sd: float) -> tuple[np.ndarray, float]:
    """Slopes along x and y, and the height in the middle, of the plane under feet; nearly level beforehand.

    A foot that rests is seen for many frames: they count as one in ten.
    """
    middle = feet[:, :2].mean(0)
    rows = np.column_stack([feet[:, :2] - middle, np.ones(len(feet))])
    weight = np.ones(len(feet))
    answer = np.array([0.0, 0, np.median(feet[:, 2])])
    prior = np.diag([1 / tilt_sd**2, 1 / tilt_sd**2, 0])
    for _ in range(_ROUNDS):
        scaled = rows * (weight / _FOOT_SD**2 / 10)[:, None]
        answer = np.linalg.solve(rows.T @ scaled + prior + 1e-9 * np.eye(3), scaled.T @ feet[:, 2])
        off = np.abs(feet[:, 2] - rows @ answer)
        weight = 1 / (1 + (off / (3 * _FOOT_SD)) ** 2) ** 2
    return answer[:2], float(answer[2])


def _lowest(people: Sequence[np.ndarray], skeleton: Skeleton) -> np.ndarray:
    """The lower ankle of every frame, where none is known to rest."""
    found = [np.zeros((0, 3))]
    for joints in people:
        ankles = joints[:, [skeleton.index(f"{side}_ankle") for side in ("left", "right")]]
        ankles = ankles[np.isfinite(ankles).all((1, 2))]
        found.append(ankles[np.arange(len(ankles)), ankles[..., 2].argmin(1)])
    return np.concatenate(found)
