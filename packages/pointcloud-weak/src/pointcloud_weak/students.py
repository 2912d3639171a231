"""Students: anchor networks that see pictures or depth."""

from __future__ import annotations

from typing import Literal

from jaxtyping import Float
from poseenc.anchor import A2J, A2JTransformer, Estimate
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

    def __init__(self, net: A2J | A2JTransformer, kind: Kind) -> None:
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
