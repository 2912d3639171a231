"""From a recipe's data section to tensors on the training device: poses, and views of them."""

from __future__ import annotations

import copy
import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float
from posedata.scoring.similar import distinct
from posedata.source import check_poses, open_poses, require_skeleton
from posedata.splits import Part, evenly, part_rows, split_poses
from posedata.store import PoseStore
from posedata.terminal import print_line
from posedata.views import Rig, get_rig, sample_cameras
from posedata.views.augment import random_views
from posedata.views.batch import TRUE
from posedata.views.noise import DetectorNoise
from posedata.views.recorded import RecordedViews, moments
from posedata.views.rigs import CHEST, STEEP
from poseenc.canonical import POSE, Body, read_keypoints
from poseenc.hits import TestSet
from poseenc.seen import Normalised, beside, see, see_by_stations
from posetrain.task import Elsewhere
from torch import Tensor

from vvipe.recipe import AugmentConfig, DataConfig

Share = Callable[[Tensor], Tensor]
TRAIN = get_rig("h36m")
"""The four cameras that record training: Human3.6M's, at chest height in the corners of a room."""

CANDIDATES = 3
"""Test frames looked at for every one wanted: about a third of them are near duplicates."""


@dataclass(frozen=True)
class Batch:
    """Poses (B, 17, 3) as the model embeds them, and V views of each: (B, V, ...)."""

    pose: Float[Tensor, "B J 3"]
    views: Normalised


class Data:
    """Poses of people to measure on, and how cameras see them.

    Args:
        config: the recipe's data section.
        store: poses in the world.
        rows: whose; of recorded views, all that show the same moments.
        body: the universal skeleton.
        device: where they are brought.
    """

    def __init__(
        self,
        config: DataConfig,
        store: PoseStore,
        rows: np.ndarray,
        body: Body,
        device: torch.device | str = "cpu",
    ) -> None:
        self.config, self.store, self.device = config, store, torch.device(device)
        self.body = body
        self.noise = DetectorNoise() if config.keypoints == "detector" else None
        self.moments: dict[int, np.ndarray] = {}
        self.test_rows = self._usable(rows)

    @property
    def fingerprint(self) -> str:
        """Of the poses, and of what places cameras; the same on every machine.

        Keypoints exact and with noise have the same: stage 1, which sees none, serves both.
        """
        return _hash(self.store.fingerprint, self.config.seed, self.test_rows.tolist())

    @cached_property
    def test(self) -> TestSet:
        """Held-out poses and how every camera of both rigs sees them: drawn on the CPU, kept on `device`."""
        config = self.config
        rows = evenly(self.test_rows, CANDIDATES * config.test_poses)
        kept = distinct(self.body.pose(torch.from_numpy(self.store.joints(rows))), config.distinct).numpy()
        rows = rows[evenly(kept, config.test_poses)]
        joints = torch.from_numpy(self.store.joints(rows))
        return TestSet(
            joints,
            self.body.pose(joints),
            self._views(joints, rows, seed=2),
            self._by_rigs(joints, [CHEST, STEEP], seed=3),
        ).to(self.device)

    def _usable(self, rows: np.ndarray) -> np.ndarray:
        """One row a pose; of recorded views the first camera's of each moment that all cameras saw."""
        if self.config.views == "virtual":
            return rows
        table, _ = moments(self.store, rows)
        seen = self._as_recorded(table).valid.all(1).numpy()
        whole = np.isfinite(self.store.joints(table[:, 0])).all((-1, -2))
        table = table[seen & whole]
        if not len(table):
            raise ValueError(
                f"{self.store.path}: at no moment are hips and shoulders seen by every camera; set"
                " data.detector to other keypoints, or data.views=virtual"
            )
        self.moments |= {int(row[0]): row for row in table}
        return table[:, 0]

    def _views(self, joints: Tensor, rows: np.ndarray, seed: int) -> Normalised:
        """(N, cameras, ...) as the data set's own cameras saw the poses, or those of `TRAIN`."""
        if self.config.views == "virtual":
            return self._by_rigs(joints, [TRAIN], seed)
        return self._as_recorded(np.stack([self.moments[row] for row in rows.tolist()]))

    def _as_recorded(self, table: np.ndarray) -> Normalised:
        """Keypoints of a table of rows, (moments, cameras)."""
        name = self.config.detector if self.config.keypoints == "detector" else TRUE
        views = RecordedViews(self.store, POSE, table.reshape(-1), detectors=[name], say=lambda text: None)
        points = read_keypoints(views.keypoints[name], POSE).unflatten(0, table.shape)
        return Normalised.of(points)

    def _by_rigs(self, joints: Tensor, which: list[Rig], seed: int) -> Normalised:
        """(N, cameras, ...) of fixed cameras; the same for the same recipe."""
        generator = torch.Generator().manual_seed(1000 * self.config.seed + seed)
        return see_by_stations(joints, which, generator, self.noise)


