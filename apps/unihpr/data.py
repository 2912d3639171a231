"""From a recipe's data section to batches: views that were recorded, or drawn and rendered."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace

import numpy as np
import torch
from polypose.config import Settings
from polypose.samples import Frame, Sample
from polypose.standings import seen_clips
from posedata.skeleton import get_skeleton
from posedata.source import open_poses
from posedata.splits import PARTS, Elsewhere, Part, evenly, part_rows, split_poses, whole_rows
from posedata.store import PoseStore
from posedata.store.digests import combined
from posedata.synthetic.filming import photograph
from posedata.terminal import print_line
from posedata.views import get_rig
from posedata.views.batch import MIXED, TRUE, Views
from posedata.views.bodies import Bodies
from posedata.views.clips import clips_about
from posedata.views.mixed import MixedViews, Share
from posedata.views.noise import DetectorNoise
from posedata.views.rows import StoreRows, by_detector, recorded_rows
from posedata.views.virtual import VirtualViews
from posetrain.task import Say
from torch import Tensor

from unihpr.recipe import DataConfig, Recipe

SKELETON = "h36m17"
POSE = get_skeleton(SKELETON)


@dataclass(frozen=True)
class Stores:
    """What `prepare_stores` made or found.

    Attributes:
        poses: all poses, in the world.
        train: rows of `poses` to draw before virtual cameras.
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
        parts = self.poses, self.train_views, self.test_views
        return combined(*(part.fingerprint for part in parts))


def prepare_stores(config: DataConfig, say: Say = print_line) -> Stores:
    """Make the stores that a recipe names, or find them in its cache.

    Raises:
        ValueError, FileNotFoundError: the recipe's data cannot be had; the message says what to set.
    """
    poses = open_poses(config, SKELETON, say)
    train = drawn = split_poses(config, poses, say=say)["train"]
    if config.apart:
        person = np.unique(poses.column("subject")[train], return_inverse=True)[1]
        train, drawn = train[person % 2 == 0], train[person % 2 == 1]
        if not len(drawn):
            raise ValueError(
                "data.apart: there is one person to train on; set it to false, or split otherwise"
            )
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
    return Stores(poses, drawn, views, _held_out(config, poses, "test", say))


def open_test(config: DataConfig, place: Elsewhere, part: str, say: Say = print_line) -> Data:
    """Views of any labelled store to measure a run on.

    Args:
        config: the run's.
        place: a store of poses in any skeleton that converts to Human3.6M's, approximations included.
        part: of its split.

    Raises:
        ValueError, FileNotFoundError: there is no such store or part, or nothing whole in it.
    """
    poses, rows = place.open(part, say=say)
    if (place.views or ("recorded" if "camera" in poses else "virtual")) == "recorded":
        found = recorded_rows(poses, rows, POSE, place.keypoints, say)
        return Data(replace(found, rows=evenly(found.rows, config.test_images)), config, place.keypoints)
    rows = whole_rows(poses, rows)
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

    def seen(self, detector: bool = False, images: bool = True) -> tuple[Views, str]:
        """The views, and by which name they have exact keypoints, or a `detector`'s.

        Args:
            images: whether to read the pictures, of a store that has any.
        """
        views = self.held_out.views(images=self.config.pictures if images and "image" in self.source else ())
        if not detector:
            return views, TRUE
        return by_detector(views, self.detector, DetectorNoise(), self.config.seed + 1)

    def test(self, detector: bool = False, *, frame: Frame | None = None, images: bool = True) -> Sample:
        """As of `seen`, in the recipe's frame where no other is asked for."""
        views, name = self.seen(detector, images)
        return Sample.of(views, frame or self.config.frame, name)


class TrainingData(Data):
    """Training and test views on one device.

    Attributes:
        views: what is trained on.
    """

    def __init__(self, stores: Stores, config: DataConfig, device: torch.device | str = "cpu") -> None:
        detector = config.keypoints if stores.train_views.recorded else ""
        super().__init__(stores.test_views, config, detector, device)
        self.stores = stores
        poses, rows = stores.poses, stores.train
        mapped = config.mapped and config.views != "recorded"
        virtual = VirtualViews(
            poses.mapped("joints", device, rows)
            if mapped
            else poses.tensors(["joints"], device, rows)["joints"],
            POSE,
            tuple(map(get_rig, (config.rig, *config.more_rigs))),
            DetectorNoise(),
            config.augment,
            np.asarray(poses.column("sequence")[rows]) if "sequence" in poses else None,
        )
        self.views = MixedViews(
            stores.train_views.views(POSE, detector, self.device),
            virtual,
            detector,
            {"virtual": 0.0, "recorded": 1.0, "both": config.recorded}[config.views],
            config.pictures,
            config.seed if config.order == "stream" else None,
        )

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

    def with_bodies(self, bodies: Bodies) -> TrainingData:
        """The same training data, whose views that nobody took are of other bodies."""
        other = copy.copy(self)
        other.views = replace(self.views, virtual=replace(self.views.virtual, bodies=bodies))
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
        """A process's share of views at random, without pictures (`MixedViews.draw`).

        Args:
            noise, frame: the recipe's by default.
        """
        noise = self.config.noise if noise is None else noise
        views = self.views.draw(count, generator, noise=noise, augment=augment, frames=frames)
        kept = share(torch.arange(count * frames, device=self.device).view(count, frames)).flatten()
        return Sample.of(views, frame or self.config.frame, MIXED)[kept]

    def draw_images(
        self, count: int, generator: torch.Generator, share: Share, step: int | None = None
    ) -> Sample:
        """A process's share of training views with pictures (`MixedViews.draw_pictured`)."""
        return Sample.of(self.views.draw_pictured(count, generator, share, step), self.config.frame)

    def scale(self, count: int = 4096) -> Sample:
        """Random training views with exact keypoints, to derive the networks' scale from."""
        generator = torch.Generator(self.device).manual_seed(self.config.seed)
        return self.draw_views(count, generator, lambda rows: rows, noise=0.0)

    def clips(self, frames: int, detector: bool) -> tuple[Sample, Tensor]:
        """The test's clips, one about each of its views, a clip's rows side by side; and their joints in the
        world, (N, frames, J, 3)."""
        shown, rows, poses = self.source.store, self.source.rows, self.stores.poses
        if frames == 1:
            joints = shown.tensors(["joints"], "cpu", rows)["joints"]
            return self.test(detector, images=False), joints[:, None]
        found = clips_about(poses, shown, rows, frames)
        joints = poses.tensors(["joints"], "cpu", found.flatten())["joints"].unflatten(0, found.shape)
        generator = torch.Generator().manual_seed(self.config.seed + 1)
        seen = seen_clips(joints, shown.camera(rows), self.config.frame, detector, generator)
        return seen.to(self.device), joints


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


def settings_of(recipe: Recipe, data: Data | None) -> Settings:
    """What a user of the model must know of how it was trained."""
    own = {} if data is None else {"image_size": data.image_size, "data": data.fingerprint}
    return Settings.of(recipe.evaluation, frame=recipe.data.frame, **own)
