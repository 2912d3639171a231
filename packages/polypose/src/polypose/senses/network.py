"""Several senses in one space, what any of them say together, and decoders of that."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import combinations
from typing import Any, Literal, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from posedata.geometry.canonical import to_body_frame
from posedata.views.batch import MIXED, TRUE, Views
from posediff import PoseDecoder, Whole
from poseenc import Embedded, MLPPoseEncoder, Modality, Space, VonMisesFisher, get_modality, image_encoder
from poseenc.modality import keypoints
from poseenc.parts import pose_held, pose_part
from torch import Tensor, nn

from polypose.config import ModelConfig
from polypose.network import POSE_SKELETON, condition, make_decoder, pose_encoder
from polypose.samples import Sample
from polypose.senses.config import SpaceConfig

TRUTH = "3d"
"""The sense that says all of a pose: an estimate from it is a reconstruction."""
KEYPOINTS = "2d"
"""The sense that every view has: it stands for the pose's own direction where that is not known."""

Target = Literal["2d", "3d", "body"]
"""What is decoded: 2D and 3D as the camera sees them; 3D in the body's own frame, of P alone."""


Counted = Callable[[Tensor], Tensor]


def _as_it_is(count: Tensor) -> Tensor:
    return count


class Fused(NamedTuple):
    """What some senses of each row say together.

    Attributes:
        belief: direction and concentration, the latter discounted for how many were fused.
        subset: (B,) number of the senses' token in the decoders; 0 where `there` is False.
        there: (B,) whether any sense was left.
    """

    belief: VonMisesFisher
    subset: Int[Tensor, " B"]
    there: Bool[Tensor, " B"]


