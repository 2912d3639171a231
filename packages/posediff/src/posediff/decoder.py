"""What an app holds: conditions in, poses out.

``PoseDecoder`` samples poses given an embedding, and gives their mean in one evaluation. ``MLPDecoder`` is
the plain regression of the ablation, with the same conditions, the same ``loss`` and ``mean``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from posediff.denoiser import PARAMETRISATIONS, PROCESSES, Denoiser
from posediff.network import ResidualMLP
from posediff.sampler import ODE_SAMPLERS, SDE_SAMPLERS, mode_seeking, randn_like
from posediff.schedule import karras, uniform_time
from posediff.sde import Denoise

MODALITIES = ("image", "2d", "3d")
MEAN_LOSSES = ("l2", "l1", "mpjpe")


class _Conditioned(nn.Module):
    """Conditions and scale, which both decoders share.

    Buffers ``mean_pose`` (J, d) and ``std`` (a scalar) come from data through ``fit_scale`` and are saved with
    the state dict; until then they are 0 and 1.
    """

    mean_pose: Tensor
    std: Tensor

    def __init__(
        self, joints: int, dims: int, condition_dim: int, modalities: Sequence[str], modality_token: bool
    ) -> None:
        super().__init__()
        self.joints, self.dims = joints, dims
        self.modalities = tuple(modalities)
        self.token = nn.Embedding(len(self.modalities), condition_dim) if modality_token else None
        if self.token is not None:
            nn.init.normal_(self.token.weight, std=condition_dim**-0.5)
        self.register_buffer("mean_pose", torch.zeros(joints, dims))
        self.register_buffer("std", torch.ones(()))

    @torch.no_grad()
    def fit_scale(self, poses: Tensor, weight: Tensor | None = None) -> None:
        """Take the data's mean pose and its one standard deviation over all coordinates.

        poses: (N, J, d), in whatever unit the decoder shall speak. weight: (N, J), 0 where a joint is
        unknown. One std, not one a coordinate, so that errors keep their proportion.
        """
        if poses.shape[1:] != self.mean_pose.shape:
            raise ValueError(f"poses must be (N, {self.joints}, {self.dims}), got {tuple(poses.shape)}")
        known = torch.ones(poses.shape[:2]) if weight is None else weight
        known = known[..., None].to(poses).double()
        values = torch.where(known > 0, poses.double(), 0.0)
        mean = (known * values).sum(0) / known.sum(0).clamp(min=1e-12)
        spread = (known * (values - mean) ** 2).sum() / (known.sum() * self.dims)
        if not spread > 0 or not torch.isfinite(spread):
            raise ValueError("poses have no finite, non-zero spread: check for NaN or a single repeated pose")
        self.mean_pose.copy_(mean)
        self.std.copy_(spread.sqrt())

    def modality_index(self, modality: str) -> int:
        """The index of a modality's token by its name."""
        if modality not in self.modalities:
            raise ValueError(f"unknown modality {modality!r}; this decoder has {', '.join(self.modalities)}")
        return self.modalities.index(modality)

    def _with_token(self, condition: Tensor, modality: int | Tensor) -> Tensor:
        if self.token is None:
            return condition
        index = torch.as_tensor(modality, device=condition.device)
        return condition + self.token(index)

    def _standardise(self, poses: Tensor, weight: Tensor) -> Tensor:
        poses = torch.where(weight[..., None] > 0, poses, self.mean_pose)
        return ((poses - self.mean_pose) / self.std).flatten(-2)

    def _restore(self, flat: Tensor) -> Tensor:
        return flat.unflatten(-1, (self.joints, self.dims)) * self.std + self.mean_pose

    def _joint_weight(self, target: Tensor, weight: Tensor | None) -> Tensor:
        if weight is None:
            return target.new_ones(target.shape[:-1])
        return (weight if weight.ndim == 2 else weight[:, None]).to(target).expand(target.shape[:-1])

    def _reduce(self, error: Tensor, weight: Tensor) -> Tensor:
        # (B, J d) to (B,): the mean over joints and coordinates, times the joints' weights.
        per_joint = error.unflatten(-1, (self.joints, self.dims)).mean(-1)
        return (per_joint * weight).mean(-1)

    def _regression_loss(self, predicted: Tensor, target: Tensor, weight: Tensor, kind: str) -> Tensor:
        difference = predicted - target
        if kind == "l2":
            return self._reduce(difference**2, weight)
        if kind == "l1":
            return self._reduce(difference.abs(), weight)
        distance = torch.linalg.vector_norm(difference.unflatten(-1, (self.joints, self.dims)), dim=-1)
        return (distance * weight).mean(-1)


