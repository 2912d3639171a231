"""What a depth lifter is worth on people whose truth is known, and how far off it usually is."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float, Int
from posedata.geometry.camera import Camera
from posedata.scoring.camera_frame import errors
from posedata.scoring.metrics import mpjpe_mm
from posedata.scoring.people import interval_by_person
from torch import Tensor

from polypose.depth import DepthLifter

LEVELS = {50: 0.6745, 80: 1.2816, 90: 1.6449}
"""Per cent, and how many standard deviations of a normal law to either side hold them."""


def fitted_sd(off: Float[Tensor, "N J 3"]) -> Float[Tensor, " J"]:
    """Of each joint the deviation along one axis, metres, whose interval of 80 % holds 80 % of the errors.

    Args:
        off: errors on people that training did not see; NaN where the truth is not known.
    """
    return off.abs().transpose(0, 1).flatten(1).nanquantile(0.8, dim=1) / LEVELS[80]


def measure(
    model: DepthLifter,
    person: Float[Tensor, "N H W"],
    camera: Camera,
    truth: Float[Tensor, "N J 3"],
    people: Int[Tensor, " N"],
) -> dict[str, Any]:
    """A row of results: errors in the camera's frame with their interval by person, and how often the truth
    lies in the stated intervals. People are cut out as a user's are, by their silhouettes.

    Args:
        person: depth of one person each, metres, 0 elsewhere.
        camera: of each picture.
        truth: metres, camera frame; pictures in which a joint is NaN are left out.
        people: whose each is.
    """
    intrinsics = torch.cat([camera.focal, camera.centre], dim=-1)
    poses = model.lift(person, intrinsics, say=lambda text: None)
    known = truth.isfinite().all(-1).all(-1) & poses.valid
    found, true, sd = poses.placed[known], truth[known], poses.sd[known]
    whose = people[known]
    low, high = interval_by_person(mpjpe_mm(found, true), whose)
    return {
        "views": len(true),
        "people": len(whose.unique()),
        **errors(found, true, model.skeleton),
        "low_mm": low,
        "high_mm": high,
        **{f"inside_{level}": inside(found - true, reach * sd) for level, reach in LEVELS.items()},
    }


def inside(off: Float[Tensor, "N J 3"], reach: Float[Tensor, "N J"]) -> float:
    """The share of coordinates that are off by no more than their joint's reach."""
    return float((off.abs() <= reach[..., None]).float().mean())
