"""V-VIPE's autoencoder: 3D poses in the body frame to a smooth embedding and back.

Levy and Shrivastava, "V-VIPE: Variational View Invariant Pose Embedding", 2024, section 3.2.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from .baseline import ResidualMLP
from .gaussian import Gaussian
from .tokens import check_pose, exact


class PoseVAE(nn.Module):
    """A variational autoencoder of poses on SimpleBaseline's trunk, for the encoder and for the decoder.

    The deviation is ``exp(s / 2)`` of a linear output s: the paper does not say how it is kept positive.

    Args:
        joints: number of joints J.
        dim: width of the embedding.
        hidden, blocks, dropout: of both trunks; the defaults are the paper's.
    """

    def __init__(
        self, joints: int = 17, dim: int = 32, hidden: int = 1024, blocks: int = 2, *, dropout: float = 0.1
    ) -> None:
        super().__init__()
        self.joints, self.dim = joints, dim
        self.encoder = ResidualMLP(3 * joints, hidden, blocks, dropout=dropout)
        self.mean, self.log_variance = nn.Linear(hidden, dim), nn.Linear(hidden, dim)
        self.decoder = ResidualMLP(dim, hidden, blocks, dropout=dropout)
        self.out = nn.Linear(hidden, 3 * joints)

    def encode(self, pose: Float[Tensor, "B J 3"]) -> Gaussian:
        """The posterior of every pose; its mean is the embedding.

        Raises:
            ValueError: another number of joints than the network was built for.
        """
        check_pose(pose, self.joints, 3)
        x = _trunk(self.encoder, pose.flatten(1))
        with exact(x):
            return Gaussian(self.mean(x.float()), torch.exp(self.log_variance(x.float()) / 2))

    def decode(self, embedding: Float[Tensor, "B dim"]) -> Float[Tensor, "B J 3"]:
        """Poses of embeddings, in the unit and frame of the poses that the network was taught."""
        x = _trunk(self.decoder, embedding)
        with exact(x):
            return self.out(x.float()).unflatten(1, (self.joints, 3))


def _trunk(trunk: ResidualMLP, x: Tensor) -> Tensor:
    """The trunk with coordinates read at full precision, whatever autocast is on."""
    with exact(x):
        x = trunk.first(x)
    return trunk.rest(x)
