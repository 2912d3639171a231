"""A2J-Transformer: anchors in the plane and in depth are the queries (Jiang et al., CVPR 2023)."""

from pathlib import Path

import torch
from jaxtyping import Shaped
from torch import Tensor, nn

from .anchors import INTERHAND_DEPTHS, INTERHAND_RANGE, AnchorGrid3D
from .backbone import Backbone
from .deformable import Shapes
from .ensemble import Estimate, ensemble
from .layers import DecoderLayer, EncoderLayer, mlp
from .losses import Ruled, transformer_rule
from .sine import map_positions, sine_embedding


class A2JTransformer(Ruled):
    """Anchors, as queries of a deformable transformer over four levels, vote for joints in 3D.

    With the defaults and 42 joints: the network published for InterHand2.6M, 768 anchors. Small settings
    (``size=128, backbone="light", dim=128, layers=(2, 2)``) train on a CPU.

    Args:
        joints: J.
        size: side of the square crop, px; a multiple of 32.
        backbone, weights, freeze: see `Backbone`. ``freeze`` is on where weights are given.
        depth_range: metres about the root; what the depth axis spans. As many depth units as the crop has
            pixels make it up (256 bins in the paper), and one counts as a pixel in the loss.
        depths: depth anchors, metres.
        dim, heads, hidden, points, dropout: of the transformer.
        layers: of encoder and decoder.
    """

    anchors: Tensor
    places: Tensor
    extent: Tensor

    def __init__(
        self,
        joints: int,
        *,
        size: int = 256,
        backbone: str = "resnet50",
        weights: str | Path | None = None,
        freeze: bool | None = None,
        depth_range: tuple[float, float] = INTERHAND_RANGE,
        depths: tuple[float, ...] = INTERHAND_DEPTHS,
        dim: int = 256,
        heads: int = 8,
        layers: tuple[int, int] = (6, 6),
        hidden: int = 1024,
        points: int = 4,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        low, high = depth_range
        if size % 32:
            raise ValueError(
                f"a crop of {size} px has no whole number of cells at stride 32: give a multiple"
            )
        if not low < high:
            raise ValueError(f"depth_range {depth_range} must rise")
        self.joints, self.size = joints, size
        self.grid = AnchorGrid3D((size, size), 16, tuple(depths))
        self.rule = transformer_rule((high - low) / size)
        self.backbone = Backbone(backbone, weights, weights is not None if freeze is None else freeze)
        self.levels = _Levels(self.backbone.channels, dim)
        shape = (dim, heads, 4, points, hidden, dropout)
        self.encoder = nn.ModuleList(EncoderLayer(*shape) for _ in range(layers[0]))
        self.decoder = nn.ModuleList(DecoderLayer(*shape) for _ in range(layers[1]))
        self.content = nn.Parameter(torch.randn(len(self.grid), dim))
        self.place, self.rescale = mlp(3 * (dim // 2), dim, dim), mlp(dim, dim, dim)
        self.offsets = nn.ModuleList(_head(dim, joints * 3) for _ in range(layers[1]))
        self.logits = nn.ModuleList(_head(dim, joints) for _ in range(layers[1]))
        for head in self.logits:
            # the softmax over anchors does not see it: it would learn from rounding
            head[-1].bias.register_hook(torch.zeros_like)  # type: ignore[index]
        anchors = self.grid.points()
        extent = torch.tensor([size, size, high - low])
        self.register_buffer("anchors", anchors, persistent=False)
        self.register_buffer("extent", extent, persistent=False)
        corner = torch.tensor([-0.5, -0.5, low])
        self.register_buffer("places", (anchors - corner) / extent, persistent=False)

    def forward(self, images: Shaped[Tensor, "B channels H W"]) -> Estimate:
        """Joints (B, J, 3) of the last decoder layer: x, y in px of the crop, depth in metres.

        Raises:
            ValueError: images of another size than the network's.
        """
        return Estimate(*(values[-1] for values in self.estimates(images)))

    def estimates(self, images: Shaped[Tensor, "B channels H W"]) -> Estimate:
        """What every decoder layer says, (layers, B, J, 3): for training (`loss` averages over them)."""
        height, width = images.shape[-2:]
        if (height, width) != (self.size, self.size):
            raise ValueError(
                f"images are {width}x{height}, the anchors are for {self.size}x{self.size}: crop to that"
            )
        tokens, shapes = self._encode(images)
        content = self.content.expand(len(tokens), -1, -1)
        # the paper's order: y, x, depth
        place = self.place(sine_embedding(self.places[:, [1, 0, 2]], self.content.shape[1] // 2).to(content))
        references = self.places[None, :, :2]
        wide = torch.promote_types(self.content.dtype, torch.float32)
        anchors, extent = self.anchors.to(wide), self.extent.to(wide)
        said = []
        for i, layer in enumerate(self.decoder):
            positions = place if i == 0 else place * self.rescale(content)
            content = layer(content, positions, references, tokens, shapes)
            offsets = self.offsets[i](content).unflatten(-1, (self.joints, 3)).to(wide) * extent
            said.append(ensemble(anchors, offsets, self.logits[i](content).to(wide)))
        return Estimate(*(torch.stack(values) for values in zip(*said, strict=True)))

    def _encode(self, images: Tensor) -> tuple[Tensor, Shapes]:
        maps, embeddings = self.levels(self.backbone(images))
        shapes = [(level.shape[-2], level.shape[-1]) for level in maps]
        tokens = torch.cat([level.flatten(2).mT for level in maps], 1)
        places = [map_positions(*shape).to(tokens.device) for shape in shapes]
        half = tokens.shape[-1] // 2
        positions = torch.cat(
            [sine_embedding(p.flip(-1), half).to(e) + e for p, e in zip(places, embeddings, strict=True)]
        )
        references = torch.cat(places)[None]
        for layer in self.encoder:
            tokens = layer(tokens, positions, references, shapes)
        return tokens, shapes


class _Levels(nn.Module):
    """Three maps of the backbone and one at half the last one's size, all ``dim`` wide."""

    def __init__(self, channels: tuple[int, ...], dim: int) -> None:
        super().__init__()
        plain = [nn.Conv2d(c, dim, 1) for c in channels]
        extra = nn.Conv2d(channels[-1], dim, 3, stride=2, padding=1)
        groups = max(1, dim // 8)  # of 8 channels, as the published 32 of 256
        self.project = nn.ModuleList(
            nn.Sequential(conv, nn.GroupNorm(groups, dim)) for conv in (*plain, extra)
        )
        for conv in (*plain, extra):
            nn.init.xavier_uniform_(conv.weight)
            nn.init.zeros_(conv.bias)  # type: ignore[arg-type]
        self.embedding = nn.Parameter(torch.randn(len(self.project), dim))

    def forward(self, maps: list[Tensor]) -> tuple[list[Tensor], Tensor]:
        return [p(m) for p, m in zip(self.project, [*maps, maps[-1]], strict=True)], self.embedding


def _head(dim: int, outputs: int) -> nn.Sequential:
    """Three layers; the last begins at zero: no offset, all anchors alike."""
    head = mlp(dim, dim, dim, outputs)
    nn.init.zeros_(head[-1].weight)  # type: ignore[arg-type]
    nn.init.zeros_(head[-1].bias)  # type: ignore[arg-type]
    return head
