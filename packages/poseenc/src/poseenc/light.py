"""A small convolutional body for machines without an accelerator."""

from itertools import pairwise

from jaxtyping import Float
from torch import Tensor, nn


class LightBody(nn.Module):
    """Dense residual CNN: pixels folded 4x4 into channels, each stage halves the map, the mean of the last.

    Dense 3x3 convolutions because depthwise ones are slower to train on CPUs. The mean of the last
    map rather than the map itself: on rendered figures it learnt faster and generalised better;
    zero padding tells the convolutions where they are.

    Args:
        widths: channels of the stem and of every stage.
        channels: of the pictures.
    """

    def __init__(self, widths: tuple[int, ...] = (32, 64, 128, 192), *, channels: int = 3) -> None:
        super().__init__()
        stem = nn.Sequential(
            _Fold(4),
            nn.Conv2d(16 * channels, widths[0], 3, padding=1, bias=False),
            nn.BatchNorm2d(widths[0]),
        )
        self.layers = nn.Sequential(stem, nn.ReLU(), *(_Stage(a, b) for a, b in pairwise(widths)))
        self.features = widths[-1]

    def forward(self, images: Float[Tensor, "B channels H W"]) -> Float[Tensor, "B features"]:
        return self.layers(images).mean(dim=(2, 3))


class _Fold(nn.PixelUnshuffle):
    """As torch's, which refuses a batch of none."""

    def forward(self, input: Tensor) -> Tensor:
        if input.shape[0]:
            return super().forward(input)
        factor = self.downscale_factor
        batch, channels, height, width = input.shape
        return input.new_zeros(batch, channels * factor**2, height // factor, width // factor)


class _Stage(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.down = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()
        )
        self.residual = nn.Sequential(
            nn.Conv2d(outputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(),
            nn.Conv2d(outputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        x = self.down(x)
        return (x + self.residual(x)).relu()
