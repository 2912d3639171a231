"""From a recipe's data section to batches: views that were recorded, or drawn and rendered."""

from __future__ import annotations

import copy
import functools
import hashlib
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace

import numpy as np
import torch
from polypose.samples import Frame, Sample
from polypose.standings import seen_clips
from posedata.skeleton import get_skeleton
from posedata.source import check_poses, open_poses
from posedata.splits import PARTS, Part, evenly, part_rows, split_poses
from posedata.store import PoseStore
from posedata.synthetic.filming import photograph
from posedata.terminal import print_line
from posedata.views import get_rig
from posedata.views.batch import DETECTED, MIXED, TRUE, Views
from posedata.views.clips import around
from posedata.views.noise import DetectorNoise
from posedata.views.order import StreamOrder
from posedata.views.rows import StoreRows, recorded_rows
from posedata.views.virtual import Bodies, VirtualViews
from posetrain.task import Elsewhere
from torch import Tensor

from unihpr.recipe import DataConfig

SKELETON = "h36m17"
POSE = get_skeleton(SKELETON)
MOMENT = ("sequence", "frame")
Share = Callable[[Tensor], Tensor]
Say = Callable[[str], None]


@dataclass(frozen=True)
class Stores:
    """What `prepare_stores` made or found.

    Attributes:
        poses: all poses, in the world.
        train: rows of `poses` to train on.
        train_views: views with images to train on.
        test_views: likewise, of the people to measure on.
    """

    poses: PoseStore
    train: np.ndarray
    train_views: StoreRows
    test_views: StoreRows

    @property
    def fingerprint(self) -> str:
        """Of everything that training sees."""
        parts = [self.poses.fingerprint, self.train_views.fingerprint, self.test_views.fingerprint]
        return hashlib.sha256("".join(parts).encode()).hexdigest()[:16]


def prepare_stores(config: DataConfig, say: Say = print_line) -> Stores:
    """Make the stores that a recipe names, or find them in its cache.

    Raises:
        ValueError, FileNotFoundError: the recipe's data cannot be had; the message says what to set.
    """
    poses = open_poses(config, SKELETON, say)
    parts = split_poses(config, poses, say=say)
    train = parts["train"]
    if config.views != "virtual" and "image" not in poses:
        raise ValueError(
            f"{poses.path}: has no recorded pictures; prepare the data with --size, or set data.views=virtual"
        )
    if config.views == "virtual":
        pick = np.random.default_rng(config.seed)
        some = np.sort(pick.choice(train, min(config.images, len(train)), replace=False))
        views = _rendered(config, poses, some, "train", say)
    else:
        views = recorded_rows(poses, train, POSE, config.keypoints, say)
    return Stores(poses, train, views, _held_out(config, poses, "test", say))


def open_test(config: DataConfig, place: Elsewhere, part: str, say: Say = print_line) -> Data:
    """Views of any labelled store to measure a run on.

    Args:
        config: the run's.
        place: a store of poses in any skeleton that converts to Human3.6M's, approximations included.
        part: of its split.

    Raises:
        ValueError, FileNotFoundError: there is no such store or part, or nothing whole in it.
    """
    poses = PoseStore.open(place.store)
    check_poses(poses, place.store, True, say)
    rows = place.rows(poses, part)
    if (place.views or ("recorded" if "camera" in poses else "virtual")) == "recorded":
        found = recorded_rows(poses, rows, POSE, place.keypoints, say)
        return Data(replace(found, rows=evenly(found.rows, config.test_images)), config, place.keypoints)
    if "valid" in poses:
        rows = rows[poses.column("valid")[rows].all(axis=1)]
    if not len(rows):
        raise ValueError(f"{place.store}: no pose of part {part!r} has all joints valid; name other people")
    return Data(_rendered(config, poses, evenly(rows, config.test_images), "test", say), config)


def _held_out(config: DataConfig, poses: PoseStore, part: Part, say: Say) -> StoreRows:
    rows = part_rows(split_poses(config, poses, say=say), part)
    if config.views == "virtual":
        return _rendered(config, poses, evenly(rows, config.test_images), part, say)
    found = recorded_rows(poses, rows, POSE, config.keypoints, say)
    return replace(found, rows=evenly(found.rows, config.test_images))


