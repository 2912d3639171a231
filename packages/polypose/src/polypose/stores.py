"""A model on the views of pose stores: embedded, retrieved, decoded along an arc."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from posedata.arrays import check_ending, write_embeddings, write_poses
from posedata.figures import gallery as pictures
from posedata.keypoint_files import TORSO, Say, tell_invalid
from posedata.scoring.retrieval import in_words, score_retrieval
from posedata.store import PoseStore
from posedata.terminal import print_line
from posedata.views.batch import TRUE
from posedata.views.recorded import RecordedViews
from posedata.writing import write_png
from poseenc.index import EmbeddingIndex
from poseenc.interpolate import great_arc
from torch import Tensor

from polypose.batches import embed
from polypose.config import Frame
from polypose.model import Model
from polypose.network import MODALITIES, POSE_SKELETON, Modality, modality_of
from polypose.samples import CAMERA, Sample


class Hits(NamedTuple):
    """What a retrieval found.

    Attributes:
        rows: (query, gallery rows, cosine of the first, its error in mm) of every query that holds a person;
            the error is empty where a true pose is not known.
        records: the same for a results file.
        scores: of all queries (`posedata.scoring.retrieval`).
        gallery: fingerprint of what was searched.
    """

    rows: list[tuple[Any, ...]]
    records: list[dict[str, Any]]
    scores: dict[str, Any]
    gallery: str


def store_sample(
    store: PoseStore, frame: Frame, keypoints: str = TRUE, images: bool = False, say: Say = print_line
) -> Sample:
    """Every view of a store, with its own keypoints (`keypoints_NAME`), as Human3.6M's joints.

    Joints are NaN where they are not valid, and of a store without 3D.

    Raises:
        ValueError: the store has no cameras, no such keypoints, or (where asked) no images.
    """
    views = RecordedViews(store, POSE_SKELETON, detectors=[keypoints], say=say)
    return Sample.of(views.views(images=["rgb"] if images else []), frame, keypoints)


@torch.no_grad()
def embed_views(
    model: Model,
    store: PoseStore,
    modalities: tuple[Modality, ...],
    keypoints: str = TRUE,
    say: Say = print_line,
) -> dict[Modality, Tensor]:
    """(N, D) by modality; NaN where a row holds nobody."""
    sample = store_sample(store, model.settings.frame, keypoints, images="image" in modalities, say=say)
    found: dict[Modality, Tensor] = {}
    for modality in modalities:
        able = sample.holds(modality)
        tell_invalid(able, f"no embedding of {modality}", say, TORSO if modality == "2d" else "")
        found[modality] = torch.full((len(sample), model.network.config.dim), torch.nan)
        if bool(able.any()):
            some = sample if bool(able.all()) else sample[able]
            part = embed(model.network, some.to(model.device), model.settings.batch, (modality,))
            found[modality][able] = part[modality].cpu()
    return found


def embed_store(
    model: Model, store: Path, out: Path, modality: str, keypoints: str = TRUE, say: Say = print_line
) -> dict[str, tuple[int, ...]]:
    """Embed a store's views and write them to an .npz or .csv; returns the shapes written.

    `valid` tells the rows that have all modalities asked for; one that lacks a modality is NaN there.

    Args:
        modality: one, or "all" that the store has.
    """
    check_ending(out)
    wanted = MODALITIES if modality == "all" else (modality_of(modality),)
    views = PoseStore.open(store)
    if modality == "all" and "image" not in views:
        wanted = tuple(m for m in wanted if m != "image")
    found = embed_views(model, views, wanted, keypoints, say)
    valid = torch.stack([x.isfinite().all(1) for x in found.values()]).all(0)
    return write_embeddings(out, {name: x.numpy() for name, x in found.items()}, valid.numpy())


def retrieve_views(
    model: Model, queries: Path, gallery: Path, source: str, target: str, k: int, say: Say = print_line
) -> Hits:
    """The nearest views of a gallery for every view of another store.

    Raises:
        ValueError, FileNotFoundError: no such modality, no store, or a gallery that has nothing of it.
    """
    from_, to = modality_of(source), modality_of(target)
    asked, kept = PoseStore.open(queries), PoseStore.open(gallery)
    query = embed_views(model, asked, (from_,), say=say)[from_]
    known = embed_views(model, kept, (to,), say=say)[to]
    able, there = (x.isfinite().all(1).nonzero()[:, 0] for x in (query, known))
    if not len(there):
        raise ValueError(f"{gallery}: no view has {to}; give a gallery with some")
    index = EmbeddingIndex(known[there])
    found = index.search(query[able], min(k, len(index)))
    gallery_rows = there[found.row]
    truth, first = (_poses(store, model.settings.frame) for store in (asked, kept))
    scores = score_retrieval(truth[able], first, gallery_rows, POSE_SKELETON, sorted({1, 5, 10, 20, k}))
    say(in_words(scores))
    apart = (truth[able] - first[gallery_rows[:, 0]]).norm(dim=-1).mean(-1) * 1000
    error = [None if np.isnan(mm) else mm for mm in apart.tolist()]
    nearest, cosine = gallery_rows.tolist(), found.similarity.tolist()
    rows = [
        (row, " ".join(map(str, nearest[i])), f"{cosine[i][0]:.3f}", "" if error[i] is None else error[i])
        for i, row in enumerate(able.tolist())
    ]
    records = [
        {"query": row[0], "gallery": nearest[i], "cosine": cosine[i], "mpjpe_mm": error[i]}
        for i, row in enumerate(rows)
    ]
    return Hits(rows, records, scores, kept.fingerprint)


@torch.no_grad()
def interpolate_rows(model: Model, store: Path, first: int, last: int, out: Path, steps: int) -> Path:
    """Decode along the arc between two rows of a store; returns the picture's path."""
    picture = out.with_suffix(".png")
    check_ending(out, picture)
    views = PoseStore.open(store)
    for row in (first, last):
        if not 0 <= row < len(views):
            raise ValueError(f"{store}: has no row {row}; give one of 0 to {len(views) - 1}")
    embedding = embed_views(model, views, ("3d",))["3d"]
    for row in (first, last):
        if not bool(embedding[row].isfinite().all()):
            raise ValueError(f"{store}: row {row} has no whole 3D pose; give another")
    arc = great_arc(embedding[first], embedding[last], steps).to(model.device)
    poses = model.network.decode("3d", arc, "3d").cpu()
    frame = CAMERA if model.settings.frame != "aimed" else f"person-centred {CAMERA}"
    write_poses(out, poses.numpy(), POSE_SKELETON, frame, axes=("step",))
    cells = [[(f"{i / (steps - 1):.2f}", pose) for i, pose in enumerate(poses)]]
    write_png(picture, pictures(cells), bbox_inches="tight")
    return picture


def _poses(store: PoseStore, frame: Frame) -> Tensor:
    """True poses (N, J, 3) as the encoders see them."""
    return store_sample(store, frame, say=lambda text: None).joints
