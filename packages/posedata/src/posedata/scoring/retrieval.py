"""What a retrieval was worth, over all of its queries: the error of what was found first, Hit@k and top-k."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import permutations
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from posedata.geometry.align import root_relative
from posedata.geometry.canonical import in_torsos
from posedata.scoring.metrics import Neighbours, mpjpe_mm, nearest, pa_mpjpe_mm, top_k
from posedata.skeleton import Skeleton

Scores = dict[str, int | float]

HIT = 0.1
"""Torsos within which a pose counts as found, after Procrustes (PR-VIPE, ECCV 2020, section 4.1)."""


def score_retrieval(
    queries: Float[Tensor, "Q J 3"],
    gallery: Float[Tensor, "G J 3"],
    found: Int[Tensor, "Q k"],
    skeleton: Skeleton,
    ks: Sequence[int] = (1, 5, 10, 20),
) -> Scores:
    """Scores over the queries whose true pose, and whose found poses, are known.

    `queries` is their number; `mpjpe_mm` and `pa_mpjpe_mm` are of the pose found first, relative to the root;
    `hitK` is the percentage of queries of which one of the first K is within `HIT` torsos of the query's pose
    after Procrustes. Where no pose is known there is nothing but `queries`.

    Args:
        queries: true poses of the queries, metres; NaN where not known.
        gallery: of the gallery, likewise and in the same frame.
        found: rows of the gallery, best first.
        ks: those up to the number found count.
    """
    poses = gallery[found]
    known = queries.isfinite().flatten(1).all(1) & poses.isfinite().flatten(1).all(1)
    count = int(known.sum())
    if not count:
        return {"queries": 0}
    query, hits = queries[known], poses[known]
    truth = in_torsos(query, skeleton)[:, None].expand_as(hits)
    apart = pa_mpjpe_mm(in_torsos(hits.flatten(0, 1), skeleton).unflatten(0, hits.shape[:2]), truth) / 1000
    reached = (apart <= HIT).cummax(dim=1).values.double().mean(0) * 100
    return {
        "queries": count,
        **relative_errors(hits[:, 0], query, skeleton.root),
        **{f"hit{k}": float(reached[k - 1]) for k in ks if k <= found.shape[1]},
    }


def relative_errors(
    predicted: Float[Tensor, "B J 3"], truth: Float[Tensor, "B J 3"], root: int = 0
) -> dict[str, float]:
    """MPJPE and PA-MPJPE, both relative to the root, mm."""
    predicted, truth = root_relative(predicted, root), root_relative(truth, root)
    return {
        "mpjpe_mm": float(mpjpe_mm(predicted, truth).mean()),
        "pa_mpjpe_mm": float(pa_mpjpe_mm(predicted, truth).mean()),
    }


def across(
    embeddings: Mapping[Any, Float[Tensor, "B dim"]],
    joints: Float[Tensor, "B J 3"],
    exclude: Neighbours | None = None,
) -> dict[str, dict[str, float]]:
    """Nearest neighbours across modalities, for every ordered pair: errors of the pose that is found, and how
    often the query's own view is among the first.

    Args:
        embeddings: by modality, unit length.
        joints: true poses, of queries and gallery alike.
        exclude: what a query may not find; top-k has no meaning then.
    """
    table = {}
    for source, target in permutations(embeddings, 2):
        found = nearest(embeddings[source], embeddings[target], k=3, exclude=exclude)
        row = relative_errors(joints[found[:, 0]], joints)
        if exclude is None:
            own = torch.arange(len(found), device=found.device)
            row |= {f"top{k}": float(top_k(found, own, k).float().mean()) for k in (1, 3)}
        table[f"{source}_to_{target}"] = row
    return table


def in_words(scores: Scores) -> str:
    """The scores as a line for the screen."""
    if not scores["queries"]:
        return "no query's true pose is known, so nothing is scored"
    hits = ", ".join(f"Hit@{key[3:]} {value:.1f} %" for key, value in scores.items() if key.startswith("hit"))
    first = f"MPJPE {scores['mpjpe_mm']:.1f} mm (PA {scores['pa_mpjpe_mm']:.1f})"
    return f"{first} of the first over {scores['queries']:,.0f} queries; {hits}"