class TrainingData(Data):
    """And training poses with their views.

    Args:
        say: told which poses are left out.
    """

    def __init__(
        self,
        config: DataConfig,
        store: PoseStore,
        device: torch.device | str = "cpu",
        say: Callable[[str], None] = print_line,
    ) -> None:
        self.parts = split_poses(config, store, say=say)
        nobody = Body(torch.zeros(len(POSE)))  # until the training poses are known
        super().__init__(config, store, part_rows(self.parts, "test"), nobody, device)
        self.train_rows = evenly(self._usable(part_rows(self.parts, "train")), config.train_poses)
        joints = torch.from_numpy(store.joints(self.train_rows))
        self.body = Body.mean_of(joints)
        self.views = self._views(joints, self.train_rows, seed=1).to(self.device)
        self.joints = joints.to(self.device)
        self._poses: dict[bool, Tensor] = {}
        self._on: dict[Part, TrainingData] = {"test": self}

    def __len__(self) -> int:
        return len(self.joints)

    @property
    def fingerprint(self) -> str:
        rows = self.train_rows.tolist(), self.test_rows.tolist()
        return _hash(self.store.fingerprint, self.config.seed, *rows)

    def on(self, part: Part) -> TrainingData:
        """The same training data with another part of the split to measure on, made once.

        Raises:
            ValueError: the split has no such part.
        """
        if part not in self._on:
            other = copy.copy(self)
            other.test_rows = self._usable(part_rows(self.parts, part))
            other.__dict__.pop("test", None)
            self._on[part] = other
        return self._on[part]

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

        A view is a recorded one, or with probability `augment.share` one by a camera drawn afresh.
        """
        device = generator.device
        rows = torch.randint(len(self), (count,), generator=generator, device=device)
        cameras = torch.rand(count, self.views.keypoints.shape[1], generator=generator, device=device)
        station = cameras.argsort(1)[:, torch.arange(views, device=device) % cameras.shape[1]]
        seen = self.views[rows[:, None], station]
        joints = self.joints[rows]
        if augment.share > 0:
            fresh = Normalised.join((self._fresh(joints, augment, generator) for _ in range(views)), beside)
            new = torch.rand(count, views, generator=generator, device=device) < augment.share
            seen = Normalised(
                torch.where(new[..., None, None], fresh.keypoints, seen.keypoints),
                torch.where(new[..., None], fresh.confidence, seen.confidence),
            )
        kept = share(torch.arange(count, device=device))
        return Batch(self.poses(align)[rows[kept]], seen[kept])

    def _fresh(self, joints: Tensor, augment: AugmentConfig, generator: torch.Generator) -> Normalised:
        if augment.cameras == "near":
            points = random_views(
                self.body.own(joints),
                generator,
                elevation=_radians(augment.elevation),
                roll=_radians(augment.roll),
                depth=augment.depth,
            )
            sure = torch.ones_like(points[..., :1])
            return Normalised.of(read_keypoints(torch.cat([points, sure], dim=-1), POSE))
        rig = Rig(
            elevation=_radians(augment.elevation),
            roll=_radians(augment.roll),
            distance=augment.distance,
            focal=augment.focal,
            target_jitter=0.2,
        )
        return see(joints, sample_cameras(joints, rig, generator), generator, self.noise, augment.noise)


def open_data(
    config: DataConfig, device: torch.device | str = "cpu", say: Callable[[str], None] = print_line
) -> TrainingData:
    """The data that a recipe names, made or found in its cache.

    Raises:
        ValueError, FileNotFoundError: they cannot be had; the message says what to set.
    """
    return TrainingData(config, open_poses(config, POSE.name, say), device, say)


def open_test(
    config: DataConfig,
    place: Elsewhere,
    part: str,
    body: Body,
    device: torch.device | str = "cpu",
    say: Callable[[str], None] = print_line,
) -> Data:
    """Poses of any labelled store to measure a run on, as its cameras saw them or by virtual ones.

    Args:
        config: the run's.
        body: the universal skeleton that the run was taught.

    Raises:
        ValueError, FileNotFoundError: there is no such store or part, or nobody whole in it.
    """
    store = PoseStore.open(place.store)
    require_skeleton(store, POSE.name)
    check_poses(store, place.store, True, say)
    rows = place.rows(store, part)
    if "valid" in store:
        rows = rows[store.column("valid")[rows].all(axis=1)]
    named = "cameras" in store.meta and "camera" in store
    seen = replace(
        config,
        views=place.views or ("recorded" if named else "virtual"),
        keypoints="detector" if place.keypoints else "exact",
        detector=place.keypoints or config.detector,
    )
    return Data(seen, store, rows, body, device)


def _hash(*parts: object) -> str:
    return hashlib.sha256(repr(list(parts)).encode()).hexdigest()[:16]


def _radians(span: tuple[float, float]) -> tuple[float, float]:
    return math.radians(span[0]), math.radians(span[1])
