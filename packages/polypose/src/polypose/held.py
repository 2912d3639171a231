"""What all models have in common: a network, where it lies, how its embeddings are compared, its file."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar, Generic, Self, TypeVar

import torch
from posedata.keypoints import frames_told
from posedata.skeleton import Skeleton
from poseenc.index import EmbeddingIndex, Neighbours
from torch import Tensor, nn

from polypose.comparing import Compared
from polypose.network import POSE_SKELETON
from polypose.packed import NAME, Packed, own_tensors, write_packed
from polypose.searching import retrieve, vectors_of

NetworkT = TypeVar("NetworkT", bound=nn.Module)


class Kept(ABC, Generic[NetworkT]):
    """A trained network that a file holds.

    Attributes:
        network: in evaluation mode.
        source: where it came from, for messages.
        kind: what its file says it is.
        skeleton: of its poses.
    """

    kind: ClassVar[str]
    skeleton: ClassVar[Skeleton] = POSE_SKELETON

    def __init__(self, network: NetworkT, source: str = "") -> None:
        self.network = network.eval()
        self.source = source

    def __repr__(self) -> str:
        count = sum(p.numel() for p in self.network.parameters())
        origin = f", {self.source}" if self.source else ""
        name = f"{type(self).__name__}({self.kind}"
        return f"{name}, {count / 1e6:.1f} million weights, {self.skeleton.name}{origin})"

    @property
    def device(self) -> torch.device:
        """Where its weights are."""
        return next(self.network.parameters()).device

    def to(self, device: torch.device | str) -> Self:
        """Move it; returns itself."""
        self.network.to(device)
        return self

    @abstractmethod
    def about(self) -> dict[str, Any]:
        """What the header of its file says of it."""

    @classmethod
    @abstractmethod
    def described(cls, about: dict[str, Any], source: str) -> Self:
        """A model without weights, by what a file's header says of it.

        Raises:
            TypeError, KeyError: it says what this version does not know.
        """

    def save_pretrained(self, folder: str | Path) -> None:
        """Write a folder as the hub has it: the model's file and a card (`polypose[hub]`)."""
        from polypose.hub import Shared

        Shared(self).save_pretrained(folder)

    def push_to_hub(self, name: str, **options: Any) -> str:
        """Upload to the hub as "user/name" (`huggingface_hub.ModelHubMixin`); returns its address."""
        from polypose.hub import Shared

        return str(Shared(self).push_to_hub(name, **options))

    def save(self, path: str | Path, *, half: bool = False) -> Path:
        """Write one file that `polypose.load` reads; returns its path.

        Args:
            path: a .safetensors file, or a folder, in which it becomes model.safetensors.
            half: weights as float16: half the size, to three digits.
        """
        return self._write(path, self.about(), own_tensors(self.network), half)

    def _write(self, path: str | Path, about: dict[str, Any], tensors: dict[str, Tensor], half: bool) -> Path:
        path = Path(path)
        if path.is_dir():
            path /= NAME
        if path.suffix != ".safetensors":
            raise ValueError(f"{path}: write to a .safetensors file, or to a folder that is there")
        about = {"skeleton": self.skeleton.name, **about}
        write_packed(path, Packed(self.kind, about, tensors), half=half)
        return path


class Held(Kept[NetworkT]):
    """One that embeds.

    Attributes:
        compared: how its embeddings are.
        takes: the joints that it is given of people in pictures.
    """

    compared: ClassVar[Compared]
    takes: ClassVar[Skeleton] = POSE_SKELETON

    @property
    @abstractmethod
    def modalities(self) -> tuple[str, ...]:
        """What it embeds."""

    def retrieve(self, queries: Any, gallery: Any, k: int = 10) -> Neighbours:
        """The nearest of a gallery, best first: `.similarity` (Q, k) and `.row` (Q, k).

        Similarities are cosines, of a view-invariant model minus the distances. Places that the gallery
        cannot fill, and all of a query without a person, hold row -1.

        Args:
            queries: `Embeddings`, or (Q, D).
            gallery: likewise, or what `index` made of it; rows without a person are never found.
        """
        return retrieve(queries, gallery, k, self.compared)

    def index(self, gallery: Any) -> EmbeddingIndex:
        """A gallery to search again and again; `index.save(path, index.about)` keeps it, and who made it.

        Args:
            gallery: `Embeddings`, or (N, D).

        Raises:
            ValueError: a row is without a person: an index has no gaps.
        """
        vectors = vectors_of(gallery)[0]
        nobody = (~vectors.isfinite().all(1)).nonzero()[:, 0].cpu().numpy()
        if len(nobody):
            raise ValueError(
                f"{frames_told(nobody)} without a person, and an index has no gaps; leave them out"
            )
        index = EmbeddingIndex(self.compared.gallery(vectors))
        index.about = self.made_by()
        return index

    def made_by(self) -> dict[str, str]:
        """What an index says of the model that made it: its name, a digest of its weights, its skeleton."""
        digest = hashlib.sha256()
        for name, value in sorted(self.network.state_dict().items()):
            digest.update(name.encode() + value.cpu().numpy().tobytes())
        path = Path(self.source)
        run = path.parent.name if path.name == NAME else path.name
        return {"run": run, "weights": digest.hexdigest(), "skeleton": self.skeleton.name}
