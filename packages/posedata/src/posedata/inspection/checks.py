"""Whether a store is right: published counts, reprojection, left and right, stature. Each says what it found.

Every check returns a dict that JSON can hold, whose `verdict` is "ok", "not judged: WHY", or what is wrong.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from jaxtyping import Int

from posedata.readers.format import Format, Total
from posedata.skeleton import Skeleton
from posedata.store.pose_store import PoseStore

OK = "ok"
STATURE = (1.2, 2.2)
"""Metres between which a person's height lies."""
SAMPLE = 20_000
"""Rows that are looked at, evenly spread, unless more or fewer are asked for."""
_WALK = (0.6, 2.5)
_STRIDES = 50
_BLOCK = 1 << 16
_HEADS = {"head": 0.0, "head_centre": 0.12, "nose": 0.12}
_SOLE = 0.08


def is_fault(verdict: str) -> bool:
    """Whether a verdict says that something is wrong."""
    return verdict != OK and not verdict.startswith("not judged")


def compare_totals(store: PoseStore) -> list[dict[str, Any]]:
    """For every published count of the store's format: `what`, `published`, `found`, `source`, `verdict`.

    Not judged: parts that the store has no row of, stores at another rate than the counts, those that were
    prepared with options that select, and those made of another store.
    """
    from posedata.readers.registry import FORMATS

    form = FORMATS.get(str(store.meta.get("format")))
    partial = "" if form is None else _partial(store, form)
    out = []
    for total in form.totals if form else ():
        found, published = int(_selected(store, total).sum()), total.rows
        if total.views and "camera" not in store:
            published = total.rows // total.views
        lowest = published if total.at_least is None else published * total.at_least // total.rows
        if form and form.reference_fps not in (None, store.meta["fps"]):
            verdict = f"not judged: at {store.meta['fps']:g} frames/s, published at {form.reference_fps:g}"
        elif not found:
            verdict = "not judged: the store has none of it"
        elif partial:
            verdict = f"not judged: {partial}"
        elif lowest <= found <= published:
            verdict = OK
        else:
            verdict = f"{found:,} rows where {published:,} are published; see the notes in sources.json"
        row = {"what": total.what, "published": published, "found": found, "source": total.source}
        out.append(row | {"verdict": verdict})
    return out


def reprojection(store: PoseStore, *, sample: int = SAMPLE) -> dict[str, dict[str, Any]]:
    """By keypoint column: distance in pixels from the projected joints (`median_px`, `p95_px`, `largest_px`).

    Exact keypoints must coincide to 2 px for 95 in 100; a detector's must lie, in the middle, within a
    seventh of the person's height.
    """
    columns = [name for name in store.columns if name.startswith("keypoints_")]
    if not columns or "camera" not in store or not (store.column("camera") >= 0).any():
        return {}
    able = np.flatnonzero(store.column("camera") >= 0)
    rows = able[spread(len(able), sample)]
    projected = store.camera(rows).project(torch.from_numpy(np.array(store.column("joints")[rows]))).numpy()
    out = {}
    for name in columns:
        keypoints = np.array(store.column(name)[rows])
        known = (keypoints[..., 2] > 0) & np.isfinite(projected).all(axis=-1)
        if "valid" in store:
            known &= store.column("valid")[rows]
        distance = np.linalg.norm(projected - keypoints[..., :2], axis=-1)[known]
        if not distance.size:
            out[name] = {"verdict": "not judged: no keypoint is known"}
            continue
        median, high = float(np.median(distance)), float(np.quantile(distance, 0.95))
        extent = np.where(known, projected[..., 1], np.nan)
        tall = float(
            np.nanmedian(np.nanmax(extent[known.any(1)], axis=1) - np.nanmin(extent[known.any(1)], axis=1))
        )
        wrong = high > 2 if name == "keypoints_true" else median > tall / 7
        pixels = {"median_px": median, "p95_px": high, "largest_px": float(distance.max())}
        found: dict[str, Any] = {key: round(value, 4) for key, value in pixels.items()}
        cause = "cameras, joints and keypoints do not belong together"
        out[name] = found | {"verdict": f"{median:.1f} px off: {cause}" if wrong else OK}
    return out


