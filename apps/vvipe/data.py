"""From a recipe's data section to tensors on the training device: poses, and views of them."""

from __future__ import annotations

import copy
import hashlib
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Bool, Float
from posedata.geometry.boxes import bounding_box
from posedata.geometry.camera import Camera
from posedata.scoring.similar import distinct, pose_distances
from posedata.store import PoseStore
from posedata.terminal import print_line
from posedata.views import BOX_ASPECT, BOX_MARGIN, Rig, sample_cameras
from posedata.views.augment import random_views
from posedata.views.noise import DetectorNoise
from torch import Tensor
from trainer.poses import Part, evenly, open_poses, part_rows, split_poses

from vvipe import rigs
from vvipe.poses import POSE, Body, normalise, read_keypoints
from vvipe.recipe import AugmentConfig, DataConfig

Share = Callable[[Tensor], Tensor]
CANDIDATES = 3
"""Test frames looked at for every one wanted: about a third of them are near duplicates."""


@dataclass(frozen=True)
class Views:
    """Normalised keypoints (`poses.normalise`) and confidences, with any leading shape.

    Keypoints are NaN where a view shows no hip or no shoulder: they have no centre or no scale.
    """

    keypoints: Float[Tensor, "*n 13 2"]
    confidence: Float[Tensor, "*n 13"]

    def __getitem__(self, index: object) -> Views:
        return Views(self.keypoints[index], self.confidence[index])  # type: ignore[index]

    @classmethod
    def of(cls, points: Float[Tensor, "*n 13 3"]) -> Views:
        """Views of keypoints in pixels with confidences."""
        return cls(normalise(points[..., :2], points[..., 2]), points[..., 2])

    @property
    def valid(self) -> Bool[Tensor, "*n"]:
        """Which views have a centre and a scale."""
        return self.keypoints.isfinite().all(-1).all(-1)

    def flatten(self) -> Views:
        """All views in one row."""
        return Views(self.keypoints.reshape(-1, 13, 2), self.confidence.reshape(-1, 13))

    @classmethod
    def join(cls, parts: Iterable[Views], how: Callable[[list[Tensor]], Tensor]) -> Views:
        """Several as one, by `torch.stack` or `torch.cat`."""
        made = list(parts)
        return cls(how([v.keypoints for v in made]), how([v.confidence for v in made]))

    def to(self, device: torch.device | str) -> Views:
        return Views(self.keypoints.to(device), self.confidence.to(device))


@dataclass(frozen=True)
class Batch:
    """Poses (B, 17, 3) as the model embeds them, and V views of each: (B, V, ...)."""

    pose: Float[Tensor, "B J 3"]
    views: Views


def see(
    joints: Float[Tensor, "B J 3"],
    camera: Camera,
    generator: torch.Generator,
    noise: DetectorNoise | None = None,
    share: float = 1.0,
) -> Views:
    """Poses in the world as cameras see them, a share of them with a detector's noise."""
    pixels = camera.project(joints)
    confidence = torch.ones_like(pixels[..., 0])
    if noise is not None and share > 0:
        box = bounding_box(pixels, margin=BOX_MARGIN, aspect=BOX_ASPECT)
        seen, sure = noise.apply(pixels, box, generator)
        hit = torch.rand(len(pixels), 1, generator=generator, device=generator.device).to(pixels) < share
        pixels, confidence = torch.where(hit[..., None], seen, pixels), torch.where(hit, sure, confidence)
    points = read_keypoints(torch.cat([pixels, confidence[..., None]], dim=-1), POSE)
    return Views.of(points)


