"""Whether lengths are metres and z is up, judged by thighs and by who stands; and the cure for the format."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from posedata.inspection.bodies import Poses, plausible
from posedata.inspection.checks import is_fault, spread
from posedata.inspection.cures import UNITS, axis_cure, order_cure, unit_cure
from posedata.skeleton import SKELETONS
from posedata.store.pose_store import PoseStore

THIGH = (0.25, 0.60)
"""Metres; of 24 people in motion capture 0.34 to 0.44."""
_PALM = (0.05, 0.14)
_AXES = ("x", "y", "z", "-x", "-y", "-z")
_STRAIGHT = 0.9
_ALIGNED = np.cos(np.radians(35))
_LEAST = 5
_TRAVEL, _STILL = 0.6, 0.1
_FLOOR = 0.15
_ROLL = (0.42, 0.9)


def check_units(store: PoseStore, poses: Poses | None = None) -> dict[str, Any]:
    """Whether lengths look like metres and the world's z axis like up.

    Keys: `thigh_m`, `height_m`; `scale`, units of a metre where the lengths are in another one that is known;
    `along` and `share` (see `check_upright`); `verdict`, which names the cure for the store's format, and
    perhaps `warning`. Skeletons without legs are judged by the palm, or not.
    """
    poses = Poses.of(store, spread(len(store))) if poses is None else poses
    length, what, bounds = _reference(poses)
    found: dict[str, Any] = {"thigh_m": None, "height_m": None}
    if length is None:
        return found | {"verdict": "not judged: the skeleton has no legs"}
    if not np.isfinite(length).any():
        return found | {"verdict": "not judged: the store has no 3D"}
    middle = float(np.nanmedian(length))
    found = {"thigh_m": round(middle, 4) if what == "thigh" else None, "height_m": round(_height(poses), 3)}
    if bounds[0] <= middle <= bounds[1]:
        return found | check_upright(store, poses)
    order = _other_order(poses)
    unit = next((n for n, scale in UNITS.items() if bounds[0] <= middle / scale <= bounds[1]), None)
    looks = f": these look like {order or unit}" if order or unit else ""
    verdicts = [
        f"a {what} of {middle:.3g} m is not human{looks};"
        f" {order_cure(store) if order else unit_cure(store, unit)}"
    ]
    if unit is not None and not order:
        found["scale"] = UNITS[unit]
        turned = check_upright(store, poses.scaled(1 / UNITS[unit]))
        verdicts += [turned["verdict"]] if is_fault(turned["verdict"]) else []
    return found | {"verdict": "; and ".join(verdicts)}


def check_order(store: PoseStore, poses: Poses) -> str | None:
    """What is wrong where the joints are people's in another skeleton's order, and not in their own."""
    if plausible(poses) or (order := _other_order(poses)) is None:
        return None
    return f"these look like {order}; {order_cure(store)}"


def check_upright(store: PoseStore, poses: Poses) -> dict[str, Any]:
    """Whether people who are stretched out stand along z: `along`, the axis of most, and `share`, how many.

    Who lies on the floor is stretched out along x or y too. A store is at fault where most do so and it
    cannot be lying: they travel along z, roll about their own length, or have their feet at the height of 0.
    Where it can be, that is a warning. Where hardly anybody is stretched out, all count.
    """
    body = _stretched(poses)
    if body is None:
        return {"along": None, "share": None, "verdict": "not judged: the skeleton has no trunk or no legs"}
    rows, way = body
    if not len(rows):
        return {"along": None, "share": None, "verdict": "not judged: nobody's trunk and legs are known"}
    shares = [float((sign * way[:, axis] > 0.8).mean()) for sign in (1, -1) for axis in range(3)]
    best = int(np.argmax(shares))
    out: dict[str, Any] = {"along": _AXES[best], "share": round(shares[best], 4)}
    if _AXES[best] == "z" or shares[2] >= 0.3 or shares[best] < 0.5:
        return out | {"verdict": "ok"}
    text = f"people stand along {_AXES[best]}, not along z"
    if _AXES[best] == "-z":
        text = "people stand along z, not along z upwards: they are head down"
    cure = axis_cure(store, _AXES[best])
    if _AXES[best] == "-z" or _cannot_lie(poses, rows, way, best):
        return out | {"verdict": f"{text}; {cure}"}
    return out | {"verdict": "ok", "warning": f"people lie along {_AXES[best]}; if they should stand: {cure}"}


def _reference(poses: Poses) -> tuple[np.ndarray | None, str, tuple[float, float]]:
    for limb in ("left", "right"):
        if (length := poses.limb(limb, "thigh")) is not None:
            return length, "thigh", THIGH
    wrist, knuckle = poses.at("right_wrist"), poses.at("right_middle1")
    if wrist is None or knuckle is None:
        return None, "", THIGH
    left = np.linalg.norm(poses.at("left_wrist") - poses.at("left_middle1"), axis=-1)  # type: ignore[operator]
    right = np.linalg.norm(wrist - knuckle, axis=-1)
    return np.where(np.isfinite(right), right, left), "palm", _PALM


def _height(poses: Poses) -> float:
    known = np.isfinite(poses.joints[..., 2]).any(1)
    z = poses.joints[known, :, 2]
    return float(np.median(np.nanmax(z, axis=1) - np.nanmin(z, axis=1)))


def _other_order(poses: Poses) -> str | None:
    """ "millimetres in the order of coco17", where taking the joints so makes people of them."""
    for other in SKELETONS.values():
        if other.name == poses.skeleton.name or len(other) != len(poses.skeleton):
            continue
        taken = dataclasses.replace(poses, skeleton=other)
        for unit, scale in {"": 1.0, **UNITS}.items():
            if plausible(taken.scaled(1 / scale)):
                return f"{unit} in the order of {other.name}" if unit else f"the order of {other.name}"
    return None


def _stretched(poses: Poses) -> tuple[np.ndarray, np.ndarray] | None:
    """Rows where trunk and straight legs are in line, or all where these are few, and the way from feet to
    shoulders there, (n, 3)."""
    hips, knees = _middle(poses, "hip"), _middle(poses, "knee")
    feet = _middle(poses, "ankle", "foot")
    top = _middle(poses, "shoulder")
    if hips is None or knees is None or feet is None or top is None:
        return None
    trunk, legs = top - hips, hips - feet
    straight = np.linalg.norm(legs, axis=-1)
    bent = np.linalg.norm(hips - knees, axis=-1) + np.linalg.norm(knees - feet, axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        cosine = (trunk * legs).sum(-1) / (np.linalg.norm(trunk, axis=-1) * straight)
        known = np.flatnonzero(np.isfinite(cosine))
        rows = np.flatnonzero((cosine > _ALIGNED) & (straight > _STRAIGHT * bent))
    rows = rows if len(rows) >= max(_LEAST, 0.02 * len(known)) else known
    whole = (trunk + legs)[rows]
    return rows, whole / np.linalg.norm(whole, axis=-1, keepdims=True)


def _middle(poses: Poses, *names: str) -> np.ndarray | None:
    sides = [poses.at(*(f"{side}_{name}" for name in names)) for side in ("left", "right")]
    return None if sides[0] is None or sides[1] is None else (sides[0] + sides[1]) / 2


def _cannot_lie(poses: Poses, rows: np.ndarray, way: np.ndarray, best: int) -> bool:
    """Whether those who are stretched out along a level axis cannot be lying on a floor."""
    axis, sign = best % 3, 1 if best < 3 else -1
    chosen = rows[sign * way[:, axis] > 0.8]
    hips, shoulders = _middle(poses, "hip"), _middle(poses, "shoulder")
    assert hips is not None
    assert shoulders is not None
    height, sequence = hips[chosen, 2], poses.sequence[chosen]
    travel = max(float(np.ptp(height[sequence == which])) for which in np.unique(sequence))
    if travel > _TRAVEL:
        return True
    sides = [poses.at(f"{side}_hip") for side in ("left", "right")]
    across = (sides[0] - sides[1])[chosen]  # type: ignore[operator]
    roll = np.abs(across[:, 2]) / np.maximum(np.linalg.norm(across, axis=-1), 1e-9)
    if float(((roll > _ROLL[0]) & (roll < _ROLL[1])).mean()) > 0.25:
        return True
    pose = poses.joints[chosen]
    feet = np.nanmin(sign * pose[..., axis], axis=1)
    lowest, middle = float(np.nanmin(pose[..., 2])), float(np.median(height))
    on_a_floor = lowest > -0.05 and 0.05 < middle < 0.6 and travel < _STILL
    return bool(np.quantile(np.abs(feet), 0.9) < _FLOOR) and not on_a_floor
