"""Whether bodies are those of people: bones without length, proportions, left and right, knees.

Each check takes `Poses` and returns a dict that JSON can hold: `verdict` is "ok", "not judged: WHY" or what
is wrong; `warning`, where there is one, what is odd but may be so. A whole store is judged by medians over
each person's frames, so that no pose, no floor and no lost marker makes a fault.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float64, Int

from posedata.skeleton import Skeleton
from posedata.store.pose_store import PoseStore

LIMBS = {
    "thigh": (("hip",), ("knee",)),
    "shank": (("knee",), ("ankle", "foot")),
    "upper arm": (("shoulder",), ("elbow",)),
    "forearm": (("elbow",), ("wrist", "hand")),
}
"""A limb by the joints it runs between; the first of each that a skeleton has."""
PROPORTIONS = {
    ("forearm", "upper arm"): (0.62, 1.6),
    ("shank", "thigh"): (0.7, 1.5),
    ("upper arm", "thigh"): (0.45, 1.1),
}
"""Least and greatest ratio of two limbs. Of 24 people in CMU's and UI-PRMD's motion capture the ratios span
0.67 to 1.16, 0.95 to 1.35 and 0.58 to 0.89; published means are 0.78, 1.00 and 0.76 (Winter, Biomechanics and
Motor Control of Human Movement, figure 4.1, after Drillis and Contini). A forearm may run to the hand."""
_UNEQUAL, _NOTABLE = 0.2, 0.025
"""Of left and right: those 24 people differ by up to 0.096 in a limb, most by 0.02."""
_ODD_SHARE = 0.1
_POINT = 0.002
_BENT, _LEAST_BENT = 0.35, 20


@dataclass(frozen=True)
class Poses:
    """Some poses of a store.

    Attributes:
        joints: (n, J, 3) metres, NaN where a joint is not known.
        subject: (n,) index into `names`; sequence: (n,).
    """

    skeleton: Skeleton
    joints: Float64[np.ndarray, "n J 3"]
    subject: Int[np.ndarray, " n"]
    sequence: Int[np.ndarray, " n"]
    names: tuple[str, ...]

    @classmethod
    def of(cls, store: PoseStore, rows: Int[np.ndarray, " n"]) -> Poses:
        """These rows of a store."""
        joints = store.joints(rows).astype(np.float64)
        joints[~np.isfinite(joints).all(-1)] = np.nan
        none = np.zeros(len(rows), dtype=np.int64)
        subject = np.asarray(store.column("subject")[rows]) if "subject" in store else none
        sequence = np.asarray(store.column("sequence")[rows]) if "sequence" in store else none
        return cls(store.skeleton, joints, subject, sequence, tuple(store.names("subject")) or ("all",))

    def __len__(self) -> int:
        return len(self.joints)

    def scaled(self, factor: float) -> Poses:
        """The same poses in another unit."""
        return replace(self, joints=self.joints * factor)

    def at(self, *names: str) -> Float64[np.ndarray, "n 3"] | None:
        """Where the first of these joints is that the skeleton has; None if it has none of them."""
        known = next((name for name in names if name in self.skeleton.joints), None)
        return None if known is None else self.joints[:, self.skeleton.index(known)]

    def limb(self, side: str, name: str) -> Float64[np.ndarray, " n"] | None:
        """Length of a limb of `LIMBS`, metres; None if the skeleton lacks it."""
        ends = [self.at(*(f"{side}_{joint}" for joint in joints)) for joints in LIMBS[name]]
        return None if ends[0] is None or ends[1] is None else np.linalg.norm(ends[0] - ends[1], axis=-1)

    def people(self) -> Iterator[tuple[str, np.ndarray]]:
        """Each person's name and rows."""
        for index in np.unique(self.subject).tolist():
            yield self.names[index], np.flatnonzero(self.subject == index)


