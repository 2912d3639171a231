"""Every weak loss at once: what stage A minimises, term by term and weighted."""

from collections.abc import Callable
from dataclasses import dataclass, fields

import torch
from jaxtyping import Float
from posedata import Camera, Skeleton
from torch import Tensor

from .body import reference_segments, support_reaches, symmetry_margins
from .bones import bone_range_loss, bone_variance_loss, symmetry_loss
from .lift import KeypointDepth, Robust, lift_loss
from .motion import acceleration_loss, stillness
from .ray import ray_loss
from .surface import behind_loss, support_loss
from .weights import WeakWeights


@dataclass(frozen=True)
class Evidence:
    """What a batch of clips shows without any 3D label.

    Attributes:
        rays: (B, T, J, 3) directions of the 2D joints, z = 1.
        confidence: (B, T, J) of the 2D joints, 0 to 1.
        depth: of the surface at the 2D joints, (B, T, J) each.
        points: (B, T, N, 3) the person's points, camera frame, metres.
        surface: (B, T, H, W) the person's depth, metres, 0 elsewhere.
        camera: (B,) of that image.
    """

    rays: Float[Tensor, "B T J 3"]
    confidence: Float[Tensor, "B T J"]
    depth: KeypointDepth
    points: Float[Tensor, "B T N 3"]
    surface: Float[Tensor, "B T H W"]
    camera: Camera


def weak_terms(
    joints: Float[Tensor, "B T J 3"],
    seen: Evidence,
    skeleton: Skeleton,
    offset: Float[Tensor, " J"],
    weights: WeakWeights = WeakWeights(),
    *,
    robust: Robust = "huber",
) -> dict[str, Float[Tensor, " B"]]:
    """The terms that have a weight, unweighted, one value a clip, metres.

    Args:
        joints: predicted, camera frame, metres.
        offset: skin depths (`SkinOffset`).
        robust: of the lift term.
    """
    margins = symmetry_margins(skeleton).to(joints)
    segments, reference = reference_segments(skeleton)
    reach = support_reaches(skeleton).to(joints)
    camera = seen.camera.replace(
        **{
            name: getattr(seen.camera, name)[:, None]
            for name in ("focal", "centre", "rotation", "translation")
        },
        distortion=seen.camera.distortion[:, None],
        size=seen.camera.size[:, None],
    )
    parts: dict[str, Callable[[], Tensor]] = {
        "ray": lambda: ray_loss(joints, seen.rays, seen.confidence).mean(1),
        "lift": lambda: lift_loss(joints, seen.rays, seen.depth, offset, seen.confidence, robust=robust).mean(
            1
        ),
        "symmetry": lambda: symmetry_loss(joints, skeleton, margins).mean(1),
        "bone_variance": lambda: bone_variance_loss(joints, skeleton),
        "acceleration": lambda: acceleration_loss(
            joints, stillness(seen.rays, seen.points[..., 2].mean((1, 2)), seen.confidence)
        ),
        "support": lambda: support_loss(joints, seen.points, reach).mean((1, 2)),
        "behind": lambda: behind_loss(joints, seen.surface, camera).mean(1),
        "bone_range": lambda: bone_range_loss(joints, segments, reference.to(joints)).mean(1),
    }
    return {name: part() for name, part in parts.items() if getattr(weights, name)}


def weak_loss(terms: dict[str, Float[Tensor, " B"]], weights: WeakWeights) -> Float[Tensor, " B"]:
    """The weighted sum of `weak_terms`.

    Raises:
        ValueError: every term is switched off.
    """
    if not terms:
        raise ValueError("every weak loss has weight 0; leave one on")
    return torch.stack([getattr(weights, name) * value for name, value in terms.items()]).sum(0)


TERMS = tuple(field.name for field in fields(WeakWeights) if field.name != "lift_end")
"""The names of the terms."""
