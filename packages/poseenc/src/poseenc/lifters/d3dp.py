"""D3DP's denoiser: attention over joints and over frames by turns, given keypoints and noisy joints."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torchvision.ops import StochasticDepth

from poseenc.lifters.layers import Attention, mlp


class Block(nn.Module):
    """Attention among the tokens of the last axis but one, and an MLP, in residual branches."""

    def __init__(self, width: int, heads: int, drop_path: float) -> None:
        super().__init__()
        self.norm_attention, self.attention = nn.LayerNorm(width, eps=1e-6), Attention(width, heads)
        self.norm_mlp, self.mlp = nn.LayerNorm(width, eps=1e-6), mlp(width, 2 * width)
        self.drop_path = StochasticDepth(drop_path, "row")

    def forward(self, x: Float[Tensor, "*B T width"]) -> Float[Tensor, "*B T width"]:
        x = x + self.drop_path(self.attention(self.norm_attention(x)))
        return x + self.drop_path(self.mlp(self.norm_mlp(x)))


class D3DP(nn.Module):
    """Shan et al.: "Diffusion-Based 3D Human Pose Estimation with Multi-Hypothesis Aggregation", ICCV 2023:
    its denoiser, MixSTE (Zhang et al., CVPR 2022) that is told the noisy joints and the step, in the sizes of
    its repository's options.

    Args:
        joints, frames: J and T; the authors have 243 frames.
        width, layers, heads: of the trunk.
    """

    frequencies: Tensor

    def __init__(
        self, joints: int = 17, frames: int = 243, width: int = 512, layers: int = 8, heads: int = 8
    ) -> None:
        super().__init__()
        self.register_buffer("frequencies", torch.logspace(0, -4, width // 2), persistent=False)
        self.embed = nn.Linear(5, width)
        self.joint = nn.Parameter(torch.zeros(joints, width))
        self.frame = nn.Parameter(torch.zeros(frames, 1, width))
        self.time = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))
        rates = torch.linspace(0, 0.1, layers).tolist()
        self.spatial = nn.ModuleList(Block(width, heads, rate) for rate in rates)
        self.temporal = nn.ModuleList(Block(width, heads, rate) for rate in rates)
        self.norm_spatial, self.norm_temporal = (nn.LayerNorm(width, eps=1e-6) for _ in range(2))
        self.out = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 3))

    def forward(
        self,
        noisy: Float[Tensor, "*S B T J 3"],
        step: Float[Tensor, ...],
        keypoints: Float[Tensor, "B T J 2"],
    ) -> Float[Tensor, "*S B T J 3"]:
        """The clean joints; step: of the authors' thousand, a scalar, or one for each clip of B."""
        angles = step[..., None] * self.frequencies
        time = self.time(torch.cat([angles.sin(), angles.cos()], -1))[..., None, None, :]
        tokens = self.embed(torch.cat([keypoints.expand(*noisy.shape[:-1], 2), noisy], -1))
        x = (tokens + self.joint + time).flatten(0, -4)
        for i, (spatial, temporal) in enumerate(zip(self.spatial, self.temporal, strict=True)):
            x = self.norm_spatial(spatial(x))
            x = x + self.frame if i == 0 else x
            x = self.norm_temporal(temporal(x.transpose(1, 2)).transpose(1, 2))
        return self.out(x).view_as(noisy)
