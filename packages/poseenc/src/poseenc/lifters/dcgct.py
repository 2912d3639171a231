"""DC-GCT: local graph convolutions and global attention in two chains that exchange."""

from __future__ import annotations

import torch
from jaxtyping import Float
from posedata.skeleton import Skeleton, get_skeleton
from torch import Tensor, nn
from torchvision.ops import StochasticDepth

from poseenc.lifters.layers import Attention, Channels, PartitionConv, mlp, partitions


class Local(nn.Module):
    """Two graph convolutions, each with a channel-mixing layer behind it, in a residual branch."""

    def __init__(self, width: int, graphs: Tensor, drop_path: float) -> None:
        super().__init__()
        self.norm_in, self.norm_out = nn.LayerNorm(width), nn.LayerNorm(width)
        self.convs = nn.Sequential(_conv(width, 2 * width, graphs), _conv(2 * width, width, graphs))
        self.drop_path = StochasticDepth(drop_path, "row")

    def forward(self, x: Float[Tensor, "B J width"]) -> Float[Tensor, "B J width"]:
        return x + self.drop_path(self.norm_out(self.convs(self.norm_in(x))))


class Global(nn.Module):
    """Attention over joints in a residual branch."""

    def __init__(self, width: int, heads: int, drop_path: float) -> None:
        super().__init__()
        self.norm, self.attention = nn.LayerNorm(width), Attention(width, heads, dropout=0.1)
        self.drop_path = StochasticDepth(drop_path, "row")

    def forward(self, x: Float[Tensor, "B J width"]) -> Float[Tensor, "B J width"]:
        return x + self.drop_path(self.attention(self.norm(x)))


class Block(nn.Module):
    """One chain goes from local to global, the other from global to local; a fusion between."""

    def __init__(self, width: int, heads: int, graphs: Tensor, dropout: float, drop_path: float) -> None:
        super().__init__()
        self.split = (width // 5, width - width // 5)
        narrow, wide = self.split
        self.local1, self.global1 = Local(narrow, graphs, drop_path), Global(narrow, heads, drop_path)
        self.global2, self.local2 = Global(wide, heads, drop_path), Local(wide, graphs, drop_path)
        self.norm_fusion, self.fusion = nn.LayerNorm(width), mlp(width, wide, dropout)
        self.norm_mlp, self.mlp = nn.LayerNorm(width), mlp(width, 4 * width, dropout)
        self.drop_path = StochasticDepth(drop_path, "row")

    def forward(self, x: Float[Tensor, "B J width"]) -> Float[Tensor, "B J width"]:
        narrow, wide = x.split(self.split, -1)
        narrow, wide = self.local1(narrow), self.global2(wide)
        joined = torch.cat([narrow, wide], -1)
        to_narrow, to_wide = (joined + self.fusion(self.norm_fusion(joined))).split(self.split, -1)
        x = torch.cat([self.global1(narrow + to_narrow), self.local2(wide + to_wide)], -1) + joined
        return x + self.drop_path(self.mlp(self.norm_mlp(x)))


class DCGCT(nn.Module):
    """Kang, Wang, Liu, Cai: "Double-chain Constraints for 3D Human Pose Estimation in Images and Videos",
    2023 (DC-GCT), single frame, in the sizes of its repository's options.

    Args:
        skeleton: whose bones and mirrored pairs are the graphs.
        width, layers, heads, dropout: of the trunk.
    """

    def __init__(
        self,
        skeleton: Skeleton | None = None,
        width: int = 160,
        layers: int = 3,
        heads: int = 8,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        skeleton = skeleton or get_skeleton("h36m17")
        graphs = partitions(skeleton)
        self.embed = nn.Linear(2, width)
        self.position = nn.Parameter(torch.zeros(len(skeleton), width))
        rates = torch.linspace(0.1, 0.3, layers).tolist()
        self.blocks = nn.Sequential(*(Block(width, heads, graphs, dropout, rate) for rate in rates))
        self.out = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 3))

    def forward(self, keypoints: Float[Tensor, "B J 2"]) -> Float[Tensor, "B J 3"]:
        return self.out(self.blocks(self.embed(keypoints) + self.position))


def _conv(inputs: int, outputs: int, graphs: Tensor) -> nn.Sequential:
    return nn.Sequential(
        PartitionConv(inputs, outputs, graphs),
        Channels(outputs),
        nn.ReLU(),
        nn.Dropout(0.05),
        nn.Linear(outputs, outputs),
        Channels(outputs),
        nn.Dropout(0.05),
        nn.GELU(),
    )