class Senses(nn.Module):
    """A `poseenc.Space`, and decoders to 2D and 3D of what any subset of its senses says, fused.

    A decoder has a token for every subset (`subset_names`), so that a mean pose and the spread about it are
    those of what was seen. Keypoints are the views' "mixed" ones (`shown` names others so). Without
    `space.labels` 3D is learnt of views that have keypoints alone, and its decoder has two: without the pose
    among the senses, and with it.

    Where `space.invariant` is above 0, embeddings are [P | V] (`poseenc.parts`), and a further decoder gives
    the pose in the body's own frame (`posedata.geometry.canonical.to_body_frame`) from P alone.

    Independent experts' concentrations add up; senses of one view err alike. `discount`, by how many are
    fused, is what the fused concentration is multiplied by to be right.

    Args:
        config: of encoders and decoders; diffusion with a mean of its own alone.
        space: which senses.

    Raises:
        ValueError: a decoder that draws no hypotheses about a mean, or unknown senses.
    """

    def __init__(self, config: ModelConfig, space: SpaceConfig | None = None) -> None:
        super().__init__()
        space = space or SpaceConfig()
        if config.decoder != "diffusion" or not config.regression:
            raise ValueError("model: senses are decoded by diffusion about a mean; set model.regression=true")
        self.config, self.space_config = config, space
        made = [_modality(name, config, space) for name in space.modalities]
        self.space = Space(made, config.dim, most=space.most, invariant=space.invariant)
        names = subset_names(space.modalities)
        joints = len(POSE_SKELETON)
        tokens = {"2d": names, "3d": names if space.labels else (KEYPOINTS, TRUTH)}
        self.decoders = nn.ModuleDict(
            {name: make_decoder(config, joints, int(name[0]), some) for name, some in tokens.items()}
        )
        if space.invariant:
            self.decoders["body"] = make_decoder(replace(config, dim=space.invariant), joints, 3, ("pose",))
        self.discount = nn.Parameter(torch.zeros(len(space.modalities)))

    @property
    def modalities(self) -> tuple[str, ...]:
        return self.space_config.modalities

    @property
    def targets(self) -> tuple[Target, ...]:
        """What it decodes."""
        return ("3d", "2d", "body") if self.space.invariant else ("3d", "2d")

    def forward(self, views: Views, generator: torch.Generator | None = None) -> Embedded:
        """Every sense of views (`poseenc.Space`)."""
        found: Embedded = self.space(views, generator)
        return found

    def fuse(self, found: Embedded, kept: Mapping[str, Bool[Tensor, " B"]] | None = None) -> Fused:
        """What the senses that are there say, or those of them that are `kept`; nothing of others."""
        found = found.kept(found.present if kept is None else kept)
        mean, concentration = found.fused()
        senses = torch.stack([found.present[name] for name in self.modalities], dim=1)
        count = senses.sum(1)
        subset = (senses * 2 ** torch.arange(len(self.modalities), device=count.device)).sum(1) - 1
        discount = torch.cat([self.discount.new_zeros(1), self.discount[1:]])[(count - 1).clamp_min(0)].exp()
        there = concentration > 0
        return Fused(VonMisesFisher(mean, concentration * discount), subset.clamp_min(0), there)

    def surprise(
        self, found: Embedded, kept: Mapping[str, Bool[Tensor, " B"]], counted: Counted = _as_it_is
    ) -> Float[Tensor, ""]:
        """What concentrations are taught by: nats a dimension, of where the pose truly is in the space.

        The vMF likelihood of the 3D's direction by each other sense, of the others' by the 3D; and by what is
        kept without the 3D, fused, which teaches `discount` alone. It has no gradient by directions. The 2D's
        direction stands for the 3D's in rows without it, and is held against nothing there.

        Args:
            counted: a count of rows to its mean over the processes that share the batch.
        """
        others = {name: there & (name != TRUTH) for name, there in found.present.items()}
        pose, rest, known = found.beliefs[TRUTH].mean.detach(), found.fused(others), found.present[TRUTH]
        comparable = dict.fromkeys(others, known)
        if KEYPOINTS in others:
            pose = torch.where(known[:, None], pose, found.beliefs[KEYPOINTS].mean.detach())
            stands_in = known | others[KEYPOINTS]
            comparable = {name: known if name in (KEYPOINTS, TRUTH) else stands_in for name in others}
        seen = {name: others[name] & kept[name] & comparable[name] for name in others}
        still = {name: belief._replace(mean=belief.mean.detach()) for name, belief in found.beliefs.items()}
        values = []
        for name, belief in still.items():
            target, there = pose, found.present[name] & comparable[name]
            if name == TRUTH:
                target, there = rest.mean.detach(), there & (rest.concentration > 0)
            values.append(_mean_where(belief.nll(target), there, counted))
        fixed = {name: VonMisesFisher(*(x.detach() for x in belief)) for name, belief in still.items()}
        fused = self.fuse(found._replace(beliefs=fixed), seen)
        values.append(_mean_where(fused.belief.nll(pose), fused.there, counted))
        return torch.stack(values).mean() / self.config.dim

    def decode(self, target: Target, fused: Fused) -> Float[Tensor, "B J d"]:
        """The mean pose, in one evaluation: of 3D in metres, of 2D in units of half the box, both in the
        person-centred camera, or in the body's frame; NaN where nothing was there.

        Raises:
            KeyError: "body" of a space without P.
        """
        found = self.decoder(target).mean(*self._asked(target, fused))
        return torch.where(fused.there[:, None, None], found, torch.nan)

    @torch.no_grad()
    def sample(self, fused: Fused, generator: torch.Generator, **how: Any) -> Float[Tensor, "S B J 3"]:
        """3D poses drawn given what was fused (`posediff.PoseDecoder.sample`)."""
        decoder = self.decoder("3d")
        return decoder.sample(*self._asked("3d", fused), generator=generator, **how)

    @torch.no_grad()
    def deviation(self, fused: Fused) -> Float[Tensor, "B J 3"]:
        """How far 3D poses usually lie from those decoded, metres along the axes (`PoseDecoder.spread`)."""
        decoder = self.decoder("3d")
        each = decoder.std * decoder.spread[:, None, None] * decoder.profile
        return torch.where(fused.there[:, None, None], each[self._token("3d", fused)], torch.nan)

    def decoder_terms(
        self,
        target: Target,
        truth: Sample,
        fused: Fused,
        generator: torch.Generator,
        whole: Whole | None,
        counted: Counted = _as_it_is,
    ) -> tuple[Float[Tensor, ""], Tensor]:
        """Mean training loss over rows in which anything was fused and the pose is known, and the residual
        that the decoder's spread follows (`posediff.PoseDecoder.terms`); `counted` as of `surprise`.
        Keypoints count as their confidence says."""
        poses, known = _wanted(target, truth), truth.holds("3d")[:, None].to(truth.joints)
        weight = fused.there[:, None] * (truth.confidence if target == "2d" else known)
        terms = self.decoder(target).terms(
            poses,
            *self._asked(target, fused),
            generator=generator,
            weight=weight.expand(poses.shape[:2]),
            whole=whole,
        )
        return terms.loss.sum() / counted(weight.mean(1).sum()).clamp_min(1), terms.residual

    def decoder(self, target: Target) -> PoseDecoder:
        """The decoder of 2D, of 3D or of the body's own frame."""
        found = self.decoders[target]
        assert isinstance(found, PoseDecoder)
        return found

    def _asked(self, target: Target, fused: Fused) -> tuple[Tensor, Tensor | int]:
        """A decoder's condition and token. What the camera sees is taught to V: P would learn the view."""
        mean, invariant = fused.belief.mean, self.space.invariant
        if target == "body":
            return condition(pose_part(mean, invariant)), 0
        return condition(pose_held(mean, invariant)), self._token(target, fused)

    def _token(self, target: Target, fused: Fused) -> Tensor:
        """Number of the senses' token in a decoder of what the camera sees."""
        if target == "2d" or self.space_config.labels:
            return fused.subset
        return (fused.subset + 1) >> self.modalities.index(TRUTH) & 1

    def fit_scale(self, sample: Sample) -> None:
        """Take the data's scale from training data with exact keypoints."""
        for target in self.targets:
            self.decoder(target).fit_scale(_wanted(target, sample))
        seen = torch.cat([sample.keypoints, sample.confidence[..., None]], dim=-1)
        for name, inputs in (("2d", (seen, sample.token)), ("3d", (sample.joints,))):
            encoder = self.space.encoders[name] if name in self.modalities else None
            if isinstance(encoder, MLPPoseEncoder):
                encoder.fit_scale(*inputs)


