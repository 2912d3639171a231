"""How far a pose may be from what was estimated: learnt of what it was estimated from."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

HIDDEN, DROPOUT = 64, 0.2


@dataclass(frozen=True)
class Estimates:
    """Poses of one modality that were estimated, and by how much they were wrong.

    Attributes:
        embedding: (N, dim), of unit length.
        confidence: (N, J) of the keypoints; ones of other modalities.
        residual: (N, J, 3) true less estimated joints, metres, in the encoders' frame.
    """

    embedding: Float[Tensor, "N dim"]
    confidence: Float[Tensor, "N J"]
    residual: Float[Tensor, "N J 3"]


class Spread(nn.Module):
    """Standard deviations of an estimated pose's coordinates, by the embedding and the keypoints' confidence.

    One small network a modality gives the logarithm of what its usual spread is multiplied by
    (heteroscedastic regression: Kendall and Gal 2017, What Uncertainties Do We Need, equation 5).
    `fit` trains it; what never varies, the root, has a spread of 0. `stretch` is what hypotheses with these
    spreads are stretched by, a modality, so that their intervals hold what they say
    (`polypose.measuring.calibrate`).
    """

    usual: Tensor
    slope: Tensor
    gap: Tensor
    stretch: Tensor

    def __init__(self, modalities: Sequence[str], dim: int, joints: int) -> None:
        super().__init__()
        self.modalities = tuple(modalities)
        self.networks = nn.ModuleDict({name: _network(dim + joints, joints) for name in self.modalities})
        self.register_buffer("usual", torch.zeros(len(self.modalities), joints, 3))
        self.register_buffer("slope", torch.ones(len(self.modalities)))
        self.register_buffer("gap", torch.zeros(len(self.modalities), joints, 3))
        self.register_buffer("stretch", torch.ones(len(self.modalities)))

    def forward(
        self, embedding: Float[Tensor, "N dim"], confidence: Float[Tensor, "N J"], modality: str
    ) -> Float[Tensor, "N J 3"]:
        """Metres, along the axes of the encoders' frame."""
        known = self.known(embedding, confidence, modality)
        return (known.square() + self.gap[self.modalities.index(modality)].square()).sqrt()

    def known(
        self, embedding: Float[Tensor, "N dim"], confidence: Float[Tensor, "N J"], modality: str
    ) -> Float[Tensor, "N J 3"]:
        """The part that is learnt of people that the network was trained on, metres."""
        index = self.modalities.index(modality)
        inputs = torch.cat([embedding * math.sqrt(embedding.shape[-1]), confidence], dim=-1)
        log = self.networks[modality](inputs)
        return self.usual[index] * (self.slope[index] * log.unflatten(-1, self.usual.shape[1:])).exp()


def fit(
    spread: Spread,
    trained: Mapping[Any, Estimates],
    held_out: Mapping[Any, Estimates],
    *,
    steps: int = 1500,
    batch: int = 512,
    seed: int = 0,
) -> None:
    """Fit a spread to what a finished network gets wrong.

    Which poses are less sure than others is learnt from those that the network was trained on, of which there
    are many, under a Student's t likelihood; how far off they are, and how much the difference counts, from
    people it has not seen, by a Gaussian likelihood: a factor a coordinate, one power a modality, and a gap a
    coordinate, whose square is added to the variance. Of what they were trained on, networks are surer than
    they should be; and what a body is that they have not seen costs the same however well it is seen.

    Args:
        trained: estimates of people that the network was trained on, by modality.
        held_out: of others.
        seed: decides everything random.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for modality in trained:
            _learn(spread, modality, trained[modality], steps, batch)
            _scale(spread, modality, held_out[modality])
    spread.eval()


def _network(inputs: int, joints: int) -> nn.Sequential:
    last = nn.Linear(HIDDEN, joints * 3)
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    return nn.Sequential(
        nn.BatchNorm1d(inputs, affine=False), nn.Linear(inputs, HIDDEN), nn.SiLU(), nn.Dropout(DROPOUT), last
    )


def _learn(spread: Spread, modality: str, found: Estimates, steps: int, batch: int) -> None:
    network, index = spread.networks[modality], spread.modalities.index(modality)
    spread.usual[index] = found.residual.square().mean(0).sqrt()
    spread.slope[index] = 1.0
    spread.gap[index] = 0.0
    network.train()
    optimiser = torch.optim.AdamW(network.parameters(), 1e-3, weight_decay=0.1)
    moves = spread.usual[index] > 0
    for _ in range(steps):
        rows = torch.randint(len(found.residual), (batch,))
        sd = spread.known(found.embedding[rows], found.confidence[rows], modality)[:, moves]
        square = (found.residual[rows][:, moves] / sd).square()
        loss = (sd.log() + 1.5 * torch.log1p(square / 2)).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    network.eval()


def _scale(spread: Spread, modality: str, found: Estimates) -> None:
    """Factors, power and gaps by maximum likelihood; L-BFGS from a power of 1 and a gap that is a third."""
    index = spread.modalities.index(modality)
    with torch.no_grad():
        sd = spread.known(found.embedding, found.confidence, modality)
    moves = spread.usual[index] > 0
    log = (sd[:, moves] / spread.usual[index][moves]).log().double()
    square = found.residual[:, moves].double().square()
    least = square.mean(0).sqrt().clamp(min=1e-9)
    factor, gap = torch.zeros_like(least).requires_grad_(), torch.full_like(least, -1.1).requires_grad_()
    power = torch.ones((), dtype=torch.float64, requires_grad=True)

    def variance() -> Tensor:
        return least.square() * ((2 * (factor + power * log)).exp() + (2 * gap).exp())

    optimiser = torch.optim.LBFGS([factor, gap, power], max_iter=100, line_search_fn="strong_wolfe")

    def cost() -> Tensor:
        optimiser.zero_grad()
        expected = variance()
        loss = (expected.log() + square / expected).mean() / 2
        loss.backward()
        return loss

    optimiser.step(cost)
    spread.slope[index] = float(power.detach())
    spread.usual[index][moves] = (least * factor.detach().exp()).to(spread.usual)
    spread.gap[index][moves] = (least * gap.detach().exp()).to(spread.gap)
