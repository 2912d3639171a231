"""Stores of pictures of hands from what a recipe says of its data: rendered, or cut from InterHand2.6M."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from posedata.ranges import Fraction, NonNegative, Positive, Seed
from posedata.source import check_poses
from posedata.store.cache import cached, code_key
from posedata.terminal import print_line
from posedata.views.hand_ranges import TILT

if TYPE_CHECKING:
    from posedata.store.pose_store import PoseStore


@dataclass(frozen=True)
class HandSource:
    """Where pictures of hands come from: the data section of a recipe.

    Attributes:
        format: `synthetic` (rendered), or `interhand` (InterHand2.6M).
        path: InterHand2.6M's folder, with annotations/SPLIT and images/SPLIT; not for `synthetic`.
        cache: where rendered or cut pictures are kept, by content.
        accept_faults: train although something is wrong with the poses, which training says first.
        images, test_images: how many are rendered; of InterHand2.6M all are used.
        size: side of the square crops, px.
        interacting: share of rendered scenes with two hands.
        tilt: of rendered hands from upright at most, radians.
        touching: share of rendered pairs that touch at a fingertip or another joint; the others' palms meet.
        arms: whether rendered wrists are bent and forearms are seen.
        background: of rendered scenes (`posedata.synthetic.background.KINDS`).
        seed: of the rendered scenes.
        workers: rendering processes.
    """

    format: Literal["synthetic", "interhand"] = "synthetic"
    path: Path | None = None
    cache: Path = Path("data")
    accept_faults: bool = False
    images: Positive = 4000
    test_images: Positive = 500
    size: Positive = 256
    interacting: Fraction = 0.5
    tilt: NonNegative = TILT
    touching: Fraction = 0.0
    arms: bool = False
    background: Literal["any", "gradient", "noise", "checkers", "room", "floor"] = "any"
    seed: Seed = 0
    workers: Positive = 2


def open_hands(config: HandSource, part: str, say: Callable[[str], None] = print_line) -> PoseStore:
    """The pictures of `train`, `test` or `validation`, made or found in the cache; of rendered ones there are
    as many for validation as for the test.

    Raises:
        ValueError, FileNotFoundError: the data cannot be had; the message says what to set.
    """
    from posedata.store.pose_store import PoseStore

    if config.format == "synthetic":
        return PoseStore.open(_rendered(config, part, say))
    file, path = _cut(config, part, say)
    store = PoseStore.open(path)
    check_poses(store, file, config.accept_faults, say)
    return store


def _rendered(config: HandSource, part: str, say: Callable[[str], None]) -> Path:
    count = config.images if part == "train" else config.test_images
    seed = 2 * config.seed + {"train": 0, "test": 1, "validation": 1_000_000}[part]
    chosen = [count, seed, config.size, config.interacting, config.tilt, config.background]
    chosen += [config.touching, config.arms]

    def render(path: Path) -> None:
        from posedata.synthetic.hands import build_hands

        say(f"rendering {count} {part} pictures of hands, {config.size}x{config.size}: {path}")
        build_hands(
            path, count, seed=seed, interacting=config.interacting, tilt=config.tilt, size=config.size,
            touching=config.touching, arms=config.arms,
            background=None if config.background == "any" else config.background, workers=config.workers,
        )  # fmt: skip

    key = [*chosen, code_key("posedata.synthetic.hands.build")]
    return cached(config.cache, f"hands-{part}", key, render)


def _cut(config: HandSource, part: str, say: Callable[[str], None]) -> tuple[Path, Path]:
    """The annotations, and the store made of them."""
    if config.path is None:
        raise ValueError("data.path is not set; give InterHand2.6M's folder: --set data.path=...")
    name = "val" if part == "validation" else part
    file = config.path / "annotations" / name / f"InterHand2.6M_{name}_data.json"
    if not file.is_file():
        raise FileNotFoundError(f"{file}: no such file; data.path must be InterHand2.6M's folder")
    beside = sorted(file.parent.glob(f"InterHand2.6M_{name}_*.json"))  # cameras and 3D joints too
    state = [[p.name, p.stat().st_size, p.stat().st_mtime_ns] for p in beside]

    def cut(path: Path) -> None:
        from posedata.readers.files.interhand import read_interhand, write_interhand

        say(f"cutting the pictures of {file}: {path}")
        write_interhand(read_interhand(file), images, path, size=config.size)

    images = config.path / "images" / name
    key = [state, config.size, code_key("posedata.readers.files.interhand")]
    return file, cached(config.cache, f"interhand-{part}", key, cut)
