"""What a user hands in of some people, of any senses, as views."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from posedata.geometry.boxes import bounding_box
from posedata.geometry.camera import Camera
from posedata.views.batch import BOX_ASPECT, BOX_MARGIN, GIVEN, MIXED, Views, given
from posedata.views.crops import REACH, median_depth
from torch import Tensor

from polypose.cameras import take_camera
from polypose.embedding import take_images
from polypose.inputs import Say, as_array, take_keypoints, take_poses

_FOCAL = 1000.0
_NEAR = 0.2
"""Metres before the camera from which on a person can stand there."""


def take_views(
    *,
    image: Any = None,
    keypoints: Any = None,
    pose: Any = None,
    depth: Any = None,
    cloud: Any = None,
    intrinsics: Any = None,
    size: tuple[int, int] | None = None,
    skeleton: str | None = None,
    image_size: tuple[int, int] | None = None,
    say: Say,
) -> Views:
    """One view a row, of all that is given; the senses that nothing was given for are missing.

    Pictures are of the box about the keypoints, as in training, or, without keypoints, whole pictures of one
    person by the camera of `intrinsics`. Without either, a pose or cloud is where it stands before a camera.

    Raises:
        ValueError: nothing is given, something cannot be what it is called, or they are not as many.
    """
    points = None if keypoints is None else take_keypoints(keypoints, skeleton, None, size, say)
    joints = None if pose is None else take_poses(pose, say=say)
    shape = None if depth is None else take_depth(depth)
    cloud_ = None if cloud is None else take_cloud(cloud)
    pictures = None if image is None else take_images(image, image_size)
    parts = {"image": pictures, "2d": points, "3d": joints, "depth": shape, "cloud": cloud_}
    counts = {name: len(part) for name, part in parts.items() if part is not None}
    if not counts:
        raise ValueError("give image, keypoints, pose, depth or cloud, any of them or several together")
    if len(set(counts.values())) > 1:
        told = " and ".join(f"{count} of {name}" for name, count in counts.items())
        raise ValueError(f"{told}; together they must be as many, one a row")
    if points is not None:
        seen = given(points, take_camera(intrinsics, size, points, say))
        views = replace(seen, keypoints={MIXED: seen.keypoints[GIVEN]})
    elif intrinsics is not None:
        views = _whole(take_camera(intrinsics, size), next(iter(counts.values())))
    elif shape is not None:
        raise ValueError("depth: give intrinsics too, fx fy cx cy in pixels, or keypoints with their camera")
    else:
        views = _standing([joints, cloud_], next(iter(counts.values())))
    mask = None
    if shape is not None:
        middle = median_depth(shape, shape > 0)[:, None, None]
        mask = (shape > 0) & ((shape - middle).abs() < REACH)
    return replace(views, image=pictures, joints=joints, depth=shape, mask=mask, points=cloud_)


def take_depth(values: Any) -> Float[Tensor, "N H W"]:
    """Depth in metres, or as uint16 in millimetres; 0 where nothing was measured, as NaN and infinity are.

    Raises:
        ValueError: it is no such thing.
    """
    array = as_array(values, "depth")
    if array.ndim != 3 or not array.size:
        raise ValueError(f"depth: shape is {array.shape}; give (N, height, width), 0 where not measured")
    if array.dtype.kind != "f" and (array.dtype.kind, array.dtype.itemsize) != ("u", 2):
        raise ValueError(f"depth: holds {array.dtype}; give metres as floats, or millimetres as uint16")
    metres = torch.from_numpy(np.nan_to_num(array.astype(np.float32), posinf=0.0, neginf=0.0))
    metres = metres if array.dtype.kind == "f" else metres / 1000
    if metres.min() < 0 or metres.max() > 100:
        raise ValueError(f"depth: runs from {metres.min():.3g} to {metres.max():.3g}; give metres (divide)")
    return metres


def take_cloud(values: Any) -> Float[Tensor, "N P 3"]:
    """Points of people in the camera's frame, metres.

    Raises:
        ValueError: they are no such thing.
    """
    array = as_array(values, "cloud")
    if array.ndim != 3 or array.shape[2] != 3 or not array.size:
        raise ValueError(f"cloud: shape is {array.shape}; give (N, points, 3) in the camera's frame, metres")
    points = torch.from_numpy(array.astype(np.float32))
    ahead = points[points.isfinite().all(-1)][:, 2]
    if len(ahead) and float(ahead.median()) > 100:
        raise ValueError(f"cloud: {ahead.median():.3g} before the camera; give metres (divide)")
    return points


def _whole(camera: Camera, count: int) -> Views:
    """People each of whom fills the picture.

    Raises:
        ValueError: cameras of another number of people.
    """
    if camera.focal.ndim > 1 and len(camera.focal) not in (1, count):
        raise ValueError(f"intrinsics: of {len(camera.focal)} people, of {count} given; give one or as many")
    one = camera.replace(focal=camera.focal.expand(count, 2))
    width, height = one.size.expand(count, 2).to(one.focal).unbind(-1)
    low = torch.full_like(width, -0.5)
    return Views(one, torch.stack([low, low, width - 0.5, height - 0.5], dim=-1))


def _standing(known: Sequence[Tensor | None], count: int) -> Views:
    """People before a camera of which nothing is known, in boxes about the last that is known of each; where
    they stand about the camera itself, in its middle."""
    eye = Camera(torch.full((2,), _FOCAL), torch.zeros(2), torch.eye(3), torch.zeros(3), size=(2, 2))
    views = _whole(eye, count)
    for points in known:
        if points is not None:
            before = points.isfinite().all(-1).all(-1) & (points[..., 2].amin(-1) > _NEAR)
            box = bounding_box(eye.project_camera(points), margin=BOX_MARGIN, aspect=BOX_ASPECT)
            views = replace(views, box=torch.where(before[:, None], box, views.box))
    return views