class PoseDecoder(_Conditioned):
    """Poses by diffusion, conditioned on embedding + modality token (UniHPR), time added in every layer.

    joints, dims: a pose is (J, d). condition_dim: D of the embedding. hidden, blocks, dropout: the network
    (`posediff.network`). modalities: names of the tokens, whose order is the modality index.
    modality_token: off for the ablation. parametrisation: "edm", "subvp", "vp" or "ve"
    (`posediff.denoiser`). mean_loss: "l2", "l1" or "mpjpe", see ``loss``. mean_weight: its weight.
    """

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
        mean_weight: float = 1.0,
        sigma_min: float = 0.002,
        sigma_max: float = 160.0,
    ) -> None:
        super().__init__(joints, dims, condition_dim, modalities, modality_token)
        if parametrisation not in PARAMETRISATIONS:
            raise ValueError(
                f"unknown parametrisation {parametrisation!r}; choose one of {', '.join(PARAMETRISATIONS)}"
            )
        if mean_loss not in MEAN_LOSSES:
            raise ValueError(f"unknown mean_loss {mean_loss!r}; choose one of {', '.join(MEAN_LOSSES)}")
        self.parametrisation = parametrisation
        self.mean_loss, self.mean_weight = mean_loss, mean_weight
        self.sigma_min, self.sigma_max = sigma_min, sigma_max
        self.network = ResidualMLP(
            joints * dims, condition_dim, hidden=hidden, blocks=blocks, dropout=dropout
        )
        self.denoiser = Denoiser(self.network, PARAMETRISATIONS[parametrisation]())
        self.sde = PROCESSES[parametrisation]()

    def features(self, condition: Tensor, modality: int | Tensor) -> Tensor:
        """What the network takes of a condition (B, D): (B, layers, hidden). Compute once, use often."""
        return self.network.project(self._with_token(condition, modality))

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
        at one random level, weighted 1 / c_out² (Karras et al. 2022, table 1): four in five levels are
        log-normal, ln sigma ~ N(-1, 1.5²), one in five is uniform in ln sigma over the whole range.
        (2) ``mean_weight`` times a regression at infinite noise, which is what ``mean`` evaluates: "l2"
        makes that the conditional mean; "l1" the coordinate-wise, "mpjpe" the joint-wise conditional median.
        """
        weight = self._joint_weight(target, weight)
        clean = self._standardise(target, weight)
        features = self.features(condition, modality)
        sigma = self._draw_levels(clean, generator)
        noise = randn_like(clean, generator)
        total = self._reduce(self.denoiser.loss(clean, sigma, noise, features), weight)
        if self.mean_weight:
            predicted = self._flat_mean(features)
            total = total + self.mean_weight * self._regression_loss(predicted, clean, weight, self.mean_loss)
        return total

    def _draw_levels(self, clean: Tensor, generator: torch.Generator | None) -> Tensor:
        device = generator.device if generator is not None else clean.device
        pick, where = torch.rand(2, len(clean), generator=generator, device=device).to(clean)
        normal = randn_like(clean[:, 0], generator) * 1.5 - 1.0
        low, high = math.log(self.sigma_min), math.log(self.sigma_max)
        return torch.where(pick < 0.8, normal, low + (high - low) * where).clamp(low, high).exp()

    def _flat_mean(self, features: Tensor) -> Tensor:
        silence = features.new_zeros(features.shape[0], self.joints * self.dims)
        return self.network(silence, None, features)

    def mean(self, condition: Tensor, modality: int | Tensor) -> Tensor:
        """The pose expected given the condition, in one network evaluation. (B, D) to (B, J, d).

        At infinite noise the noisy pose says nothing, so the best denoised value is E[x_0 | condition]. The
        network has a learned label for that level and sees zeros there; ``loss`` trains it in its own term.
        With mean_loss="l1" or "mpjpe" it is a median instead: better in MPJPE, biased as a mean.
        """
        return self._restore(self._flat_mean(self.features(condition, modality)))

    def denoise(self, features: Tensor) -> Denoise:
        """The denoiser of standardised flat poses (S, B, J d) given ``features``."""

        def denoise(x: Tensor, sigma: Tensor) -> Tensor:
            return self.denoiser(x, sigma, features)

        return denoise

    @torch.no_grad()
    def sample(
        self,
        condition: Tensor,
        modality: int | Tensor,
        *,
        hypotheses: int = 1,
        steps: int = 10,
        sampler: str = "dpmpp_2m",
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Poses drawn given the condition: (B, D) to (hypotheses, B, J, d).

        steps: of the sampler; `posediff.sampler` says how many evaluations one takes. Dropout follows the
        module's mode: call ``eval()`` first.
        """
        features = self.features(condition, modality)
        denoise = self.denoise(features)
        start = features.new_empty(hypotheses, len(condition), self.joints * self.dims)
        noise = randn_like(start, generator)
        if sampler in ODE_SAMPLERS:
            levels = karras(steps, self.sigma_min, self.sigma_max).to(noise)
            flat = ODE_SAMPLERS[sampler](denoise, noise * levels[0], levels)
        elif sampler in SDE_SAMPLERS or sampler == "mode_seeking":
            times = uniform_time(steps).to(noise)
            noise = noise * self.sde.std(times[0])
            if sampler == "mode_seeking":
                flat = mode_seeking(denoise, noise, times, self.sde)
            else:
                flat = SDE_SAMPLERS[sampler](denoise, noise, times, self.sde, generator=generator)
        else:
            names = ", ".join([*ODE_SAMPLERS, *SDE_SAMPLERS, "mode_seeking"])
            raise ValueError(f"unknown sampler {sampler!r}; choose one of {names}")
        return self._restore(flat)


