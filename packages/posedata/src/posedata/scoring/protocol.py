"""What a protocol is: which rows of a store it takes, how it scores, which published numbers stand beside.

`posedata.scoring.protocols` has those of the papers by name; another one is another instance.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import permutations
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from posedata.geometry.align import root_relative
from posedata.geometry.canonical import in_torsos, to_body_frame
from posedata.scoring._metric_checks import check_finite
from posedata.scoring.metrics import nearest
from posedata.scoring.published import published_values
from posedata.scoring.similar import distinct, within
from posedata.skeleton import Skeleton
from posedata.store.pose_store import PoseStore

Scores = dict[str, Any]
Metric = Callable[[Tensor, Tensor, Tensor], Tensor]
"""Predicted and true (N, J, 3) metres, valid (N, J); one value per pose."""


@dataclass(frozen=True)
class Selection:
    """Rows of a store by name: every condition that is given must hold.

    Attributes:
        subjects: names of subjects.
        sequence_starts: beginnings of names of sequences.
        part: a part of the split that the reader left in the store's meta (`split`, names of subjects).
    """

    subjects: tuple[str, ...] = ()
    sequence_starts: tuple[str, ...] = ()
    part: str | None = None

    def rows(self, store: PoseStore) -> Int[np.ndarray, " n"]:
        """Ascending row numbers; names that the store lacks select nothing."""
        keep = np.ones(len(store), dtype=bool)
        if self.subjects:
            keep &= self._named(store, "subject", lambda name: name in self.subjects)
        if self.sequence_starts:
            keep &= self._named(store, "sequence", lambda name: name.startswith(self.sequence_starts))
        if self.part is not None:
            listed = set(store.meta.get("split", {}).get(self.part, []))
            keep &= self._named(store, "subject", listed.__contains__)
        return np.flatnonzero(keep)

    @staticmethod
    def _named(store: PoseStore, column: str, match: Callable[[str], bool]) -> Bool[np.ndarray, " N"]:
        if column not in store:
            return np.zeros(len(store), dtype=bool)
        known = [i for i, name in enumerate(store.names(column)) if match(name)]
        return np.isin(store.column(column), known)


@dataclass(frozen=True)
class Protocol:
    """What every protocol has.

    Attributes:
        name: as the command line takes it.
        title: one line.
        formats: the readers whose stores it is meant for.
        train, test: its parts; None where a protocol has no training part of its own.
        columns: published column of each score (`posedata.scoring.published`).
        source: where it is defined.
    """

    name: str
    title: str
    formats: tuple[str, ...]
    test: Selection
    columns: Mapping[str, str]
    source: str
    train: Selection | None = None

    def applies_to(self, store: PoseStore) -> bool:
        """Whether the store is of the protocol's data set and has rows of its test part."""
        return store.meta.get("format") in self.formats and len(self.test.rows(store)) > 0

    def split(self, store: PoseStore) -> dict[str, np.ndarray]:
        """Rows of "train" (if the protocol has it) and "test". Raises ValueError where one is empty."""
        parts = {"train": self.train, "test": self.test}
        rows = {name: part.rows(store) for name, part in parts.items() if part is not None}
        for name, found in rows.items():
            if not len(found):
                known = ", ".join(self.formats)
                raise ValueError(f"{store.path}: has no row of {self.name}'s {name} part; prepare {known}")
        return rows

    def published(self) -> list[Scores]:
        """Rows of the papers' tables with this protocol's numbers, under the names of its scores."""
        known: dict[tuple[Any, ...], Scores] = {}
        for row in published_values(self.columns.values()):
            named = {score: row.pop(column) for score, column in self.columns.items()}
            key = (row["method"], row.get("input"), *named.values())
            known.setdefault(key, {**row, **named})
        return list(known.values())

    def beside(self, ours: Mapping[str, Mapping[str, Any]]) -> list[Scores]:
        """Our scores by branch, then the published ones: `method`, `input`, `source`, and each score."""
        rows = [
            {
                "method": name,
                "input": "",
                "source": "this run",
                **{key: scores.get(key) for key in self.columns},
            }
            for name, scores in ours.items()
        ]
        return rows + [{"input": "", **row} for row in self.published()]