def left_and_right(store: PoseStore, *, sample: int = SAMPLE) -> dict[str, Any]:
    """Whether who walks has the left foot on the left of the way: `frames` judged, `share` of them that do.

    Walking is a pelvis (or the middle of the hips) that moves on by 0.6 to 2.5 m/s over half a second. The
    direction of the motion tells the front, whatever the joints are called.
    """
    skeleton, k = store.skeleton, max(1, round(store.meta["fps"] / 2))
    sides = [f"{side}_{part}" for part in ("hip", "ankle", "foot") for side in ("left", "right")]
    known = [name for name in sides if name in skeleton.joints]
    if "left_hip" not in known or "frame" not in store or "sequence" not in store:
        return {"frames": 0, "share": None, "verdict": "not judged: needs hips, sequences and frame numbers"}
    start = spread(max(len(store) - k, 0), sample)
    same = store.column("sequence")[start] == store.column("sequence")[start + k]
    same &= store.column("frame")[start + k] - store.column("frame")[start] == k
    start = start[same]
    before, after = store.joints(start), store.joints(start + k)
    hips = [skeleton.index("left_hip"), skeleton.index("right_hip")]
    way = (after[:, hips].mean(1) - before[:, hips].mean(1))[:, :2]
    speed = np.linalg.norm(way, axis=-1) * store.meta["fps"] / k
    walks = (speed > _WALK[0]) & (speed < _WALK[1])
    leftward = np.stack([-way[:, 1], way[:, 0]], axis=-1)[walks]
    pairs = [skeleton.index(name) for name in known]
    middle = (before + after)[walks] / 2
    across = (middle[:, pairs[::2], :2] - middle[:, pairs[1::2], :2]).mean(axis=1)
    side = (across * leftward).sum(-1)
    side = side[np.isfinite(side)]
    if len(side) < _STRIDES:
        return {"frames": len(side), "share": None, "verdict": "not judged: hardly anybody walks"}
    share = float((side > 0).mean())
    verdict = (
        OK if share > 0.5 else f"left feet are on the right of {1 - share:.0%} of walks: sides are swapped"
    )
    return {"frames": len(side), "share": round(share, 4), "verdict": verdict}


def stature(store: PoseStore, *, sample: int = SAMPLE) -> dict[str, Any]:
    """How tall people are by their bones, `height_m` by subject: legs, trunk to head, and an allowance.

    Medians over frames; 8 cm below the ankles, 12 cm above the middle of a head. Unlike the extent of a
    pose it does not depend on standing upright.
    """
    chain = _chain(store.skeleton)
    if chain is None:
        return {"height_m": {}, "verdict": "not judged: the skeleton has no legs or no head"}
    bones, allowance = chain
    rows = spread(len(store), sample)
    joints = store.joints(rows)
    lengths = sum(
        weight * np.linalg.norm(joints[:, [a]] - joints[:, [b]], axis=-1)[:, 0] for a, b, weight in bones
    )
    subject = store.column("subject")[rows] if "subject" in store else np.zeros(len(rows), dtype=int)
    names = store.names("subject") or ["all"]
    heights = {}
    for index in np.unique(subject):
        here = lengths[(subject == index) & np.isfinite(lengths)]
        if len(here):
            heights[names[index]] = round(float(np.median(here)) + allowance, 3)
    odd = {name: height for name, height in heights.items() if not STATURE[0] <= height <= STATURE[1]}
    listed = ", ".join(f"{name} {height:.3g} m" for name, height in list(odd.items())[:3])
    verdict = f"nobody is so tall: {listed}; check the unit" if odd else OK
    return {"height_m": heights, "verdict": verdict}


def bone_lengths(store: PoseStore, rows: np.ndarray | None = None) -> dict[str, dict[str, Any]]:
    """By bone ("parent to child"): `mean_mm`, `typical_drift`, `drift`, and the `worst` sequence.

    Drift is the standard deviation of the length within a sequence over its mean: 0 for a rigid skeleton,
    below 0.01 for most markers, more where a marker slipped or frames are broken. Typical is the median
    over sequences, `drift` the largest.

    Args:
        rows: only these, ascending; all by default.
    """
    rows = np.arange(len(store)) if rows is None else rows
    group = store.column("sequence") if "sequence" in store else np.zeros(len(store), dtype=int)
    names = store.names("sequence") if "sequence" in store else ["all rows"]
    size = (len(store.skeleton.edges), len(names))
    count, mean, variance = np.zeros(size), np.zeros(size), np.zeros(size)
    for here, bone, length in _lengths(store, group, rows):
        count[bone] += np.bincount(here, minlength=len(names))
        mean[bone] += np.bincount(here, length, len(names))
    mean /= count.clip(min=1)
    for here, bone, length in _lengths(store, group, rows):
        variance[bone] += np.bincount(here, (length - mean[bone][here]) ** 2, len(names))
    drifts = np.sqrt(variance / count.clip(min=1)) / np.maximum(mean, 1e-9)
    bones: dict[str, dict[str, Any]] = {}
    for bone, (child, parent) in enumerate(store.skeleton.edges):
        known, drift, worst = count[bone] > 0, drifts[bone], int(drifts[bone].argmax())
        whole = float((mean[bone] * count[bone]).sum() / count[bone].sum()) if known.any() else None
        bones[f"{store.skeleton.joints[parent]} to {store.skeleton.joints[child]}"] = {
            "mean_mm": None if whole is None else round(whole * 1000, 1),
            "typical_drift": round(float(np.median(drift[known])), 5) if known.any() else None,
            "drift": round(float(drift[worst]), 5),
            "worst": names[worst],
        }
    return bones


