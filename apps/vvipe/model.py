"""V-VIPE and PR-VIPE behind one call: keypoints in, embeddings out, compared by Euclidean distance."""

import torch
from jaxtyping import Float
from poseenc import GaussianPoseEncoder, MatchingProbability, MLPPoseEncoder, PoseVAE
from poseenc.canonical import KEYPOINTS, POSE, Body
from poseenc.gaussian import Gaussian
from torch import Tensor, nn

from vvipe.data import Normalised
from vvipe.recipe import MatchingConfig, ModelConfig, Recipe


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

    Attributes:
        vae: 3D poses to the embedding and back.
        encoder: keypoints to the embedding.
        body: the universal skeleton, kept with the weights.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.vae = PoseVAE(len(POSE), config.dim, config.hidden, config.blocks, dropout=config.dropout)
        self.encoder = MLPPoseEncoder(
            len(KEYPOINTS),
            2 + config.confidence,
            config.dim,
            config.hidden,
            config.blocks,
            dropout=config.dropout,
            box=False,
        )
        self.body = BodyBuffer()

    def embed(self, views: Normalised) -> Float[Tensor, "B dim"]:
        """Embeddings of keypoints."""
        return self.encoder(_channels(views, self.config), present=views.confidence > 0)

    def embed_pose(self, pose: Float[Tensor, "B J 3"]) -> Float[Tensor, "B dim"]:
        """Embeddings of 3D poses (`Body.pose`): the posterior's mean."""
        return self.vae.encode(pose).mean

    def decode(self, embedding: Float[Tensor, "B dim"]) -> Float[Tensor, "B J 3"]:
        """Poses of embeddings, in torsos, in the body frame."""
        return self.vae.decode(embedding)


class PRVIPE(nn.Module):
    """An encoder of keypoints to distributions, and what decides whether two match.

    Attributes:
        encoder: keypoints to a distribution; its mean is the embedding.
        matching: the learnt matching probability.
        body: as `VVIPE.body`.
    """

    def __init__(self, config: ModelConfig, matching: MatchingConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = GaussianPoseEncoder(
            len(KEYPOINTS),
            2 + config.confidence,
            matching.dim,
            config.hidden,
            config.blocks,
            dropout=matching.dropout,
        )
        self.matching = MatchingProbability()
        self.body = BodyBuffer()

    def distribution(self, views: Normalised) -> Gaussian:
        """The distribution of every view."""
        return self.encoder(_channels(views, self.config), present=views.confidence > 0)

    def embed(self, views: Normalised) -> Float[Tensor, "B dim"]:
        """Means of the distributions."""
        return self.distribution(views).mean


Model = VVIPE | PRVIPE


def build(recipe: Recipe) -> Model:
    """The model that a recipe names."""
    if recipe.model.method == "vvipe":
        return VVIPE(recipe.model)
    return PRVIPE(recipe.model, recipe.matching)


def around(
    model: VVIPE, pose: Float[Tensor, "J 3"], directions: Float[Tensor, "Z dim"], amounts: list[float]
) -> Float[Tensor, "Z A J 3"]:
    """Decoded μ + α z for every direction z and amount α."""
    mean = model.embed_pose(pose[None])
    noisy = mean + directions[:, None] * directions.new_tensor(amounts)[:, None]
    return model.decode(noisy.flatten(0, 1)).unflatten(0, noisy.shape[:2])


def _channels(views: Normalised, config: ModelConfig) -> Tensor:
    if not config.confidence:
        return views.keypoints
    return torch.cat([views.keypoints, views.confidence[..., None]], dim=-1)
