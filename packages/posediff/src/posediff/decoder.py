"""What an app holds: conditions in, poses out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from posediff.conditioned import MEAN_LOSSES, MODALITIES, Conditioned, check_choice, check_count
from posediff.denoiser import PARAMETRISATIONS, PROCESSES, Denoiser
from posediff.difference import (
    AROUND_MEAN,
    AROUND_NOTHING,
    UNCENTRED,
    about,
    followed,
    frame,
    levels_about,
    residual_sums,
    sample_about,
)
from posediff.draws import Whole, draw_hidden, draw_noise
from posediff.guidance import classifier_free, guided
from posediff.likelihood import log_likelihood
from posediff.network import ResidualMLP
from posediff.regression import Regression
from posediff.sampler import LEVEL_SDE_SAMPLERS, ODE_SAMPLERS, SDE_SAMPLERS, randn_like
from posediff.schedule import draw_levels, draw_straight, draw_times, uniform_time
from posediff.sde import Denoise

SIGMA_MIN, SIGMA_MAX = 0.002, 160.0
"""Range of levels, for data of unit variance: EDM's own (0.002 to 80 for data of std 0.5), top scaled."""

CENTRED = {"edm": draw_levels, "flow": draw_straight}
"""Parametrisations that learn differences to a mean, and the levels that they are trained at."""


class Terms(NamedTuple):
    """A training loss (B,), and what ``PoseDecoder.follow`` takes of its batch."""

    loss: Tensor
    residual: Tensor
    """(modalities, 2, J d): of each modality's poses the sum of squared differences to their means, and the
    sum of weights. Residuals add up: over the batches of a step, and over processes."""