def _lengths(
    store: PoseStore, group: np.ndarray, rows: np.ndarray
) -> Iterator[tuple[np.ndarray, int, np.ndarray]]:
    """Groups of rows, number of the bone, its lengths in metres where known: a block of rows at a time."""
    for start in range(0, len(rows), _BLOCK):
        some = rows[start : start + _BLOCK]
        joints = store.joints(some).astype(np.float64)
        for bone, (child, parent) in enumerate(store.skeleton.edges):
            length = np.linalg.norm(joints[:, child] - joints[:, parent], axis=-1)
            known = np.isfinite(length)
            yield group[some][known], bone, length[known]


def _partial(store: PoseStore, form: type[Format]) -> str:
    """Why its rows may be other than the data set's; empty if they should be all."""
    if "views" in store.meta or "render" in store.meta:
        return "the store was made of another"
    file = store.path / "sources.json"
    options = json.loads(file.read_text(encoding="utf-8")).get("options", {}) if file.is_file() else {}
    chosen = [
        f"--{field.name} {options[field.name]}"
        for field in dataclasses.fields(form)
        if (whole := field.metadata.get("whole")) and options.get(field.name, whole[0]) not in whole
    ]
    if form.reference_fps is None and options.get("fps") is not None:
        chosen.append(f"--fps {options['fps']:g}")
    return f"only part was prepared ({', '.join(chosen)})" if chosen else ""


def _selected(store: PoseStore, total: Total) -> np.ndarray:
    keep = np.ones(len(store), dtype=bool)
    for column in ("subject", "action", "sequence"):
        wanted = getattr(total, f"{column}s")
        if wanted:
            known = [i for i, name in enumerate(store.names(column)) if name in set(wanted)]
            keep &= np.isin(store.column(column), known) if column in store else False
    if total.cameras:
        names = store.meta.get("cameras", [])
        known = [i for i, name in enumerate(names) if name in total.cameras]
        keep &= np.isin(store.column("camera"), known) if "camera" in store else False
    return keep


def _chain(skeleton: Skeleton) -> tuple[list[tuple[int, int, float]], float] | None:
    """Bones (from, to, weight) that add up to a person's height, and what is missing above and below."""
    head = next((name for name in _HEADS if name in skeleton.joints), None)
    ends = next((end for end in ("ankle", "foot") if f"left_{end}" in skeleton.joints), None)
    legs = [(a, b) for a, b in (("hip", "knee"), ("knee", ends)) if f"left_{a}" in skeleton.joints]
    if head is None or ends is None or len(legs) < 2 or "left_knee" not in skeleton.joints:
        return None
    bones = [
        (skeleton.index(f"{side}_{a}"), skeleton.index(f"{side}_{b}"), 0.5)
        for side in ("left", "right")
        for a, b in legs
    ]
    joint = skeleton.index(head)
    while (parent := skeleton.parents[joint]) >= 0 and "hip" not in skeleton.joints[joint]:
        bones.append((joint, parent, 1.0))
        joint = parent
    if skeleton.joints[joint] == "torso":
        bones += [(joint, skeleton.index(f"{side}_hip"), 0.5) for side in ("left", "right")]
    elif skeleton.joints[joint] != "pelvis":
        return None
    return bones, _HEADS[head] + (_SOLE if ends == "ankle" else 0.0)


def spread(count: int, sample: int = SAMPLE) -> Int[np.ndarray, " n"]:
    """Up to `sample` indices spread evenly."""
    return np.unique(np.linspace(0, count - 1, min(sample, count)).astype(int)) if count else np.zeros(0, int)
