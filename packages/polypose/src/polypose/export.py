"""Networks as ONNX, for those who run no torch; needs `pip install 'polypose[onnx]'`."""

from __future__ import annotations

import importlib.util
import logging
import warnings
from pathlib import Path
from typing import Literal, cast

import torch
from posediff import MLPDecoder, PoseDecoder
from torch import Tensor, nn
from torch.nn.functional import normalize

from polypose.invariant import ViewInvariant
from polypose.model import Model
from polypose.network import MODALITIES, POSE_SKELETON, Modality, UniHPR, condition

Part = Literal["lifter", "image", "2d", "3d"]
PARTS: tuple[Part, ...] = ("lifter", *MODALITIES)
NEEDED = ("onnx", "onnxscript")


class Lifter(nn.Module):
    """Keypoints as the encoder takes them to the mean pose in the encoders' frame, (N, J, 3) metres."""

    def __init__(self, network: UniHPR) -> None:
        super().__init__()
        self.encoder = network.encoder("2d")
        self.decoder = cast(PoseDecoder | MLPDecoder, network.decoders["3d"])

    def forward(self, keypoints: Tensor, token: Tensor) -> Tensor:
        embedding = normalize(self.encoder(keypoints, token, keypoints[..., 2] > 0), dim=-1)
        return self.decoder.mean(condition(embedding), MODALITIES.index("2d"))


class Encoder(nn.Module):
    """One modality to unit embeddings (N, D)."""

    def __init__(self, network: UniHPR, modality: Modality) -> None:
        super().__init__()
        self.encoder, self.flat = network.encoder(modality), modality == "2d"

    def forward(self, values: Tensor, token: Tensor | None = None) -> Tensor:
        features = self.encoder(values, token, values[..., 2] > 0) if self.flat else self.encoder(values)
        return normalize(features, dim=-1)


def example(model: Model, part: Part, count: int = 2) -> dict[str, Tensor]:
    """Inputs of a part by name: random ones, of the shapes and units that it takes."""
    generator = torch.Generator().manual_seed(0)
    joints = len(POSE_SKELETON)
    if part == "image":
        width, height = model.settings.image_size or (192, 256)
        return {"image": torch.rand(count, 3, height, width, generator=generator)}
    points = torch.randn(count, joints, 3, generator=generator)
    if part == "3d":
        return {"joints": 0.3 * points}
    points[..., 2] = torch.rand(count, joints, generator=generator)
    points[0, -1, 2] = 0
    token = torch.tensor([0.0, 0.0, 0.5]).expand(count, 3).clone()
    return {"keypoints": points, "token": token}


def module_of(model: Model, part: Part) -> nn.Module:
    """The part as a module of tensors."""
    if part == "lifter":
        return Lifter(model.network).eval()
    return Encoder(model.network, part).eval()


def export_onnx(model: Model | ViewInvariant, part: Part, path: str | Path) -> Path:
    """Write one part of a model; any batch, at least 1.

    Inputs are those of `polypose.samples.Sample`: "keypoints" (N, 17, 3) and "token" (N, 3), "joints"
    (N, 17, 3) or "image" (N, 3, H, W) in [0, 1]; the output is "pose" (N, 17, 3) metres, or "embedding".

    Raises:
        ValueError: the name does not end in .onnx, or there is no such part.
        ModuleNotFoundError: the exporter is not installed; says how to.
    """
    path = Path(path)
    if not isinstance(model, Model):
        raise ValueError(f"export: is of UniHPR, not of {model.kind}; give another model")
    if part not in PARTS:
        raise ValueError(f"export: no part is called {part}; choose one of {', '.join(PARTS)}")
    if path.suffix != ".onnx":
        raise ValueError(f"{path}: write to a file that ends in .onnx")
    if missing := [name for name in NEEDED if importlib.util.find_spec(name) is None]:
        raise ModuleNotFoundError(f"{' and '.join(missing)} not installed; pip install 'polypose[onnx]'")
    inputs = example(model, part)
    batch = torch.export.Dim("batch", min=1)
    path.parent.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # the exporter's own, of its future
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        torch.onnx.export(
            module_of(model, part).cpu(),
            tuple(inputs.values()),
            str(path),
            input_names=list(inputs),
            output_names=["pose" if part == "lifter" else "embedding"],
            dynamic_shapes=tuple({0: batch} for _ in inputs),
            dynamo=True,
            external_data=False,
            verbose=False,
        )
    return path