def proportions(poses: Poses) -> dict[str, Any]:
    """Whether each person's limbs are in proportion (`PROPORTIONS`): `ratios`, the medians over people."""
    lengths = {limb: _both(poses, limb) for limb in LIMBS}
    ratios: dict[str, float] = {}
    odd: list[tuple[int, str]] = []
    judged = 0
    for name, rows in poses.people():
        medians = {limb: _median(each[rows]) for limb, each in lengths.items() if each is not None}
        known = [pair for pair in PROPORTIONS if all(np.isfinite(medians.get(part, np.nan)) for part in pair)]
        judged += len(rows) if known else 0
        wrong = [
            f"{name}'s {first}s have {1000 * medians[first]:.0f} mm, {second}s {1000 * medians[second]:.0f}"
            for first, second in known
            if not _within(medians[first], medians[second], *PROPORTIONS[first, second])
        ]
        odd += [(len(rows), wrong[0])] if wrong else []
    if not judged:
        return {"ratios": {}, "verdict": "not judged: the skeleton has no limbs, or the store no 3D"}
    for first, second in PROPORTIONS:
        if (a := lengths[first]) is not None and (b := lengths[second]) is not None:
            ratios[f"{first} to {second}"] = round(_median(a / np.maximum(b, 1e-9)), 3)
    more = f" ({len(odd)} people's are so)" if len(odd) > 1 else ""
    text = f"{odd[0][1]}{more}; no human has such proportions" if odd else ""
    return {"ratios": ratios} | _judged(text, sum(rows for rows, _ in odd) / judged)


def equal_sides(poses: Poses) -> dict[str, Any]:
    """Whether left and right limbs are alike: `largest`, the greatest difference as a share of the limb."""
    found: list[tuple[float, int, str]] = []
    judged = 0
    for name, rows in poses.people():
        apart: dict[str, float] = {}
        for limb in LIMBS:
            sides = [poses.limb(side, limb) for side in ("left", "right")]
            left, right = (np.nan if side is None else _median(side[rows]) for side in sides)
            if left + right > 0:
                pairing = f"{limb}s {1000 * left:.0f} and {1000 * right:.0f} mm"
                apart[pairing] = 2 * abs(left - right) / (left + right)
        judged += len(rows) if apart else 0
        unequal = sorted((share, text) for text, share in apart.items() if share > _NOTABLE)[::-1]
        if unequal:
            pairing = f"{name}'s left and right {', '.join(text for _, text in unequal)}"
            found.append((unequal[0][0], len(rows), pairing))
    if not judged:
        return {"largest": None, "verdict": "not judged: the skeleton has no limbs, or the store no 3D"}
    if not found:
        return {"largest": 0.0, "verdict": "ok"}
    found.sort(reverse=True)
    more = f"; {len(found)} people differ by more than {_NOTABLE:.1%}" if len(found) > 1 else ""
    wrong = sum(rows for share, rows, _ in found if share > _UNEQUAL) / judged
    out: dict[str, Any] = {"largest": round(found[0][0], 4)}
    if wrong > _ODD_SHARE:
        return out | {"verdict": f"{found[0][2]}{more}; nobody is so uneven"}
    return out | {"verdict": "ok", "warning": f"{found[0][2]}{more}"}


def collapsed(poses: Poses) -> dict[str, Any]:
    """Whether joints lie upon others: `pairs`, those that do in most frames."""
    count = len(poses.skeleton)
    edges = {frozenset(edge) for edge in poses.skeleton.edges}
    pairs: list[tuple[float, str]] = []
    rare: list[tuple[float, str]] = []
    for a in range(count):
        apart = np.linalg.norm(poses.joints[:, a + 1 :] - poses.joints[:, a, None], axis=-1)
        known = np.isfinite(apart)
        share = (known & (apart < _POINT)).sum(0) / np.maximum(known.sum(0), 1)
        for offset in np.flatnonzero(share > 0.01).tolist():
            names = (poses.skeleton.joints[a], poses.skeleton.joints[a + 1 + offset])
            bone = frozenset((a, a + 1 + offset)) in edges
            text = f"{names[0]} and {names[1]}{' (a bone of 0 mm)' if bone else ''}"
            (pairs if share[offset] > 0.5 else rare).append((float(share[offset]), text))
    pairing = ", ".join(text for _, text in pairs[:4]) + (
        f" and {len(pairs) - 4} more" if len(pairs) > 4 else ""
    )
    out: dict[str, Any] = {"pairs": [text for _, text in pairs]}
    if not np.isfinite(poses.joints).any():
        return out | {"verdict": "not judged: the store has no 3D"}
    if pairs:
        return out | {"verdict": f"{pairing} lie in one place"}
    if rare:
        share, text = max(rare)
        return out | {"verdict": "ok", "warning": f"{text} lie in one place in {share:.1%} of frames"}
    return out | {"verdict": "ok"}


