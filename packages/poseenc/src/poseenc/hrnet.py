"""HRNet as UniHPE uses it: the last stage's maps at all four scales, average-pooled and concatenated."""

import torch
from jaxtyping import Float
from torch import Tensor, nn


class HRNetBody(nn.Module):
    """timm's HRNet without its classification head (UniHPE, supplement C).

    ``feature_location=""`` asks timm for the raw branches of the last stage; its default would put
    the classifier's channel-increasing blocks on top, which pose networks do not have.

    Args:
        name: timm architecture, as ``hrnet_w32``.
        pretrained: take timm's weights from its hub.
    """

    def __init__(self, name: str, *, pretrained: bool = False) -> None:
        import timm  # here: takes seconds, which those who need no image encoder should not pay

        super().__init__()
        self.net = timm.create_model(
            name, pretrained=pretrained, features_only=True, feature_location="", out_indices=(1, 2, 3, 4)
        )
        self.features: int = sum(self.net.feature_info.channels())  # type: ignore[union-attr, operator]

    def forward(self, images: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B features"]:
        return torch.cat([scale.mean(dim=(2, 3)) for scale in self.net(images)], dim=1)
