"""People of Human3.6M's seventeen joints with the further joints that other skeletons have, seen by cameras.

What the seventeen lack is put where the body has it: eyes and ears about the nose, toes before the ankle,
fingers beyond the wrist.
"""

import numpy as np
from posedata.skeleton import get_skeleton

H36M = get_skeleton("h36m17")


def dressed(joints: np.ndarray, skeleton: str) -> np.ndarray:
    """(N, 17, 3) metres of Human3.6M's set as (N, J, 3) of another."""
    at = {name: joints[:, i] for i, name in enumerate(H36M.joints)}
    left = _unit(at["left_shoulder"] - at["right_shoulder"])
    up = _unit(at["head"] - at["neck"])
    ahead = _unit(np.cross(left, up))
    hips = _unit(at["left_hip"] - at["right_hip"])
    at["nose"] = at["neck"]
    at["shoulder_centre"] = (at["left_shoulder"] + at["right_shoulder"]) / 2
    at["head_centre"] = (at["neck"] + at["head"]) / 2
    at["torso"] = (at["shoulder_centre"] + at["pelvis"]) / 2
    for side, sign in (("left", 1), ("right", -1)):
        face = {"eye": (3.2, -2, 4), "eye_inner": (2, -2, 4), "eye_outer": (4.5, -3, 4), "ear": (7.5, -10, 2)}
        for part, (x, y, z) in (face | {"mouth": (2.5, -1, -4)}).items():
            at[f"{side}_{part}"] = at["nose"] + (sign * x * left + y * ahead + z * up) / 100
        shank = _unit(at[f"{side}_ankle"] - at[f"{side}_knee"])
        toes = _unit(np.cross(hips, -shank))
        feet = {"big_toe": (-2, 17, 7), "small_toe": (5, 14, 7), "heel": (0, -5, 6), "foot": (0, 10, 6)}
        for part, (x, y, z) in (feet | {"foot_index": (-1, 17, 7)}).items():
            at[f"{side}_{part}"] = at[f"{side}_ankle"] + (sign * x * hips + y * toes + z * shank) / 100
        arm = _unit(at[f"{side}_wrist"] - at[f"{side}_elbow"])
        hand = {"hand": (7, 0), "hand_tip": (16, 0), "thumb": (7, 5), "index1": (9, 2), "little1": (8, -2)}
        for part, (x, z) in (hand | {"thumb2": (5, 3)}).items():
            at[f"{side}_{part}"] = at[f"{side}_wrist"] + (x * arm + z * up) / 100
    return np.stack([at[name] for name in get_skeleton(skeleton).joints], axis=1)


def seen(
    people: np.ndarray,
    rng: np.random.Generator,
    elevation: tuple[float, float] = (-10, 25),
    noise: float = 0.0,
    one_camera: bool = False,
) -> np.ndarray:
    """(N, J, 2) pixels of people in the middle of 1000 x 1000, cameras at random around them.

    Args:
        elevation: degrees above the horizon.
        noise: standard deviation of every keypoint, as a share of the person's extent.
        one_camera: the same direction and distance for all.
    """
    count = 1 if one_camera else len(people)
    turn, high = rng.uniform(0, 2 * np.pi, count), np.radians(rng.uniform(*elevation, count))
    away = rng.uniform(3, 6, count)[:, None]
    direction = np.stack([np.cos(high) * np.cos(turn), np.cos(high) * np.sin(turn), np.sin(high)], axis=1)
    right = _unit(np.cross(-direction, [0.0, 0.0, 1.0]))
    axes = np.stack([right, np.cross(-direction, right), -direction], axis=1)
    around = people - people.mean(axis=1, keepdims=True) + (away * direction)[:, None] * -1
    local = np.einsum("nij,nkj->nki", np.broadcast_to(axes, (len(people), 3, 3)), around)
    pixels = local[..., :2] / local[..., 2:] * 1000 + 500
    extent = np.ptp(pixels, axis=1).max(-1)[:, None, None]
    return np.asarray(pixels + rng.normal(size=pixels.shape) * noise * extent)


def _unit(vectors: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / np.maximum(lengths, 1e-9))