class Data:
    """Views to measure on.

    Args:
        source: whole rows (`recorded_rows`), or rendered ones.
        config: of the run that is measured.
        detector: the store's keypoints that stand for a detector's; the noise model where it is empty.
        device: where batches are made.

    Attributes:
        held_out: the views, without their pictures.
    """

    def __init__(
        self, source: StoreRows, config: DataConfig, detector: str = "", device: torch.device | str = "cpu"
    ) -> None:
        self.source, self.config, self.detector = source, config, detector
        self.device = torch.device(device)
        self.held_out = source.views(POSE, detector, self.device)

    @property
    def image_size(self) -> tuple[int, int] | None:
        """Width and height of the pictures, if there are any."""
        return self.source.store.image_size if "image" in self.source else None

    @property
    def fingerprint(self) -> str:
        """Of everything that is measured on."""
        return self.source.fingerprint[:16]

    def test(self, detector: bool = False, *, frame: Frame | None = None, images: bool = True) -> Sample:
        """Views to measure on; with `detector` the keypoints are a detector's.

        Args:
            frame: the recipe's by default.
            images: whether to read the pictures, of a store that has any.
        """
        pictures = self.config.pictures if images and "image" in self.source else ()
        views, name = self.held_out.views(images=pictures), TRUE
        if detector and self.detector:
            name = self.detector
        elif detector:
            generator = torch.Generator().manual_seed(self.config.seed + 1)
            views, name = views.to("cpu").detected(DetectorNoise(), generator), DETECTED
        return Sample.of(views, frame or self.config.frame, name).to(self.device)


