"""From a recipe's data section to training and test clips."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace

from accelerate import PartialState
from trainer.poses import open_poses, split_poses

from unipose.clips import Clips, open_clips, windows
from unipose.film import choose_clips, film
from unipose.recipe import DataConfig, Recipe

FILMED = "h36m17"
"""The skeleton that can be dressed."""


@dataclass(frozen=True)
class Data:
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


def prepare_on_one(recipe: Recipe) -> Data:
    """Data made by the first process while the others wait."""
    state = PartialState(cpu=recipe.loop.device == "cpu")
    with state.main_process_first():
        return prepare(recipe.data, print if state.is_main_process else (lambda text: None))


def prepare(config: DataConfig, say: Callable[[str], None] = print) -> Data:
    """Open a recipe's data; what has to be filmed or isolated first is kept in its cache.

    Raises:
        ValueError, FileNotFoundError: the data cannot be had; the message says what to set.
    """
    recorded = config.format == "rgbd"
    if config.detector == "coco" and not recorded:
        raise ValueError(
            f"data.detector=coco goes by the rows of a recorded store, data.format={config.format} is filmed"
            " anew; set data.format=rgbd, or take another data.detector"
        )
    source = open_poses(replace(config, format="store") if recorded else config, say=say)
    parts = split_poses(config, source)
    counts = {"train": config.clips, "test": config.test_clips}
    if recorded:
        found = {
            name: windows(source, parts[name], config.frames, count, config.stride)
            for name, count in counts.items()
        }
        stores = {"train": source, "test": source}
    else:
        if source.skeleton.name != FILMED:
            raise ValueError(
                f"{source.path}: skeleton is {source.skeleton.name}, only {FILMED} can be dressed and filmed;"
                " for recorded RGB-D set data.format=rgbd"
            )
        stores = {}
        for seed, (name, count) in enumerate(counts.items()):
            drawn = config.seed if name == "train" else None
            chosen = choose_clips(source, parts[name], config.frames, config.stride, count, drawn)
            stores[name] = film(source, chosen, config, name, config.seed + seed, say)
        found = {name: windows(s, s.rows(), config.frames, counts[name]) for name, s in stores.items()}
    train, test = (
        open_clips(stores[name], found[name], config, name, config.seed + seed, say)
        for seed, name in enumerate(counts)
    )
    return Data(train, test)
