"""Do limbs run through each other or the trunk? Capsules about the bones, and how deep they overlap."""

import torch
from jaxtyping import Float
from torch import Tensor

from posedata.skeleton import get_skeleton

_INDEX = {name: index for index, name in enumerate(get_skeleton("h36m17").joints)}

_RADIUS = {"trunk": 0.10, "chest": 0.105, "head": 0.09, "thigh": 0.065, "shank": 0.045, "fore": 0.035}
"""Radii in metres for a stature of about 1.7 m: the half depth of trunk and head and the half breadth of
limbs, a little less than the flesh, which gives."""

_HAND = 0.30
"""The hand prolongs the forearm by this share of its length (de Leva 1996: 0.086 of 0.269 m to the
knuckles)."""


def segment_distance(
    a: Float[Tensor, "*batch 2 3"], b: Float[Tensor, "*batch 2 3"]
) -> Float[Tensor, "*batch"]:
    """Shortest distance between two segments given by their ends.

    Ericson, Real-Time Collision Detection, 2005, section 5.1.9. A segment of no length is a point.
    """
    d1, d2, r = a[..., 1, :] - a[..., 0, :], b[..., 1, :] - b[..., 0, :], a[..., 0, :] - b[..., 0, :]
    aa, bb, ab = (d1 * d1).sum(-1), (d2 * d2).sum(-1), (d1 * d2).sum(-1)
    ar, br = (d1 * r).sum(-1), (d2 * r).sum(-1)
    tiny = torch.finfo(a.dtype).tiny
    denominator = aa * bb - ab * ab
    s = ((ab * br - ar * bb) / denominator.clamp(min=1e-9)).clamp(0, 1)
    t = ((ab * s + br) / bb.clamp(min=tiny)).clamp(0, 1)
    s = ((ab * t - ar) / aa.clamp(min=tiny)).clamp(0, 1)
    gap = r + s[..., None] * d1 - t[..., None] * d2
    return torch.linalg.vector_norm(gap, dim=-1)


def _capsules(joints: Tensor) -> dict[str, tuple[Tensor, float]]:
    def at(name: str) -> Tensor:
        return joints[..., _INDEX[name], :]

    def between(start: Tensor, end: Tensor) -> Tensor:
        return torch.stack([start, end], -2)

    capsules = {
        "trunk": (between(at("pelvis"), at("spine")), _RADIUS["trunk"]),
        "chest": (between(at("spine"), 0.85 * at("thorax") + 0.15 * at("spine")), _RADIUS["chest"]),
        "head": (between(at("neck"), 0.6 * at("head") + 0.4 * at("neck")), _RADIUS["head"]),
    }
    for side in ("left", "right"):
        elbow, wrist = at(f"{side}_elbow"), at(f"{side}_wrist")
        fore = between(0.9 * elbow + 0.1 * wrist, wrist + _HAND * (wrist - elbow))
        capsules[f"{side}_fore"] = (fore, _RADIUS["fore"])
        thigh = between(at(f"{side}_hip"), at(f"{side}_knee"))
        capsules[f"{side}_thigh"] = (thigh, _RADIUS["thigh"])
        capsules[f"{side}_shank"] = (between(at(f"{side}_knee"), at(f"{side}_ankle")), _RADIUS["shank"])
    return capsules


_MET_BY_HANDS = ("trunk", "chest", "head", "left_thigh", "right_thigh", "left_shank", "right_shank")
ARM_PAIRS = (
    *(("left_fore", other) for other in _MET_BY_HANDS),
    *(("right_fore", other) for other in _MET_BY_HANDS),
    ("left_fore", "right_fore"),
)
LEG_PAIRS = (("left_shank", "right_shank"), ("left_shank", "right_thigh"), ("left_thigh", "right_shank"))


def penetration(
    joints: Float[Tensor, "*batch 17 3"], pairs: tuple[tuple[str, str], ...]
) -> Float[Tensor, "*batch pairs"]:
    """How deep, in metres, each pair of capsules overlaps; at most 0 where they do not touch."""
    capsules = _capsules(joints)
    depths = []
    for one, other in pairs:
        (a, radius_a), (b, radius_b) = capsules[one], capsules[other]
        depths.append(radius_a + radius_b - segment_distance(a, b))
    return torch.stack(depths, -1)