@dataclass(frozen=True)
class PoseProtocol(Protocol):
    """Scores of predicted poses.

    Attributes:
        metrics: by name of the score.
        joints: names of those that count; all of the skeleton, if empty.
        root: poses are made relative to it first; None for poses in the camera's or the world's frame.
        by: columns of names to split the scores by, e.g. "action".
    """

    metrics: Mapping[str, Metric] = field(default_factory=dict)
    joints: tuple[str, ...] = ()
    root: str | None = "pelvis"
    by: tuple[str, ...] = ()
    by_joint: bool = False

    def score(
        self,
        predicted: Float[Tensor, "N J 3"],
        true: Float[Tensor, "N K 3"],
        skeleton: Skeleton,
        *,
        true_skeleton: Skeleton | None = None,
        valid: Bool[Tensor, "N K"] | None = None,
        groups: Mapping[str, Sequence[str]] | None = None,
    ) -> Scores:
        """Each score as the mean over frames; with `groups`, also by name and as the mean over names.

        `frames` says how many count and `left_out`, where there are any, how many do not, for want of a valid
        joint or of a valid root, which all others are measured from.

        Args:
            predicted, true: metres.
            skeleton: of the predicted poses, and of the true ones unless `true_skeleton` is given; joints are
                matched by name.
            valid: joints of the true poses that count.
            groups: for each column in `by`, the name of every frame's (e.g. its action). Gives
                `SCORE_by_COLUMN` and, as papers average over actions, `SCORE_mean_of_COLUMNs`.

        Raises:
            ValueError: no frame counts, numbers of poses, joints or names differ, or a joint that counts is
                not finite; it names frame and joint.
        """
        valid = torch.ones(true.shape[:-1], dtype=torch.bool, device=true.device) if valid is None else valid
        other = true_skeleton or skeleton
        by = [column for column in self.by if column in (groups or {})]
        _check_poses(predicted, true, valid, skeleton, other, {c: (groups or {})[c] for c in by})
        if self.root is not None:
            valid = valid & valid[:, [other.index(self.root)]]
        names = self.joints or other.joints
        known = true.masked_fill(~valid[..., None], 0)
        check_finite("true", known, valid, other.joints, "mark them in `valid`")
        if self.root is not None:
            predicted = root_relative(predicted, skeleton.index(self.root))
            true = root_relative(true, other.index(self.root))
        predicted = predicted[:, [skeleton.index(name) for name in names]]
        true, valid = (values[:, [other.index(name) for name in names]] for values in (true, valid))
        check_finite(
            "predicted", predicted, valid, names, "the model has diverged, or leave those frames out"
        )
        frames = valid.any(-1)
        out: Scores = {"frames": int(frames.sum())}
        if not out["frames"]:
            root = "" if self.root is None else f" and a valid {self.root}"
            raise ValueError(
                f"{self.name}: none of {len(frames)} frames has a valid joint{root}; check `valid`"
            )
        if out["frames"] < len(frames):
            out["left_out"] = len(frames) - out["frames"]
        for name, metric in self.metrics.items():
            values = metric(predicted[frames], true[frames], valid[frames]).double().cpu()
            out[name] = float(values.mean())
            for column in by:
                each = np.asarray((groups or {})[column])[frames.cpu().numpy()]
                means = {
                    key: float(values[torch.from_numpy(each == key)].mean())
                    for key in np.unique(each).tolist()
                }
                out[f"{name}_by_{column}"] = means
                out[f"{name}_mean_of_{column}s"] = sum(means.values()) / len(means)
            if self.by_joint:
                out[f"{name}_by_joint"] = _by_joint(metric, predicted, true, valid, names)
        return out

    def score_rows(
        self,
        predicted: Float[Tensor, "N J 3"],
        skeleton: Skeleton,
        store: PoseStore,
        rows: Int[np.ndarray, " N"],
    ) -> Scores:
        """Poses in the camera's frame against a store's rows, whose names they are split by (`score`)."""
        groups = {
            column: [store.names(column)[i] for i in store.column(column)[rows]]
            for column in self.by
            if column in store
        }
        columns = store.tensors(["joints", *(["valid"] if "valid" in store else [])], rows=rows)
        true = store.camera(rows).world_to_camera(columns["joints"])
        valid = columns.get("valid")
        return self.score(predicted, true, skeleton, true_skeleton=store.skeleton, valid=valid, groups=groups)


