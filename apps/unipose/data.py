"""From a recipe's data section to training and test clips."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Literal

import numpy as np
from jaxtyping import Int
from pointcloud_weak.clips import Clips
from pointcloud_weak.isolated import open_clips
from posedata.detect import KeypointSource
from posedata.source import open_poses
from posedata.splits import PARTS, Elsewhere, Part, part_rows, split_poses
from posedata.store import PoseStore
from posedata.store.digests import combined
from posedata.synthetic import film
from posedata.terminal import print_line
from posedata.views import choose_clips, windows
from posedata.views.noise import DetectorNoise

from unipose.recipe import DataConfig

FILMED = "h36m17"
"""The skeleton that can be dressed."""


@dataclass(frozen=True)
class ClipSplit:
    """Clips to measure on and, of a run's own data, clips of other people to train on.

    Attributes:
        config: the data section that gave them.
    """

    config: DataConfig
    test: Clips
    train: Clips | None = None

    @property
    def fingerprint(self) -> str:
        """Of the stores of people that the clips are."""
        parts = (self.train, self.test)
        return combined(*(clips.store.fingerprint for clips in parts if clips is not None))


def prepare(config: DataConfig, say: Callable[[str], None] = print_line) -> ClipSplit:
    """Open a recipe's data; what has to be filmed or isolated first is kept in its cache.

    Raises:
        ValueError, FileNotFoundError: the data cannot be had; the message says what to set.
    """
    train = open_part(config, "train", say)
    return ClipSplit(config, open_part(config, "test", say), train)


def open_test(
    config: DataConfig, place: Elsewhere, part: Part, say: Callable[[str], None] = print_line
) -> ClipSplit:
    """Clips of recorded RGB-D to measure a run on, with the run's own kind of 2D joints.

    Raises:
        ValueError, FileNotFoundError: there is no such store or part, or no clip in it.
    """
    seen = replace(config, format="rgbd", path=place.store, split=place.split)
    source, rows = place.open(part, say=say)
    clips = windows(source, rows, config.frames, config.test_clips, config.stride)
    return ClipSplit(seen, isolated(source, clips, seen, part, say))


def open_part(
    config: DataConfig, part: Part | Literal["train"], say: Callable[[str], None] = print_line
) -> Clips:
    """The clips of one part of the split; of `validation` at most as many as of the test.

    Raises:
        ValueError, FileNotFoundError: as of `prepare`, or the split has no such part.
    """
    recorded = config.format == "rgbd"
    if config.detector == "coco" and not recorded:
        raise ValueError(
            f"data.detector=coco goes by the rows of a recorded store, data.format={config.format} is filmed"
            " again; set data.format=rgbd, or take another data.detector"
        )
    source = open_poses(replace(config, format="store") if recorded else config, say=say)
    rows = part_rows(split_poses(config, source, whole=not recorded, say=say), part)
    count = config.clips if part == "train" else config.test_clips
    seed = config.seed + PARTS.index(part)
    if recorded:
        clips = windows(source, rows, config.frames, count, config.stride)
        return isolated(source, clips, config, part, say)
    if source.skeleton.name != FILMED:
        raise ValueError(
            f"{source.path}: skeleton is {source.skeleton.name}, only {FILMED} can be dressed and filmed;"
            " for recorded RGB-D set data.format=rgbd"
        )
    drawn = config.seed if part == "train" else None
    chosen = choose_clips(source, rows, config.frames, config.stride, count, drawn)
    store = film(
        source,
        chosen,
        config.cache,
        f"unipose-{part}",
        size=config.image_size,
        facing=config.facing,
        kinect=config.kinect,
        seed=seed,
        workers=config.workers,
        say=say,
    )
    return isolated(store, windows(store, store.rows(), config.frames, count), config, part, say)


def isolated(
    store: PoseStore,
    clips: Int[np.ndarray, "K T"],
    config: DataConfig,
    part: str,
    say: Callable[[str], None] = print_line,
) -> Clips:
    """The people of a store's clips by the recipe's 2D joints and sizes (`open_clips`)."""
    noise = DetectorNoise(**asdict(config.noise))
    return open_clips(
        store,
        clips,
        KeypointSource(config.detector, config.skeleton, noise, config.keypoints),
        config.cache,
        f"unipose-{part}-people",
        image_size=config.image_size,
        points=config.points,
        stored_points=config.stored_points,
        rgb=config.rgb,
        seed=config.seed + PARTS.index(part),
        say=say,
    )
