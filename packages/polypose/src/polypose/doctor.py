"""What is installed, what a model is, and whether it works here."""

from __future__ import annotations

import importlib.metadata
import time
from collections.abc import Iterator

import torch

from polypose.capture.fetch import DETECTOR, cache, cached, landmarks
from polypose.config import ModelConfig, Settings
from polypose.invariant import ViewInvariant
from polypose.loading import OWN, PACKAGED, load
from polypose.model import Model
from polypose.network import UniHPR

NEEDS = {
    "onnxruntime": "to run exported models: pip install 'polypose[onnx]'",
    "onnxscript": "to export onnx: pip install 'polypose[onnx]'",
    "huggingface-hub": "for models by name: pip install 'polypose[hub]'",
    "av": "to read films: pip install 'polypose[video]'",
    "ai-edge-litert": "to see people in pictures: pip install 'polypose[video]'",
    "ezc3d": "to write C3D: pip install 'polypose[video]'",
    "pyarrow": "for polypose index and search: pip install 'polypose[search]'",
    "faiss-cpu": "to search very large indexes: pip install 'polypose[search]'",
    "dtaidistance": "to align movements in time: pip install 'polypose[search]'",
    "fastapi": "for the page of an index: pip install 'polypose[serve]'",
}
"""Of the extras, what each is for."""


def about(model: Model | ViewInvariant) -> Iterator[str]:
    """What a model is, in lines."""
    yield repr(model)
    yield from _invariant(model) if isinstance(model, ViewInvariant) else _lifter(model)
    yield f"trained on data {model.settings.data or 'unknown'}"


def _invariant(model: ViewInvariant) -> Iterator[str]:
    config = model.config
    yield f"{config.method}: embeds {' and '.join(model.modalities)}, {config.dim} wide, compared by distance"
    yield f"a torso is {1000 * model.torso:.0f} mm; poses in the frame of the {model.frame}"


def _lifter(model: Model) -> Iterator[str]:
    settings, config = model.settings, model.network.config
    for name, part in [*model.network.encoders.items(), *model.network.decoders.items()]:
        kind = "decoder" if part in model.network.decoders.values() else "encoder"
        yield f"{name} {kind}: {sum(p.numel() for p in part.parameters()) / 1e6:.2f} million weights"
    size = "unknown" if settings.image_size is None else "x".join(map(str, settings.image_size))
    images = f"images {config.image_encoder}, of {size}" if "image" in model.modalities else "no images"
    yield f"embedding {config.dim} wide; {images}; decoder {config.decoder}"
    yield f"frame {settings.frame}; poses drawn by {settings.sampler} in {settings.steps} steps"


def examine() -> Iterator[str]:
    """What is installed and missing, then a self-test.

    Raises:
        ValueError: the self-test fails.
    """
    yield f"polypose {importlib.metadata.version('polypose')}, torch {torch.__version__}"
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "none; models run on the CPU"
    yield f"GPU: {gpu}"
    for name, purpose in NEEDS.items():
        try:
            yield f"{name} {importlib.metadata.version(name)}"
        except importlib.metadata.PackageNotFoundError:
            yield f"{name} is not installed, {purpose}"
    yield _detector()
    packaged = PACKAGED.is_file()
    for name, (path, _) in OWN.items():
        if name and path.is_file():
            yield f"{name} weights: the package's"
    yield (
        "weights: the package's" if packaged else "weights: none come with the package; name a model: --model"
    )
    model = load() if packaged else Model(UniHPR(_SMALL), Settings(), "random weights")
    yield from _self_test(model)


def _detector() -> str:
    """Whether BlazePose's networks are in the cache, whole."""
    try:
        for name in (DETECTOR, landmarks("full")):
            cached(name)
    except (OSError, ValueError):
        return "blazepose: its networks are not here, to see people in pictures: polypose get"
    return f"blazepose: its networks are in {cache()}"


_SMALL = ModelConfig(dim=32, pose_encoder="mlp", hidden=32, blocks=1, decoder_hidden=32, decoder_blocks=1)


def _self_test(model: Model) -> Iterator[str]:
    """Lift, embed and retrieve people of random keypoints."""
    generator = torch.Generator().manual_seed(0)
    points = 300 + 200 * torch.rand(256, 17, 2, generator=generator)
    start = time.perf_counter()
    poses = model.lift(points, size=(1000, 1000), skeleton="h36m17", say=lambda text: None)
    seconds = time.perf_counter() - start
    found = model.embed(keypoints=points, size=(1000, 1000), skeleton="h36m17", say=lambda text: None)
    hits = model.retrieve(found, found, k=1)
    finite = all(bool(x.isfinite().all()) for x in (poses.joints, poses.translation))
    if not finite or not bool((hits.similarity > 1 - 1e-4).all()):
        raise ValueError("self-test: poses not finite, or rows do not find themselves; install torch anew")
    yield f"self-test: 256 people lifted in {1000 * seconds:.0f} ms, each found again: well ({model.source})"
