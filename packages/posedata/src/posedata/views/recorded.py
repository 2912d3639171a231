"""Views as they were recorded: a store's cameras, keypoints and pictures, as prepared."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from posedata.geometry.boxes import bounding_box
from posedata.geometry.camera import Camera
from posedata.keypoints import checked_keypoints, convert_keypoints, holds_person
from posedata.skeleton import Skeleton
from posedata.store import PoseStore
from posedata.store.schema import CAMERA_COLUMNS
from posedata.terminal import print_line
from posedata.views.batch import BOX_ASPECT, BOX_MARGIN, TRUE, Track, Views

KEYPOINTS = "keypoints_"


class RecordedViews:
    """Rows of a store as views; columns lie on the training device, pictures are read when asked for.

    Exact keypoints ("true") are the store's, or else the joints projected by its cameras. Joints are those of
    `skeleton`, NaN where they are not valid; boxes the store's, or else around the keypoints.

    Args:
        store: with cameras.
        skeleton: what joints and keypoints are converted to.
        rows: which rows; all by default.
        detectors: names of the keypoints wanted, `keypoints_NAME` of the store, besides "true".
        lossy: take approximate joints too, where the store lacks some of `skeleton`.
        device: where views are made.
        say: told what looks odd in the keypoints.

    Raises:
        ValueError: the store has no such keypoints or a row no camera, or its joints cannot be converted.
    """

    def __init__(
        self,
        store: PoseStore,
        skeleton: Skeleton,
        rows: Int[np.ndarray, " N"] | None = None,
        *,
        detectors: Sequence[str] = (),
        lossy: bool = False,
        device: torch.device | str = "cpu",
        say: Callable[[str], None] = print_line,
    ) -> None:
        self.store, self.skeleton, self.device = store, skeleton, torch.device(device)
        self.rows = np.arange(len(store)) if rows is None else store.checked(rows)
        self._camera, self._index = _cameras(store, self.rows, self.device)
        self.joints = _joints(store, self.rows, skeleton, lossy).to(self.device)
        self.keypoints: dict[str, Tensor] = {}
        names = [name for name in detectors if name != TRUE]
        if KEYPOINTS + TRUE in store:
            names.append(TRUE)
        for name in names:
            points = store_keypoints(store, name, self.rows, say)
            self.keypoints[name] = convert_keypoints(points, store.skeleton, skeleton).to(self.device)
        if TRUE not in self.keypoints:
            self.keypoints[TRUE] = self._projected()
        self.box = self._boxes().to(self.device)
        self.track = _track(store, self.rows, self.device)

    def __len__(self) -> int:
        return len(self.rows)

    def views(self, index: Int[Tensor, " n"] | None = None, images: Sequence[str] = ()) -> Views:
        """Some of the rows, by their place in `rows` (all by default).

        Args:
            images: kinds to read too: "rgb", "depth", "mask", "points".

        Raises:
            ValueError: the store has none of that kind, or a row has none.
        """
        if index is None:
            index = torch.arange(len(self), device=self.device)
        index = index.to(self.device)
        return Views(
            camera=self._camera[self._index[index]],
            box=self.box[index],
            keypoints={name: points[index] for name, points in self.keypoints.items()},
            joints=self.joints[index],
            track=self.track.map(lambda column: column[index]),
            skeleton=self.skeleton,
            **self._pictures(self.rows[index.cpu().numpy()], images),
        )

    def whole(self) -> Bool[Tensor, " N"]:
        """Which rows have every joint, and keypoints of a person by every detector."""
        known = self.joints.isfinite().all(-1).all(-1)
        for points in self.keypoints.values():
            known &= holds_person(points, self.skeleton)
        return known

    def _projected(self) -> Tensor:
        seen = self._camera[self._index].project(self.joints.nan_to_num())
        sure = self.joints.isfinite().all(-1, keepdim=True)
        return torch.cat([torch.where(sure, seen, 0), sure.to(seen)], dim=-1)

    def _boxes(self) -> Float[Tensor, "N 4"]:
        if "boxes" in self.store:
            return torch.from_numpy(np.array(self.store.column("boxes")[self.rows]))
        points = self.keypoints[TRUE]
        return bounding_box(points[..., :2], points[..., 2] > 0, margin=BOX_MARGIN, aspect=BOX_ASPECT)

    def _pictures(self, rows: np.ndarray, kinds: Sequence[str]) -> dict[str, Tensor]:
        made: dict[str, Tensor] = {}
        for kind in kinds:
            if kind == "points":
                made["points"] = torch.from_numpy(np.array(self.store.column("points")[rows])).to(self.device)
                continue
            values = torch.from_numpy(self.store.images(rows, kind)).to(self.device)
            if kind == "rgb":
                made["image"] = values.permute(0, 3, 1, 2)
            elif kind == "depth":
                made["depth"] = values.float() * 1e-3
            else:
                made["mask"] = values > 0
        return made


def store_keypoints(
    store: PoseStore,
    name: str,
    rows: Int[np.ndarray, " n"] | None = None,
    say: Callable[[str], None] = print_line,
) -> Float[Tensor, "N J 3"]:
    """The column `keypoints_NAME` of a store, checked as a user's own keypoints are.

    Raises:
        ValueError: there is no such column, or these are no keypoints of the store's skeleton in pixels.
    """
    column = KEYPOINTS + name
    if column not in store:
        known = ", ".join(c.removeprefix(KEYPOINTS) for c in store.columns if c.startswith(KEYPOINTS))
        there = f"name one of: {known}" if known else "make views with 'posedata views'"
        raise ValueError(f"{store.path}: has no column {column}; {there}")
    values = np.array(store.column(column) if rows is None else store.column(column)[rows])
    return checked_keypoints(values, store.skeleton, f"{store.path}, {column}", say=say)


def moments(
    store: PoseStore, rows: Int[np.ndarray, " n"], cameras: tuple[str, ...] = ()
) -> tuple[Int[np.ndarray, "N C"], list[str]]:
    """The rows of each moment as every camera saw it, and the cameras' names; moments that one missed go.

    Args:
        rows: those to look at; a moment is a frame of a sequence of a subject.
        cameras: by name; all that saw any of the rows, if empty.

    Raises:
        ValueError: the store does not name its cameras, or no moment was seen by all of them.
    """
    names = store.meta.get("cameras")
    if names is None or "camera" not in store:
        raise ValueError(f"{store.path}: has no named cameras; prepare the data set with its cameras")
    named = np.array([*names, ""])[store.column("camera")[rows]]
    chosen = [name for name in dict.fromkeys(named.tolist()) if name and (not cameras or name in cameras)]
    moment = np.stack([store.column(c)[rows] for c in ("subject", "sequence", "frame") if c in store], axis=1)
    _, which = np.unique(moment, axis=0, return_inverse=True)
    table = np.full((int(which.max(initial=-1)) + 1, len(chosen)), -1)
    for i, name in enumerate(chosen):
        seen = named == name
        table[which[seen], i] = rows[seen]
    table = table[(table >= 0).all(axis=1)]
    if not len(table) or len(chosen) < 2:
        raise ValueError(f"{store.path}: no frame was seen by all of {len(chosen)} cameras; give two or more")
    return table, chosen


def _cameras(store: PoseStore, rows: np.ndarray, device: torch.device) -> tuple[Camera, Tensor]:
    """The cameras of the rows once each, and which is whose."""
    index = store.column("camera")[rows] if "camera" in store else np.full(len(rows), -1)
    if (index < 0).any():
        row = int(rows[np.flatnonzero(index < 0)[0]])
        raise ValueError(
            f"{store.path}: row {row} has no camera; prepare the data with its cameras, or make views with"
            " 'posedata views'"
        )
    used, which = np.unique(index, return_inverse=True)
    table = {name: torch.from_numpy(np.array(store.column(name)[used])) for name in CAMERA_COLUMNS}
    camera = Camera(**{name.removeprefix("camera_"): value for name, value in table.items()})
    return camera.to(device), torch.from_numpy(which.astype(np.int64)).to(device)


def _joints(store: PoseStore, rows: np.ndarray, skeleton: Skeleton, lossy: bool) -> Float[Tensor, "N J 3"]:
    joints = torch.from_numpy(store.joints(rows))
    if store.skeleton.name == skeleton.name:
        return joints
    nothing = not bool(joints.isfinite().any())  # a store of keypoints alone
    return store.skeleton.convert(joints, skeleton, lossy=lossy or nothing)


def _track(store: PoseStore, rows: np.ndarray, device: torch.device) -> Track:
    """Rows without a sequence are recordings of their own."""

    def column(name: str, otherwise: np.ndarray) -> Tensor:
        values = store.column(name)[rows] if name in store else otherwise
        return torch.from_numpy(np.asarray(values).astype(np.int64)).to(device)

    return Track(column("sequence", rows), column("camera", rows), column("frame", np.zeros(len(rows))))
