"""Whether poses move as people do from frame to frame: jumps, and sequences without any motion."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Int

from posedata.inspection.bodies import Poses
from posedata.store.pose_store import PoseStore

_ROOT = (15.0, 0.3)
"""Metres a second, and metres in one step, beyond which nobody goes: sprinters reach 12.4 m/s; of CMU's and
UI-PRMD's motion capture the fastest root has 4.1 m/s."""
_JOINT = (40.0, 0.6)
"""Likewise of any joint; the fastest there has 14.8 m/s, a thrower's hand some 30."""
_MANY = 0.02
_LENGTH = 300
_STILL = 10


def runs_of(store: PoseStore, sequences: int) -> list[Int[np.ndarray, " n"]]:
    """Rows of so many sequences, evenly chosen: up to `_LENGTH` that stand one after the other in each."""
    if "sequence" not in store:
        starts, ends = np.array([0]), np.array([len(store)])
    else:
        cuts = np.flatnonzero(np.diff(store.column("sequence"))) + 1
        starts, ends = np.concatenate([[0], cuts]), np.concatenate([cuts, [len(store)]])
    chosen = np.unique(np.linspace(0, len(starts) - 1, min(sequences, len(starts))).astype(int))
    runs = []
    for start, end in zip(starts[chosen].tolist(), ends[chosen].tolist(), strict=True):
        first = start + max(0, (end - start - _LENGTH) // 2)
        runs.append(np.arange(first, min(first + _LENGTH, end)))
    return runs


def check_motion(store: PoseStore, *, sequences: int = 200, scale: float = 1.0) -> dict[str, Any]:
    """Jumps and frozen sequences among consecutive frames of the same person and sequence.

    Keys: `steps` that were judged, `jumps`, `frozen` (sequences); `verdict` is a fault where more than one
    step in fifty is a jump, `warning` tells of fewer, and of what stands still.

    Args:
        sequences: how many are looked at.
        scale: units of a metre.
    """
    steps = jumps = still = long = 0
    first = first_still = ""
    for rows in runs_of(store, sequences):
        apart, frames = _steps(store, rows)
        if not len(frames):
            continue
        seconds = frames / float(store.meta["fps"])
        metres = apart / scale
        root = metres[:, store.skeleton.root]
        leaps = (root > _ROOT[1]) & (root / seconds > _ROOT[0])
        far = leaps | ((metres > _JOINT[1]) & (metres / seconds[:, None] > _JOINT[0])).any(1)
        steps, jumps = steps + len(far), jumps + int(far.sum())
        if far.any() and not first:
            at = int(np.flatnonzero(far)[0])
            joint = store.skeleton.root if leaps[at] else int(np.nanargmax(metres[at]))
            first = (
                f"{store.skeleton.joints[joint]} by {metres[at, joint]:.2g} m in {seconds[at]:.2g} s"
                f" ({_name(store, rows)})"
            )
        if len(frames) >= _STILL:
            long += 1
            moved = np.nan_to_num(apart).max(1) > 0
            if not moved.any():
                still, first_still = still + 1, first_still or _name(store, rows)
    out: dict[str, Any] = {"steps": steps, "jumps": jumps, "frozen": still}
    if not steps:
        return out | {"verdict": "not judged: no frames follow one another"}
    warnings = []
    if jumps:
        text = f"{jumps:,} of {steps:,} steps are jumps, first {first}"
        if jumps > _MANY * steps:
            return out | {"verdict": f"{text}; are frames in order, one person a sequence, fps right?"}
        warnings.append(text)
    if still:
        warnings.append(f"{still:,} of {long:,} sequences stand still to the last bit, first {first_still}")
    return out | {"verdict": "ok"} | ({"warning": "; ".join(warnings)} if warnings else {})


def _steps(store: PoseStore, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(n, J) lengths of steps, NaN where a joint is not known, and how many frames each takes."""
    poses = Poses.of(store, rows)
    frames = np.diff(np.asarray(store.column("frame")[rows])) if "frame" in store else np.ones(len(rows) - 1)
    same = (frames > 0) & (frames <= 3)
    if "subject" in store:
        same &= np.diff(np.asarray(store.column("subject")[rows])) == 0
    apart = np.linalg.norm(np.diff(poses.joints, axis=0), axis=-1)
    same &= np.isfinite(apart).any(1)
    return apart[same], frames[same]


def _name(store: PoseStore, rows: np.ndarray) -> str:
    names = store.names("sequence") if "sequence" in store else []
    return names[int(store.column("sequence")[rows[0]])] if names else f"row {rows[0]}"
