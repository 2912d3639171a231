"""Clips of recorded motion, dressed and filmed in RGB-D by one camera each."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int

from posedata.geometry.boxes import bounding_box
from posedata.geometry.canonical import facing_x
from posedata.store import PoseStore, write_store
from posedata.store.cache import cached, code_key
from posedata.store.files import building
from posedata.store.schema import CAMERA_COLUMNS
from posedata.synthetic.rendering import render_store
from posedata.terminal import print_line
from posedata.views.rigs import Rig, sample_cameras
from posedata.views.squares import SQUARE_MARGIN
from posedata.views.writing import add_views

RIG = Rig(
    elevation=(math.radians(-5), math.radians(20)),
    roll=(math.radians(-3), math.radians(3)),
    distance=(2.3, 4.0),
    focal=(360.0, 370.0),
    target_jitter=0.1,
    size=(512, 424),
)
"""A Kinect v2's depth camera in a living room."""

_COPIED = ("subject", "sequence", "action", "frame")


def film(
    poses: PoseStore,
    clips: Int[np.ndarray, "K T"],
    cache: Path,
    name: str,
    *,
    size: int,
    facing: float = 60.0,
    kinect: bool = True,
    seed: int = 0,
    workers: int = 1,
    say: Callable[[str], None] = print_line,
) -> PoseStore:
    """A store of RGB-D frames, the frames of a clip side by side; found again in the cache.

    A clip has one camera, in whose image the square around all that the person does is filmed; floor, walls
    and 2D joints are in it as they come. `joints` and `keypoints_true` are there too, for detectors made of
    true keypoints, for evaluation and for supervised twins.

    Args:
        poses: h36m17, world.
        clips: rows of the store, clip by clip.
        cache, name: the folder that keeps the store, and how the store's name begins.
        size: side of the pictures, pixels.
        facing: cameras stand within so many degrees of where the person faces; 180: all around.
        kinect: depth as a Kinect would measure it.
        seed: of cameras, clothes, rooms and the sensor's noise.
        workers: rendering processes.
    """
    code = code_key(__name__)  # RIG is in it
    key = [poses.fingerprint, clips.tolist(), size, kinect, facing, seed, code]

    def shoot(path: Path) -> None:
        say(f"filming {len(clips)} clips of {clips.shape[1]} frames, {size}x{size}: {path}")
        with building(path) as steps:
            seen = write_store(steps / "cameras", _columns(poses, clips, facing, seed), _meta(poses))
            render_store(
                seen,
                path,
                size=(size, size),
                seed=seed,
                workers=workers,
                kinect=kinect,
                alike=np.repeat(np.arange(len(clips)), clips.shape[1]),
            )

    return PoseStore.open(cached(cache, name, key, shoot))


def _columns(poses: PoseStore, clips: np.ndarray, facing: float, seed: int) -> dict[str, np.ndarray]:
    count, frames = clips.shape
    rows = clips.reshape(-1)
    joints = torch.from_numpy(np.array(poses.column("joints")[rows]))
    joints = facing_x(joints.view(count, frames, -1, 3), poses.skeleton).flatten(0, 1)
    together = joints.view(count, -1, 3)
    reach = math.radians(facing)
    rig = replace(RIG, azimuth=(-reach, reach))
    camera = sample_cameras(together, rig, torch.Generator().manual_seed(seed))
    pixels = camera.project(together)
    box = bounding_box(pixels, margin=SQUARE_MARGIN, aspect=1.0)
    pixels = pixels.view(len(rows), -1, 2)
    columns = {name: np.array(poses.column(name)[rows]) for name in _COPIED if name in poses}
    columns |= {name: getattr(camera, name.removeprefix("camera_")).numpy() for name in CAMERA_COLUMNS}
    return columns | {
        "joints": joints.numpy(),
        "camera": np.repeat(np.arange(count, dtype=np.int32), frames),
        "boxes": box.repeat_interleave(frames, 0).numpy(),
        "keypoints_true": torch.cat([pixels, torch.ones_like(pixels[..., :1])], -1).numpy(),
    }


def _meta(poses: PoseStore) -> dict[str, object]:
    return {key: value for key, value in poses.meta.items() if key not in ("image_size", "images")}


def photograph(
    poses: PoseStore,
    rows: Int[np.ndarray, " n"],
    cache: Path,
    part: str,
    *,
    rig: Rig,
    size: tuple[int, int],
    kinds: tuple[str, ...] = ("rgb",),
    kinect: bool = False,
    seed: int = 0,
    workers: int = 1,
    say: Callable[[str], None] = print_line,
) -> PoseStore:
    """A store of pictures, one of each row's person dressed and seen by a camera of a rig; found again in the
    cache.

    Args:
        poses: h36m17, world.
        cache, part: the folder that keeps the store, and how the store's name begins.
        size: width and height of the pictures.
        kinds: of pictures (`posedata.synthetic.rendering.render_store`).
        kinect: depth as a Kinect would measure it.
    """
    code = code_key("posedata.synthetic.people.build")
    key = [poses.fingerprint, rows.tolist(), asdict(rig), size, seed, code, kinds, *(["kinect"] * kinect)]

    def render(path: Path) -> None:
        say(f"rendering {len(rows)} {part} images of {size[0]}x{size[1]}: {path}")
        with building(path) as steps:
            seen = add_views(poses, steps / "cameras", rig, 1, None, seed, rows=rows)
            render_store(seen, path, size=size, seed=seed, workers=workers, kinds=kinds, kinect=kinect)

    return PoseStore.open(cached(cache, f"{part}-views", key, render))
