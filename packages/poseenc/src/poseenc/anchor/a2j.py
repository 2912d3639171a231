"""A2J: anchor-to-joint regression from a single depth image (Xiong et al., ICCV 2019)."""

from pathlib import Path

import torch
from jaxtyping import Shaped
from torch import Tensor, nn

from .anchors import AnchorGrid2D
from .backbone import Backbone
from .ensemble import Estimate, ensemble
from .losses import Ruled, a2j_rule


class A2J(Ruled):
    """In-plane anchors vote for the joints' pixels and, independently, for their depth.

    The maps of the backbone's last stage feed the in-plane offsets and the depths, those of the stage
    before it the anchors' weights.

    Args:
        joints: J.
        size: side of the square crop, or its width and height, px; multiples of 16.
        backbone, weights: see `Backbone`; the paper's is ``resnet50``.
        channels: width of the three branches.
        depth_unit: metres that the networks' depth output counts in, and that weigh as much as a pixel in
            the loss. The ITOP recipe has 0.02 (targets times 50), hands 0.001.
        depth_centre: depth around which it is regressed, metres: 0 for targets relative to a centre; about
            the mean for absolute ones, which the paper leaves to the last layer's bias.
    """

    anchors: Tensor

    def __init__(
        self,
        joints: int,
        *,
        size: int | tuple[int, int] = 288,
        backbone: str = "resnet50",
        weights: str | Path | None = None,
        channels: int = 256,
        depth_unit: float = 0.02,
        depth_centre: float = 0.0,
    ) -> None:
        super().__init__()
        self.joints, self.depth_unit, self.depth_centre = joints, depth_unit, depth_centre
        self.grid = AnchorGrid2D((size, size) if isinstance(size, int) else size)
        self.rule = a2j_rule(depth_unit)
        self.backbone = Backbone(backbone, weights)
        _, middle, deep = self.backbone.channels
        per_cell = self.grid.per_cell
        self.logits = _branch(middle, channels, per_cell * joints)
        self.plane = _branch(deep, channels, per_cell * joints * 2)
        self.depth = _branch(deep, channels, per_cell * joints)
        self.register_buffer("anchors", self.grid.points(), persistent=False)

    def forward(self, images: Shaped[Tensor, "B channels H W"]) -> Estimate:
        """Joints (B, J, 3): x, y in px of the crop and depth in metres.

        Args:
            images: of the crop's size, three channels or one, normalised as the weights want them.

        Raises:
            ValueError: images of another size.
        """
        width, height = self.grid.size
        if images.shape[-2:] != (height, width):
            raise ValueError(
                f"images are {images.shape[-1]}x{images.shape[-2]}, the anchors are for {width}x{height}: "
                "crop to that"
            )
        _, middle, deep = self.backbone(images)
        logits = self.grid.flatten_map(self.logits(middle), self.joints)
        plane = self.grid.flatten_map(self.plane(deep), self.joints * 2).unflatten(-1, (self.joints, 2))
        depth = self.grid.flatten_map(self.depth(deep), self.joints)[..., None]
        # coordinates in float32: bfloat16 knows 256 px to a pixel only
        offsets = torch.cat([plane.float(), depth.float() * self.depth_unit + self.depth_centre], -1)
        return ensemble(self.anchors, offsets, logits.float())

    def estimates(self, images: Shaped[Tensor, "B channels H W"]) -> Estimate:
        """`forward` as the one layer (1, B, J, 3) of a network that has several (`A2JTransformer`)."""
        return Estimate(*(values[None] for values in self(images)))


def _branch(inputs: int, channels: int, outputs: int) -> nn.Sequential:
    """Four 3x3 convolutions with batch norm and ReLU, then one more (A2J, figure 4)."""
    layers: list[nn.Module] = []
    for width in (inputs, channels, channels, channels):
        layers += [nn.Conv2d(width, channels, 3, padding=1), nn.BatchNorm2d(channels), nn.ReLU()]
    layers.append(nn.Conv2d(channels, outputs, 3, padding=1))
    for layer in layers:
        if isinstance(layer, nn.Conv2d):
            nn.init.xavier_normal_(layer.weight)
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
    return nn.Sequential(*layers)