class Data:
    """Training poses with their recorded views, and the test.

    Args:
        config: the recipe's data section.
        store: poses in the world.
        device: where the poses of training and of the test lie.
    """

    def __init__(self, config: DataConfig, store: PoseStore, device: torch.device | str = "cpu") -> None:
        self.config, self.store, self.device = config, store, torch.device(device)
        self.parts = split_poses(config, store)
        self._on: dict[Part, Data] = {"test": self}
        self.train_rows, self.test_rows = evenly(self.parts["train"], config.train_poses), self.parts["test"]
        joints = _joints(store, self.train_rows)
        self.body = Body.mean_of(joints)
        self.noise = DetectorNoise() if config.keypoints == "detector" else None
        self.views = self._recorded(joints, [rigs.TRAIN], seed=1).to(self.device)
        self.joints = joints.to(self.device)
        self._poses: dict[bool, Tensor] = {}

    def __len__(self) -> int:
        return len(self.joints)

    @property
    def fingerprint(self) -> str:
        """Of the poses of training and of the test, and of what places cameras; the same on every machine.

        Keypoints exact and with noise have the same: stage 1, which sees none, serves both.
        """
        parts = [self.store.fingerprint, self.config.seed, self.train_rows.tolist(), self.test_rows.tolist()]
        return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]

    def on(self, part: Part) -> Data:
        """The same training data with another part of the split to measure on, made once.

        Raises:
            ValueError: the split has no such part.
        """
        if part not in self._on:
            other = copy.copy(self)
            other.test_rows = part_rows(self.parts, part)
            other.__dict__.pop("test", None)
            self._on[part] = other
        return self._on[part]

    @cached_property
    def test(self) -> Test:
        """Held-out poses and how every camera of both rigs sees them: drawn on the CPU, kept on `device`."""
        config = self.config
        joints = _joints(self.store, evenly(self.test_rows, CANDIDATES * config.test_poses))
        kept = distinct(self.body.pose(joints), config.distinct)
        joints = joints[kept[torch.from_numpy(evenly(np.arange(len(kept)), config.test_poses))]]
        return Test(
            joints,
            self.body.pose(joints),
            self._recorded(joints, [rigs.TRAIN], seed=2),
            self._recorded(joints, [rigs.CHEST, rigs.STEEP], seed=3),
        ).to(self.device)

    def poses(self, align: bool = True) -> Float[Tensor, "N J 3"]:
        """All training poses as the model embeds them, made once."""
        if align not in self._poses:
            self._poses[align] = self.body.pose(self.joints, align)
        return self._poses[align]

    def draw_poses(
        self, count: int, generator: torch.Generator, share: Share, align: bool = True
    ) -> Float[Tensor, "B J 3"]:
        """Training poses at random, as the model embeds them. Every process draws all and keeps its share."""
        rows = torch.randint(len(self), (count,), generator=generator, device=generator.device)
        return self.poses(align)[share(rows)]

    def draw(
        self,
        count: int,
        views: int,
        augment: AugmentConfig,
        generator: torch.Generator,
        share: Share,
        align: bool = True,
    ) -> Batch:
        """Training poses at random, each in several views by different cameras.

        A view is a recorded one, or with probability `augment.share` one by a camera drawn anew.
        """
        device = generator.device
        rows = torch.randint(len(self), (count,), generator=generator, device=device)
        cameras = torch.rand(count, self.views.keypoints.shape[1], generator=generator, device=device)
        station = cameras.argsort(1)[:, torch.arange(views, device=device) % cameras.shape[1]]
        seen = self.views[rows[:, None], station]
        joints = self.joints[rows]
        if augment.share > 0:
            fresh = Views.join((self._fresh(joints, augment, generator) for _ in range(views)), _beside)
            new = torch.rand(count, views, generator=generator, device=device) < augment.share
            seen = Views(
                torch.where(new[..., None, None], fresh.keypoints, seen.keypoints),
                torch.where(new[..., None], fresh.confidence, seen.confidence),
            )
        kept = share(torch.arange(count, device=device))
        return Batch(self.poses(align)[rows[kept]], seen[kept])

    def _fresh(self, joints: Tensor, augment: AugmentConfig, generator: torch.Generator) -> Views:
        if augment.cameras == "near":
            points = random_views(
                self.body.own(joints),
                generator,
                elevation=_radians(augment.elevation),
                roll=_radians(augment.roll),
                depth=augment.depth,
            )
            sure = torch.ones_like(points[..., :1])
            return Views.of(read_keypoints(torch.cat([points, sure], dim=-1), POSE))
        rig = Rig(
            elevation=_radians(augment.elevation),
            roll=_radians(augment.roll),
            distance=augment.distance,
            focal=augment.focal,
            target_jitter=0.2,
        )
        return see(joints, sample_cameras(joints, rig, generator), generator, self.noise, augment.noise)

    def _recorded(self, joints: Tensor, which: list[Rig], seed: int) -> Views:
        """(N, cameras, ...) of fixed cameras; the same for the same recipe."""
        generator = torch.Generator().manual_seed(1000 * self.config.seed + seed)
        cameras = rigs.record(joints, which, generator)
        return Views.join((see(joints, camera, generator, self.noise) for camera in cameras), _beside)


@dataclass(frozen=True)
class Test:
    """Held-out poses, no two nearly alike.

    Attributes:
        joints: (N, 17, 3) in the world, metres.
        pose: (N, 17, 3) as embedded: in torsos, in the body frame.
        same: (N, 4, ...) seen by the training cameras.
        other: (N, 11, ...) seen by the test cameras: `rigs.CHEST_CAMERAS` at chest height, then the steep
            ones.
    """

    joints: Float[Tensor, "N J 3"]
    pose: Float[Tensor, "N J 3"]
    same: Views
    other: Views

    def __len__(self) -> int:
        return len(self.pose)

    @cached_property
    def distances(self) -> Float[Tensor, "N N"]:
        """Of every pose (row) to every other after Procrustes, in torsos: what decides a hit."""
        return pose_distances(self.pose, self.pose, aligned=True)

    def to(self, device: torch.device | str) -> Test:
        """On a device, with the distances if they have been computed."""
        if self.pose.device == torch.device(device):
            return self
        moved = Test(
            self.joints.to(device), self.pose.to(device), self.same.to(device), self.other.to(device)
        )
        if "distances" in self.__dict__:
            moved.__dict__["distances"] = self.distances.to(device)
        return moved

    def hits(self, threshold: float) -> Bool[Tensor, "N N"]:
        """Which pose counts as found for which query."""
        return self.distances <= threshold


def open_data(
    config: DataConfig, device: torch.device | str = "cpu", say: Callable[[str], None] = print_line
) -> Data:
    """The data that a recipe names, made or found in its cache.

    Raises:
        ValueError, FileNotFoundError: they cannot be had; the message says what to set.
    """
    return Data(config, open_poses(config, POSE.name, say), device)


def _joints(store: PoseStore, rows: np.ndarray) -> Float[Tensor, "N J 3"]:
    return torch.from_numpy(np.array(store.column("joints")[rows]))


def _beside(parts: list[Tensor]) -> Tensor:
    return torch.stack(parts, dim=1)


def _radians(span: tuple[float, float]) -> tuple[float, float]:
    return math.radians(span[0]), math.radians(span[1])
