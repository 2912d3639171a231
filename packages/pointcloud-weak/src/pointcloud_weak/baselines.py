"""Trivial baselines: 3D from 2D and a depth, without a network."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize

from .clips import Clips
from .losses import skin_depths


def torso_depth(clips: Clips) -> Float[Tensor, "K T J 3"]:
    """Exact 2D, every joint at the true depth of the root."""
    truth = clips.truth()
    return truth / truth[..., 2:] * truth[..., clips.skeleton.root, 2][..., None, None]


def depth_lookup(clips: Clips, skin: bool) -> Float[Tensor, "K T J 3"]:
    """The detector's 2D, at the depth measured there; the person's median where nothing was.

    Args:
        skin: whether joints lie under the surface by `pointcloud_weak.losses.skin_depths`, what the
            teacher's offsets start from.
    """
    person = clips.person_depth(slice(None)).flatten(2)
    median = torch.where(person > 0, person, torch.nan).nanmedian(-1).values[..., None]
    found = clips.surface.depth
    depth = torch.where(found > 0, found, median)
    joints = clips.rays * depth[..., None]
    if skin:
        joints = joints + skin_depths(clips.skeleton)[:, None] * normalize(clips.rays, dim=-1)
    return joints
