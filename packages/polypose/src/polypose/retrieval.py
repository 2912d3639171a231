"""The nearest views of a gallery for every view of another store or file."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from posedata.keypoint_files import Say
from posedata.scoring.metrics import mpjpe_mm, pa_mpjpe_mm
from posedata.scoring.retrieval import Scores, in_words, score_retrieval
from posedata.store import PoseStore
from posedata.terminal import print_line
from posedata.views.batch import TRUE
from poseenc.index import EmbeddingIndex, Neighbours
from torch import Tensor

from polypose.held import Held
from polypose.invariant import ViewInvariant
from polypose.model import Model
from polypose.network import POSE_SKELETON, modality_of
from polypose.sources import embed_source
from polypose.stores import store_poses

INDEX = ".index"


class Hits(NamedTuple):
    """What a retrieval found.

    Attributes:
        header: of the rows.
        rows: (query, gallery rows, cosine or distance of the first, its error in mm) of every query that
            holds a person; the error is empty where a true pose is not known.
        records: the same for a results file.
        scores: of all queries (`posedata.scoring.retrieval`).
        gallery: fingerprint of what was searched; empty where that is no store.
    """

    header: tuple[str, ...]
    rows: list[tuple[Any, ...]]
    records: list[dict[str, Any]]
    scores: dict[str, Any]
    gallery: str


def retrieve_views(
    model: Model | ViewInvariant,
    queries: Path,
    gallery: Path,
    source: str,
    target: str,
    k: int,
    *,
    keypoints: str = TRUE,
    skeleton: str | None = None,
    say: Say = print_line,
) -> Hits:
    """The nearest of a gallery for every row that holds a person; of a smaller gallery, all of it.

    Args:
        queries: a store or a file (`embed_source`).
        gallery: likewise, or an index (.index) that this model made.
        source, target: modality of queries and gallery.

    Raises:
        ValueError, FileNotFoundError: no such modality, nothing of the kind there, or a gallery that has
            nothing of it.
    """
    from_, to = modality_of(source), modality_of(target)
    query = embed_source(model, queries, from_, keypoints=keypoints, skeleton=skeleton, say=say)[from_]
    able = query.isfinite().all(1).nonzero()[:, 0]
    if gallery.suffix == INDEX:
        index = EmbeddingIndex.load(gallery)
        require_own(model, index, gallery, say)
        there = torch.arange(len(index))
    else:
        known = embed_source(model, gallery, to, keypoints=keypoints, skeleton=skeleton, say=say)[to]
        there = known.isfinite().all(1).nonzero()[:, 0]
        index = EmbeddingIndex(model.compared.gallery(known[there]))
    if not len(index):
        raise ValueError(f"{gallery}: no row has {to}; give a gallery with some")
    found = index.search(model.compared.queries(query[able]), min(k, len(index)))
    near = model.compared.told(model.compared.nearness(query[able], index, found))
    error, fingerprint = torch.full((len(able),), torch.nan), ""
    scores: Scores = {"queries": 0}
    if queries.is_dir() and gallery.is_dir():
        asked, kept = PoseStore.open(queries), PoseStore.open(gallery)
        fingerprint = kept.fingerprint
        truth, poses = store_poses(model, asked)[able], store_poses(model, kept)
        rows = there[found.row]
        scores = score_retrieval(truth, poses, rows, POSE_SKELETON, sorted({1, 5, 10, 20, k}))
        say(in_words(scores))
        error = _errors(model, poses[rows[:, 0]], truth)
    return _hits(model, Neighbours(near, there[found.row]), able, error, scores, fingerprint)


def _hits(
    model: Held[Any],
    found: Neighbours,
    able: Tensor,
    error: Float[Tensor, " Q"],
    scores: dict[str, Any],
    fingerprint: str,
) -> Hits:
    aligned = isinstance(model, ViewInvariant)
    name, key = model.compared.name, "pa_mpjpe_mm" if aligned else "mpjpe_mm"
    header = ("query row", "gallery rows", name, f"{'PA-' if aligned else ''}MPJPE mm of the first")
    rows, records = [], []
    for query, near, nearest, mm in zip(
        able.tolist(), found.similarity.tolist(), found.row.tolist(), error.tolist(), strict=True
    ):
        known = None if mm != mm else mm
        rows.append((query, " ".join(map(str, nearest)), f"{near[0]:.3f}", "" if known is None else known))
        records.append({"query": query, "gallery": nearest, name: near, key: known})
    return Hits(header, rows, records, scores, fingerprint)


def _errors(model: Held[Any], found: Float[Tensor, "Q J 3"], truth: Tensor) -> Float[Tensor, " Q"]:
    """Of the poses found first, mm: those of a body's frame after Procrustes."""
    measure = pa_mpjpe_mm if isinstance(model, ViewInvariant) else mpjpe_mm
    known = (found + truth).isfinite().flatten(1).all(1)
    error = torch.full((len(truth),), torch.nan)
    error[known] = measure(found[known], truth[known])
    return error


def require_own(model: Held[Any], index: EmbeddingIndex, path: Path, say: Say = print_line) -> None:
    """Raise a ValueError where another model made an index; say so where the index does not tell."""
    if not index.about:
        say(f"warning: {path}: does not say which run made it; embed again, with {model.source}")
        return
    here = model.made_by()
    if any(index.about.get(key) != here[key] for key in ("weights", "skeleton")):
        told = [
            f"run {about.get('run')} (weights {about.get('weights', '')[:12]}, {about.get('skeleton')})"
            for about in (index.about, here)
        ]
        raise ValueError(
            f"{path}: was made by {told[0]}, and is asked by {told[1]}; embed the gallery with"
            f" {model.source}, or name the run that made it"
        )