class PoseDecoder(Conditioned):
    """Poses by diffusion, conditioned on embedding + modality token (UniHPR), time added in every layer.

    joints, dims: a pose is (J, d). condition_dim: D of the embedding; 0 makes a prior, whose conditions are
    empty, (B, 0). hidden, blocks, dropout: the network (`posediff.network`). modalities: names of the tokens,
    whose order is the modality index; modality_token: off for the ablation. parametrisation: "edm", "flow",
    "subvp", "vp" or "ve" (`posediff.denoiser`). mean_loss: "l2", "l1" or "mpjpe" and mean_weight: see
    ``loss``. condition_dropout: share of conditions hidden in training, which classifier-free guidance needs.

    regression: the mean has a network of its own (`posediff.regression`), as large, instead of the denoiser's
    at infinite noise. The denoiser then learns what is left, and teaches neither the mean nor the encoder:
    its loss counts in neither's gradient.

    Buffers: ``spread`` (modalities,), the rms difference of poses to their mean, by modality, in units of the
    data's std: an image tells less than keypoints, and its hypotheses are that much wider. ``profile``
    (modalities, J, d): the rms of each coordinate over ``spread``: keypoints tell depth least. ``follow``
    moves them.
    """

    spread: Tensor
    profile: Tensor
    spread_unknown: Tensor

    def __init__(
        self,
        joints: int,
        dims: int,
        condition_dim: int = 1024,
        hidden: int = 1024,
        blocks: int = 2,
        modalities: Sequence[str] = MODALITIES,
        modality_token: bool = True,
        parametrisation: str = "edm",
        dropout: float = 0.1,
        *,
        mean_loss: str = "l2",
        mean_weight: float = 2.0,
        condition_dropout: float = 0.0,
        regression: bool = False,
    ) -> None:
        super().__init__(joints, dims, condition_dim, modalities, modality_token)
        check_choice("parametrisation", parametrisation, PARAMETRISATIONS)
        check_choice("mean_loss", mean_loss, MEAN_LOSSES)
        if regression and not (mean_weight and condition_dim):
            raise ValueError("regression=True learns a mean: give mean_weight and condition_dim above 0")
        self.parametrisation = parametrisation
        self.mean_loss, self.mean_weight = mean_loss, mean_weight
        self.condition_dropout = condition_dropout
        self.unknown = nn.Parameter(torch.randn(condition_dim)) if condition_dropout else None
        self.network = ResidualMLP(
            joints * dims, condition_dim, hidden=hidden, blocks=blocks, dropout=dropout
        )
        self.regression = (
            Regression(condition_dim, hidden, blocks, joints * dims, dropout) if regression else None
        )
        self.denoiser = Denoiser(self.network, PARAMETRISATIONS[parametrisation]())
        self.sde = PROCESSES[parametrisation]()
        self.centred = parametrisation in CENTRED and bool(mean_weight) and condition_dim > 0
        self.register_buffer("spread", torch.full((len(self.modalities),), float(self.centred)))
        self.register_buffer("profile", torch.ones(len(self.modalities), joints, dims))
        if self.unknown is not None:  # poses given nothing spread by the data's std
            self.register_buffer("spread_unknown", torch.ones(()))

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
        # Weights from before there was a spread were trained on poses, not on differences: 0 says so. Then
        # there was one for all, hidden conditions included, and no profile.
        spread = state_dict.setdefault(f"{prefix}spread", torch.zeros(()))
        if spread.ndim == 0:
            state_dict[f"{prefix}spread"] = spread.expand(len(self.modalities)).clone()
            if self.unknown is not None:
                state_dict.setdefault(f"{prefix}spread_unknown", spread)
        state_dict.setdefault(f"{prefix}profile", torch.ones(self.profile.shape))
        super()._load_from_state_dict(state_dict, prefix, *rest)

    def features(self, condition: Tensor, modality: int | Tensor) -> Tensor | None:
        """What the network takes of a condition (B, D): (B, layers, hidden). Compute once, use often."""
        self._check_condition(condition, modality)
        return self._project(self._with_token(condition, modality))

    def loss(
        self,
        target: Tensor,
        condition: Tensor,
        modality: int | Tensor,
        *,
        generator: torch.Generator | None = None,
        weight: Tensor | None = None,
    ) -> Tensor:
        """Training loss of each sample, unreduced, in standardised units.

        target: (B, J, d); condition: (B, D); modality: an index or (B,) long; weight: (B,) or (B, J), 0 for
        unknown joints, whose target may be anything, NaN included. Returns (B,).

        The sum of two terms, each a mean over joints and coordinates times the joints' weights. (1) Denoising
        at one random level, weighted 1 / c_out² (Karras et al. 2022, table 1), which for noise prediction is
        the plain |F - n|² of GFPose, for "flow" that of the velocity. Levels: `posediff.schedule.draw_levels`
        for "edm", logit-normal time for "flow", uniform time for the others; 8 neighbours (`posediff.draws`)
        have one level between them, so that it is embedded once. (2)
        ``mean_weight`` times a regression at infinite noise, which is what ``mean`` evaluates: "l2" makes
        that the conditional mean; "l1" the coordinate-wise, "mpjpe" the joint-wise median.

        With "edm" or "flow" and a mean, what is noised and denoised is the pose's difference to that mean,
        over its modality's rms (buffer ``spread``): unit data again, however much a condition tells. The
        buffer is only read here: train with ``terms`` and ``follow``.
        """
        return self.terms(target, condition, modality, generator=generator, weight=weight).loss

    def terms(
        self,
        target: Tensor,
        condition: Tensor,
        modality: int | Tensor,
        *,
        generator: torch.Generator | None = None,
        weight: Tensor | None = None,
        whole: Whole | None = None,
        denoise: bool = True,
    ) -> Terms:
        """``loss``, and the batch's residual, to be given to ``follow`` after the optimiser's step.

        denoise: whether the loss has its first term; a mean may be taught before what is left is.

        whole: the batch that these rows are a part of, which other processes hold the rest of. What is drawn
        is then that of all its rows, by a generator that is in the same state in every process.
        """
        self._check_batch(target, condition, modality, weight)
        weight = self._joint_weight(target, weight)
        clean = self._standardise(target, weight)
        hidden = self._draw_hidden(len(clean), generator, whole)
        condition = self._with_token(condition, modality)
        if hidden is not None and self.unknown is not None:
            condition = torch.where(hidden[:, None], self.unknown, condition)
        # The denoiser of what a regression leaves only looks on.
        seen = condition if self.regression is None else condition.detach()
        features = self._project(seen) if denoise or self.regression is None else None
        total = clean.new_zeros(len(clean))
        residual, std = self.spread.new_zeros(len(self.modalities), 2, self.joints * self.dims), None
        if self.mean_weight:
            predicted = self._flat_mean(condition, features)
            total = self.mean_weight * self._regression_loss(predicted, clean, weight, self.mean_loss)
            if self.centred:
                clean, std, residual = self._centre(clean, predicted.detach(), modality, weight, hidden)
        if denoise:
            total = total + self._reduce(self._denoising_loss(clean, features, std, generator, whole), weight)
        return Terms(total, residual)

    @torch.no_grad()
    def follow(self, residual: Tensor) -> None:
        """Move ``spread`` and ``profile`` a little towards residuals: once a step, after the optimiser's.

        residual: of ``terms``, (modalities, 2, J d), summed over all batches of the step and over processes.
        """
        spread, profile = followed(self.spread, self.profile.flatten(1), residual)
        self.spread.copy_(spread)
        self.profile.copy_(profile.view_as(self.profile))

    def mean(self, condition: Tensor, modality: int | Tensor) -> Tensor:
        """The pose expected given the condition, in one network evaluation. (B, D) to (B, J, d).

        By its own network, if it has one. Else at infinite noise the noisy pose says nothing, so the best
        denoised value is E[x_0 | condition]: the network has a learned label for that level and sees zeros
        there. ``loss`` trains it in its own term.
        With mean_loss="l1" or "mpjpe" it is a median instead: better in MPJPE, biased as a mean.
        """
        if not self.mean_weight:
            raise ValueError("mean_weight is 0, so the mean was never trained; average samples instead")
        self._check_condition(condition, modality)
        condition = self._with_token(condition, modality)
        features = self._project(condition) if self.regression is None else None
        return self._restore(self._flat_mean(condition, features))

    def denoise(self, condition: Tensor, modality: int | Tensor, *, guidance: float = 0.0) -> Denoise:
        """The denoiser of standardised flat poses (..., B, J d), its condition's features computed once.

        guidance: weight of classifier-free guidance; needs condition_dropout in training.
        """
        return self._denoise(condition, modality, guidance)[0]

    @torch.no_grad()
    def sample(
        self,
        condition: Tensor,
        modality: int | Tensor,
        *,
        hypotheses: int = 1,
        steps: int = 7,
        sampler: str = "dpmpp_2m_sde",
        generator: torch.Generator | None = None,
        guidance: float = 0.0,
        correct: Callable[[Tensor], Tensor] | None = None,
        sigma_start: float | None = None,
    ) -> Tensor:
        """Poses drawn given the condition: (B, D) to (hypotheses, B, J, d).

        steps: of the sampler, which take one evaluation each, heun's two. "flow" takes equal steps along
        flow matching's path, the first of which, from pure noise, is the ``mean``'s evaluation. Dropout
        follows the module's mode: call ``eval()`` first. guidance: see ``denoise``. correct: pulls denoised
        poses (S, B, J, d) towards a constraint (`posediff.guidance`).

        sigma_start: where samplers on levels start, in units of the data's std, to fall in constant ratio. By
        default they start around the ``mean``, which costs one evaluation and saves the upper part of the
        schedule. A prior, or a decoder without a mean, starts at 80 or at its process' own end.
        """
        check_choice("sampler", sampler, [*ODE_SAMPLERS, *LEVEL_SDE_SAMPLERS, *SDE_SAMPLERS])
        check_count("steps", steps)
        check_count("hypotheses", hypotheses)
        denoise, centre = self._denoise(condition, modality, guidance)
        if correct is not None:
            denoise = guided(denoise, lambda flat: self._flatten(correct(self._restore(flat))))
        shape = (hypotheses, len(condition), self.joints * self.dims)
        noise = randn_like(self.std.new_empty(shape, dtype=condition.dtype), generator)
        if sampler in SDE_SAMPLERS:
            times = uniform_time(steps).to(noise)
            noise = noise * self.sde.std(times[0])
            return self._restore(SDE_SAMPLERS[sampler](denoise, noise, times, self.sde, generator=generator))
        # Levels are walked in units of each row's spread, so that rows of several modalities go together.
        unit = self.std.new_ones(()) if centre is None else self.spread[modality]
        unit = torch.where(unit > 0, unit, UNCENTRED).to(noise)
        ends, even = self._ends(centre is not None), sampler == "flow"
        if even and centre is not None:
            ends = (float(steps), 0.0)  # the level where the first of steps + 1 equal steps ends
        levels = levels_about(steps, unit, ends, sigma_start, even=even).to(noise)
        run = ODE_SAMPLERS.get(sampler) or partial(LEVEL_SDE_SAMPLERS[sampler], generator=generator)
        origin = torch.zeros_like(noise[0]) if centre is None else centre
        return self._restore(sample_about(run, denoise, origin, unit, noise, levels))

    def log_likelihood(
        self, poses: Tensor, condition: Tensor, modality: int | Tensor, **options: Any
    ) -> Tensor:
        """Log-density of poses (B, J, d) given their conditions, in nats, in the poses' own unit. (B,).

        options: of `posediff.likelihood.log_likelihood`. Coordinates that never vary (a root at the origin)
        count as the blur that the smallest level gives them, so compare poses, do not read absolute values.
        """
        with torch.no_grad():
            denoise = self.denoise(condition, modality)
        nats = log_likelihood(denoise, self._flatten(poses), **options)
        return nats - self.joints * self.dims * torch.log(self.std)

    def _project(self, condition: Tensor) -> Tensor | None:
        return self.network.project(condition) if condition.shape[-1] else None

    def _draw_hidden(
        self, batch: int, generator: torch.Generator | None, whole: Whole | None
    ) -> Tensor | None:
        """(B,): which conditions are hidden from the network."""
        if self.unknown is None or not self.training:
            return None
        return draw_hidden(batch, self.condition_dropout, self.unknown, generator, whole)

    def _denoise(
        self, condition: Tensor, modality: int | Tensor, guidance: float
    ) -> tuple[Denoise, Tensor | None]:
        """The denoiser of standardised flat poses, and their mean where the decoder has one."""
        features = self.features(condition, modality)
        has_mean = self.mean_weight and features is not None
        centre = self._flat_mean(self._with_token(condition, modality), features) if has_mean else None
        conditional = self._about(centre, features, self.spread[modality], self._profile(modality))
        if not guidance:
            return conditional, centre
        if self.unknown is None:
            raise ValueError("guidance needs a decoder trained with condition_dropout > 0")
        nothing = self._project(self.unknown[None])
        mean = self._flat_mean(self.unknown[None], nothing) if self.mean_weight else None
        prior = self._about(mean, nothing, self.spread_unknown, None)
        return classifier_free(conditional, prior, guidance), centre

    def _about(
        self, centre: Tensor | None, features: Tensor | None, unit: Tensor, std: Tensor | None
    ) -> Denoise:
        if centre is None or not self.centred:
            return lambda x, sigma: self.denoiser(x, sigma, features)
        return about(lambda x, sigma: self.denoiser(x, sigma, features, std), centre, unit, SIGMA_MAX)

    def _profile(self, modality: int | Tensor) -> Tensor | None:
        """``profile`` of the modality, (J d,), or of each row's, (B, J d): EDM's alone takes one."""
        return self.profile[modality].flatten(-2) if self.parametrisation == "edm" else None

    def _centre(
        self, clean: Tensor, centre: Tensor, modality: int | Tensor, weight: Tensor, hidden: Tensor | None
    ) -> tuple[Tensor, Tensor | None, Tensor]:
        """The difference to the centre over its unit, the stds that it has by coordinate, its residual."""
        unit, std = self.spread[modality], self._profile(modality)
        if hidden is not None:
            unit = torch.where(hidden, self.spread_unknown, unit)
            std = None if std is None else torch.where(hidden[:, None], 1.0, std)
            weight = torch.where(hidden[:, None], 0.0, weight)
        weight = weight.repeat_interleave(self.dims, -1)
        residual = residual_sums(clean - centre, weight, modality, len(self.modalities))
        centre, unit = frame(centre, unit)
        return (clean - centre) / unit[..., None], std, residual

    def _denoising_loss(
        self,
        clean: Tensor,
        features: Tensor | None,
        std: Tensor | None,
        generator: torch.Generator | None,
        whole: Whole | None,
    ) -> Tensor:
        """(B, D), unreduced; runs of neighbours have one level, an axis of its own."""
        sigma, noise, run = draw_noise(clean, self._draw_levels, generator, whole)
        together = [x.unflatten(0, (-1, run)) for x in (clean, noise)]
        grouped = None if features is None else features.unflatten(0, (-1, run))
        if std is not None and std.ndim == 2:
            std = std.expand(len(clean), -1).unflatten(0, (-1, run))
        return self.denoiser.loss(together[0], sigma[:, None], together[1], grouped, std).flatten(0, 1)

    def _draw_levels(self, n: int, generator: torch.Generator | None) -> Tensor:
        if self.parametrisation in CENTRED:
            draw = CENTRED[self.parametrisation]
            return draw(n, SIGMA_MIN, SIGMA_MAX, generator=generator)
        return self.sde.sigma(draw_times(n, generator=generator))

    def _flat_mean(self, condition: Tensor, features: Tensor | None) -> Tensor:
        """condition: with its token; features: of it."""
        if self.regression is not None:
            return self.regression(condition)
        silence = self.std.new_zeros(len(condition), self.joints * self.dims)
        return self.network(silence, None, features)

    def _ends(self, around_mean: bool) -> tuple[float, float]:
        if around_mean:
            return AROUND_MEAN
        top, end = AROUND_NOTHING
        return min(top, float(self.sde.sigma(torch.ones(())))), end