@dataclass(frozen=True)
class HitProtocol(Protocol):
    """Hit@k: does one of the k nearest across two cameras hold the query's pose? (PR-VIPE, 4.1; V-VIPE, 4.2)

    Attributes:
        ks: how many neighbours are looked at.
        threshold: greatest distance of a hit after Procrustes, in torsos of the query (`in_torsos`).
        apart: the test poses are thinned until no two are nearer than this, as PR-VIPE does (0.02).
        cameras: which of the data set's cameras are paired, by name; all, if empty.
        chest: those at the height of a chest, as all of training's; "unseen" pairs one with one that is not.
    """

    ks: tuple[int, ...] = (1, 10, 20)
    threshold: float = 0.1
    apart: float = 0.02
    cameras: tuple[str, ...] = ()
    chest: tuple[str, ...] = ()

    def subset(self, joints: Float[Tensor, "N J 3"], skeleton: Skeleton) -> Int[Tensor, " K"]:
        """Of poses (one per frame, any frame and unit), those to test on: no two nearly alike."""
        return distinct(in_torsos(to_body_frame(joints, skeleton), skeleton), self.apart)

    def hits(self, joints: Float[Tensor, "N J 3"], skeleton: Skeleton) -> Bool[Tensor, "N N"]:
        """Which pose (column) counts as a hit for which query (row)."""
        poses = in_torsos(to_body_frame(joints, skeleton), skeleton)
        return within(poses, poses, self.threshold)

    def pairs(self, names: Sequence[str], *, unseen: bool = False) -> list[tuple[int, int]]:
        """Ordered pairs of the cameras, as indices into `names`; with `unseen` only chest with not chest."""
        known = [i for i, name in enumerate(names) if not self.cameras or name in self.cameras]
        every = list(permutations(known, 2))
        return [
            (a, b) for a, b in every if not unseen or (names[a] in self.chest) != (names[b] in self.chest)
        ]

    def score(
        self,
        embeddings: Float[Tensor, "N C dim"],
        hits: Bool[Tensor, "N N"],
        pairs: Iterable[tuple[int, int]] | None = None,
    ) -> Scores:
        """`hit1`, `hit10`, ... in percent: means over queries, then over ordered pairs of cameras.

        A k larger than the gallery, which everything would hit, has no score; `left_out` names those.

        Args:
            embeddings: of each pose as each camera sees it; a neighbour is near in the Euclidean sense.
            hits: as from `hits`.
            pairs: as from `pairs`; every ordered pair by default.
        """
        pairs = list(permutations(range(embeddings.shape[1]), 2)) if pairs is None else list(pairs)
        if not pairs:
            raise ValueError(f"{self.name}: there is no pair of cameras to search across; give two or more")
        if embeddings.shape[0] != len(hits):
            raise ValueError(
                f"{self.name}: {embeddings.shape[0]} poses are embedded, hits are of {len(hits)}"
            )
        ks = [k for k in self.ks if k <= len(hits)]
        if not ks:
            raise ValueError(f"{self.name}: {len(hits)} poses are fewer than k={min(self.ks)}; give more")
        total = torch.zeros(len(ks), dtype=torch.float64)
        for query, gallery in pairs:
            found = nearest(embeddings[:, query], embeddings[:, gallery], max(ks), distance="euclidean")
            first = hits.gather(1, found)
            total += torch.stack([first[:, :k].any(1).double().mean() for k in ks]).cpu()
        out: Scores = {f"hit{k}": float(100 * v / len(pairs)) for k, v in zip(ks, total, strict=True)}
        if bare := [f"hit{k}" for k in self.ks if k not in ks]:
            out["left_out"] = {name: f"the gallery has {len(hits)} poses" for name in bare}
        return out


def _check_poses(
    predicted: Tensor,
    true: Tensor,
    valid: Tensor,
    skeleton: Skeleton,
    other: Skeleton,
    groups: Mapping[str, Sequence[str]],
) -> None:
    """One of everything for each frame, and the joints of the skeletons."""
    wanted = {
        "predicted": (predicted, skeleton, (3,)),
        "true": (true, other, (3,)),
        "valid": (valid, other, ()),
    }
    for name, (values, joints, last) in wanted.items():
        if values.shape != (len(true), len(joints), *last):
            shape = (len(true), len(joints), *last)
            raise ValueError(
                f"{name} has shape {tuple(values.shape)}, {shape} are due: {len(true)} true poses of"
                f" {joints.name}"
            )
    for column, given in groups.items():
        if len(given) != len(true):
            raise ValueError(f"groups: {column} names {len(given)} frames of {len(true)}; name each")


def _by_joint(
    metric: Metric, predicted: Tensor, true: Tensor, valid: Tensor, names: Sequence[str]
) -> dict[str, float]:
    found = {}
    for i, name in enumerate(names):
        here, one = valid[:, i], slice(i, i + 1)
        found[name] = float(metric(predicted[here, one], true[here, one], valid[here, one]).double().mean())
    return found
