"""What a retrieval was worth, over all of its queries: the error of what was found first, and Hit@k."""

from __future__ import annotations

from collections.abc import Sequence

from jaxtyping import Float, Int
from torch import Tensor

from posedata.geometry.align import root_relative
from posedata.geometry.canonical import in_torsos
from posedata.scoring.metrics import mpjpe_mm, pa_mpjpe_mm
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
    near, first = root_relative(query, skeleton.root), root_relative(hits[:, 0], skeleton.root)
    truth = in_torsos(query, skeleton)[:, None].expand_as(hits)
    apart = pa_mpjpe_mm(in_torsos(hits.flatten(0, 1), skeleton).unflatten(0, hits.shape[:2]), truth) / 1000
    reached = (apart <= HIT).cummax(dim=1).values.double().mean(0) * 100
    return {
        "queries": count,
        "mpjpe_mm": float(mpjpe_mm(first, near).mean()),
        "pa_mpjpe_mm": float(pa_mpjpe_mm(first, near).mean()),
        **{f"hit{k}": float(reached[k - 1]) for k in ks if k <= found.shape[1]},
    }


def in_words(scores: Scores) -> str:
    """The scores as a line for the screen."""
    if not scores["queries"]:
        return "no query's true pose is known, so nothing is scored"
    hits = ", ".join(f"Hit@{key[3:]} {value:.1f} %" for key, value in scores.items() if key.startswith("hit"))
    first = f"MPJPE {scores['mpjpe_mm']:.1f} mm (PA {scores['pa_mpjpe_mm']:.1f})"
    return f"{first} of the first over {scores['queries']:,.0f} queries; {hits}"