def knees(poses: Poses) -> dict[str, Any]:
    """Whether knees bend forward, which tells left from right: `bent` knees, `forward`, the share that do.

    Forward is across the hips, from the left one to the right one, and across the leg; a knee bends forward
    whatever the pose. Of 149,135 frames of motion capture, 3 knees of 101,000 that are bent do not.
    """
    hips = poses.at("left_hip"), poses.at("right_hip")
    forward: list[np.ndarray] = []
    for side, hip in zip(("left", "right"), hips, strict=True):
        knee, ankle = poses.at(f"{side}_knee"), poses.at(f"{side}_ankle", f"{side}_foot")
        if hips[0] is None or hips[1] is None or hip is None or knee is None or ankle is None:
            return {"bent": 0, "forward": None, "verdict": "not judged: the skeleton has no legs"}
        leg = hip - ankle
        way = leg / np.maximum(np.linalg.norm(leg, axis=-1, keepdims=True), 1e-9)
        off = knee - ankle
        off = off - (off * way).sum(-1, keepdims=True) * way
        front = (off * np.cross(hips[0] - hips[1], way)).sum(-1)
        bent = np.linalg.norm(off, axis=-1) > _BENT * np.linalg.norm(hip - knee, axis=-1)
        forward.append(front[bent & np.isfinite(front)] > 0)
    which = np.concatenate(forward)
    if len(which) < _LEAST_BENT:
        return {"bent": len(which), "forward": None, "verdict": "not judged: hardly a knee is bent"}
    share = float(which.mean())
    out: dict[str, Any] = {"bent": len(which), "forward": round(share, 4)}
    if share < 0.1:
        text = f"{1 - share:.0%} of bent knees bend backwards: left and right are swapped, or axes mirrored"
        return out | {"verdict": text}
    if share < 0.9:
        text = f"{1 - share:.0%} of bent knees bend backwards: are left and right swapped in some sequences?"
        return out | {"verdict": "ok", "warning": text}
    return out | {"verdict": "ok"}


def plausible(poses: Poses) -> bool:
    """Whether these, in metres, can be people's: thighs, proportions and equal sides."""
    thigh = _both(poses, "thigh")
    if thigh is None or not 0.25 <= _median(thigh) <= 0.6:
        return False
    return proportions(poses)["verdict"] == "ok" == equal_sides(poses)["verdict"]


def _judged(text: str, share: float) -> dict[str, Any]:
    """A fault where it is of more than a few of the frames, else a warning."""
    if not text:
        return {"verdict": "ok"}
    return {"verdict": text} if share > _ODD_SHARE else {"verdict": "ok", "warning": text}


def _both(poses: Poses, limb: str) -> np.ndarray | None:
    """The mean of the left and the right limb, or of what is known of them."""
    sides = [length for side in ("left", "right") if (length := poses.limb(side, limb)) is not None]
    if not sides:
        return None
    known = np.isfinite(sides)
    return np.where(known.any(0), np.where(known, sides, 0).sum(0) / np.maximum(known.sum(0), 1), np.nan)


def _within(first: float, second: float, low: float, high: float) -> bool:
    return low * second <= first <= high * second


def _median(values: np.ndarray) -> float:
    known = values[np.isfinite(values)]
    return float(np.median(known)) if len(known) else float("nan")
