"""From 2D keypoints to 3D poses."""

from __future__ import annotations

import torch
from jaxtyping import Float
from posedata.geometry.camera import Camera
from posedata.keypoints import holds_person
from posedata.views.batch import GIVEN, given
from torch import Tensor

from polypose.batches import decode, embed
from polypose.config import Settings
from polypose.inputs import Like
from polypose.network import POSE_SKELETON, UniHPR
from polypose.poses import Poses
from polypose.samples import Sample, finite


@torch.no_grad()
def lift_points(
    network: UniHPR, settings: Settings, points: Float[Tensor, "N 17 3"], camera: Camera, like: Like
) -> Poses:
    """Poses of keypoints that were found fit, on the CPU; nobody's are NaN.

    Args:
        points: pixels and confidence, of `POSE_SKELETON`.
        camera: one for all, or one each.
    """
    valid = holds_person(points, POSE_SKELETON)
    device = next(network.parameters()).device
    views = given(points, camera)
    views = views if bool(valid.all()) else views[valid]
    seen = Sample.of(views, settings.frame, GIVEN).to(device)
    if not torch.equal(seen.confidence.cpu(), views.keypoints[GIVEN][..., 2]):
        able = seen.holds("2d")  # a lens may bend no ray to what was seen of somebody
        seen, views = seen[able], views[able.cpu()]
        valid = valid.masked_scatter(valid, able.cpu())

    def all_people(values: Tensor) -> Tensor:
        """(..., N, 17, k), NaN where nobody is, of the rows where somebody is."""
        if len(seen) == len(points):
            return values
        out = values.new_full((*values.shape[:-3], len(points), *values.shape[-2:]), torch.nan)
        out[..., valid, :, :] = values
        return out

    embedding = embed(network, seen, settings.batch, ("2d",))["2d"]
    joints = (decode(network, embedding, "2d", settings.batch) @ seen.rotation).cpu()
    joints = joints - joints[:, :1]
    places = place(joints, views.keypoints[GIVEN], views.camera)
    sd = network.deviation(embedding, seen.confidence, "2d").square().mean(-1).sqrt().cpu()

    def draw(count: int, seed: int) -> Tensor:
        drawn = network.sample(
            "3d",
            embedding,
            "2d",
            hypotheses=count,
            steps=settings.steps,
            sampler=settings.sampler,
            generator=torch.Generator(device).manual_seed(seed),
            confidence=seen.confidence,
        )
        drawn = (drawn @ seen.rotation).cpu()
        return all_people(drawn - drawn[:, :, :1])

    give = like.give
    return Poses(
        give(all_people(joints)),
        give(all_people(sd[..., None])[..., 0]),
        give(valid),
        give(all_people(places[:, None])[:, 0]),
        POSE_SKELETON,
        draw,
        like,
    )


def place(
    joints: Float[Tensor, "N J 3"], keypoints: Float[Tensor, "N J 3"], camera: Camera
) -> Float[Tensor, "N 3"]:
    """Where poses stand before the camera: the least-squares solution of their rays, by confidence.

    A joint at X + t is seen along (u, v, 1), so X + t = (u, v, 1)(Z + t_z): linear in t.

    Args:
        joints: metres, about the pelvis, in the camera's frame.
        keypoints: pixels and confidence.
    """
    rays = camera.rays(keypoints[..., :2])[..., :2]
    weight = keypoints[..., 2] * finite(rays)
    return place_along(joints, torch.where(weight[..., None] > 0, rays, 0), weight)


def place_along(
    joints: Float[Tensor, "*N J 3"], rays: Float[Tensor, "*N J 2"], weight: Float[Tensor, "*N J"]
) -> Float[Tensor, "*N 3"]:
    """`place` of rays, x and y where z is 1, each with its weight."""
    weight = weight[..., None]
    share = (weight / weight.sum(-2, keepdim=True).clamp(min=1e-9)).mT
    off = rays * joints[..., 2:] - joints[..., :2]
    middle, shift = share @ rays, share @ off
    apart = rays - middle
    heavy = (weight * apart).flatten(-2)
    across = (heavy * apart.flatten(-2)).sum(-1, keepdim=True).clamp(min=1e-12)
    depth = -(heavy * off.flatten(-2)).sum(-1, keepdim=True) / across
    return torch.cat([middle[..., 0, :] * depth + shift[..., 0, :], depth], dim=-1)
