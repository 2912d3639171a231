"""Clips of recorded motion, dressed and filmed in RGB-D by one camera each."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from posedata.geometry.boxes import bounding_box
from posedata.skeleton import Skeleton
from posedata.store import PoseStore, write_store
from posedata.store.cache import cached, code_key
from posedata.store.files import building
from posedata.store.schema import CAMERA_COLUMNS
from posedata.synthetic.rendering import render_store
from posedata.terminal import print_line
from posedata.views import Rig, sample_cameras
from torch import Tensor

from unipose.recipe import DataConfig

RIG = Rig(
    elevation=(math.radians(-5), math.radians(20)),
    roll=(math.radians(-3), math.radians(3)),
    distance=(2.3, 4.0),
    focal=(360.0, 370.0),
    target_jitter=0.1,
    size=(512, 424),
)
"""A Kinect v2's depth camera in a living room."""

MARGIN = 0.2
_COPIED = ("subject", "sequence", "action", "frame")


def film(
    poses: PoseStore,
    clips: Int[np.ndarray, "K T"],
    config: DataConfig,
    part: str,
    seed: int,
    say: Callable[[str], None] = print_line,
) -> PoseStore:
    """A store of RGB-D frames, the frames of a clip side by side; found again in the cache.

    A clip has one camera, in whose image the square around all that the person does is filmed at
    `image_size`; floor, walls and 2D joints are in it as they come. `joints` and `keypoints_true` are there
    too, for detectors made of true keypoints, for evaluation and for the supervised twins.

    Args:
        poses: h36m17, world.
        clips: rows of the store, clip by clip.
        part: of the split: goes into the name.
        seed: of cameras, clothes, rooms and the sensor's noise.
    """
    code = code_key(__name__)  # RIG and MARGIN are in it
    key = [poses.fingerprint, clips.tolist(), config.image_size, config.kinect, config.facing, seed, code]

    def shoot(path: Path) -> None:
        side = (config.image_size, config.image_size)
        say(f"filming {len(clips)} {part} clips of {clips.shape[1]} frames, {side[0]}x{side[1]}: {path}")
        with building(path) as steps:
            seen = write_store(steps / "cameras", _columns(poses, clips, config, seed), _meta(poses))
            render_store(
                seen,
                path,
                size=side,
                seed=seed,
                workers=config.workers,
                kinect=config.kinect,
                alike=np.repeat(np.arange(len(clips)), clips.shape[1]),
            )

    return PoseStore.open(cached(config.cache, f"unipose-{part}", key, shoot))


def choose_clips(
    poses: PoseStore, rows: Int[np.ndarray, " n"], frames: int, stride: int, count: int, seed: int | None
) -> Int[np.ndarray, "K T"]:
    """Rows of `count` clips of consecutive frames, drawn by `seed`, or spread evenly where it is None.

    Raises:
        ValueError: no sequence is that long.
    """
    sequence, frame = (np.asarray(poses.column(name)) for name in ("sequence", "frame"))
    span = stride * (frames - 1)
    start = rows[rows + span < len(poses)]
    whole = (sequence[start] == sequence[start + span]) & (frame[start + span] - frame[start] == span)
    start = start[whole]
    if not len(start):
        raise ValueError(
            f"{poses.path}: no sequence has {span + 1} frames; set data.frames or data.stride lower"
        )
    count = min(count, len(start))
    if seed is None:
        start = start[np.unique(np.linspace(0, len(start) - 1, count).round().astype(int))]
    else:
        start = np.sort(np.random.default_rng(seed).choice(start, count, replace=False))
    return start[:, None] + stride * np.arange(frames)


def facing_x(joints: Float[Tensor, "K T J 3"], skeleton: Skeleton) -> Float[Tensor, "K T J 3"]:
    """Clips turned about the vertical through the origin so that in the middle frame the person faces x.

    A person faces across the line from the right to the left hip and shoulder.
    """
    middle = joints[:, joints.shape[1] // 2]
    left, right = (
        [skeleton.index(f"{side}_{part}") for part in ("hip", "shoulder")] for side in ("left", "right")
    )
    across = (middle[:, left] - middle[:, right]).sum(1)
    angle = torch.atan2(-across[:, 0], across[:, 1])
    sine, cosine, zero = angle.sin(), angle.cos(), torch.zeros_like(angle)
    rows = [cosine, sine, zero, -sine, cosine, zero, zero, zero, torch.ones_like(angle)]
    turn = torch.stack(rows, -1).view(-1, 1, 3, 3)
    return joints @ turn.mT


def _columns(poses: PoseStore, clips: np.ndarray, config: DataConfig, seed: int) -> dict[str, np.ndarray]:
    count, frames = clips.shape
    rows = clips.reshape(-1)
    joints = torch.from_numpy(np.array(poses.column("joints")[rows]))
    joints = facing_x(joints.view(count, frames, -1, 3), poses.skeleton).flatten(0, 1)
    together = joints.view(count, -1, 3)
    reach = math.radians(config.facing)
    rig = replace(RIG, azimuth=(-reach, reach))
    camera = sample_cameras(together, rig, torch.Generator().manual_seed(seed))
    pixels = camera.project(together)
    box = bounding_box(pixels, margin=MARGIN, aspect=1.0)
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