class MLPDecoder(_Conditioned):
    """One pose by regression: the ablation without diffusion. Same conditions as ``PoseDecoder``."""

    def __init__(
        self,
        joints: int,
        dims: int,
        condition_dim: int = 1024,
        hidden: int = 1024,
        blocks: int = 2,
        modalities: Sequence[str] = MODALITIES,
        modality_token: bool = True,
        dropout: float = 0.1,
        *,
        mean_loss: str = "l2",
    ) -> None:
        super().__init__(joints, dims, condition_dim, modalities, modality_token)
        if mean_loss not in MEAN_LOSSES:
            raise ValueError(f"unknown mean_loss {mean_loss!r}; choose one of {', '.join(MEAN_LOSSES)}")
        self.mean_loss = mean_loss
        self.input = nn.Sequential(_layer(condition_dim, hidden, dropout))
        self.blocks = nn.ModuleList(
            nn.Sequential(_layer(hidden, hidden, dropout), _layer(hidden, hidden, dropout))
            for _ in range(blocks)
        )
        self.output = nn.Linear(hidden, joints * dims)

    def loss(
        self,
        target: Tensor,
        condition: Tensor,
        modality: int | Tensor,
        *,
        generator: torch.Generator | None = None,
        weight: Tensor | None = None,
    ) -> Tensor:
        """As ``PoseDecoder.loss``, regression term only; the generator is unused. Returns (B,)."""
        weight = self._joint_weight(target, weight)
        predicted = self._flat_mean(condition, modality)
        return self._regression_loss(predicted, self._standardise(target, weight), weight, self.mean_loss)

    def _flat_mean(self, condition: Tensor, modality: int | Tensor) -> Tensor:
        h = self.input(self._with_token(condition, modality))
        for block in self.blocks:
            h = h + block(h)
        return self.output(h)

    def mean(self, condition: Tensor, modality: int | Tensor) -> Tensor:
        """(B, D) to (B, J, d)."""
        return self._restore(self._flat_mean(condition, modality))


def _layer(width: int, out: int, dropout: float) -> nn.Sequential:
    return nn.Sequential(nn.Linear(width, out), nn.LayerNorm(out), nn.SiLU(), nn.Dropout(dropout))
