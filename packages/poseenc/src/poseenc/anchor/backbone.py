"""Image networks as maps at the strides that anchor networks read."""

import re
from pathlib import Path
from typing import Any

import timm
from jaxtyping import Float, Shaped
from timm.layers import freeze_batch_norm_2d
from torch import Tensor, nn

from poseenc.light import LightBody
from poseenc.weights import lite0_imagenet, load_into, read_state

_NOTHING = re.compile(r"(?!)")
_BEYOND_FEATURES = re.compile(r"^(fc|classifier|conv_head|bn2)\.")
"""Parameters after the last map: `features_only` leaves them out."""


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
        ValueError: an unknown name, or weights of another architecture.
        FileNotFoundError: weights that are not there.
    """

    def __init__(self, name: str, weights: str | Path | None = None, freeze: bool = False) -> None:
        super().__init__()
        self.net, self.channels = _light() if name == "light" else _timm(name)
        if weights is not None:
            _load(self.net, name, weights)
        if freeze:
            self.net = freeze_batch_norm_2d(self.net)
            _freeze_start(self.net, name)

    def forward(self, images: Shaped[Tensor, "B channels H W"]) -> list[Float[Tensor, "B _c _h _w"]]:
        """Maps at strides 8, 16 and 16 of images (B, 3, H, W), or (B, 1, H, W) repeated thrice."""
        images = images.float() / 255 if not images.is_floating_point() else images
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
    known = "tf_efficientnet_lite0" if name == "efficientnet_lite0" else name
    if not timm.is_model(known):
        raise ValueError(
            f"no backbone is called {name!r}; take light, efficientnet_lite0, resnet18 or resnet50"
        )
    net = timm.create_model(known, features_only=True, output_stride=16)
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
    wanted = net.state_dict()
    state = {k: v for k, v in state.items() if k in wanted or not _BEYOND_FEATURES.match(k)}
    load_into(net, state, str(weights), optional=_NOTHING)


def _freeze_start(net: nn.Module, name: str) -> None:
    first = {"light": ("layers.0", "layers.2"), "efficientnet_lite0": ("conv_stem", "bn1", "blocks.0")}
    starts = first.get(name, ("conv1", "bn1", "layer1"))
    for key, parameter in net.named_parameters():
        if key.startswith(tuple(f"{start}." for start in starts)):
            parameter.requires_grad_(False)
