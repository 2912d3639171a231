"""Poses of one camera's keypoints, with what the lifter knows of their errors, in the world's axes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from posedata.geometry.aim import aim
from posedata.geometry.boxes import bounding_box
from posedata.geometry.camera import Camera
from posedata.views.batch import BOX_ASPECT, BOX_MARGIN
from posediff import PoseDecoder

from polypose.capture.unseen import completed
from polypose.inputs import Like
from polypose.lifting import lift_points
from polypose.model import Model
from polypose.network import MODALITIES

BODY_SD = 0.012
"""Metres by which bodies differ from those that the lifter knows, beside the lifter's errors."""
_UNKNOWN_SD = 0.06
_BATCH = 8192


@dataclass(frozen=True)
class Lifted:
    """Poses about the pelvis in the world's axes.

    Attributes:
        joints: (T, J, 3) metres; NaN where there is nobody.
        covariance: (T, J, 3, 3) square metres.
        valid: (T,)
    """

    joints: np.ndarray
    covariance: np.ndarray
    valid: np.ndarray


def lift_track(model: Model, camera: Camera, keypoints: np.ndarray, times: np.ndarray) -> Lifted:
    """Every frame lifted by itself; joints that were not seen are guessed, and are as unsure.

    Args:
        camera: a single one.
        keypoints: (T, J, 3) pixels and confidence, of the model's skeleton.
        times: (T,) seconds.
    """
    whole, doubt = completed(keypoints, times, model.skeleton)
    parts = [
        _lift(model, camera, whole[i : i + _BATCH], doubt[i : i + _BATCH])
        for i in range(0, len(keypoints), _BATCH)
    ]
    joined = (np.concatenate([getattr(p, name) for p in parts]) for name in ("joints", "covariance", "valid"))
    return Lifted(*joined)


def _lift(model: Model, camera: Camera, keypoints: np.ndarray, doubt: np.ndarray) -> Lifted:
    camera = camera.to(dtype=torch.float32)
    points = torch.from_numpy(np.ascontiguousarray(keypoints, np.float32))
    poses = lift_points(model.network, model.settings, points, camera, Like())
    box = bounding_box(points[..., :2], points[..., 2] > 0, margin=BOX_MARGIN, aspect=BOX_ASPECT)
    valid = np.asarray(poses.valid) & np.isfinite(poses.joints).all((1, 2))
    box = torch.where(torch.from_numpy(valid)[:, None], box, box.new_tensor([0.0, 0, 1, 1]))
    many = camera.replace(focal=camera.focal.expand(len(points), 2))
    axes = aim(many, box).rotation.double().numpy()  # world to the person-centred camera, row by row
    turn = camera.rotation.double().numpy()
    usual = axis_variances(model)
    told = np.asarray(poses.sd, np.float64) ** 2 / np.maximum(usual.mean(-1), 1e-12)
    variance = usual * np.where(np.isfinite(told), told, 1)[..., None]
    variance = variance + (BODY_SD**2 + doubt**2)[..., None]
    covariance = np.einsum("tax,tja,tay->tjxy", axes, variance, axes)
    nobody = ~valid
    covariance[nobody] = np.nan
    return Lifted(np.asarray(poses.joints, np.float64) @ turn, covariance, valid)


def axis_variances(model: Model) -> np.ndarray:
    """(J, 3) square metres of a joint's error to the right, down and away, as training measured it of all."""
    decoder, index = model.network.decoders["3d"], MODALITIES.index("2d")
    if not isinstance(decoder, PoseDecoder) or not decoder.centred:
        return np.full((len(model.skeleton), 3), _UNKNOWN_SD**2)
    sd = (decoder.std * decoder.spread[index] * decoder.profile[index]).detach().cpu().double().numpy()
    return np.asarray(sd**2)
