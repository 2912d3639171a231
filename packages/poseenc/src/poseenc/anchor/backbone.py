"""Image networks as maps at the strides that anchor networks read."""

import re
from pathlib import Path
from typing import Any

from jaxtyping import Float, Shaped
from torch import Tensor, nn

from poseenc.light import LightBody
from poseenc.pixels import scaled
from poseenc.weights import lite0_imagenet, load_into, read_state

_NOTHING = re.compile(r"(?!)")
_TIMM_NAMES = {"efficientnet_lite0": "tf_efficientnet_lite0"}
_STARTS = {"light": ("layers.0", "layers.2"), "efficientnet_lite0": ("conv_stem", "bn1", "blocks.0")}
_RESNET_START = ("conv1", "bn1", "layer1")
"""Stem and first stage, by the beginnings of their parameters' names."""


class Backbone(nn.Module):
    """The last maps of an image network whose final stage is dilated: strides 8, 16 and 16.

    Args:
        name: ``light`` (a small dense CNN for CPUs), ``efficientnet_lite0``, or any network of timm's that
            has ``features_only`` and ``output_stride`` (``resnet50``, ``resnet18``, ...).
        weights: None for scratch; a .safetensors or .pth file of the network; ``"imagenet"``, which
            ``efficientnet_lite0`` alone has in a package.
        freeze: batch norms keep their statistics and affine parameters, the stem and the first stage all
            they have, as DETR and its descendants train from ImageNet; sensible with weights only.

    Attributes:
        channels: of the maps at strides 8, 16 and 16 (dilated).

    Raises:
        ValueError: an unknown name, weights of another architecture, or a network whose first stage `freeze`
            does not know.
        FileNotFoundError: weights that are not there.
    """

    def __init__(self, name: str, weights: str | Path | None = None, freeze: bool = False) -> None:
        super().__init__()
        self.net, self.channels = _light() if name == "light" else _timm(name)
        if weights is not None:
            _load(self.net, name, weights)
        if freeze:
            from timm.layers import freeze_batch_norm_2d

            self.net = freeze_batch_norm_2d(self.net)
            _freeze_start(self.net, name)

    def forward(self, images: Shaped[Tensor, "B channels H W"]) -> list[Float[Tensor, "B _c _h _w"]]:
        """Maps at strides 8, 16 and 16 of images (B, 3, H, W), or (B, 1, H, W) repeated thrice.

        They are uint8, or floating point of the scale that the network was or will be trained on.
        """
        images = scaled(images, next(self.net.parameters()).dtype)
        return self.net(images.expand(-1, 3, -1, -1))[-3:]


class _LightMaps(nn.Module):
    """`LightBody` with its last stage at stride 1 and all three stages' maps kept."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = LightBody().layers
        last: Any = self.layers[-1]
        last.down[0].stride = (1, 1)

    def forward(self, images: Tensor) -> list[Tensor]:
        stem, relu, *stages = self.layers
        maps = [relu(stem(images))]
        for stage in stages:
            maps.append(stage(maps[-1]))
        return maps


def _light() -> tuple[nn.Module, tuple[int, ...]]:
    return _LightMaps(), (64, 128, 192)


def _timm(name: str) -> tuple[nn.Module, tuple[int, ...]]:
    import timm  # here: takes seconds, which `light` should not pay

    known = _TIMM_NAMES.get(name, name)
    if not timm.is_model(known):
        raise ValueError(
            f"no backbone is called {name!r}; take light, efficientnet_lite0, resnet18 or resnet50"
        )
    try:
        net = timm.create_model(known, features_only=True, output_stride=16)
    except (AssertionError, RuntimeError, TypeError, ValueError, NotImplementedError) as error:
        raise ValueError(f"{name} cannot give maps at strides 8, 16 and 16: take another") from error
    info: Any = net.feature_info
    if info.reduction()[-3:] != [8, 16, 16]:
        raise ValueError(f"{name} has maps at {info.reduction()}, not at 8, 16, 16: take another")
    return net, tuple(info.channels()[-3:])


def _load(net: nn.Module, name: str, weights: str | Path) -> None:
    if weights != "imagenet":
        state = read_state(weights)
    elif name == "efficientnet_lite0":
        state = lite0_imagenet()
    else:
        raise ValueError(
            f"no package holds ImageNet weights of {name}: download them and give weights=FILE, "
            "or take efficientnet_lite0"
        )
    if name == "light":
        load_into(net, state, str(weights), optional=_NOTHING)
        return
    import timm

    # `features_only` leaves out what follows the last map, and flattens names: stages.0 to stages_0.
    whole = timm.create_model(_TIMM_NAMES.get(name, name), num_classes=0)
    load_into(whole, state, str(weights), optional=_NOTHING)
    flat = {key.replace(".", "_"): value for key, value in whole.state_dict().items()}
    net.load_state_dict({key: flat[key.replace(".", "_")] for key in net.state_dict()})


def _freeze_start(net: nn.Module, name: str) -> None:
    starts = tuple(f"{start}." for start in _STARTS.get(name, _RESNET_START))
    first = [parameter for key, parameter in net.named_parameters() if key.startswith(starts)]
    if not first:
        raise ValueError(f"the first stage of {name} is not known: freeze it yourself, and give freeze=False")
    for parameter in first:
        parameter.requires_grad_(False)
