"""Virtual cameras around recorded people: poses without images become 2D observations.

A rig says where cameras may stand, `sample_cameras` places one per pose, and `add_views` turns a store of
poses into a store of views, with the keypoints that a detector would have seen if a noise model is given.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from posedata._schema import CAMERA_COLUMNS
from posedata._writer import refuse_existing
from posedata.boxes import bounding_box
from posedata.camera import Camera
from posedata.noise import DetectorNoise
from posedata.store import PoseStore, write_store

_NEAREST = 0.5
_COPIED = ("subject", "sequence", "action", "frame")
BOX_MARGIN = 0.1
BOX_ASPECT = 192 / 256


@dataclass(frozen=True)
class Rig:
    """Where cameras may stand around a person, as ranges that are sampled uniformly.

    Attributes:
        azimuth: radians about the world's z axis, counted from x; offsets from a station if there are any.
        elevation: radians above the horizon through the person's middle.
        roll: radians about the optical axis.
        distance: metres from the person's middle; enlarged where the person would not fit.
        focal: pixels, for a frame of `size`.
        target_jitter: metres, half-width of a uniform offset of the point looked at, per axis.
        stations: azimuths of fixed cameras; view k stands at station k modulo their number.
        size: width and height of the frame in pixels.
        body_margin: metres of flesh around the joints that must be in the frame too.
    """

    azimuth: tuple[float, float] = (-math.pi, math.pi)
    elevation: tuple[float, float] = (0.0, 0.0)
    roll: tuple[float, float] = (0.0, 0.0)
    distance: tuple[float, float] = (3.0, 6.0)
    focal: tuple[float, float] = (1000.0, 1000.0)
    target_jitter: float = 0.0
    stations: tuple[float, ...] = ()
    size: tuple[int, int] = (1000, 1000)
    body_margin: float = 0.15


RIGS: dict[str, Rig] = {
    "mocap": Rig(
        elevation=(math.radians(-7), math.radians(23)),
        roll=(math.radians(-3), math.radians(3)),
        distance=(3.0, 6.5),
        focal=(1000.0, 1300.0),
        target_jitter=0.15,
    ),
    "h36m": Rig(
        azimuth=(math.radians(-12), math.radians(12)),
        elevation=(math.radians(2), math.radians(12)),
        roll=(math.radians(-1), math.radians(1)),
        distance=(4.5, 6.0),
        focal=(1143.0, 1150.0),
        target_jitter=0.2,
        stations=tuple(math.radians(a) for a in (45, 135, 225, 315)),
    ),
}
"""Rigs by name: "mocap" (all azimuths, from below the waist to above the head) and "h36m" (four cameras at
chest height in the corners of a room, with the focal lengths published for Human3.6M)."""


def get_rig(name: str) -> Rig:
    """A rig by name; ValueError lists the names there are."""
    if name not in RIGS:
        raise ValueError(f"rig {name!r} is not known; use one of {', '.join(RIGS)}")
    return RIGS[name]


def sample_cameras(
    joints: Float[Tensor, "B J 3"],
    rig: Rig,
    generator: torch.Generator,
    *,
    station: Int[Tensor, " B"] | None = None,
) -> Camera:
    """One camera per pose, with the whole person in its frame.

    The camera looks at the middle of the pose (plus jitter). Seen along its axes a joint at offset
    (x, y, z) from there is within the frame at distance D if f |x| <= (D + z) w/2, so the least distance
    that shows everybody has a closed form; it replaces a sampled one that is less.

    Args:
        joints: world metres, finite.
        rig: the ranges.
        generator: on any device; the cameras are on that of the joints.
        station: index of the station per pose; drawn if left out (and if the rig has stations).

    Returns: a `Camera` with batch shape (B,).
    """
    count = len(joints)

    def uniform(span: tuple[float, float], *shape: int) -> Tensor:
        drawn = torch.rand(count, *shape, generator=generator, device=generator.device)
        return (span[0] + (span[1] - span[0]) * drawn).to(joints)

    azimuth, elevation, roll = uniform(rig.azimuth), uniform(rig.elevation), uniform(rig.roll)
    distance, focal = uniform(rig.distance), uniform(rig.focal)
    jitter = uniform((-rig.target_jitter, rig.target_jitter), 3)
    if rig.stations:
        if station is None:
            many = len(rig.stations)
            station = torch.randint(many, (count,), generator=generator, device=generator.device)
        azimuth = azimuth + joints.new_tensor(rig.stations)[station.to(joints.device)]
    target = (joints.amax(dim=1) + joints.amin(dim=1)) / 2 + jitter
    flat = torch.cos(elevation)
    away = torch.stack([flat * torch.cos(azimuth), flat * torch.sin(azimuth), torch.sin(elevation)], dim=-1)
    size = torch.tensor(rig.size, device=joints.device)
    focals = focal[:, None].expand(-1, 2)
    near = Camera.look_at(target + away, target, focals, size, roll)
    offset = near.world_to_camera(joints) - joints.new_tensor([0.0, 0.0, 1.0])
    half = size.to(joints.dtype) / 2
    room = (offset[..., :2].abs() + rig.body_margin) * (focals / half)[:, None, :]
    least = torch.maximum(room.amax(dim=-1), offset.new_tensor(_NEAREST)) + rig.body_margin - offset[..., 2]
    distance = torch.maximum(distance, least.amax(dim=1))
    return Camera.look_at(target + away * distance[:, None], target, focals, size, roll)


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
    told: Callable[[str], None] = lambda text: None,
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
        told: called with how many rows were left out, if any were.

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
        told(f"{store.path}: {lost} of {len(asked)} rows have no valid joint; left out")
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
