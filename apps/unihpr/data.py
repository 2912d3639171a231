"""From a recipe's data section to batches: stores prepared once, tensors on the training device."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from posedata.geometry.shape import random_shapes
from posedata.keypoints import convert_keypoints
from posedata.skeleton import get_skeleton
from posedata.store import PoseStore
from posedata.store.cache import cached, code_key
from posedata.store.files import building
from posedata.synthetic.rendering import render_store
from posedata.terminal import print_line
from posedata.views import add_views, get_rig
from posedata.views.noise import DetectorNoise
from torch import Tensor
from trainer.keypoints import store_keypoints
from trainer.poses import PARTS, Part, evenly, open_poses, part_rows, split_poses

from unihpr.recipe import DataConfig
from unihpr.samples import Frame, Sample, from_keypoints, see, see_at_random

SKELETON = "h36m17"
Share = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Stores:
    """What `prepare_stores` made or found.

    Attributes:
        poses: all poses, in the world.
        train: rows of `poses` to train on.
        train_views: seen by virtual cameras, with rendered images.
        test_views: likewise, of the people to measure on.
    """

    poses: PoseStore
    train: np.ndarray
    train_views: PoseStore
    test_views: PoseStore

    @property
    def fingerprint(self) -> str:
        """Of everything that training sees."""
        parts = [self.poses.fingerprint, self.train_views.fingerprint, self.test_views.fingerprint]
        return hashlib.sha256("".join(parts).encode()).hexdigest()[:16]


def prepare_stores(config: DataConfig, say: Callable[[str], None] = print_line) -> Stores:
    """Make the stores that a recipe names, or find them in its cache.

    Raises:
        ValueError, FileNotFoundError: the recipe's data cannot be had; the message says what to set.
    """
    poses = open_poses(config, SKELETON, say)
    parts = split_poses(config, poses)
    pick = np.random.default_rng(config.seed)
    train = np.sort(pick.choice(parts["train"], min(config.images, len(parts["train"])), replace=False))
    train_views = _rendered(config, poses, train, "train", say)
    return Stores(poses, parts["train"], train_views, _held_out(config, poses, "test", say))


def _held_out(config: DataConfig, poses: PoseStore, part: Part, say: Callable[[str], None]) -> PoseStore:
    rows = part_rows(split_poses(config, poses), part)
    return _rendered(config, poses, evenly(rows, config.test_images), part, say)


class Data:
    """Training and test views on one device."""

    def __init__(self, stores: Stores, config: DataConfig, device: torch.device | str = "cpu") -> None:
        self.config, self.stores, self.device = config, stores, device
        self.rig = get_rig(config.rig)
        self.noise = DetectorNoise()
        self.poses = stores.poses.tensors(["joints"], device, stores.train)["joints"]
        self.views = self._views(stores.train_views, config.frame)
        self.images = stores.train_views

    def on(self, part: Part, say: Callable[[str], None] = print_line) -> Data:
        """The same training data with another part of the split to measure on, as many views of it.

        Raises:
            ValueError: the split has no such part.
        """
        if part == "test":
            return self
        other = copy.copy(self)
        other.stores = replace(self.stores, test_views=_held_out(self.config, self.stores.poses, part, say))
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
    ) -> Sample:
        """Training poses at random, each seen by a virtual camera drawn for it.

        Every process draws the whole batch, cameras included, and keeps its share: the batch does not
        depend on how many processes there are.

        Args:
            noise: share of keypoints with detector noise; the recipe's by default.
            frame: the recipe's by default.
            augment: change the poses as the recipe's `data.augment` says.
        """
        rows = torch.randint(len(self.poses), (count,), generator=generator, device=generator.device)
        joints = self.poses[rows]
        if augment:
            joints = self._others(joints, generator)
        sample = see_at_random(
            joints,
            self.rig,
            generator,
            frame=frame or self.config.frame,
            noise=self.noise,
            share=self.config.noise if noise is None else noise,
        )
        return sample[share(torch.arange(count, device=rows.device))]

    def draw_images(self, count: int, generator: torch.Generator, share: Share) -> Sample:
        """Rendered training views at random, with their images."""
        device = generator.device
        rows = torch.randint(len(self.views), (count,), generator=generator, device=device)
        share_of = self.config.augment.mirror
        if share_of:
            turned = share(torch.rand(count, generator=generator, device=device) < share_of)
        rows = share(rows)
        sample = self._with_images(self.views[rows], self.images, rows)
        return sample.mirrored(turned) if share_of else sample

    def test(self, detector: bool = False) -> Sample:
        """All test views with images; with `detector` the keypoints have detector noise."""
        store = self.stores.test_views
        sample = self._views(store, self.config.frame, detector)
        return self._with_images(sample, store, torch.arange(len(sample)))

    def test_pixels(self, detector: bool = False) -> Sample:
        """All test views with keypoints in pixels and joints in the camera's frame, without images."""
        return self._views(self.stores.test_views, "pixels", detector)

    def scale(self, count: int = 4096) -> tuple[Float[Tensor, "N J 2"], Float[Tensor, "N J 3"]]:
        """Exact keypoints and joints of random training views, to derive the decoders' scale from."""
        generator = torch.Generator(self.device).manual_seed(self.config.seed)
        sample = self.draw_views(count, generator, lambda rows: rows, noise=0.0)
        return sample.keypoints, sample.joints

    def _others(self, joints: Tensor, generator: torch.Generator) -> Tensor:
        """The poses mirrored and on other bodies, as `data.augment` says."""
        config, skeleton = self.config.augment, self.stores.poses.skeleton
        if config.mirror:
            turned = torch.rand(len(joints), 1, 1, generator=generator, device=generator.device)
            joints = torch.where(turned < config.mirror, skeleton.flip(joints), joints)
        if config.stature or config.bones:
            joints = random_shapes(joints, skeleton, generator, stature=config.stature, bones=config.bones)
        return joints

    def _views(self, store: PoseStore, frame: Frame, detector: bool = False) -> Sample:
        columns = store.tensors(["joints", "boxes"])
        generator = torch.Generator().manual_seed(self.config.seed + 1)
        sample = see(
            columns["joints"],
            store.camera(),
            box=columns["boxes"],
            frame=frame,
            noise=self.noise,
            share=float(detector),
            generator=generator,
        )
        return sample.to(self.device)

    def _with_images(self, sample: Sample, store: PoseStore, rows: Tensor) -> Sample:
        return replace(sample, images=_pixels(store, rows).to(self.device))