class TrainingData(Data):
    """Training and test views on one device."""

    def __init__(self, stores: Stores, config: DataConfig, device: torch.device | str = "cpu") -> None:
        detector = config.keypoints if stores.train_views.recorded else ""
        super().__init__(stores.test_views, config, detector, device)
        self.stores = stores
        poses, rows = stores.poses, stores.train
        mapped = config.mapped and config.views != "recorded"
        self.virtual = VirtualViews(
            poses.mapped("joints", device, rows)
            if mapped
            else poses.tensors(["joints"], device, rows)["joints"],
            POSE,
            tuple(map(get_rig, (config.rig, *config.more_rigs))),
            DetectorNoise(),
            Bodies(**asdict(config.augment)),
            np.asarray(stores.poses.column("sequence")[stores.train]) if "sequence" in stores.poses else None,
        )
        self.recorded_share = {"virtual": 0.0, "recorded": 1.0, "both": config.recorded}[config.views]
        self.views = stores.train_views.views(POSE, detector, self.device)

    @property
    def fingerprint(self) -> str:
        return self.stores.fingerprint

    def on(self, part: Part, say: Say = print_line) -> TrainingData:
        """The same training data with another part of the split to measure on, as many views of it.

        Raises:
            ValueError: the split has no such part.
        """
        if part == "test":
            return self
        other = copy.copy(self)
        other.source = _held_out(self.config, self.stores.poses, part, say)
        other.stores = replace(self.stores, test_views=other.source)
        other.held_out = other.source.views(POSE, self.detector, self.device)
        return other

    def draw_views(
        self,
        count: int,
        generator: torch.Generator,
        share: Share,
        *,
        noise: float | None = None,
        frame: Frame | None = None,
        augment: bool = False,
        frames: int = 1,
    ) -> Sample:
        """As of `draw_poses`.

        Args:
            frame: the recipe's by default.
            frames: of clips, of virtual views alone: so many rows of each, side by side.
        """
        if frames > 1:
            views = self.virtual.draw(
                count, generator, noise=self._noise(noise), augment=augment, frames=frames
            )
            clips = share(torch.arange(count * frames, device=self.device).view(count, frames)).flatten()
            return Sample.of(views, frame or self.config.frame, MIXED)[clips]
        views = self.draw_poses(count, generator, noise=noise, augment=augment)
        kept = share(torch.arange(count, device=self.device))
        return Sample.of(views, frame or self.config.frame, MIXED)[kept]

    def draw_poses(
        self, count: int, generator: torch.Generator, *, noise: float | None = None, augment: bool = False
    ) -> Views:
        """Training poses at random without images, as recorded or seen by virtual cameras drawn for them.

        Every process draws the whole batch, cameras included, and keeps its share: the batch does not
        depend on how many processes there are.

        Args:
            noise: share of views with a detector's keypoints; the recipe's by default.
            augment: change the poses as the recipe's `data.augment` says.
        """
        noise = self._noise(noise)
        recorded = round(count * self.recorded_share)
        parts: list[Views] = []
        if recorded:
            rows = torch.randint(len(self.views), (recorded,), generator=generator, device=self.device)
            views = self._with_keypoints(self.views.views(rows), noise, generator)
            turned = self._turned(recorded, generator) if augment else None
            parts.append(views if turned is None else views.mirrored(turned))
        if recorded < count:
            parts.append(self.virtual.draw(count - recorded, generator, noise=noise, augment=augment))
        return Views.cat(parts)

    def clips(self, frames: int, detector: bool) -> tuple[Sample, Tensor]:
        """The test's clips, one about each of its views, a clip's rows side by side; and their joints in the
        world, (N, frames, J, 3)."""
        rows, poses = self.source.rows, self.stores.poses
        if frames == 1:
            joints = self.source.store.tensors(["joints"], "cpu", rows)["joints"]
            return self.test(detector, images=False), joints[:, None]
        moments = zip(*(poses.column(name).tolist() for name in MOMENT), strict=True)
        place = {moment: row for row, moment in enumerate(moments)}
        own = [place[m] for m in zip(*(self.source.column(n).tolist() for n in MOMENT), strict=True)]
        found = around(np.asarray(poses.column("sequence")), np.array(own), frames)
        joints = poses.tensors(["joints"], "cpu", found.flatten())["joints"].unflatten(0, found.shape)
        generator = torch.Generator().manual_seed(self.config.seed + 1)
        camera = self.source.store.camera(rows)
        return seen_clips(joints, camera, self.config.frame, detector, generator).to(self.device), joints

    def draw_images(
        self, count: int, generator: torch.Generator, share: Share, step: int | None = None
    ) -> Sample:
        """Training views with images at random, or where `data.order` is stream those of a step."""
        return Sample.of(self.draw_pictured(count, generator, share, step), self.config.frame)

    def draw_pictured(
        self,
        count: int,
        generator: torch.Generator,
        share: Share,
        step: int | None = None,
        *,
        noise: float = 0.0,
    ) -> Views:
        """As of `draw_images`, with their pictures, as they are before a sample is made of them.

        Args:
            noise: share of views with a detector's keypoints.
        """
        if self.config.order == "stream" and step is not None:
            rows = torch.from_numpy(self._stream(count).rows(step)).to(self.device)
        else:
            rows = torch.randint(len(self.views), (count,), generator=generator, device=self.device)
        turned = self._turned(count, generator)
        seen = self._with_keypoints(self.views.views(rows), noise, generator)
        shown = self.views.views(share(rows), images=self.config.pictures)
        if turned is not None:
            seen, shown = seen.mirrored(turned), shown.mirrored(share(turned))
        kept = share(torch.arange(count, device=self.device))
        return replace(seen[kept], image=shown.image, depth=shown.depth, mask=shown.mask)

    def _noise(self, noise: float | None) -> float:
        return self.config.noise if noise is None else noise

    @functools.cache  # noqa: B019 (as long as the data)
    def _stream(self, batch: int) -> StreamOrder:
        source = self.stores.train_views
        return StreamOrder(source.store.shards(source.rows), batch, self.config.seed)

    def scale(self, count: int = 4096) -> Sample:
        """Random training views with exact keypoints, to derive the networks' scale from."""
        generator = torch.Generator(self.device).manual_seed(self.config.seed)
        return self.draw_views(count, generator, lambda rows: rows, noise=0.0)

    def _with_keypoints(self, views: Views, noise: float, generator: torch.Generator) -> Views:
        """With "mixed" keypoints: a share of the views with the detector's, or the noise model's."""
        if noise and not self.detector:
            views = views.detected(self.virtual.noise, generator)
        return views.mixed(self.detector or DETECTED, noise, generator)

    def _turned(self, count: int, generator: torch.Generator) -> Tensor | None:
        """Which views of a batch are mirrored."""
        if not self.config.augment.mirror:
            return None
        return torch.rand(count, generator=generator, device=self.device) < self.config.augment.mirror


def _rendered(config: DataConfig, poses: PoseStore, rows: np.ndarray, part: str, say: Say) -> StoreRows:
    store = photograph(
        poses,
        rows,
        config.cache,
        part,
        rig=get_rig(config.rig),
        size=config.image_size,
        kinds=config.pictures,
        kinect="depth" in config.pictures,
        seed=config.seed + PARTS.index(part),
        workers=config.workers,
        say=say,
    )
    return StoreRows(store, np.arange(len(store)))
