"""Many poses through a network, so many at once."""

from __future__ import annotations

import torch
from jaxtyping import Float
from posedata.sharing import shared
from torch import Tensor

from polypose.network import MODALITIES, Modality, UniHPR
from polypose.samples import Sample


def embed(
    network: UniHPR, sample: Sample, batch: int, modalities: tuple[Modality, ...] = MODALITIES
) -> dict[Modality, Float[Tensor, "B dim"]]:
    """Unit embeddings of a large sample, in batches, which processes may share (`posedata.sharing`)."""
    if len(sample) <= batch:
        return network.embeddings(sample, modalities)
    starts = range(0, len(sample), batch)
    parts = shared(lambda i: network.embeddings(sample[i : i + batch], modalities), starts)
    return {modality: torch.cat([part[modality] for part in parts]) for modality in modalities}


def decode(
    network: UniHPR, embedding: Float[Tensor, "B dim"], modality: Modality, batch: int
) -> Float[Tensor, "B J 3"]:
    """The mean pose of many embeddings of one modality, in batches."""
    return torch.cat([network.decode("3d", part, modality) for part in embedding.split(batch)])
