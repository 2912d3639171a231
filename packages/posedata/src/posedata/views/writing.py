"""A store of poses as virtual cameras see it: cameras, keypoints and boxes for every row, none recorded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from posedata.geometry.boxes import bounding_box
from posedata.store.pose_store import PoseStore
from posedata.store.schema import CAMERA_COLUMNS
from posedata.store.writer import refuse_existing, write_store
from posedata.views.batch import BOX_ASPECT, BOX_MARGIN
from posedata.views.noise import DetectorNoise
from posedata.views.rigs import Rig, sample_cameras

_COPIED = ("subject", "sequence", "action", "frame")


def add_views(
    store_path: str | Path | PoseStore,
    out: str | Path,
    rig: Rig,
    per_frame: int,
    noise: DetectorNoise | None,
    seed: int,
    *,
    rows: np.ndarray | None = None,
    overwrite: bool = False,
    say: Callable[[str], None] = lambda text: None,
) -> Path:
    """Write a store in which every row of another is seen by `per_frame` virtual cameras of a rig.

    Rows come frame by frame, the views of a frame side by side. Besides the camera table it has
    `keypoints_true` (exact projections, confidence 1, or 0 where the joint is invalid), `boxes` (of the
    frame the person fills, at the aspect of 192x256 images) and, with noise, `keypoints_detector`. Rows
    without a valid joint are left out.

    Args:
        store_path: a store of poses, open or where it lies; its cameras and images, if any, are left behind.
        out: the store to make.
        rig: the camera ranges.
        per_frame: views per row, at least 1.
        noise: the detector's noise, for the store's skeleton; None for exact keypoints only.
        seed: decides cameras and noise.
        rows: only these rows.
        overwrite: replace `out` if it is a store.
        say: called with how many rows were left out, if any were.

    Raises:
        ValueError: no row has a valid joint; the noise is for another skeleton; `per_frame` is less than 1.
        FileExistsError: `out` exists, or with `overwrite` is no store.
    """
    refuse_existing(Path(out), overwrite)
    if per_frame < 1:
        raise ValueError(f"per_frame is {per_frame}; give 1 or more views per frame")
    store = store_path if isinstance(store_path, PoseStore) else PoseStore.open(store_path)
    if noise is not None and noise.skeleton != store.skeleton.name:
        raise ValueError(
            f"{store.path}: skeleton is {store.skeleton.name}, the noise model is for {noise.skeleton};"
            " give one for the store's skeleton"
        )
    asked = np.arange(len(store)) if rows is None else store.checked(rows)
    picked = asked[store.column("valid")[asked].any(axis=1)] if "valid" in store else asked
    if not len(picked):
        raise ValueError(
            f"{store.path}: no valid 3D joint in these rows; choose others, or a store of 3D poses"
        )
    if lost := len(asked) - len(picked):
        say(f"{store.path}: {lost} of {len(asked)} rows have no valid joint; left out")
    station = torch.arange(len(picked) * per_frame) % per_frame % max(1, len(rig.stations))
    generator = torch.Generator().manual_seed(seed)
    columns = _view_columns(store, np.repeat(picked, per_frame), rig, station, noise, generator)
    made = {"rig": asdict(rig), "per_frame": per_frame, "seed": seed, "of": store.fingerprint}
    made["noise"] = None if noise is None else asdict(noise)
    left = ("image_size", "images", "cameras")
    meta = {key: value for key, value in store.meta.items() if key not in left}
    return write_store(out, columns, meta | {"views": made}, overwrite=overwrite)


def _view_columns(
    store: PoseStore,
    rows: np.ndarray,
    rig: Rig,
    station: Tensor,
    noise: DetectorNoise | None,
    generator: torch.Generator,
) -> dict[str, np.ndarray]:
    joints = torch.from_numpy(np.array(store.column("joints")[rows]))
    valid = torch.ones(joints.shape[:2], dtype=torch.bool)
    if "valid" in store:
        valid = torch.from_numpy(np.array(store.column("valid")[rows]))
    solid = _without_invalid(joints, valid)
    camera = sample_cameras(solid, rig, generator, station=station)
    pixels = camera.project(solid)
    boxes = bounding_box(pixels, valid, margin=BOX_MARGIN, aspect=BOX_ASPECT)
    columns = {name: store.column(name)[rows] for name in _COPIED if name in store}
    columns["joints"] = joints.numpy()
    if "valid" in store:
        columns["valid"] = valid.numpy()
    columns["camera"] = np.arange(len(rows))
    columns["boxes"] = boxes.numpy()
    columns["keypoints_true"] = _keypoints(pixels, valid.to(pixels.dtype))
    if noise is not None:
        seen, confidence = noise.apply(pixels, boxes, generator)
        columns["keypoints_detector"] = _keypoints(seen, confidence * valid)
    for name in CAMERA_COLUMNS:
        columns[name] = getattr(camera, name.removeprefix("camera_")).numpy()
    return columns


def _keypoints(pixels: Tensor, confidence: Tensor) -> np.ndarray:
    return torch.cat([pixels, confidence[..., None]], dim=-1).numpy()


def _without_invalid(joints: Float[Tensor, "B J 3"], valid: Bool[Tensor, "B J"]) -> Tensor:
    """Joints with each invalid one put at the mean of the valid ones of its pose."""
    kept = torch.where(valid[..., None], joints, 0.0)
    middle = kept.sum(dim=1) / valid.sum(dim=1, keepdim=True).clamp(min=1)
    return torch.where(valid[..., None], joints, middle[:, None])
