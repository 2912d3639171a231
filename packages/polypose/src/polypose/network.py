"""UniHPR: three encoders into one space, two decoders out of it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

import torch
from jaxtyping import Float
from posedata.skeleton import get_skeleton
from posediff import MLPDecoder, PoseDecoder, Whole
from poseenc import MLPPoseEncoder, PoseEncoder2D, PoseEncoder3D, image_encoder
from torch import Tensor, nn
from torch.nn.functional import normalize

from polypose.config import ModelConfig
from polypose.samples import Sample
from polypose.spread import Spread

Modality = Literal["image", "2d", "3d"]
MODALITIES: tuple[Modality, ...] = ("image", "2d", "3d")
POSE_SKELETON = get_skeleton("h36m17")
FEWEST = 16
"""Draws at least by which a pose's own spread is known, when hypotheses are to spread otherwise."""


class UniHPR(nn.Module):
    """Encoders of image, 2D keypoints and 3D joints to unit embeddings, and decoders to 2D and 3D.

    2D is in units of half the box, 3D in metres relative to the pelvis, both in the person-centred camera
    (`posedata.geometry.aim`) or the camera's own, as the data were made. A `spread` is fitted after training,
    if at all.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        joints = len(POSE_SKELETON)
        self.encoders = nn.ModuleDict(
            {
                "image": image_encoder(config.image_encoder, config.dim, weights=config.image_weights),
                "2d": pose_encoder(config, joints, 2),
                "3d": pose_encoder(config, joints, 3),
            }
        )
        self.decoders = nn.ModuleDict(
            {"2d": make_decoder(config, joints, 2), "3d": make_decoder(config, joints, 3)}
        )
        self.spread: Spread | None = None

    def make_spread(self) -> Spread:
        """Give it a spread, to be fitted (`polypose.spread.fit`) or filled."""
        self.spread = Spread(MODALITIES, self.config.dim, len(POSE_SKELETON))
        return self.spread

    @classmethod
    def of_checkpoint(cls, config: ModelConfig) -> "UniHPR":
        """One to be filled from a checkpoint: weights that training began from are not looked for."""
        return cls(replace(config, image_weights=None))

    def embed(self, modality: Modality, sample: Sample) -> Float[Tensor, "B dim"]:
        """Unit embeddings of one modality of a sample."""
        encoder = self.encoder(modality)
        if modality == "image":
            if sample.images is None:
                raise ValueError("the sample has no images; render them with 'posedata render'")
            features = encoder(sample.images)
        elif modality == "2d":
            pose = torch.cat([sample.keypoints, sample.confidence[..., None]], dim=-1)
            features = encoder(pose, sample.token, sample.confidence > 0)
        else:
            features = encoder(sample.joints)
        return normalize(features, dim=-1)

    def embeddings(
        self, sample: Sample, modalities: tuple[Modality, ...] = MODALITIES
    ) -> dict[Modality, Float[Tensor, "B dim"]]:
        """Unit embeddings of several modalities."""
        return {modality: self.embed(modality, sample) for modality in modalities}

    def decode(
        self, target: Literal["2d", "3d"], embedding: Float[Tensor, "B dim"], modality: Modality
    ) -> Float[Tensor, "B J d"]:
        """The mean pose given an embedding, in one network evaluation."""
        return self._decoder(target).mean(condition(embedding), MODALITIES.index(modality))

    @torch.no_grad()
    def sample(
        self,
        target: Literal["2d", "3d"],
        embedding: Float[Tensor, "B dim"],
        modality: Modality,
        *,
        hypotheses: int,
        steps: int,
        sampler: str,
        generator: torch.Generator | None = None,
        confidence: Float[Tensor, "B J"] | None = None,
    ) -> Float[Tensor, "S B J d"]:
        """Poses drawn given an embedding.

        Args:
            confidence: of the keypoints; with it, 3D poses spread by `deviation`, if there is a `spread`. At
                least `FEWEST` are drawn then, whose own spread is taken out.

        Raises:
            ValueError: the decoder is an MLP, which has nothing to draw.
        """
        decoder = self._decoder(target)
        if not isinstance(decoder, PoseDecoder):
            raise ValueError("model.decoder is mlp: it gives one pose; train with model.decoder=diffusion")
        index = MODALITIES.index(modality)
        scaled = self.spread is not None and confidence is not None and target == "3d"
        drawn = decoder.sample(
            condition(embedding),
            index,
            hypotheses=max(hypotheses, FEWEST) if scaled else hypotheses,
            steps=steps,
            sampler=sampler,
            generator=generator,
        )
        if not scaled or self.spread is None or confidence is None:
            return drawn
        usual = _deviation(decoder, index)
        mean, moves = self.decode("3d", embedding, modality), usual > 0
        away = (drawn - mean)[..., moves] / usual[moves]
        own = away.square().mean((0, 2)).sqrt().clamp_min(1e-6)  # of each pose; the decoder's own opinion
        wanted = self.spread.stretch[index] * self.spread(embedding, confidence, modality)[:, moves]
        poses = mean.expand(hypotheses, -1, -1, -1).clone()
        poses[..., moves] += away[:hypotheses] * (wanted / own[:, None])
        return poses

    def deviation(
        self, embedding: Float[Tensor, "B dim"], confidence: Float[Tensor, "B J"], modality: Modality
    ) -> Float[Tensor, "B J 3"]:
        """Standard deviations of 3D poses given embeddings, metres, along the axes of the encoders' frame.

        By the `spread`, or else what training saw poses differ by from their mean, of all alike
        (`PoseDecoder.spread`, `profile`); NaN of a decoder that knows none.

        Args:
            confidence: of the keypoints; ones of other modalities.
        """
        if self.spread is not None:
            found: Tensor = self.spread(embedding, confidence, modality)
            return found
        decoder = self._decoder("3d")
        if not isinstance(decoder, PoseDecoder) or not decoder.centred:
            return torch.full((*confidence.shape, 3), torch.nan).to(confidence)
        return _deviation(decoder, MODALITIES.index(modality)).expand(len(embedding), -1, -1)

    def decoder_terms(
        self,
        target: Literal["2d", "3d"],
        truth: Float[Tensor, "B J d"],
        embedding: Float[Tensor, "B dim"],
        modality: Modality,
        generator: torch.Generator | None = None,
        whole: Whole | None = None,
        *,
        denoise: bool = True,
    ) -> tuple[Float[Tensor, ""], Tensor | None]:
        """Mean training loss of one branch, and the residual that a diffusion decoder's spread follows.

        Args:
            whole: the batch that this is a part of (`PoseDecoder.terms`).
            denoise: whether the loss has its term of denoising (likewise).
        """
        decoder, index = self._decoder(target), MODALITIES.index(modality)
        if isinstance(decoder, MLPDecoder):
            return decoder.loss(truth, condition(embedding), index).mean(), None
        terms = decoder.terms(
            truth, condition(embedding), index, generator=generator, whole=whole, denoise=denoise
        )
        return terms.loss.mean(), terms.residual

    @property
    def mean_pose(self) -> Float[Tensor, "J 3"]:
        """The training set's mean pose in the encoders' frame, metres relative to the pelvis."""
        return self._decoder("3d").mean_pose

    def fit_scale(self, sample: Sample) -> None:
        """Take the data's scale from training data with exact keypoints."""
        self._decoder("2d").fit_scale(sample.keypoints)
        self._decoder("3d").fit_scale(sample.joints)
        seen = torch.cat([sample.keypoints, sample.confidence[..., None]], dim=-1)
        for name, inputs in (("2d", (seen, sample.token)), ("3d", (sample.joints,))):
            encoder = self.encoders[name]
            if isinstance(encoder, MLPPoseEncoder):
                encoder.fit_scale(*inputs)

    def encoder(self, modality: Modality) -> nn.Module:
        """Of one modality.

        Raises:
            ValueError: the weights are without it.
        """
        if modality not in self.encoders:
            raise ValueError(f"these weights have no encoder of {modality}; polypose.load() has")
        return self.encoders[modality]

    def _decoder(self, target: Literal["2d", "3d"]) -> PoseDecoder | MLPDecoder:
        if target not in self.decoders:
            raise ValueError(f"this model's file was written without its decoder of {target}; take another")
        decoder = self.decoders[target]
        assert isinstance(decoder, PoseDecoder | MLPDecoder)
        return decoder


