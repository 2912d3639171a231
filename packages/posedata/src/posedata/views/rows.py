"""Some rows of a store, as views: those that were recorded whole, or those that were made for it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from posedata.skeleton import Skeleton
from posedata.store import PoseStore
from posedata.terminal import print_line
from posedata.views.batch import DETECTED, Views
from posedata.views.noise import DetectorNoise
from posedata.views.recorded import RecordedViews


@dataclass(frozen=True)
class StoreRows:
    """Some rows of a store.

    Attributes:
        recorded: their cameras and pictures are the data set's own, not made for it.
    """

    store: PoseStore
    rows: np.ndarray
    recorded: bool = False

    def __len__(self) -> int:
        return len(self.rows)

    def __contains__(self, column: str) -> bool:
        return column in self.store

    def column(self, name: str) -> np.ndarray:
        """A column's values in these rows."""
        return self.store.column(name)[self.rows]

    def names(self, column: str) -> list[str]:
        """What these rows hold in a column of names (`action`); empty where the store does not say."""
        known = self.store.names(column) if column in self.store else []
        return [known[i] for i in self.column(column)] if known else []

    @property
    def fingerprint(self) -> str:
        """Of the store, and of which rows where they are not all."""
        if len(self.rows) == len(self.store):
            return self.store.fingerprint
        content = self.store.fingerprint.encode() + self.rows.astype("<i8").tobytes()
        return hashlib.sha256(content).hexdigest()

    def views(
        self, skeleton: Skeleton, detector: str = "", device: torch.device | str = "cpu"
    ) -> RecordedViews:
        """The rows as views, approximate joints included, with a detector's keypoints where it is named."""
        return RecordedViews(
            self.store,
            skeleton,
            self.rows,
            detectors=[detector] if detector else [],
            lossy=True,
            device=device,
            say=lambda text: None,
        )


def recorded_rows(
    store: PoseStore,
    rows: np.ndarray,
    skeleton: Skeleton,
    detector: str = "",
    say: Callable[[str], None] = print_line,
) -> StoreRows:
    """Those of the rows that were recorded whole: with a camera, a picture (of a store that has any), every
    joint, and a person in the detector's keypoints. How many are left out is said.

    Raises:
        ValueError: none is, or the store has no such keypoints.
    """
    kept = rows
    for name in ("camera", "image"):
        if name in store:
            kept = kept[store.column(name)[kept] >= 0]
    if not len(kept) or "camera" not in store:
        raise ValueError(
            f"{store.path}: no row has a recorded camera (and picture); prepare the data with cameras and"
            " --size, or set data.views=virtual"
        )
    detectors = [detector] if detector else []
    whole = RecordedViews(store, skeleton, kept, detectors=detectors, lossy=True, say=say).whole()
    kept = kept[whole.numpy()]
    if not len(kept):
        raise ValueError(f"{store.path}: no recorded view has a whole pose and keypoints; check the store")
    if lost := len(rows) - len(kept):
        say(f"{store.path}: {lost} of {len(rows)} views lack a camera, picture, joint or keypoints; left out")
    return StoreRows(store, kept, recorded=True)


def by_detector(views: Views, recorded: str, noise: DetectorNoise, seed: int) -> tuple[Views, str]:
    """Views with a detector's keypoints, and by which name they have them.

    Args:
        recorded: of keypoints that the views have; where it is empty, the noise model stands for a detector.
        seed: of the noise, which is the same on every device.
    """
    if recorded:
        return views, recorded
    noisy = views.to("cpu").detected(noise, torch.Generator().manual_seed(seed))
    return noisy.to(views.box.device), DETECTED
