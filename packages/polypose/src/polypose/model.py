"""What a user holds: a trained network, and how it is to be used."""

from __future__ import annotations

import dataclasses
import re
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from poseenc.index import Neighbours
from poseenc.interpolate import great_arc
from torch import nn

from polypose.config import ModelConfig, Settings
from polypose.embedding import embed_inputs, retrieve
from polypose.embeddings import Embeddings
from polypose.inputs import Like, Say, warn
from polypose.lifting import lift
from polypose.network import POSE_SKELETON, UniHPR
from polypose.packed import NAME, Packed, read_packed, write_packed
from polypose.poses import Poses

KIND = "unihpr"
PACKAGED = Path(__file__).with_name("weights") / "unihpr.safetensors"
_HUB = re.compile(r"[\w.-]+/[\w.-]+(?<!\.safetensors)")


class Model:
    """A trained network with its settings.

    Attributes:
        network: in evaluation mode.
        settings: how it was trained.
        source: where it came from, for messages.
    """

    skeleton = POSE_SKELETON

    def __init__(self, network: UniHPR, settings: Settings | None = None, source: str = "") -> None:
        self.network = network.eval()
        self.settings = settings or Settings()
        self.source = source

    def __repr__(self) -> str:
        count = sum(p.numel() for p in self.network.parameters())
        origin = f", {self.source}" if self.source else ""
        return f"Model(unihpr, {count / 1e6:.1f} million weights, {self.skeleton.name}{origin})"

    @property
    def device(self) -> torch.device:
        """Where its weights are."""
        return next(self.network.parameters()).device

    def to(self, device: torch.device | str) -> Model:
        """Move it; returns itself."""
        self.network.to(device)
        return self

    def lift(
        self,
        keypoints: Any,
        intrinsics: Any = None,
        size: tuple[int, int] | None = None,
        skeleton: str | None = None,
        confidence: Any = None,
        *,
        say: Say = warn,
    ) -> Poses:
        """3D poses of people in pictures, each by itself.

        Args:
            keypoints: (N, J, 2) pixels of the whole image, or (N, J, 3) with a confidence, 0 where not seen.
            intrinsics: fx, fy, cx, cy in pixels, or a 3x3 matrix; of all, or one each. A view 60 degrees wide
                where left out.
            size: width and height of the images in pixels; needed where there are no intrinsics.
            skeleton: of the keypoints, "coco17" for instance; needed where several have as many joints.
            confidence: (N, J) in [0, 1], instead of the third channel.
            say: told what is probably wrong; Python's warnings by default.

        Raises:
            ValueError: they are no keypoints of that skeleton in pixels; the message says what to do.
        """
        return lift(self.network, self.settings, keypoints, intrinsics, size, skeleton, confidence, say=say)

    def embed(
        self,
        *,
        image: Any = None,
        keypoints: Any = None,
        pose: Any = None,
        intrinsics: Any = None,
        size: tuple[int, int] | None = None,
        skeleton: str | None = None,
        confidence: Any = None,
        say: Say = warn,
    ) -> Embeddings:
        """Points of the shared sphere, of any modalities together or alone.

        Args:
            image: (N, H, W, 3) or (N, 3, H, W) RGB crops of people, uint8 or in [0, 1]; brought to the size
                of training.
            keypoints: with `intrinsics`, `size`, `skeleton` and `confidence` as of `lift`.
            pose: (N, 17, 3) of `h36m17`, metres in the camera's frame: about the pelvis, or where
                people stand.

        Raises:
            ValueError: nothing is given, or what is given cannot be what it is called.
        """
        return embed_inputs(
            self.network,
            self.settings,
            image=image,
            keypoints=keypoints,
            pose=pose,
            intrinsics=intrinsics,
            size=size,
            skeleton=skeleton,
            confidence=confidence,
            say=say,
        )

    def retrieve(self, queries: Any, gallery: Any, k: int = 10) -> Neighbours:
        """The nearest of a gallery, best first: `.similarity` (Q, k), cosines, and `.row` (Q, k).

        Places that the gallery cannot fill, and all of a query without a person, hold row -1.

        Args:
            queries: `Embeddings`, or (Q, D).
            gallery: likewise, or an `poseenc.EmbeddingIndex`; rows without a person are never found.
        """
        return retrieve(queries, gallery, k)

    @torch.no_grad()
    def interpolate(self, first: Any, last: Any, steps: int = 9) -> Any:
        """Poses (steps, 17, 3) along the great arc between two embeddings of poses (D,).

        Metres, about the pelvis, in the encoders' frame: person-centred where the settings say "aimed".
        """
        like = Like.of(first)
        start, end = (torch.as_tensor(x, dtype=torch.float32, device=self.device) for x in (first, last))
        return like.give(self.network.decode("3d", great_arc(start, end, steps), "3d"))

    def save_pretrained(self, folder: str | Path) -> None:
        """Write a folder as the hub has it: the model's file and a card (`polypose[hub]`)."""
        from polypose.hub import Shared

        Shared(self).save_pretrained(folder)

    def push_to_hub(self, name: str, **options: Any) -> str:
        """Upload to the hub as "user/name" (`huggingface_hub.ModelHubMixin`); returns its address."""
        from polypose.hub import Shared

        return str(Shared(self).push_to_hub(name, **options))

    def save(self, path: str | Path, *, half: bool = False, decodes: tuple[str, ...] | None = None) -> Path:
        """Write one file that `polypose.load` reads; returns its path.

        Args:
            path: a .safetensors file, or a folder, in which it becomes model.safetensors.
            half: weights as float16: half the size, to three digits.
            decodes: leave other decoders out; lifting and retrieval need that of "3d" alone.
        """
        path = Path(path)
        if path.is_dir():
            path /= NAME
        if path.suffix != ".safetensors":
            raise ValueError(f"{path}: write to a .safetensors file, or to a folder that is there")
        config = dataclasses.replace(self.network.config, image_weights=None)
        settings = self.settings if decodes is None else dataclasses.replace(self.settings, decodes=decodes)
        about = {"model": asdict(config), "skeleton": self.skeleton.name, **asdict(settings)}
        left_out = tuple(
            f"decoders.{name}." for name in self.network.decoders if name not in settings.decodes
        )
        tensors = {n: x for n, x in _own_tensors(self.network).items() if not n.startswith(left_out)}
        write_packed(path, Packed(KIND, about, tensors), half=half)
        return path