def _wanted(target: Target, truth: Sample) -> Float[Tensor, "B J d"]:
    """What a decoder should give."""
    if target == "2d":
        return truth.keypoints
    return to_body_frame(truth.joints, POSE_SKELETON) if target == "body" else truth.joints


def _mean_where(
    values: Float[Tensor, " B"], there: Bool[Tensor, " B"], counted: Counted
) -> Float[Tensor, ""]:
    return torch.where(there, values, 0).sum() / counted(there.sum()).clamp_min(1)


def subset_names(modalities: tuple[str, ...]) -> tuple[str, ...]:
    """Every non-empty subset by name ("image+depth"), in the order of the numbers whose bits it sets."""
    count = len(modalities)
    return tuple(
        "+".join(name for i, name in enumerate(modalities) if number >> i & 1)
        for number in range(1, 2**count)
    )


def estimating(modalities: tuple[str, ...]) -> list[tuple[str, ...]]:
    """Every non-empty subset that does without the pose itself, small ones first."""
    others = [name for name in modalities if name != TRUTH]
    return [some for count in range(1, len(others) + 1) for some in combinations(others, count)]


def shown(views: Views, detector: str) -> Views:
    """The same views with a detector's keypoints as the "mixed" ones that a network is given."""
    return replace(views, keypoints={**views.keypoints, MIXED: views.seen_by(detector)})


def without_labels(views: Views) -> Views:
    """The same views, of whose poses nothing is known but their "mixed" keypoints, a detector's."""
    unknown = None if views.joints is None else torch.full_like(views.joints, torch.nan)
    seen = views.seen_by(MIXED)
    return replace(views, joints=unknown, keypoints={TRUE: seen, MIXED: seen})


def _modality(name: str, config: ModelConfig, space: SpaceConfig) -> Modality:
    """A registered sense with the encoder that the config says."""
    joints = len(POSE_SKELETON)
    if name == "2d":
        return replace(keypoints(MIXED), encoder=lambda dim: pose_encoder(config, joints, 2))
    if name == "3d":
        return replace(get_modality(name), encoder=lambda dim: pose_encoder(config, joints, 3))
    if name == "image":
        weights = config.image_weights
        return replace(
            get_modality(name), encoder=lambda dim: image_encoder(config.image_encoder, dim, weights=weights)
        )
    if name == "cloud":
        from pointcloud_weak.modality import CLOUD
        from pointcloud_weak.networks import CloudEncoder

        return replace(CLOUD, encoder=lambda dim: CloudEncoder(dim, width=space.cloud_width))
    return get_modality(name)
