"""Several ways of seeing a pose in one space: each a direction and how sure it is, any of them fused."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from posedata.views.batch import Views
from torch import Tensor, nn

from .modality import Modality, get_modality
from .parts import pose_held, pose_part, unit
from .vmf import VonMisesFisher, fuse

FAULTY = 0.02
"""The share of its concentration that a modality keeps which contradicts all others."""


class Embedded(NamedTuple):
    """Views as a space sees them.

    Attributes:
        beliefs: by modality, of zeros in rows that lack it.
        present: by modality, (B,) which rows have it.
        invariant: how many numbers of a direction depend on the pose alone (`poseenc.parts`).
    """

    beliefs: dict[str, VonMisesFisher]
    present: dict[str, Bool[Tensor, " B"]]
    invariant: int = 0

    def directions(self) -> dict[str, Float[Tensor, "B D"]]:
        """Unit vectors by modality, as contrastive losses take them, beside `present`."""
        return {name: belief.mean for name, belief in self.beliefs.items()}

    def sharpness(self) -> dict[str, Float[Tensor, " B"]]:
        """Concentrations over the width, of the order of 1, so that a temperature keeps its meaning."""
        return {name: belief.concentration / belief.mean.shape[1] for name, belief in self.beliefs.items()}

    def kept(self, kept: Mapping[str, Bool[Tensor, " B"]] | None) -> Embedded:
        """Without what is not `kept`, by row, and without modalities that are not named; None keeps all."""
        if kept is None:
            return self
        present = {
            name: there & kept.get(name, torch.zeros_like(there)) for name, there in self.present.items()
        }
        beliefs = {
            name: belief._replace(concentration=torch.where(present[name], belief.concentration, 0))
            for name, belief in self.beliefs.items()
        }
        return self._replace(beliefs=beliefs, present=present)

    def agreeing(self) -> Embedded:
        """Concentrations times how far each modality agrees with the others of its row.

        Independent experts on one pose meet, in the mean, at the product of their mean cosines; the share of
        that which two of them reach, at most 1, is their agreement, and a modality's is the median of its
        pairs'. One of three or more that is at fault loses its weight, the others keep theirs; of two that
        contradict each other both lose alike. `FAULTY` is the least that is left, so that something is said.
        """
        beliefs = list(self.beliefs.values())
        if len(beliefs) < 2:
            return self
        mean = torch.stack([belief.mean for belief in beliefs], dim=1)
        said = torch.stack([belief.mean_cosine() for belief in beliefs], dim=1)
        there = torch.stack([self.present[name] for name in self.beliefs], dim=1)
        together = there[:, :, None] & there[:, None]
        together = together & ~torch.eye(len(beliefs), dtype=torch.bool, device=together.device)
        least = torch.finfo(said.dtype).tiny
        share = (mean @ mean.mT) / (said[:, :, None] * said[:, None]).clamp_min(least)
        share = share.clamp(0, 1).masked_fill(~together, torch.nan).nanquantile(0.5, dim=2)
        share = share.nan_to_num(1.0).clamp_min(FAULTY)
        weighed = {
            name: belief._replace(concentration=belief.concentration * share[:, i])
            for i, (name, belief) in enumerate(self.beliefs.items())
        }
        return self._replace(beliefs=weighed)

    def at(self, rows: Tensor | slice) -> Embedded:
        """Some of the rows, by number, mask or slice."""
        beliefs = {name: VonMisesFisher(*(x[rows] for x in belief)) for name, belief in self.beliefs.items()}
        present = {name: there[rows] for name, there in self.present.items()}
        return self._replace(beliefs=beliefs, present=present)

    def of_pose(self) -> Embedded:
        """What depends on the pose alone, with its share of the concentrations.

        Raises:
            ValueError: there is no such part.
        """
        return self._replace(
            beliefs={name: of_pose(belief, self.invariant) for name, belief in self.beliefs.items()},
            invariant=0,
        )

    def pose_held(self, names: Collection[str]) -> Embedded:
        """The same, but no gradient reaches what depends on the pose alone of the modalities named."""
        beliefs = {
            name: belief._replace(mean=pose_held(belief.mean, self.invariant)) if name in names else belief
            for name, belief in self.beliefs.items()
        }
        return self._replace(beliefs=beliefs)

    def sureness_held(self) -> Embedded:
        """The same, but no gradient reaches the concentrations."""
        beliefs = {
            name: belief._replace(concentration=belief.concentration.detach())
            for name, belief in self.beliefs.items()
        }
        return self._replace(beliefs=beliefs)

    def fused(self, kept: Mapping[str, Bool[Tensor, " B"]] | None = None) -> VonMisesFisher:
        """What modalities say together, all or those `kept` in each row; zeros where none is there."""
        return fuse(list(self.kept(kept).beliefs.values()), self.invariant)

    @classmethod
    def cat(cls, parts: Sequence[Embedded]) -> Embedded:
        """Rows of one space, one after the other."""
        names = list(parts[0].beliefs)
        beliefs = {
            n: VonMisesFisher(*map(torch.cat, zip(*(p.beliefs[n] for p in parts), strict=True)))
            for n in names
        }
        present = {name: torch.cat([part.present[name] for part in parts]) for name in names}
        return cls(beliefs, present, parts[0].invariant)


def of_pose(belief: VonMisesFisher, invariant: int) -> VonMisesFisher:
    """P of directions in two parts: exp(k m·x) of the whole has k d/D there.

    Raises:
        ValueError: there is no P.
    """
    mean = pose_part(belief.mean, invariant)
    return VonMisesFisher(mean, belief.concentration * invariant / belief.mean.shape[-1])


class Concentration(nn.Module):
    """How sure an embedding is: D k, with k in (0, most), from the features before they are normalised.

    Logistic in a linear map, so that far below its bound k grows by factors; it begins at 1.

    Args:
        dim: D, the width.
        most: the bound over the width; a mean cosine of about 1 - 1 / (2 most).

    Raises:
        ValueError: a bound that is not above 1, where it begins.
    """

    def __init__(self, dim: int, most: float = 20.0) -> None:
        super().__init__()
        if most <= 1:
            raise ValueError(f"most {most:g}: the bound of concentrations over the width must be above 1")
        self.dim, self.most = dim, most
        self.norm, self.out = nn.LayerNorm(dim), nn.Linear(dim, 1)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, features: Float[Tensor, "B dim"]) -> Float[Tensor, " B"]:
        raw = self.out(self.norm(features))[:, 0].float() - math.log(self.most - 1)
        return self.dim * self.most * torch.sigmoid(raw).clamp_min(torch.finfo(raw.dtype).tiny)


class Space(nn.Module):
    """Encoders of several modalities onto one sphere.

    An encoder is given the rows that have its modality and no others: what stands in for an absent one would
    count in its batch statistics.

    Args:
        modalities: registered names, or `Modality` objects (`dataclasses.replace` gives one another encoder).
        dim: width D of the embedding.
        most: bound of the concentrations (`Concentration`).
        invariant: how many numbers of the embedding are normalised by themselves, to be taught the pose
            alone (`poseenc.parts`). Densities stay those of the whole sphere: the mean cosine that they
            predict is that of both parts to within 1 %, if neither has fewer than 16 numbers.

    Raises:
        ValueError: no modalities, two of one name, an unknown name, no numbers left for the view.
    """

    def __init__(
        self, modalities: Iterable[str | Modality], dim: int, *, most: float = 20.0, invariant: int = 0
    ) -> None:
        super().__init__()
        if not 0 <= invariant < dim:
            raise ValueError(f"invariant: {invariant} of {dim} numbers; leave some for the view, or take 0")
        self.invariant = invariant
        found = [get_modality(given) if isinstance(given, str) else given for given in modalities]
        self.dim, self.modalities = dim, {modality.name: modality for modality in found}
        if len(self.modalities) != len(found) or not found:
            names = ", ".join(modality.name for modality in found) or "none"
            raise ValueError(f"modalities: {names}; give one or more, each once")
        self.encoders = nn.ModuleDict({modality.name: modality.encoder(dim) for modality in found})
        self.heads = nn.ModuleDict({modality.name: Concentration(dim, most) for modality in found})

    def forward(self, views: Views, generator: torch.Generator | None = None) -> Embedded:
        """Every modality of views.

        Args:
            generator: of the modalities' augmentation; None for none.
        """
        present = {name: modality.present(views) for name, modality in self.modalities.items()}
        beliefs = {name: self.embed(name, views, there, generator) for name, there in present.items()}
        return Embedded(beliefs, present, self.invariant)

    def embed(
        self,
        name: str,
        views: Views,
        present: Bool[Tensor, " B"],
        generator: torch.Generator | None = None,
    ) -> VonMisesFisher:
        """One modality of the views that have it; zeros in the others.

        Raises:
            ValueError: the space has no such modality.
        """
        if name not in self.modalities:
            raise ValueError(f"this space has no {name!r}; it has {', '.join(self.modalities)}")
        rows = present.nonzero()[:, 0]
        like = next(self.heads[name].parameters())
        mean, concentration = like.new_zeros(len(views), self.dim), like.new_zeros(len(views))
        if len(rows):
            modality = self.modalities[name]
            inputs = modality.take(views[rows])
            if generator is not None:
                inputs = modality.augment(inputs, generator)
            features = self.encoders[name](**inputs)
            mean = mean.index_put((rows,), unit(features.float(), self.invariant).to(like))
            seen = pose_held(features, self.invariant)  # how sure a sense is depends on the view
            concentration = concentration.index_put((rows,), self.heads[name](seen).to(like))
        return VonMisesFisher(mean, concentration)


def drop(
    present: Mapping[str, Bool[Tensor, " B"]], generator: torch.Generator
) -> dict[str, Bool[Tensor, " B"]]:
    """For every row a random subset of what it has, neither nothing nor all; the rest is what it leaves out.

    Its size is drawn first, evenly from those there can be, then its members, so that single modalities and
    pairs come as often as larger subsets. A row of one modality keeps it, and leaves nothing out.
    """
    names = list(present)
    there = torch.stack([present[name] for name in names], dim=1)
    count, source = there.sum(1), generator.device
    size = torch.rand(len(there), generator=generator, device=source).to(there.device)
    size = 1 + (size * (count - 1)).floor().clamp(max=count - 2).clamp_min(0)
    keys = torch.rand(there.shape, generator=generator, device=source).to(there.device)
    place = keys.masked_fill(~there, 2.0).argsort(1).argsort(1)
    kept = there & (place < size[:, None])
    return dict(zip(names, kept.unbind(1), strict=True))
