"""How far a pose may be from what was estimated: learnt of what it was estimated from."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

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
    stretch: Tensor

    def __init__(self, modalities: Sequence[str], dim: int, joints: int) -> None:
        super().__init__()
        self.modalities = tuple(modalities)
        self.networks = nn.ModuleDict({name: _network(dim + joints, joints) for name in self.modalities})
        self.register_buffer("usual", torch.zeros(len(self.modalities), joints, 3))
        self.register_buffer("slope", torch.ones(len(self.modalities)))
        self.register_buffer("stretch", torch.ones(len(self.modalities)))

    def forward(
        self, embedding: Float[Tensor, "N dim"], confidence: Float[Tensor, "N J"], modality: str
    ) -> Float[Tensor, "N J 3"]:
        """Metres, along the axes of the encoders' frame."""
        index = self.modalities.index(modality)
        inputs = torch.cat([embedding * math.sqrt(embedding.shape[-1]), confidence], dim=-1)
        log = self.networks[modality](inputs)
        return self.usual[index] * (self.slope[index] * log.unflatten(-1, self.usual.shape[1:])).exp()


def fit(
    spread: Spread,
    trained: Mapping[str, Estimates],
    held_out: Mapping[str, Estimates],
    *,
    steps: int = 1500,
    batch: int = 512,
    seed: int = 0,
) -> None:
    """Fit a spread to what a finished network gets wrong.

    Which poses are less sure than others is learnt from those that the network was trained on, of which there
    are many, under a Student's t likelihood; how far off they are, and how much the difference counts, from
    people it has not seen, by a Gaussian likelihood: a factor a coordinate and one power a modality. Of what
    they were trained on, networks are surer than they should be.

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
    network.train()
    optimiser = torch.optim.AdamW(network.parameters(), 1e-3, weight_decay=0.1)
    moves = spread.usual[index] > 0
    for _ in range(steps):
        rows = torch.randint(len(found.residual), (batch,))
        sd = spread(found.embedding[rows], found.confidence[rows], modality)[:, moves]
        square = (found.residual[rows][:, moves] / sd).square()
        loss = (sd.log() + 1.5 * torch.log1p(square / 2)).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    network.eval()


def _scale(spread: Spread, modality: str, found: Estimates) -> None:
    """The power by a section search, the factors in closed form for each power."""
    index = spread.modalities.index(modality)
    with torch.no_grad():
        sd = spread(found.embedding, found.confidence, modality)
    moves = spread.usual[index] > 0
    log = torch.where(moves, sd / spread.usual[index].where(moves, 1), 1).log()[:, moves].double()
    square = found.residual[:, moves].double().square()

    def cost(power: float) -> float:
        factor = (square * (-2 * power * log).exp()).mean(0).clamp(min=1e-18)
        return float((factor.log() / 2 + power * log).mean())

    low, high = 0.0, 2.0
    for _ in range(40):  # the cost is convex
        third = (high - low) / 3
        low, high = (low, high - third) if cost(low + third) < cost(high - third) else (low + third, high)
    power = (low + high) / 2
    spread.slope[index] = power
    spread.usual[index][moves] = (square * (-2 * power * log).exp()).mean(0).sqrt().to(spread.usual)
