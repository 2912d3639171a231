"""Small models of random weights, made by the tests that need them."""

import torch
from people import H36M, people
from polypose.config import InvariantConfig, InvariantSettings, ModelConfig
from polypose.invariant import ViewInvariant, built
from polypose.model import Model, Settings
from polypose.network import UniHPR
from polypose.samples import Sample
from poseenc.canonical import Body

SMALL = ModelConfig(
    dim=32,
    pose_encoder="mlp",
    norm="layer",
    hidden=32,
    blocks=1,
    decoder_hidden=32,
    decoder_blocks=1,
    regression=True,
)
"""Of the kind that is shipped."""
INVARIANT = InvariantConfig(dim=8, hidden=32, blocks=1)


def small(seed: int = 0, config: ModelConfig = SMALL, **settings: object) -> Model:
    """A model whose decoders have a scale, as after training."""
    torch.manual_seed(seed)
    network = UniHPR(config)
    generator = torch.Generator().manual_seed(seed)
    joints = 0.3 * torch.randn(64, 17, 3, generator=generator)
    ones = torch.ones(64, 17)
    network.fit_scale(
        Sample(
            joints[..., :2], ones, torch.rand(64, 3), joints - joints[:, :1], torch.eye(3).expand(64, 3, 3)
        )
    )
    return Model(network, Settings(**{"image_size": (48, 64), **settings}))


def invariant(seed: int = 0, config: InvariantConfig = INVARIANT, **settings: object) -> ViewInvariant:
    """A view-invariant model with a body, as after training."""
    torch.manual_seed(seed)
    network = built(config)
    network.body.lengths.copy_(Body.mean_of(torch.from_numpy(people().joints)).lengths)
    assert len(network.body.lengths) == len(H36M)
    return ViewInvariant(network, config, InvariantSettings(**settings), "somewhere")  # type: ignore[arg-type]