def store_sample(
    store: PoseStore,
    frame: Frame,
    keypoints: str = "true",
    images: bool = False,
    say: Callable[[str], None] = print_line,
) -> Sample:
    """Every view of a store, with its own keypoints (`keypoints_NAME`), as Human3.6M's joints.

    Joints are NaN where they are not valid, and of a store without 3D.

    Raises:
        ValueError: the store has no cameras, no such keypoints, or (where asked) no images.
    """
    source, pose = store.skeleton, get_skeleton(SKELETON)
    camera = store.camera()
    columns = store.tensors(["joints", "boxes", *(["valid"] if "valid" in store else [])])
    joints = columns["joints"]
    if "valid" in columns:
        joints = torch.where(columns["valid"][..., None], joints, torch.nan)
    points = convert_keypoints(store_keypoints(store, keypoints, say), source, pose)
    joints = source.convert(joints, pose, lossy=not bool(joints.isfinite().any()))
    sample = from_keypoints(points, camera, box=columns["boxes"], joints=joints, frame=frame)
    return replace(sample, images=_pixels(store, torch.arange(len(store)))) if images else sample


def _pixels(store: PoseStore, rows: Tensor) -> Tensor:
    return torch.from_numpy(store.images(rows.cpu().numpy())).permute(0, 3, 1, 2)


def mean_pose(data: Data) -> Float[Tensor, "J 3"]:
    """The training set's mean root-relative pose in the encoders' frame."""
    return data.scale(20_000)[1].mean(dim=0)


def _rendered(
    config: DataConfig, poses: PoseStore, rows: np.ndarray, part: str, say: Callable[[str], None]
) -> PoseStore:
    width, height = config.image_size
    seed = config.seed + PARTS.index(part)
    rig = get_rig(config.rig)
    code = code_key("posedata.synthetic.people.build")
    key = [poses.fingerprint, rows.tolist(), asdict(rig), config.image_size, seed, code]

    def render(path: Path) -> None:
        say(f"rendering {len(rows)} {part} images of {width}x{height}: {path}")
        with building(path) as steps:
            seen = add_views(poses, steps / "cameras", rig, 1, None, seed, rows=rows)
            size, workers = config.image_size, config.workers
            render_store(seen, path, size=size, seed=seed, workers=workers, kinds=("rgb",))

    return PoseStore.open(cached(config.cache, f"{part}-views", key, render))
