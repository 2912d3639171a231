"""Encoder of depth pictures about a person."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from .light import LightBody


class DepthEncoder(nn.Module):
    """A small CNN on relative depth and where it was measured, beside a box token, and one linear layer.

    Args:
        dim: width of the embedding.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim, self.body = dim, LightBody(channels=2)
        self.out = nn.Linear(self.body.features + 3, dim)

    def forward(
        self, pictures: Float[Tensor, "B 2 H W"], box_token: Float[Tensor, "B 3"]
    ) -> Float[Tensor, "B dim"]:
        """Embedding, not normalised, of `posedata.views.crops.depth_crop`'s pictures (metres).

        Args:
            box_token: where in the image the crop was (`posedata.geometry.boxes.bounding_box_token`).
        """
        features = self.body(pictures.contiguous(memory_format=torch.channels_last))
        return self.out(torch.cat([features, box_token.to(features)], dim=1))
