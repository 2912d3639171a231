"""V-VIPE and PR-VIPE behind one call: keypoints in, embeddings out, compared by Euclidean distance."""

import torch
from jaxtyping import Float
from posedata.sharing import shared
from torch import Tensor, nn

from .canonical import KEYPOINTS, POSE, Body
from .gaussian import Gaussian
from .pose import MLPPoseEncoder
from .probabilistic import GaussianPoseEncoder, MatchingProbability
from .seen import Normalised
from .vae import PoseVAE


class BodyBuffer(nn.Module):
    """The bone lengths of the universal skeleton, in metres, as part of a model's state."""

    lengths: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("lengths", torch.zeros(len(POSE)))

    def get(self) -> Body:
        """The skeleton."""
        return Body(self.lengths)


class VVIPE(nn.Module):
    """An autoencoder of poses, and an encoder of keypoints into its embedding.

    Args:
        dim: width of the embedding.
        hidden, blocks, dropout: of SimpleBaseline's trunks.
        confidence: whether the detector's confidence is an input.

    Attributes:
        vae: 3D poses to the embedding and back.
        encoder: keypoints to the embedding.
        body: the universal skeleton, kept with the weights.
    """

    def __init__(
        self,
        dim: int = 32,
        hidden: int = 1024,
        blocks: int = 2,
        *,
        dropout: float = 0.1,
        confidence: bool = False,
    ) -> None:
        super().__init__()
        self.dim, self.confidence = dim, confidence
        self.vae = PoseVAE(len(POSE), dim, hidden, blocks, dropout=dropout)
        self.encoder = MLPPoseEncoder(
            len(KEYPOINTS), 2 + confidence, dim, hidden, blocks, dropout=dropout, box=False
        )
        self.body = BodyBuffer()

    def embed(self, views: Normalised) -> Float[Tensor, "B dim"]:
        """Embeddings of keypoints."""
        return self.encoder(_channels(views, self.confidence), present=views.confidence > 0)

    def embed_pose(self, pose: Float[Tensor, "B J 3"]) -> Float[Tensor, "B dim"]:
        """Embeddings of 3D poses (`Body.pose`): the posterior's mean."""
        return self.vae.encode(pose).mean

    def decode(self, embedding: Float[Tensor, "B dim"]) -> Float[Tensor, "B J 3"]:
        """Poses of embeddings, in torsos, in the body frame."""
        return self.vae.decode(embedding)


class PRVIPE(nn.Module):
    """An encoder of keypoints to distributions, and what decides whether two match; arguments as `VVIPE`'s.

    Attributes:
        encoder: keypoints to a distribution; its mean is the embedding.
        matching: the learnt matching probability.
        body: as `VVIPE.body`.
    """

    def __init__(
        self,
        dim: int = 16,
        hidden: int = 1024,
        blocks: int = 2,
        *,
        dropout: float = 0.3,
        confidence: bool = False,
    ) -> None:
        super().__init__()
        self.dim, self.confidence = dim, confidence
        self.encoder = GaussianPoseEncoder(
            len(KEYPOINTS), 2 + confidence, dim, hidden, blocks, dropout=dropout
        )
        self.matching = MatchingProbability()
        self.body = BodyBuffer()

    def distribution(self, views: Normalised) -> Gaussian:
        """The distribution of every view."""
        return self.encoder(_channels(views, self.confidence), present=views.confidence > 0)

    def embed(self, views: Normalised) -> Float[Tensor, "B dim"]:
        """Means of the distributions."""
        return self.distribution(views).mean


Model = VVIPE | PRVIPE


@torch.no_grad()
def embed_views(model: Model, views: Normalised, batch: int) -> Float[Tensor, "*n dim"]:
    """Embeddings of views of any leading shape, in batches that processes may share (`posedata.sharing`)."""
    shape, flat = views.confidence.shape[:-1], views.flatten()
    starts = range(0, len(flat.confidence), batch)
    return torch.cat(shared(lambda i: model.embed(flat[i : i + batch]), starts)).unflatten(0, shape)


def around(
    model: VVIPE, pose: Float[Tensor, "J 3"], directions: Float[Tensor, "Z dim"], amounts: list[float]
) -> Float[Tensor, "Z A J 3"]:
    """Decoded μ + α z for every direction z and amount α."""
    mean = model.embed_pose(pose[None])
    noisy = mean + directions[:, None] * directions.new_tensor(amounts)[:, None]
    return model.decode(noisy.flatten(0, 1)).unflatten(0, noisy.shape[:2])


def _channels(views: Normalised, confidence: bool) -> Tensor:
    if not confidence:
        return views.keypoints
    return torch.cat([views.keypoints, views.confidence[..., None]], dim=-1)
