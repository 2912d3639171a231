"""FMPose3D's velocity network: graph convolution and attention side by side, over joints."""

from __future__ import annotations

import torch
from jaxtyping import Float
from posedata.skeleton import Skeleton, get_skeleton
from torch import Tensor, nn
from torchvision.ops import StochasticDepth

from poseenc.lifters.layers import Attention, PartitionConv, mlp, partitions

TIME = 32


class Block(nn.Module):
    """A graph convolution and attention, added in one residual branch, and an MLP."""

    def __init__(self, width: int, graphs: Tensor, drop_path: float) -> None:
        super().__init__()
        self.norm_graph, self.graph = (
            nn.LayerNorm(len(graphs[0]), eps=1e-6),
            PartitionConv(width, width, graphs),
        )
        self.norm_attention = nn.LayerNorm(width, eps=1e-6)
        self.attention = Attention(width, 8, dropout=0.25)
        self.norm_mlp, self.mlp = nn.LayerNorm(width, eps=1e-6), mlp(width, 1024, 0.1)
        self.drop_path = StochasticDepth(drop_path, "row")

    def forward(self, x: Float[Tensor, "B J width"]) -> Float[Tensor, "B J width"]:
        local = self.graph(self.norm_graph(x.mT).mT)
        x = x + self.drop_path(local + self.attention(self.norm_attention(x)))
        return x + self.drop_path(self.mlp(self.norm_mlp(x)))


class FMPose3D(nn.Module):
    """Wang, Yu, Mathis: "FMPose3D: monocular 3D pose estimation via flow matching", 2026: its network for
    people, in the sizes that its repository tries it with.

    It is called as `posediff.Denoiser` calls a network: flat noisy joints, a label, and the keypoints as the
    condition. The label is 999 t, as `posediff.denoiser.Velocity` has it.

    Args:
        skeleton: whose bones and mirrored pairs are the graphs.
        width, layers: of the trunk.
    """

    frequencies: Tensor

    def __init__(self, skeleton: Skeleton | None = None, width: int = 512, layers: int = 5) -> None:
        super().__init__()
        graphs = partitions(skeleton or get_skeleton("h36m17"))
        self.register_buffer("frequencies", torch.randn(TIME // 2))
        self.time = nn.Sequential(nn.Linear(TIME, 64), nn.GELU(), nn.Linear(64, TIME))
        self.embed = nn.Sequential(nn.Linear(5 + TIME, width // 2), nn.GELU(), nn.Linear(width // 2, width))
        rates = torch.linspace(0, 0.2, layers).tolist()
        self.blocks = nn.Sequential(*(Block(width, graphs, rate) for rate in rates))
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.out = nn.Sequential(nn.Linear(width, width // 2), nn.GELU(), nn.Linear(width // 2, 3))

    def forward(
        self, x: Float[Tensor, "*S B D"], label: Float[Tensor, ...], keypoints: Float[Tensor, "B J 2"]
    ) -> Float[Tensor, "*S B D"]:
        """The velocity of flat joints (..., B, 3 J); label: a scalar, or one a row of x."""
        noisy = x.unflatten(-1, (-1, 3))
        angles = 2 * torch.pi * (label / 999)[..., None] * self.frequencies
        time = self.time(torch.cat([angles.sin(), angles.cos()], -1))
        shape = noisy.shape[:-1]
        time = (time if time.ndim == 1 else time[..., None, :]).expand(*shape, TIME)
        tokens = self.embed(torch.cat([keypoints.expand(*shape, 2), noisy, time], -1)).flatten(0, -3)
        return self.out(self.norm(self.blocks(tokens))).view_as(noisy).flatten(-2)
