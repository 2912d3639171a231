"""What a space of several senses is worth: retrieval, estimates from every subset, faults, calibration."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import combinations, permutations
from typing import Any

import torch
from posedata.geometry.align import root_relative
from posedata.scoring.metrics import mpjpe_mm, nearest, top_k
from posedata.views.batch import TRUE
from poseenc import Embedded, VonMisesFisher
from torch import Tensor

from polypose.measuring import inside
from polypose.senses.faults import FAULTS, faulty
from polypose.senses.held_out import HeldOut, Row, by_detector, embedded, error_of, one_sense
from polypose.senses.invariance import hits, leakage
from polypose.senses.network import TRUTH, Fused, Senses, estimating, shown

Weighing = Callable[[Embedded], Embedded]
RANKS = (1, 10)
BINS, DRAWN = 10, 100
"""Of calibration; and of how many views at most, evenly spaced, hypotheses are drawn."""


@torch.no_grad()
def evaluate(network: Senses, test: HeldOut, batch: int, **drawing: Any) -> dict[str, Any]:
    """All that is measured; docs/pages/metrics.md says what each key is.

    Args:
        drawing: `hypotheses`, `steps` and `sampler` of the poses that are drawn.
    """
    exact = embedded(network, shown(test.views, TRUE), batch)
    seen = by_detector(network, exact, test, batch)
    tables = {
        "retrieval": retrieval(exact, test),
        "estimate": estimates(network, seen, test, drawing)
        + [{**row, "keypoints": "exact"} for row in estimates(network, exact, test, {}, only=("2d",))],
        "reconstruct": [estimate(network, exact, test, (TRUTH,), drawing)],
        "corrupted": corrupted(network, seen, test, batch),
        "calibration": calibration(network, seen),
        "gap": gaps(exact),
        "hits": hits(network, exact, test, batch),
    }
    if network.space.invariant:
        tables["retrieval_invariant"] = retrieval(exact.of_pose(), test, body=True)
        tables["leakage"] = leakage(network, exact, test, batch)
    return {"tables": tables, "views": len(test.people), "people": len(test.people.unique())}


def errors(network: Senses, test: HeldOut, batch: int) -> dict[str, float]:
    """MPJPE from each sense alone and from all of them, mm: what is watched in training."""
    found = by_detector(network, embedded(network, shown(test.views, TRUE), batch), test, batch)
    subsets = estimating(network.modalities)
    some = [subset for subset in subsets if len(subset) in (1, len(subsets[-1]))]
    return {f"{'+'.join(s)}.mpjpe_mm": estimate(network, found, test, s, {})["mpjpe_mm"] for s in some}


@torch.no_grad()
def retrieval(found: Embedded, test: HeldOut, *, body: bool = False) -> list[Row]:
    """For every ordered pair of senses: the nearest of all views that have both, the query's own included.

    Args:
        body: poses are compared in the body's own frame, as where views do not count.
    """
    poses, rows = test.body if body else test.joints, []
    for source, target in permutations(found.beliefs, 2):
        there = found.present[source] & found.present[target]
        query, gallery = (found.beliefs[name].mean[there] for name in (source, target))
        if not len(query):
            continue
        joints, own = poses[there], torch.arange(len(query), device=query.device)
        hits = nearest(query, gallery, k=min(max(RANKS), len(gallery)))
        row: Row = {"from": source, "to": target, "gallery": len(gallery)}
        row |= {f"top{k}": float(top_k(hits, own, k).float().mean()) for k in RANKS if k <= len(gallery)}
        rows.append(row | error_of(joints[hits[:, 0]], joints, test.people[there.cpu()]))
    return rows


def estimates(
    network: Senses, found: Embedded, test: HeldOut, drawing: Mapping[str, Any], only: tuple[str, ...] = ()
) -> list[Row]:
    """3D from every subset of the senses but the pose itself."""
    subsets = [(name,) for name in only] or estimating(network.modalities)
    return [estimate(network, found, test, subset, drawing) for subset in subsets]


@torch.no_grad()
def estimate(
    network: Senses, found: Embedded, test: HeldOut, senses: Sequence[str], drawing: Mapping[str, Any]
) -> Row:
    """3D from some senses fused, of the views that have them all."""
    there, parts = subset(found, senses)
    fused, truth = network.fuse(parts.agreeing()), test.joints[there]
    row: Row = {"senses": "+".join(senses), "views": len(truth)}
    row |= error_of(network.decode("3d", fused), truth, test.people[there.cpu()], aligned=True)
    if network.space.invariant:
        in_body = mpjpe_mm(root_relative(network.decode("body", fused)), test.body[there])
        row["body_mpjpe_mm"] = float(in_body.mean())
    cosine = (fused.belief.mean * parts.beliefs[TRUTH].mean).sum(-1)
    row |= {"cosine": float(cosine.mean()), "said_cosine": float(fused.belief.mean_cosine().mean())}
    if drawing:
        some = torch.linspace(0, len(truth) - 1, min(DRAWN, len(truth))).long()
        few = Fused(VonMisesFisher(*(x[some] for x in fused.belief)), fused.subset[some], fused.there[some])
        generator = torch.Generator(truth.device).manual_seed(0)
        poses = network.sample(few, generator, **drawing)
        row |= inside(poses - poses[..., :1, :], truth[some])
    return row


def subset(found: Embedded, senses: Sequence[str]) -> tuple[Tensor, Embedded]:
    """The rows that have all of some senses; those rows, in which the others are missing."""
    there = torch.stack([found.present[name] for name in senses]).all(0)
    some = found.at(there)
    present = {name: torch.full_like(on, name in senses) for name, on in some.present.items()}
    return there, some._replace(present=present)


@torch.no_grad()
def corrupted(network: Senses, found: Embedded, test: HeldOut, batch: int) -> list[Row]:
    """3D from all senses but the pose while one of them is at fault: fused by concentration and agreement,
    by concentration alone, and evenly."""
    senses = estimating(network.modalities)[-1]

    def error(parts: Embedded, names: Sequence[str], change: Weighing = Embedded.agreeing) -> float:
        there, some = subset(parts, names)
        found = network.decode("3d", network.fuse(change(some)))
        return float(mpjpe_mm(root_relative(found), test.joints[there]).mean())

    rows = []
    for name, how in ((name, how) for name in senses for how in FAULTS):
        if how == "swapped":
            other = VonMisesFisher(*(x.roll(len(x) // 2, 0) for x in found.beliefs[name]))
        else:
            views = faulty(shown(test.views, test.detector), name, torch.Generator().manual_seed(0))
            other = one_sense(network, views, name, batch)
        present = found.present | {name: found.present[name] & (other.concentration > 0)}
        bad = found._replace(beliefs=found.beliefs | {name: other}, present=present)
        rest = [sense for sense in senses if sense != name]
        rows.append(
            {
                "sense": name,
                "how": how,
                "mpjpe_mm": error(bad, senses),
                "trusting_mm": error(bad, senses, lambda some: some),
                "even_mm": error(bad, senses, evenly),
                "without_mm": error(found, rest) if rest else float("nan"),
                "sound_mm": error(found, senses),
                "sound_even_mm": error(found, senses, evenly),
                "concentration": float(other.concentration[present[name]].mean()),
                "sound_concentration": float(found.beliefs[name].concentration[found.present[name]].mean()),
            }
        )
    return rows


def evenly(found: Embedded) -> Embedded:
    """The same directions, all as sure."""
    beliefs = {
        name: belief._replace(concentration=found.present[name].to(belief.concentration))
        for name, belief in found.beliefs.items()
    }
    return found._replace(beliefs=beliefs)


@torch.no_grad()
def calibration(network: Senses, found: Embedded) -> list[Row]:
    """The cosine to the pose's direction that concentrations predict, and the one met, in bins of the former:
    of each sense alone, of pairs with more than one sense all together."""
    subsets = estimating(network.modalities)
    chosen = [s for s in subsets if len(s) in (1, len(subsets[-1]))]
    rows = []
    for senses in chosen:
        _, parts = subset(found, senses)
        belief, pose = network.fuse(parts).belief, parts.beliefs[TRUTH].mean
        said, met = belief.mean_cosine(), (belief.mean * pose).sum(-1)
        for number, some in enumerate(said.argsort().tensor_split(BINS)):
            row = {"senses": "+".join(senses), "bin": number, "views": len(some)}
            rows.append(row | {"said_cosine": float(said[some].mean()), "cosine": float(met[some].mean())})
    return rows


def gaps(found: Embedded) -> list[Row]:
    """How far apart senses lie as wholes, and the two embeddings of one view."""
    rows = []
    for one, other in combinations(found.beliefs, 2):
        there = found.present[one] & found.present[other]
        x, y = (found.beliefs[name].mean[there] for name in (one, other))
        apart = float((x.mean(0) - y.mean(0)).norm())
        rows.append({"pair": f"{one}+{other}", "centroids": apart, "cosine": float((x * y).sum(-1).mean())})
    return rows


def lines(tables: Mapping[str, list[Row]]) -> Iterator[tuple[str, tuple[str, ...], list[tuple[Any, ...]]]]:
    """Tables for the screen: title, header, rows."""
    retrieved = ("from", "to", "gallery", "top1", "top10", "mpjpe_mm")
    shown = {
        "retrieval": ("retrieval between senses", retrieved),
        "retrieval_invariant": ("retrieval between senses by the pose alone", retrieved),
        "hits": (
            "hits between cameras, percent",
            ("view", "from", "to", "cameras", "gallery", "hit1", "low", "high"),
        ),
        "leakage": (
            "the camera's azimuth in the embedding",
            ("part", "sense", "views", "azimuth_r2", "azimuth_deg"),
        ),
        "estimate": (
            "3D from senses",
            ("senses", "mpjpe_mm", "low_mm", "high_mm", "pa_mpjpe_mm", "inside_90"),
        ),
        "corrupted": (
            "3D with one sense at fault",
            ("sense", "how", "mpjpe_mm", "trusting_mm", "even_mm", "without_mm", "sound_mm"),
        ),
    }
    for name, (title, header) in shown.items():
        if name in tables:
            rows = [tuple(_told(key, row.get(key, "")) for key in header) for row in tables[name]]
            yield title, header, rows


def _told(key: str, value: Any) -> Any:
    share = key.startswith(("top", "inside", "azimuth_r2")) and isinstance(value, float)
    return f"{value:.0%}" if share else value
