"""A small convolutional body for machines without an accelerator; it keeps where things are."""

from itertools import pairwise

from jaxtyping import Float
from torch import Tensor, nn


class LightBody(nn.Module):
    """Dense residual CNN whose final map is flattened, not averaged: a pose is where things are.

    Args:
        widths: channels of the stages; each stage halves the map.
        grid: (height, width) of the final map; other image shapes are pooled to it.
    """

    def __init__(self, widths: tuple[int, ...] = (32, 64, 128, 192), grid: tuple[int, int] = (4, 3)) -> None:
        super().__init__()
        stem = nn.Sequential(
            nn.PixelUnshuffle(4),
            nn.Conv2d(48, widths[0], 3, padding=1, bias=False),
            nn.BatchNorm2d(widths[0]),
        )
        stages = [_Stage(a, b) for a, b in pairwise(widths)]
        self.layers = nn.Sequential(stem, nn.ReLU(), *stages, nn.AdaptiveAvgPool2d(grid), nn.Flatten())
        self.features = widths[-1] * grid[0] * grid[1]

    def forward(self, images: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B features"]:
        return self.layers(images)


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
