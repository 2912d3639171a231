"""Cross-modality interaction: points attend to what an image shows, in training; alone they must do at test.

FusionPose (AAAI 2023) has one transformer encoder layer over image tokens and one decoder layer with points
as its target; so has this. That it is used here, and with modality dropout, is this project's reading of
UniPose's "cross-modality interaction".
"""

import torch
from jaxtyping import Bool, Float, Shaped
from poseenc.attention import Block
from torch import Tensor, nn


class ImageTokens(nn.Module):
    """A small CNN's map at stride 8 as tokens that know where in the image they lie.

    Args:
        dim: width of the tokens.
        size: side of the square image, px, a multiple of 8.
        heads: of the layer of attention among the tokens.
    """

    def __init__(self, dim: int, size: int, heads: int = 4) -> None:
        super().__init__()
        if size % 8:
            raise ValueError(
                f"an image of {size} px has no whole number of cells at stride 8: give a multiple"
            )
        self.net = nn.Sequential(
            nn.PixelUnshuffle(4),
            nn.Conv2d(48, 32, 3, padding=1), nn.GroupNorm(4, 32), nn.ReLU(),
            nn.Conv2d(32, 64, 3, stride=2, padding=1), nn.GroupNorm(8, 64), nn.ReLU(),
            nn.Conv2d(64, dim, 3, padding=1),
        )  # fmt: skip
        cells = size // 8
        at = (torch.arange(cells) + 0.5) / cells * 2 - 1
        self.register_buffer("places", torch.cartesian_prod(at, at).flip(-1), persistent=False)
        self.place = nn.Linear(2, dim)
        self.mix = Block(dim, heads, expand=2)

    places: Tensor

    def forward(self, images: Shaped[Tensor, "B 3 H W"]) -> Float[Tensor, "B tokens dim"]:
        """Tokens of images, uint8 or 0 to 1."""
        pictures = images if images.is_floating_point() else images.float() / 255
        tokens = self.net(pictures).flatten(2).mT
        return self.mix(tokens + self.place(self.places))


class Interaction(nn.Module):
    """Point tokens with what they find in the image tokens of their clip added to them.

    Where a clip's image is dropped its points pass through untouched: the same weights serve both ways.

    Args:
        dim: of point and image tokens.
        size: side of the square image, px.
        heads: of attention.
    """

    def __init__(self, dim: int, size: int, heads: int = 4) -> None:
        super().__init__()
        self.size = size
        self.image = ImageTokens(dim, size, heads)
        self.place = nn.Linear(2, dim)
        self.norm = nn.LayerNorm(dim)
        self.attention = nn.MultiheadAttention(dim, heads, batch_first=True)
        self.out = nn.Linear(dim, dim)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(
        self,
        tokens: Float[Tensor, "B M dim"],
        places: Float[Tensor, "B M 2"],
        images: Shaped[Tensor, "b T 3 H W"],
        seen: Bool[Tensor, " B"],
    ) -> Float[Tensor, "B M dim"]:
        """New tokens.

        Args:
            tokens: of the points of T frames, frame by frame.
            places: pixels that the points project to.
            images: of the clips that are seen, in their order.
            seen: which of the B clips have an image.
        """
        if not seen.any():
            return tokens
        clips, frames = images.shape[:2]
        memory = self.image(images.flatten(0, 1))
        asking = tokens[seen].view(clips * frames, -1, tokens.shape[-1])
        at = (places[seen].view(*asking.shape[:2], 2) + 0.5) / self.size * 2 - 1
        query = self.norm(asking) + self.place(at)
        found = self.attention(query, memory, memory, need_weights=False)[0]
        added = self.out(found).view(clips, -1, tokens.shape[-1])
        result = tokens.clone()
        result[seen] = tokens[seen] + added.to(tokens)
        return result