def load(source: str | Path | None = None) -> Model:
    """A trained model, on the CPU.

    Args:
        source: the folder of a finished run; a file that training or `Model.save` wrote; "user/name" on the
            hub (`pip install 'polypose[hub]'`); or nothing: the weights that come with the package.

    Raises:
        FileNotFoundError: there is no model there.
        ValueError: the file is damaged, of a later version, of another kind or no model.
    """
    if source is None and not PACKAGED.is_file():
        raise FileNotFoundError(
            "no weights come with this version of polypose: give a run's folder (typer apps/unihpr train"
            " makes one), a model.safetensors, or a name on the hub"
        )
    path = PACKAGED if source is None else Path(source)
    if isinstance(source, str) and not path.exists() and _HUB.fullmatch(source):
        from polypose.hub import fetched

        path = fetched(source)
    if path.is_dir():
        path /= NAME
        if not path.is_file():
            raise FileNotFoundError(f"{path}: no such file; finish the training (--resume), which writes it")
    packed = read_packed(path)
    if packed.kind != KIND:
        raise ValueError(f"{path}: holds a model of kind {packed.kind[:40]!r}, this polypose loads {KIND}")
    return _unpacked(packed, path)


def _unpacked(packed: Packed, path: Path) -> Model:
    """The model of a file that is whole."""
    about = dict(packed.about)
    try:
        config = _filled(ModelConfig, about.pop("model"))
        if about.pop("skeleton") != POSE_SKELETON.name:
            raise ValueError(f"{path}: poses are not {POSE_SKELETON.name}; pip install -U polypose")
        size = about.get("image_size")
        about["decodes"] = tuple(about["decodes"])
        settings = _filled(Settings, {**about, "image_size": tuple(size) if size else None})
        with torch.device("meta"):  # weights are not drawn only to be replaced
            network = UniHPR(config)
        for name in network.decoders.keys() - set(settings.decodes):
            del network.decoders[name]
    except (TypeError, KeyError):
        raise ValueError(f"{path}: says what this polypose does not know; pip install -U polypose") from None
    _fill(network, packed.tensors, path)
    return Model(network, settings, str(path))


def _filled(schema: Any, values: Any) -> Any:
    """A dataclass of exactly these values. TypeError where one is unknown or of another type."""
    made = schema(**values)
    for field, default in zip(dataclasses.fields(schema), dataclasses.astuple(schema()), strict=True):
        value = getattr(made, field.name)
        kind = (int, float) if isinstance(default, float) else type(default)
        if default is not None and not isinstance(value, kind):
            raise TypeError(field.name)
    return made


def _own_tensors(network: nn.Module) -> dict[str, torch.Tensor]:
    """A network's state, each tensor once: a part that is held under two names has the first."""
    found: dict[int, tuple[str, torch.Tensor]] = {}
    for name, value in network.state_dict(keep_vars=True).items():
        found.setdefault(id(value), (name, value))
    return dict(found.values())


def _fill(network: nn.Module, tensors: dict[str, torch.Tensor], path: Path) -> None:
    """Give a network that was made without memory the tensors of a file."""
    wanted = _own_tensors(network)
    for name in sorted(wanted.keys() | tensors.keys()):
        if name not in tensors or name not in wanted or tensors[name].shape != wanted[name].shape:
            raise ValueError(f"{path}: {name} is not as this polypose has it; pip install -U polypose")
    network.load_state_dict(tensors, assign=True, strict=False)  # other names of the same part are missing
