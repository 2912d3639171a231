"""D3DP among the peers: its own noise, in metres, its own steps, and its own loss."""

from __future__ import annotations

import torch
from jaxtyping import Float
from posediff.sampler import ancestral, randn_like
from posediff.schedule import cosine_levels
from poseenc.lifters.d3dp import D3DP
from torch import Tensor

from polypose.peer import JOINTS, Peer
from polypose.samples import Sample

BEYOND = 1.1
"""Metres: where the authors clip coordinates."""


class Diffused(Peer):
    """D3DP: clean joints in metres from noisy ones, taught by their distance at steps drawn evenly.

    Args:
        network: of the authors' thousand steps, each a condition.
        steps: network evaluations of a draw.
        mean_of: hypotheses whose mean is its pose; the authors choose among them joint by joint, knowing the
            root's place (`posediff.refine.choose_joints`).
    """

    levels: Tensor

    def __init__(self, network: D3DP, steps: int = 5, mean_of: int = 5) -> None:
        super().__init__()
        self.network, self.steps, self.mean_of = network, steps, mean_of
        self.frames = len(network.frame)
        self.register_buffer("levels", cosine_levels(), persistent=False)

    def loss(self, sample: Sample, generator: torch.Generator) -> Float[Tensor, ""]:
        clean = sample.joints.unflatten(0, (-1, self.frames))
        shape = (len(clean),)
        step = torch.randint(len(self.levels), shape, generator=generator, device=generator.device)
        step = step.to(clean.device)
        noisy = clean + self.levels[step, None, None, None] * randn_like(clean, generator)
        found = self._clean(noisy, step, self._clips(sample))
        return torch.linalg.vector_norm(found - clean, dim=-1).mean()

    def forward(self, sample: Sample) -> Float[Tensor, "B J 3"]:
        generator = torch.Generator(sample.keypoints.device).manual_seed(0)
        return self.draw(sample, self.mean_of, generator).mean(0)

    def draw(self, sample: Sample, count: int, generator: torch.Generator) -> Float[Tensor, "S B J 3"]:
        seen = self._clips(sample)
        visited = torch.linspace(-1, len(self.levels) - 1, self.steps + 1).int().flip(0)[:-1].tolist()
        steps = iter(visited)

        def denoise(x: Tensor, sigma: Tensor) -> Tensor:
            found = self._clean(x, torch.tensor(next(steps), device=x.device), seen)
            return found.clamp(-BEYOND, BEYOND)

        levels = torch.cat([self.levels[visited], self.levels.new_zeros(1)])
        noise = randn_like(seen.new_empty(count, *seen.shape[:-1], 3), generator)
        # of the first step the authors take the noise alone, as if no signal were left
        drawn = ancestral(denoise, noise * (1 + levels[0] ** 2).sqrt(), levels, generator=generator)
        middle = drawn[:, :, self.frames // 2]
        return middle - middle[..., :1, :]

    def _clips(self, sample: Sample) -> Float[Tensor, "B T J 2"]:
        return self.seen(sample).unflatten(0, (-1, self.frames))

    def _clean(self, noisy: Tensor, step: Tensor, seen: Tensor) -> Tensor:
        """Of joints at a step's level, which the network sees at unit variance."""
        level = self.levels[step]
        level = level if level.ndim == 0 else level[:, None, None, None]
        shown = (noisy / (1 + level**2).sqrt()).clamp(-BEYOND, BEYOND)
        return self.network(shown, step, seen)


def d3dp() -> Diffused:
    """For single frames, in the authors' width and depth."""
    return Diffused(D3DP(JOINTS, 1))
