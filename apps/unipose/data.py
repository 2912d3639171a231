"""From a recipe's data section to training and test clips."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from posedata.terminal import print_line
from trainer.poses import PARTS, Part, open_poses, part_rows, split_poses

from unipose.clips import Clips, open_clips, windows
from unipose.film import choose_clips, film
from unipose.recipe import DataConfig

FILMED = "h36m17"
"""The skeleton that can be dressed."""


@dataclass(frozen=True)
class ClipSplit:
    """Clips to train on and clips to test on, of different people."""

    train: Clips
    test: Clips

    @property
    def fingerprint(self) -> str:
        """Of the stores that the clips are from: filmed ones hold nothing else. Of a recorded one also of the
        rows that were taken from it, and of the files that its 2D joints are from."""
        parts = [self.train.store.fingerprint, self.test.store.fingerprint]
        config = self.train.config
        if config.format == "rgbd":
            rows = [clips.rows.astype("<i8").tobytes() for clips in (self.train, self.test)]
            files = [path.read_bytes() for path in config.keypoints if config.detector == "coco"]
            parts += [hashlib.sha256(content).hexdigest() for content in (*rows, *files)]
        return hashlib.sha256("".join(parts).encode()).hexdigest()[:16]


def prepare(config: DataConfig, say: Callable[[str], None] = print_line) -> ClipSplit:
    """Open a recipe's data; what has to be filmed or isolated first is kept in its cache.

    Raises:
        ValueError, FileNotFoundError: the data cannot be had; the message says what to set.
    """
    return ClipSplit(open_part(config, "train", say), open_part(config, "test", say))


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
        return open_clips(
            source, windows(source, rows, config.frames, count, config.stride), config, part, seed, say
        )
    if source.skeleton.name != FILMED:
        raise ValueError(
            f"{source.path}: skeleton is {source.skeleton.name}, only {FILMED} can be dressed and filmed;"
            " for recorded RGB-D set data.format=rgbd"
        )
    drawn = config.seed if part == "train" else None
    chosen = choose_clips(source, rows, config.frames, config.stride, count, drawn)
    store = film(source, chosen, config, part, seed, say)
    return open_clips(store, windows(store, store.rows(), config.frames, count), config, part, seed, say)
