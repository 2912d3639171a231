"""What a user holds: a trained network, and how it is to be used."""

from __future__ import annotations

import dataclasses
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from polypose.config import ModelConfig
from polypose.network import POSE_SKELETON, UniHPR
from polypose.samples import Frame
from polypose.weights import NAME, Packed, read_packed, write_packed

KIND = "unihpr"


@dataclass(frozen=True)
class Settings:
    """How a network was trained, as far as its user must know.

    Attributes:
        frame: of poses and keypoints, as the encoders see them (`polypose.samples.Sample`).
        image_size: width and height of the crops that it saw; None where that is not known.
        data: fingerprint of what it was trained on.
        sampler, steps: by which poses are drawn (`posediff.PoseDecoder.sample`).
        batch: how many poses go through it at once.
    """

    frame: Frame = "aimed"
    image_size: tuple[int, int] | None = None
    data: str = ""
    sampler: str = "dpmpp_2m_sde"
    steps: int = 7
    batch: int = 512


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

    def save(self, path: str | Path, *, half: bool = False) -> Path:
        """Write one file that `polypose.load` reads; returns its path.

        Args:
            path: a .safetensors file, or a folder, in which it becomes model.safetensors.
            half: weights as float16: half the size, to three digits.
        """
        path = Path(path)
        if path.is_dir():
            path /= NAME
        if path.suffix != ".safetensors":
            raise ValueError(f"{path}: write to a .safetensors file, or to a folder that is there")
        config = dataclasses.replace(self.network.config, image_weights=None)
        about = {"model": asdict(config), "skeleton": self.skeleton.name, **asdict(self.settings)}
        write_packed(path, Packed(KIND, about, self.network.state_dict()), half=half)
        return path


def load(source: str | Path) -> Model:
    """A trained model, on the CPU.

    Args:
        source: the folder of a finished run, or a file that training or `Model.save` wrote.

    Raises:
        FileNotFoundError: there is no model there.
        ValueError: the file is damaged, of a later version, of another kind or no model.
    """
    path = Path(source)
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
        settings = _filled(Settings, {**about, "image_size": tuple(size) if size else None})
        with torch.device("meta"):  # weights are not drawn only to be replaced
            network = UniHPR(config)
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


def _fill(network: nn.Module, tensors: dict[str, torch.Tensor], path: Path) -> None:
    """Give a network that was made without memory the tensors of a file."""
    wanted = network.state_dict()
    for name in sorted(wanted.keys() | tensors.keys()):
        if name not in tensors or name not in wanted or tensors[name].shape != wanted[name].shape:
            raise ValueError(f"{path}: {name} is not as this polypose has it; pip install -U polypose")
    network.load_state_dict(tensors, assign=True)
