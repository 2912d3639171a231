"""GFPose and ZeDO checkpoints, by their published parameter names.

Nothing here runs code from a file. A ``.safetensors`` file holds numbers and names only. A ``.pth`` file is
a pickle, whose bytes can name any function and call it; ``torch.load(weights_only=True)`` reads it with an
interpreter of its own that knows tensors, plain containers and a short list of constructors, and refuses
every other name before calling it.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from posediff.denoiser import Denoiser, NoisePrediction
from posediff.network import ResidualMLP

Observed = tuple[Tensor, Tensor]
"""What GFPose is told: coordinates (..., J d) in the model's scale, and which of them are known, 0 or 1."""


class Converted(NamedTuple):
    denoiser: Denoiser
    data_scale: float


class RelativeCondition(nn.Module):
    """GFPose's condition: the known coordinates' difference from the noisy pose, so it changes with x."""

    def __init__(self, network: ResidualMLP) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor, label: Tensor | None, observed: Observed | None = None) -> Tensor:
        """x: (..., D); observed: see ``Observed``, None for the prior. Returns (..., D)."""
        residual = torch.zeros_like(x) if observed is None else (x - observed[0]) * observed[1]
        return self.network(x, label, self.network.project(residual))


def load_gfpose(path: str | Path, *, ema: bool = True, device: str = "cpu") -> Converted:
    """Read a GFPose or ZeDO checkpoint from disk; see ``convert_gfpose``.

    Raises FileNotFoundError, and ValueError where the file would need code to be run, or is of another
    architecture.
    """
    return convert_gfpose(read_checkpoint(path, device=device), ema=ema)


def read_checkpoint(path: str | Path, *, device: str = "cpu") -> dict[str, Any]:
    """A checkpoint's content, from .safetensors (needs that package) or a torch file, without its code."""
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such checkpoint; give the path of a .pth or .safetensors file")
    if path.suffix == ".safetensors":
        safetensors = importlib.import_module("safetensors.torch")
        try:
            return dict(safetensors.load_file(path, device=device))
        except importlib.import_module("safetensors").SafetensorError as error:
            raise ValueError(f"{path}: is damaged, or no .safetensors file; download it again") from error
    try:
        with torch.serialization.safe_globals(_numpy_scalars()):
            loaded = torch.load(path, map_location=device, weights_only=True)
    except Exception as error:  # torch raises several kinds for a damaged and for a refused file
        raise ValueError(
            f"{path}: not a checkpoint that can be read without running its code, or damaged; save its state "
            "dict alone, as .safetensors or with torch.save, and give that"
        ) from error
    if not isinstance(loaded, dict):
        raise ValueError(f"{path}: holds a {type(loaded).__name__}, not a state dict; give a file with that")
    return loaded


def _numpy_scalars() -> list[Any]:
    # GFPose's learning rate is a numpy number, and stands so in its optimizer's state. The three names
    # below rebuild a number from its bytes and do nothing else.
    try:
        numpy = importlib.import_module("numpy")
        scalar = importlib.import_module("numpy._core.multiarray").scalar
    except ImportError:
        return []
    old_name = "numpy.core.multiarray.scalar"
    return [scalar, (scalar, old_name), numpy.dtype, type(numpy.dtype("float64"))]


def convert_gfpose(checkpoint: dict[str, Any], *, ema: bool = True) -> Converted:
    """A ``Denoiser`` that computes what the published network computes, with fewer and larger products.

    checkpoint: a state dict by the published names (``pre_dense.weight``, ``b1_dense1_t.bias`` ...), with or
    without ``module.`` before them, or the dict around it, whose averaged weights are taken if ``ema``.

    With the condition's layers it is GFPose: call ``denoiser(x, sigma, (observed, known))`` on flat poses,
    (..., J d). Without, it is ZeDO's prior: ``denoiser(x, sigma)``. x is in the model's scale:
    ``data_scale`` times the pose (30 for GFPose's normalised poses, 1 for ZeDO's metres, by their configs).
    Both are sub-VP models, beta 0.1 to 20, with positional time. Raises ValueError for any other model.
    """
    state = checkpoint.get("model_state_dict", checkpoint)
    state = {name.removeprefix("module."): value for name, value in state.items()}
    if "gauss_proj.W" in state:
        raise ValueError("gauss_proj.W: a Fourier time embedding; only the published positional one converts")
    if ema and "ema" in checkpoint:
        averaged = [name for name in state if name != "sigmas"]
        shadow = checkpoint["ema"]["shadow_params"]
        if [state[name].shape for name in averaged] != [value.shape for value in shadow]:
            raise ValueError("ema.shadow_params does not match model_state_dict; pass ema=False to ignore it")
        state.update(zip(averaged, shadow, strict=True))
    conditional = "cond_embed.0.weight" in state
    try:
        network = _network(state, conditional)
    except KeyError as missing:
        raise ValueError(f"not a GFPose or ZeDO score network: it has no {missing.args[0]}") from missing
    wrapped = RelativeCondition(network) if conditional else network
    return Converted(Denoiser(wrapped, NoisePrediction()).eval(), 30.0 if conditional else 1.0)


def _network(state: dict[str, Tensor], conditional: bool) -> ResidualMLP:
    hidden, width = state["pre_dense.weight"].shape
    blocks = sum(name.endswith("_dense1.weight") for name in state)
    network = ResidualMLP(
        width,
        width if conditional else 0,
        hidden=hidden,
        blocks=blocks,
        time_dim=state["pre_dense_t.weight"].shape[1],
        dropout=0.25,
        groups=32,
    )
    halves = [f"b{block}_dense{half}" for block in range(1, blocks + 1) for half in (1, 2)]
    layers = ["pre_dense", *halves]
    added = ("no_signal", "gain.weight", "gain.bias")  # what the published network has not
    moved = {name: torch.zeros_like(network.get_parameter(name)) for name in added}
    for kind in ("weight", "bias"):
        moved[f"input.{kind}"] = state[f"pre_dense.{kind}"]
        moved[f"output.{kind}"] = state[f"post_dense.{kind}"]
        moved[f"time_embed.0.{kind}"] = state[f"shared_time_embed.0.{kind}"]
        moved[f"time_project.{kind}"] = torch.cat([state[f"{layer}_t.{kind}"] for layer in layers])
        if conditional:
            moved[f"condition_embed.0.{kind}"] = state[f"cond_embed.0.{kind}"]
            moved[f"condition_project.{kind}"] = torch.cat(
                [state[f"{layer}_cond.{kind}"] for layer in layers]
            )
        for i, layer in enumerate(layers):
            moved[f"norms.{i}.{kind}"] = state[layer.replace("dense", "gnorm") + f".{kind}"]
            if i:
                moved[f"linears.{i - 1}.{kind}"] = state[f"{layer}.{kind}"]
    network.load_state_dict(moved)
    return network
