"""Poses that V-VIPE and PR-VIPE learn and are tested on, and views of them: recorded, or by fixed cameras."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Float, Int
from posedata.scoring.similar import distinct
from posedata.splits import evenly
from posedata.store import PoseStore
from posedata.views import Rig, get_rig, sample_cameras
from posedata.views.augment import random_views
from posedata.views.batch import TRUE
from posedata.views.noise import DetectorNoise
from posedata.views.recorded import RecordedViews, moments
from posedata.views.rigs import CHEST, STEEP
from torch import Tensor

from .camera_ranges import CameraAugmentation, Span
from .canonical import POSE, Body, read_keypoints
from .hits import TestSet
from .seen import Normalised, beside, see, see_by_stations

Share = Callable[[Tensor], Tensor]
TRAIN = get_rig("h36m")
"""The four cameras that record training: Human3.6M's, at chest height in the corners of a room."""

CANDIDATES = 3
"""Test frames looked at for every one wanted: about a third of them are near duplicates."""


@dataclass(eq=False)
class PoseViews:
    """How cameras see the poses of a store.

    Attributes:
        store: poses in the world.
        recorded: whether the data set's own cameras are taken, or virtual ones of `TRAIN`.
        detector: of recorded views, whose keypoints (`keypoints_NAME`).
        noise: what stands for a detector before virtual cameras.
        seed: of virtual cameras and noise.
    """

    store: PoseStore
    recorded: bool = False
    detector: str = TRUE
    noise: DetectorNoise | None = None
    seed: int = 0
    _moments: dict[int, np.ndarray] = field(default_factory=dict)

    def usable(self, rows: Int[np.ndarray, " n"]) -> Int[np.ndarray, " k"]:
        """One row a pose; of recorded views the first camera's of each moment that all cameras saw.

        Raises:
            ValueError: there is no such moment.
        """
        if not self.recorded:
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
        self._moments |= {int(row[0]): row for row in table}
        return table[:, 0]

    def of(self, joints: Tensor, rows: Int[np.ndarray, " N"], draw: int) -> Normalised:
        """(N, cameras, ...) as the data set's own cameras saw usable rows, or `TRAIN`'s see their joints."""
        if self.recorded:
            return self._as_recorded(np.stack([self._moments[row] for row in rows.tolist()]))
        return self.by_rigs(joints, [TRAIN], draw)

    def by_rigs(self, joints: Tensor, rigs: list[Rig], draw: int) -> Normalised:
        """(N, cameras, ...) of fixed cameras; the same for the same seed and number of the draw."""
        generator = torch.Generator().manual_seed(1000 * self.seed + draw)
        return see_by_stations(joints, rigs, generator, self.noise)

    def test_set(self, body: Body, rows: Int[np.ndarray, " n"], count: int, apart: float) -> TestSet:
        """Evenly spaced ones of usable rows and how every camera of both rigs sees them, on the CPU.

        Args:
            count: at most so many.
            apart: no two are nearer than this, in torsos, after Procrustes.
        """
        rows = evenly(rows, CANDIDATES * count)
        kept = distinct(body.pose(torch.from_numpy(self.store.joints(rows))), apart).numpy()
        rows = rows[evenly(kept, count)]
        joints = torch.from_numpy(self.store.joints(rows))
        other = self.by_rigs(joints, [CHEST, STEEP], 3)
        return TestSet(joints, body.pose(joints), self.of(joints, rows, 2), other)

    def _as_recorded(self, table: Int[np.ndarray, "N C"]) -> Normalised:
        views = RecordedViews(
            self.store, POSE, table.reshape(-1), detectors=[self.detector], say=lambda text: None
        )
        points = read_keypoints(views.keypoints[self.detector], POSE).unflatten(0, table.shape)
        return Normalised.of(points)


@dataclass(frozen=True)
class PoseBatch:
    """Poses (B, 17, 3) as the model embeds them, and V views of each: (B, V, ...)."""

    pose: Float[Tensor, "B J 3"]
    views: Normalised


class TaughtPoses:
    """Training poses, each with the views of its cameras.

    Every process draws all of a batch and keeps its share.

    Args:
        joints: in the world, metres.
        views: (N, cameras, ...), on the same device.
        body: whose bones poses are given.
        noise: of views by cameras drawn anew.
    """

    def __init__(
        self, joints: Float[Tensor, "N J 3"], views: Normalised, body: Body, noise: DetectorNoise | None
    ) -> None:
        self.joints, self.views, self.body, self.noise = joints, views, body, noise
        self._poses: dict[bool, Tensor] = {}

    def __len__(self) -> int:
        return len(self.joints)

    def poses(self, align: bool = True) -> Float[Tensor, "N J 3"]:
        """All of them as the model embeds them, made once."""
        if align not in self._poses:
            self._poses[align] = self.body.pose(self.joints, align)
        return self._poses[align]

    def draw_poses(
        self, count: int, generator: torch.Generator, share: Share, align: bool = True
    ) -> Float[Tensor, "B J 3"]:
        """Poses at random, as the model embeds them."""
        rows = torch.randint(len(self), (count,), generator=generator, device=generator.device)
        return self.poses(align)[share(rows)]

    def draw(
        self,
        count: int,
        views: int,
        augment: CameraAugmentation,
        generator: torch.Generator,
        share: Share,
        align: bool = True,
    ) -> PoseBatch:
        """Poses at random, each in several views by different cameras.

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
        return PoseBatch(self.poses(align)[rows[kept]], seen[kept])

    def _fresh(self, joints: Tensor, augment: CameraAugmentation, generator: torch.Generator) -> Normalised:
        elevation, roll = _radians(augment.elevation), _radians(augment.roll)
        if augment.cameras == "near":
            own, depth = self.body.own(joints), augment.depth
            points = random_views(own, generator, elevation=elevation, roll=roll, depth=depth)
            sure = torch.ones_like(points[..., :1])
            return Normalised.of(read_keypoints(torch.cat([points, sure], dim=-1), POSE))
        distance, focal = augment.distance, augment.focal
        rig = Rig(elevation=elevation, roll=roll, distance=distance, focal=focal, target_jitter=0.2)
        return see(joints, sample_cameras(joints, rig, generator), generator, self.noise, augment.noise)


def _radians(span: Span) -> Span:
    return math.radians(span[0]), math.radians(span[1])
