"""MotionAGFormer: a transformer and a graph stream over joints and frames, fused in every layer."""

from __future__ import annotations

import torch
from jaxtyping import Float
from posedata.skeleton import Skeleton, get_skeleton
from torch import Tensor, nn

from poseenc.lifters.layers import Attention, adjacent, mlp


class Graph(nn.Module):
    """A graph convolution over tokens: over joints along bones, over frames among the most alike (eq. 4)."""

    links: Tensor | None

    def __init__(self, width: int, nodes: int, links: Tensor | None, neighbours: int) -> None:
        super().__init__()
        self.register_buffer("links", links, persistent=False)
        self.neighbours = neighbours
        self.own, self.others = nn.Linear(width, width), nn.Linear(width, width)
        self.norm = nn.BatchNorm1d(nodes)
        for linear in (self.own, self.others):
            nn.init.normal_(linear.weight, std=(2 / width) ** 0.5)

    def forward(self, x: Float[Tensor, "B A T width"]) -> Float[Tensor, "B A T width"]:
        links = self.links if self.links is not None else self._alike(x)
        scale = links.sum(-1).rsqrt()
        gathered = (scale[..., None] * links * scale[..., None, :]) @ self.others(x)
        normal = self.norm((gathered + self.own(x)).flatten(0, 1)).view_as(x)
        return torch.relu(x + normal)

    def _alike(self, x: Tensor) -> Tensor:
        alike = x @ x.mT
        least = alike.topk(self.neighbours, dim=-1).values[..., -1:]
        return (alike >= least).to(x)


class Layer(nn.Module):
    """A mixer of tokens and an MLP, both in scaled residual branches; over frames if ``temporal``."""

    def __init__(self, width: int, mixer: nn.Module, temporal: bool) -> None:
        super().__init__()
        self.mixer, self.temporal = mixer, temporal
        self.norm_mixer, self.norm_mlp = nn.LayerNorm(width), nn.LayerNorm(width)
        self.mlp = mlp(width, 4 * width)
        self.scale_mixer = nn.Parameter(torch.full((width,), 1e-5))
        self.scale_mlp = nn.Parameter(torch.full((width,), 1e-5))

    def forward(self, x: Float[Tensor, "B T J width"]) -> Float[Tensor, "B T J width"]:
        tokens = self.norm_mixer(x)
        mixed = self.mixer(tokens.transpose(1, 2)).transpose(1, 2) if self.temporal else self.mixer(tokens)
        x = x + self.scale_mixer * mixed
        return x + self.scale_mlp * self.mlp(self.norm_mlp(x))


class Block(nn.Module):
    """Attention over joints, then frames, and graphs over joints, then frames, side by side (figure 2)."""

    def __init__(self, width: int, heads: int, frames: int, links: Tensor, neighbours: int) -> None:
        super().__init__()

        def attention() -> Attention:
            return Attention(width, heads, bias=False)

        self.attending = nn.Sequential(Layer(width, attention(), False), Layer(width, attention(), True))
        self.graphs = nn.Sequential(
            Layer(width, Graph(width, len(links), links, 0), False),
            Layer(width, Graph(width, frames, None, neighbours), True),
        )
        self.fusion = nn.Linear(2 * width, 2)
        nn.init.zeros_(self.fusion.weight)
        nn.init.constant_(self.fusion.bias, 0.5)

    def forward(self, x: Float[Tensor, "B T J width"]) -> Float[Tensor, "B T J width"]:
        attended, gathered = self.attending(x), self.graphs(x)
        share = self.fusion(torch.cat([attended, gathered], -1)).softmax(-1)
        return attended * share[..., :1] + gathered * share[..., 1:]


class MotionAGFormer(nn.Module):
    """Mehraban, Adeli, Taati: "MotionAGFormer: Enhancing 3D Human Pose Estimation With a
    Transformer-GCNFormer Network", WACV 2024. The defaults are its XS variant: 27 frames, 2.2 M parameters
    (table 1).

    Its graph over joints has every bone both ways, which the authors' list leaves out for some.

    Args:
        skeleton: whose bones are the graph.
        frames: T.
        channels: of a keypoint; the authors give it a confidence.
        width, layers, heads, neighbours: of the trunk; the last, of a frame in its graph.
    """

    def __init__(
        self,
        skeleton: Skeleton | None = None,
        frames: int = 27,
        channels: int = 3,
        width: int = 64,
        layers: int = 12,
        heads: int = 8,
        neighbours: int = 2,
    ) -> None:
        super().__init__()
        bones = adjacent(skeleton or get_skeleton("h36m17"))
        links = (bones & ~torch.eye(len(bones), dtype=torch.bool)).float()
        self.embed = nn.Linear(channels, width)
        self.position = nn.Parameter(torch.zeros(len(links), width))
        self.blocks = nn.Sequential(*(Block(width, heads, frames, links, neighbours) for _ in range(layers)))
        self.out = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 512), nn.Tanh(), nn.Linear(512, 3))

    def forward(self, keypoints: Float[Tensor, "B T J channels"]) -> Float[Tensor, "B T J 3"]:
        return self.out(self.blocks(self.embed(keypoints) + self.position))
