"""Images, keypoints and poses of a user's own to embeddings, and what is near them."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from posedata.geometry.camera import Camera
from posedata.views.batch import GIVEN, given
from torch import Tensor
from torch.nn.functional import interpolate

from polypose.batches import embed
from polypose.config import Frame
from polypose.inputs import as_array
from polypose.network import Modality, UniHPR
from polypose.samples import Sample

_AT_THE_PELVIS = 0.2
"""Metres from the camera within which a pelvis is the origin of its pose, not a place."""
_FOCAL = 1000.0


@torch.no_grad()
def embedded(network: UniHPR, sample: Sample, modality: Modality, batch: int) -> Float[Tensor, "N D"]:
    """Unit embeddings of one modality, on the network's device; NaN where a row has nobody."""
    device = next(network.parameters()).device
    able = sample.holds(modality)
    out = torch.full((len(sample), network.config.dim), torch.nan, device=device)
    if bool(able.any()):
        some = sample if bool(able.all()) else sample[able]
        out[able.to(device)] = embed(network, some.to(device), batch, (modality,))[modality]
    return out


def pose_sample(joints: Float[Tensor, "N 17 3"], frame: Frame, seen: Sample | None = None) -> Sample:
    """3D poses as the encoder takes them.

    Turned as their keypoints are (`seen`) or, of poses that stand somewhere before the camera, towards where
    they stand. Poses about their own pelvis are taken to stand in the middle of the picture.
    """
    turn = torch.eye(3).expand(len(joints), 3, 3)
    if frame == "aimed":
        eye = Camera(torch.full((2,), _FOCAL), torch.zeros(2), torch.eye(3), torch.zeros(3), size=(2, 2))
        towards = Sample.of(given(eye.project(joints), eye), frame, GIVEN).rotation
        away = joints[:, 0].norm(dim=-1) > _AT_THE_PELVIS
        turn = torch.where((away & _finite(towards))[:, None, None], towards, turn)
    if seen is not None and len(seen) == len(joints):
        turn = torch.where(_finite(seen.rotation)[:, None, None], seen.rotation, turn)
    return _sample((joints - joints[:, :1]) @ turn.mT, turn)


def _finite(turn: Float[Tensor, "N 3 3"]) -> Bool[Tensor, " N"]:
    return turn.isfinite().all(-1).all(-1)


def take_images(values: Any, size: tuple[int, int] | None) -> Tensor:
    """(N, 3, H, W) crops of people, as the encoder saw them in training.

    Args:
        values: (N, H, W, 3) or (N, 3, H, W) RGB, uint8 or in [0, 1].
        size: width and height that they are brought to.

    Raises:
        ValueError: they are no such thing.
    """
    array = as_array(values, "image")
    if array.ndim == 3 and 3 in (array.shape[0], array.shape[2]):
        raise ValueError(f"image: shape is {array.shape}; of one image give image[None]")
    if array.ndim != 4 or 3 not in (array.shape[1], array.shape[3]) or not array.size:
        raise ValueError(f"image: shape is {array.shape}; give RGB crops (N, height, width, 3)")
    if array.dtype.kind == "f":
        low, high = float(array.min()), float(array.max())
        if not 0 <= low <= high <= 1:
            raise ValueError(f"image: values run from {low:.3g} to {high:.3g}; give uint8, or 0 to 1")
    elif array.dtype != np.uint8:
        raise ValueError(f"image: holds {array.dtype}; give uint8, or floating point from 0 to 1")
    images = torch.from_numpy(
        np.ascontiguousarray(array if array.shape[1] == 3 else array.transpose(0, 3, 1, 2))
    )
    if size is None or (images.shape[3], images.shape[2]) == size:
        return images if images.dtype == torch.uint8 else images.float()
    scaled = images.float() / (255 if images.dtype == torch.uint8 else 1)
    return interpolate(scaled, (size[1], size[0]), mode="bilinear", antialias=True).clamp(0, 1)


def image_sample(images: Tensor) -> Sample:
    """Crops of which nothing else is known."""
    return _sample(images=images, joints=torch.full((len(images), 17, 3), torch.nan))


def _sample(joints: Tensor, rotation: Tensor | None = None, images: Tensor | None = None) -> Sample:
    count = len(joints)
    turn = torch.eye(3).expand(count, 3, 3) if rotation is None else rotation
    return Sample(
        torch.zeros(count, 17, 2), torch.zeros(count, 17), torch.zeros(count, 3), joints, turn, images
    )
