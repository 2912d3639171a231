"""A way of seeing a pose: what it takes from views, when it is there, and the network that embeds it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool
from posedata.geometry.aim import aim, reproject
from posedata.geometry.align import root_relative
from posedata.geometry.boxes import bounding_box_token
from posedata.keypoints import holds_person
from posedata.skeleton import get_skeleton
from posedata.views.batch import TRUE, Views
from posedata.views.crops import depth_crop
from torch import Tensor, nn

from .depth_image import DepthEncoder
from .image import image_encoder
from .pose import PoseEncoder2D, PoseEncoder3D

Inputs = dict[str, Tensor]
"""An encoder's arguments by name, each with a row a view."""

LEAST_PIXELS = 64
"""Of a person, that a depth picture must have measured."""


def unchanged(inputs: Inputs, generator: torch.Generator) -> Inputs:
    """No augmentation."""
    return inputs


@dataclass(frozen=True)
class Modality:
    """One way of seeing a pose. All of it is said here; a `Space` holds any number of them.

    Attributes:
        name: by which a space and its losses call it.
        take: views -> the encoder's arguments; asked of views in which it is present alone.
        present: views -> which of them have it.
        encoder: width of the embedding -> a network that gives embeddings, not normalised.
        augment: what training does to the arguments.
    """

    name: str
    take: Callable[[Views], Inputs]
    present: Callable[[Views], Bool[Tensor, " N"]]
    encoder: Callable[[int], nn.Module]
    augment: Callable[[Inputs, torch.Generator], Inputs] = unchanged


_KNOWN: dict[str, Modality] = {}


def register(modality: Modality) -> Modality:
    """Make a modality known by its name, and return it.

    Raises:
        ValueError: another one is called so.
    """
    if _KNOWN.setdefault(modality.name, modality) is not modality:
        raise ValueError(f"a modality is called {modality.name!r} already; choose another name")
    return modality


def get_modality(name: str) -> Modality:
    """A registered modality by its name.

    Raises:
        ValueError: naming those there are.
    """
    if name not in _KNOWN:
        raise ValueError(f"no modality is called {name!r}; there are {', '.join(_KNOWN)}")
    return _KNOWN[name]


def boxed(views: Views) -> Bool[Tensor, " N"]:
    """Which views have a crop with a size."""
    return views.box.isfinite().all(-1) & (views.box[:, 2:] > views.box[:, :2]).all(-1)


def keypoints(detector: str = TRUE, name: str = "2d", *, hide: float = 0.1) -> Modality:
    """2D keypoints by what found them, in the person-centred camera, with confidences and a box token.

    Present where a hip and a shoulder were seen, in a box (`posedata.keypoints.holds_person`).

    Args:
        hide: share of the keypoints that training hides.
    """

    def take(views: Views) -> Inputs:
        pixels, confidence = views.seen_by(detector).split([2, 1], dim=-1)
        seen = reproject(pixels, views.camera, aim(views.camera, views.box))
        known = (confidence[..., 0] > 0) & seen.isfinite().all(-1)
        pose = torch.where(known[..., None], torch.cat([seen, confidence], dim=-1), 0)
        return {"pose": pose, "box_token": bounding_box_token(views.box, views.camera), "present": known}

    def present(views: Views) -> Bool[Tensor, " N"]:
        if detector not in views.keypoints:
            return torch.zeros_like(boxed(views))
        return boxed(views) & holds_person(views.keypoints[detector], views.skeleton)

    def augment(inputs: Inputs, generator: torch.Generator) -> Inputs:
        seen = inputs["present"] & ~drawn(inputs["present"], hide, generator)
        return inputs | {"present": seen}

    return Modality(name, take, present, lambda dim: PoseEncoder2D(_joints(), dim, confidence=True), augment)


def drawn(like: Tensor, share: float, generator: torch.Generator) -> Bool[Tensor, "*shape"]:
    """A random share of the entries."""
    return torch.rand(like.shape, generator=generator, device=generator.device).to(like.device) < share


def _take_image(views: Views) -> Inputs:
    assert views.image is not None
    return {"images": views.image}


def _has_image(views: Views) -> Bool[Tensor, " N"]:
    return boxed(views) if views.image is not None else torch.zeros_like(boxed(views))


def _brightened(inputs: Inputs, generator: torch.Generator) -> Inputs:
    """Gain of 0.8 to 1.25, by picture."""
    images = inputs["images"]
    gain = torch.rand(len(images), 1, 1, 1, generator=generator, device=generator.device).to(images.device)
    brighter = images.float() * 1.25 ** (2 * gain - 1)
    whole = not images.is_floating_point()
    return {"images": brighter.clamp(0, 255).to(images.dtype) if whole else brighter.clamp(0, 1).to(images)}


def _take_joints(views: Views) -> Inputs:
    turn = aim(views.camera, views.box).rotation @ views.camera.rotation.mT
    return {"pose": root_relative(views.local) @ turn.mT}


def _has_joints(views: Views) -> Bool[Tensor, " N"]:
    if views.joints is None:
        return torch.zeros_like(boxed(views))
    return boxed(views) & views.joints.isfinite().all(-1).all(-1)


def _take_depth(views: Views) -> Inputs:
    return {
        "pictures": depth_crop(views).picture,
        "box_token": bounding_box_token(views.box, views.camera),
    }


def _has_depth(views: Views) -> Bool[Tensor, " N"]:
    if views.depth is None:
        return torch.zeros_like(boxed(views))
    person = views.depth > 0 if views.mask is None else (views.depth > 0) & (views.mask > 0)
    return boxed(views) & (person.flatten(1).sum(1) >= LEAST_PIXELS)


def _holed(inputs: Inputs, generator: torch.Generator) -> Inputs:
    """A twentieth of the pixels become holes."""
    pictures = inputs["pictures"]
    kept = ~drawn(pictures[:, :1], 0.05, generator)
    return inputs | {"pictures": pictures * kept}


def _joints() -> int:
    return len(get_skeleton("h36m17"))


IMAGE = register(
    Modality("image", _take_image, _has_image, lambda dim: image_encoder("light", dim), _brightened)
)
"""The RGB crop; present where there are pictures and a box."""

KEYPOINTS = register(keypoints())
"""`keypoints` as they are known exactly."""

JOINTS = register(Modality("3d", _take_joints, _has_joints, lambda dim: PoseEncoder3D(_joints(), dim)))
"""3D joints relative to the root, in the person-centred camera, metres; present where all are known."""

DEPTH = register(Modality("depth", _take_depth, _has_depth, DepthEncoder, _holed))
"""Depth about the person's median (`posedata.views.crops`); present where enough of it was measured."""