def _deviation(decoder: PoseDecoder, index: int) -> Float[Tensor, "J d"]:
    return decoder.std * decoder.spread[index] * decoder.profile[index]


def modality_of(name: str) -> Modality:
    """A modality by its name.

    Raises:
        ValueError: no modality is called so.
    """
    for modality in MODALITIES:
        if modality == name:
            return modality
    raise ValueError(f"no modality is called {name}; choose one of: {', '.join(MODALITIES)}")


def condition(embedding: Float[Tensor, "B dim"]) -> Float[Tensor, "B dim"]:
    """What the decoders are given: the unit embedding with entries of unit size."""
    return embedding * math.sqrt(embedding.shape[-1])


def pairs(
    embeddings: Mapping[Modality, Float[Tensor, "B dim"]],
) -> dict[str, tuple[Float[Tensor, "B dim"], Float[Tensor, "B dim"]]]:
    """The embeddings of every pair of modalities, by name ("image_2d")."""
    names = list(embeddings)
    return {f"{a}_{b}": (embeddings[a], embeddings[b]) for i, a in enumerate(names) for b in names[i + 1 :]}


def pose_encoder(config: ModelConfig, joints: int, dims: int) -> nn.Module:
    """The encoder of keypoints (`dims` 2, with confidences and a box token) or joints (3) that it says."""
    flat = dims == 2  # keypoints come with a confidence and a box token
    if config.pose_encoder == "mlp":
        return MLPPoseEncoder(
            joints,
            3,
            config.dim,
            config.hidden,
            config.blocks,
            dropout=config.dropout,
            box=flat,
            norm=config.norm,
        )
    kind = PoseEncoder2D if flat else PoseEncoder3D
    return kind(
        joints,
        config.dim,
        config.width,
        config.layers,
        config.heads,
        confidence=flat,
        dropout=config.dropout,
        box=flat,
    )


def make_decoder(
    config: ModelConfig, joints: int, dims: int, modalities: Sequence[str] = MODALITIES
) -> PoseDecoder | MLPDecoder:
    """The decoder of keypoints or joints that it says, with a token for each of `modalities`."""
    shared: dict[str, Any] = {
        "condition_dim": config.dim,
        "hidden": config.decoder_hidden,
        "blocks": config.decoder_blocks,
        "modalities": modalities,
        "modality_token": config.modality_token,
        "dropout": config.decoder_dropout,
        "mean_loss": config.mean_loss,
    }
    if config.decoder == "mlp":
        return MLPDecoder(joints, dims, **shared)
    return PoseDecoder(
        joints, dims, parametrisation=config.parametrisation, regression=config.regression, **shared
    )
