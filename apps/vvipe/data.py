"""From a recipe's data section to tensors on the training device: poses, and views of them."""

from __future__ import annotations

import copy
import hashlib
from dataclasses import replace
from functools import cached_property

import numpy as np
import torch
from posedata.source import open_poses
from posedata.splits import Elsewhere, Part, evenly, part_rows, split_poses, whole_rows
from posedata.store import PoseStore
from posedata.terminal import print_line
from posedata.views.batch import TRUE
from posedata.views.noise import DetectorNoise
from poseenc.canonical import POSE, Body
from poseenc.hits import TestSet
from poseenc.pose_views import PoseViews, TaughtPoses
from posetrain.task import Say

from vvipe.recipe import DataConfig


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
        self.seen, self.body = _seen(config, store), body
        self.test_rows = self.seen.usable(rows)

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
        test = self.seen.test_set(self.body, self.test_rows, config.test_poses, config.distinct)
        return test.to(self.device)


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
        say: Say = print_line,
    ) -> None:
        self.parts = split_poses(config, store, say=say)
        seen = _seen(config, store)
        self.train_rows = evenly(seen.usable(part_rows(self.parts, "train")), config.train_poses)
        joints = torch.from_numpy(store.joints(self.train_rows))
        body = Body.mean_of(joints)
        super().__init__(config, store, part_rows(self.parts, "test"), body, device)
        views = seen.of(joints, self.train_rows, 1).to(self.device)
        self.taught = TaughtPoses(joints.to(self.device), views, body, seen.noise)
        self._on: dict[Part, TrainingData] = {"test": self}

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
            other.test_rows = self.seen.usable(part_rows(self.parts, part))
            other.__dict__.pop("test", None)
            self._on[part] = other
        return self._on[part]


def open_data(config: DataConfig, device: torch.device | str = "cpu", say: Say = print_line) -> TrainingData:
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
    say: Say = print_line,
) -> Data:
    """Poses of any labelled store to measure a run on, as its cameras saw them or by virtual ones.

    Args:
        config: the run's.
        body: the universal skeleton that the run was taught.

    Raises:
        ValueError, FileNotFoundError: there is no such store or part, or nobody whole in it.
    """
    store, rows = place.open(part, POSE.name, say)
    named = "cameras" in store.meta and "camera" in store
    seen = replace(
        config,
        views=place.views or ("recorded" if named else "virtual"),
        keypoints="detector" if place.keypoints else "exact",
        detector=place.keypoints or config.detector,
    )
    return Data(seen, store, whole_rows(store, rows), body, device)


def _hash(*parts: object) -> str:
    return hashlib.sha256(repr(list(parts)).encode()).hexdigest()[:16]


def _seen(config: DataConfig, store: PoseStore) -> PoseViews:
    noisy = config.keypoints == "detector"
    noise, name = (DetectorNoise(), config.detector) if noisy else (None, TRUE)
    return PoseViews(store, config.views == "recorded", name, noise, config.seed)
