"""All checks of a store together: what `posedata inspect` reports, and what training says beforehand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from posedata.inspection.bodies import Poses, collapsed, equal_sides, knees, proportions
from posedata.inspection.checks import (
    SAMPLE,
    bone_lengths,
    compare_totals,
    is_fault,
    left_and_right,
    reprojection,
    spread,
    stature,
)
from posedata.inspection.continuity import check_motion
from posedata.inspection.cures import limb_cure
from posedata.inspection.pictures import check_boxes, check_depth, check_keypoints
from posedata.inspection.upright import check_order, check_units
from posedata.store.pose_store import PoseStore

_DRIFT = 0.15
_WHOLE = 1 << 22
"""Rows up to which every bone is measured in every one."""


@dataclass(frozen=True)
class Findings:
    """What `examine` found.

    Attributes:
        report: by check, dicts that JSON can hold: `totals`, `reprojection`, `sides`, `stature`, `bones` (see
            `checks`), `units` (`upright`), `proportions`, `equal_sides`, `collapsed`, `knees` (`bodies`),
            `motion` (`continuity`), `keypoints`, `boxes`, `depth` (`pictures`), modules beside this one.
        faults: what is wrong, one line each: nobody should train on it.
        warnings: what is odd but may be so.
    """

    report: dict[str, Any]
    faults: tuple[str, ...]
    warnings: tuple[str, ...]


def examine(
    store: PoseStore, *, sample: int = SAMPLE, sequences: int = 200, images: int = 64, counts: bool = True
) -> Findings:
    """Look at a store as a person would.

    Args:
        sample: rows that are looked at, evenly spread; bones are measured in all, or in as many where that is
            less than `SAMPLE`.
        sequences: whose steps from frame to frame are looked at.
        images: depth images that are looked at.
        counts: whether rows that differ from published counts are a fault; else they are a warning.
    """
    rows = spread(len(store), sample)
    poses = Poses.of(store, rows)
    every = sample >= SAMPLE and len(store) <= _WHOLE
    report: dict[str, Any] = {"bones": bone_lengths(store, None if every else rows)}
    report |= {"totals": compare_totals(store), "reprojection": reprojection(store, sample=sample)}
    report |= {"sides": left_and_right(store, sample=sample), "units": check_units(store, poses)}
    report |= {"stature": stature(store, sample=sample), "keypoints": check_keypoints(store, rows)}
    scale = report["units"].get("scale", 1.0)
    poses = poses.scaled(1 / scale)
    for check in (proportions, equal_sides, collapsed, knees):
        report[check.__name__] = check(poses)
    if is_fault(report["proportions"]["verdict"]):
        report["proportions"]["verdict"] += f"; {limb_cure(store)}"
    report["motion"] = check_motion(store, sequences=sequences, scale=scale)
    if "boxes" in store:
        report["boxes"] = check_boxes(store, rows)
    if "depth" in store.meta.get("images", {}).get("kinds", ()):
        report["depth"] = check_depth(store, images=images)
    order = None if is_fault(report["units"]["verdict"]) else check_order(store, poses)
    odd = [f"{total['what']}: {total['verdict']}" for total in report["totals"] if is_fault(total["verdict"])]
    faults = _faults(report, order) + (odd if counts else [])
    return Findings(report, tuple(faults), tuple(_warnings(report) + ([] if counts else odd)))


_WORDS = {
    "units": "units",
    "sides": "left and right",
    "knees": "knees",
    "stature": "stature",
    "proportions": "proportions",
    "equal_sides": "left and right limbs",
    "collapsed": "joints",
    "motion": "motion",
    "boxes": "boxes",
    "depth": "depth",
}


def _verdicts(report: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """What was judged, by what a line about it begins with."""
    judged = {word: report[name] for name, word in _WORDS.items() if name in report}
    judged |= {f"reprojection of {name}": found for name, found in report["reprojection"].items()}
    return judged | report["keypoints"]


def _faults(report: dict[str, Any], order: str | None) -> list[str]:
    verdicts = _verdicts(report)
    if is_fault(report["units"]["verdict"]):
        # Nothing else is told of bodies whose unit or order is wrong.
        verdicts = {name: found for name, found in verdicts.items() if name not in ("stature", "proportions")}
    if order is not None:
        left_out = ("stature", "proportions", "left and right limbs", "knees")
        verdicts = {name: found for name, found in verdicts.items() if name not in left_out}
    faults = [f"joints: {order}"] if order is not None else []
    faults += [
        f"{name}: {found['verdict']}" for name, found in verdicts.items() if is_fault(found["verdict"])
    ]
    drifts = [bone["typical_drift"] for bone in report["bones"].values() if bone["typical_drift"] is not None]
    if drifts and float(np.median(drifts)) > _DRIFT:
        faults.append(
            f"bone lengths: they vary by {np.median(drifts):.0%} within a sequence; are joints mixed up?"
        )
    return faults


def _warnings(report: dict[str, Any]) -> list[str]:
    return [f"{name}: {found['warning']}" for name, found in _verdicts(report).items() if "warning" in found]
