"""Students: anchor networks that see pictures or depth."""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float
from posedata.geometry.camera import Camera
from poseenc.anchor import A2JTransformer, Estimate
from poseenc.attention import quick_attention
from poseenc.tokens import exact
from torch import Tensor, nn

Kind = Literal["rgb", "depth"]
KINDS: tuple[Kind, ...] = ("rgb", "depth")


class Student(nn.Module):
    """Joints of a frame by anchors, from its picture or from its depth.

    x and y come in pixels, z against a reference depth: the person's median depth for the depth student,
    which can measure it; the root's own for the RGB student, which cannot: it is given it or leaves it open.

    Args:
        net: the anchor network.
        kind: which pictures it is given.
    """

    def __init__(self, net: A2JTransformer, kind: Kind) -> None:
        super().__init__()
        self.net, self.kind = net, kind

    def forward(self, pictures: Float[Tensor, "B C S S"]) -> Float[Tensor, "B J 3"]:
        """Pixels, and metres beyond the reference depth."""
        with quick_attention(pictures.device):
            return self.net(pictures).joints

    def estimates(self, pictures: Float[Tensor, "B C S S"]) -> Estimate:
        """What every decoder layer says, for `loss`."""
        with quick_attention(pictures.device):
            return self.net.estimates(pictures)

    def loss(
        self, estimate: Estimate, target: Float[Tensor, "B J 3"], weight: Float[Tensor, "B J"]
    ) -> dict[str, Tensor]:
        """The anchor network's losses, means over the joints that have a weight."""
        with exact(target):
            return self.net.loss(Estimate(*(part.float() for part in estimate)), target, weight)


def depth_picture(
    person: Float[Tensor, "B S S"], reference: Float[Tensor, " B"], reach: float = 1.0
) -> Float[Tensor, "B 1 S S"]:
    """A person's depth about a reference, in units of `reach` metres; 1 where the person is not."""
    near = ((person - reference[:, None, None]) / reach).clamp(-1, 1)
    return torch.where(person > 0, near, 1.0)[:, None]


def median_depth(person: Float[Tensor, "B S S"]) -> Float[Tensor, " B"]:
    """Median of a person's depth, metres."""
    return torch.where(person > 0, person, torch.nan).flatten(1).nanmedian(1).values


def to_camera(
    estimate: Float[Tensor, "B J 3"], reference: Float[Tensor, " B"], camera: Camera
) -> Float[Tensor, "B J 3"]:
    """A student's pixels and depths as joints in the camera's frame."""
    depth = reference[:, None] + estimate[..., 2]
    return camera.unproject(estimate[..., :2], depth)
