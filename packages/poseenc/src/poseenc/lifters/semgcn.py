"""SemGCN: graph convolutions whose edges have learnt weights."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from posedata.skeleton import Skeleton, get_skeleton
from torch import Tensor, nn

from poseenc.lifters.layers import Channels, adjacent


class SemGraphConv(nn.Module):
    """One matrix for a joint itself, one for its neighbours, mixed by a learnt softmax over edges (eq. 3)."""

    links: Tensor

    def __init__(self, inputs: int, outputs: int, links: Bool[Tensor, "J J"]) -> None:
        super().__init__()
        self.register_buffer("links", links.clone(), persistent=False)
        self.weight = nn.Parameter(torch.empty(2, inputs, outputs))
        self.edges = nn.Parameter(torch.ones(int(links.sum())))
        self.bias = nn.Parameter(torch.empty(outputs).uniform_(-(outputs**-0.5), outputs**-0.5))
        nn.init.xavier_uniform_(self.weight, gain=2**0.5)

    def forward(self, x: Float[Tensor, "B J inputs"]) -> Float[Tensor, "B J outputs"]:
        logits = torch.full_like(self.links, -torch.inf, dtype=x.dtype)
        mixing = logits.masked_scatter(self.links, self.edges.to(x.dtype)).softmax(-1)
        own = torch.eye(len(mixing), dtype=mixing.dtype, device=mixing.device) * mixing
        return own @ (x @ self.weight[0]) + (mixing - own) @ (x @ self.weight[1]) + self.bias


class SemGCN(nn.Module):
    """Zhao, Peng, Tian, Kapadia, Metaxas: "Semantic Graph Convolutional Networks for 3D Human Pose
    Regression", CVPR 2019, without its non-local layers: 0.27 M parameters, as its repository states.

    Args:
        skeleton: whose bones are the graph.
        channels, blocks: of the trunk.
    """

    def __init__(self, skeleton: Skeleton | None = None, channels: int = 128, blocks: int = 4) -> None:
        super().__init__()
        links = adjacent(skeleton or get_skeleton("h36m17"))
        self.first = _layer(2, channels, links)
        self.blocks = nn.ModuleList(
            nn.Sequential(_layer(channels, channels, links), _layer(channels, channels, links))
            for _ in range(blocks)
        )
        self.out = SemGraphConv(channels, 3, links)

    def forward(self, keypoints: Float[Tensor, "B J 2"]) -> Float[Tensor, "B J 3"]:
        x = self.first(keypoints)
        for block in self.blocks:
            x = x + block(x)
        return self.out(x)


def _layer(inputs: int, outputs: int, links: Tensor) -> nn.Sequential:
    return nn.Sequential(SemGraphConv(inputs, outputs, links), Channels(outputs), nn.ReLU())
