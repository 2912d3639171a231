"""V-VIPE's networks among the peers: keypoints through a small embedding of poses in the camera's axes."""

from __future__ import annotations

import torch
from jaxtyping import Float
from poseenc import MLPPoseEncoder
from poseenc.vae import PoseVAE
from torch import Tensor

from polypose.peer import JOINTS, Peer
from polypose.samples import Sample

KL = 1e-3
"""Weight of the divergence."""


class Embedded(Peer):
    """V-VIPE's encoder of keypoints and its autoencoder of poses, learnt at once instead of one by one.

    Its own embedding leaves out where the camera stands, so that it has no pose in the camera's axes; here
    the autoencoder's poses have them. The losses are the authors' (sections 3.2 and 3.3) without triplets,
    which bring together what looks alike from other sides: poses rebuilt from themselves and from
    keypoints, and the divergence.
    """

    def __init__(self, dim: int = 32) -> None:
        super().__init__()
        self.vae = PoseVAE(JOINTS, dim)
        self.encoder = MLPPoseEncoder(JOINTS, 2, dim, dropout=0.1, box=False)

    def forward(self, sample: Sample) -> Float[Tensor, "B J 3"]:
        return self.restored(self.vae.decode(self.encoder(self.seen(sample))))

    def loss(self, sample: Sample, generator: torch.Generator) -> Float[Tensor, ""]:
        pose = (sample.joints - self.joints_mean) / self.joints_std
        posterior = self.vae.encode(pose)
        embedded = torch.cat([posterior.sample(1, generator)[:, 0], self.encoder(self.seen(sample))])
        rebuilt = self.vae.decode(embedded).unflatten(0, (2, -1))
        return 2 * (rebuilt - pose).square().mean() + KL * posterior.kl_to_normal().mean()
