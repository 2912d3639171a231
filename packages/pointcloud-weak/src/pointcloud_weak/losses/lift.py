"""Depth at the 2D joints: the surface that was seen, and how deep under it the joint lies."""

from typing import Literal, NamedTuple

import torch
from jaxtyping import Bool, Float, Num
from torch import Tensor, nn
from torch.nn.functional import normalize, softplus

from pointcloud_weak.cloud import metric

from .robust import DELTA, geman_mcclure, huber

Robust = Literal["huber", "geman_mcclure"]


class KeypointDepth(NamedTuple):
    """depth (*batch, J) metres along z, 0 where none; valid (*batch, J)."""

    depth: Float[Tensor, "*batch J"]
    valid: Bool[Tensor, "*batch J"]


def keypoint_depth(
    depth: Num[Tensor, "*batch H W"],
    keypoints: Float[Tensor, "*batch J 2"],
    *,
    window: int = 2,
    spread: float = 0.15,
) -> KeypointDepth:
    """Median of what was measured around each 2D joint.

    Not valid where the window is empty or its values lie more than `spread` apart, as on an edge.

    Args:
        depth: the person's, 0 elsewhere; metres, or millimetres as uint16.
        keypoints: pixels.
        window: pixels to either side of the nearest one.
        spread: metres.
    """
    metres = metric(depth)
    height, width = metres.shape[-2:]
    steps = torch.arange(-window, window + 1, device=metres.device)
    middle = keypoints.round().long()
    columns = (middle[..., 0, None, None] + steps).expand(*middle.shape[:-1], len(steps), -1)
    rows = (middle[..., 1, None, None] + steps[:, None]).expand_as(columns)
    inside = (columns >= 0) & (columns < width) & (rows >= 0) & (rows < height)
    index = rows.clamp(0, height - 1) * width + columns.clamp(0, width - 1)
    found = metres.flatten(-2).gather(-1, index.flatten(-3)).view(index.shape)
    found = torch.where(inside & (found > 0), found, torch.nan).flatten(-2)
    value = found.nanmedian(-1).values
    apart = found.nan_to_num(-torch.inf).amax(-1) - found.nan_to_num(torch.inf).amin(-1)
    return KeypointDepth(value.nan_to_num(0.0), ~value.isnan() & (apart <= spread))


def lift_loss(
    joints: Float[Tensor, "*batch J 3"],
    rays: Float[Tensor, "*batch J 3"],
    surface: KeypointDepth,
    offset: Float[Tensor, " J"],
    confidence: Float[Tensor, "*batch J"] | None = None,
    *,
    robust: Robust = "huber",
    delta: float = DELTA,
) -> Float[Tensor, "*batch"]:
    """Distance of every joint from the point behind the surface seen at its 2D place, metres.

    ``mean_j c_j m_j ρ(‖P_j - Q_j‖)`` with ``Q_j = d_j r_j / r_jz + b_j r_j / ‖r_j‖``: without such a term,
    ray and symmetry leave the depth of a pose open.

    Args:
        joints: camera frame, metres.
        rays: directions of the detections, of any positive length.
        surface: d_j and m_j (`keypoint_depth`).
        offset: b_j, how deep each joint lies under the skin, metres (`SkinOffset`).
        confidence: c_j in [0, 1].
        robust: ρ; `geman_mcclure` lets go of joints that an arm or a leg hides.
        delta: metres from which ρ bends.
    """
    weight = surface.valid.to(joints.dtype)
    if confidence is not None:
        weight = weight * confidence
    used = weight[..., None] > 0
    ray = torch.where(used, rays, 1.0)
    point = torch.where(used, joints, 0.0)
    target = ray * (surface.depth / ray[..., 2])[..., None] + offset[..., None] * normalize(ray, dim=-1)
    error = torch.linalg.vector_norm(point - target, dim=-1)
    value = huber(error, delta) if robust == "huber" else geman_mcclure(error, delta)
    return (weight * value).mean(-1)


class SkinOffset(nn.Module):
    """How deep each joint lies under the skin, metres: learnt, never negative.

    Args:
        start: metres, positive (`skin_depths`).
    """

    def __init__(self, start: Float[Tensor, " J"]) -> None:
        super().__init__()
        self.raw = nn.Parameter(torch.log(torch.expm1(start / DELTA)))

    def forward(self) -> Float[Tensor, " J"]:
        return DELTA * softplus(self.raw)
