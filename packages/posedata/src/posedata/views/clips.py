"""Clips of a store: which of its rows follow each other."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int

from posedata.store.pose_store import PoseStore


def around(
    sequence: Int[np.ndarray, " N"], rows: Int[np.ndarray, " B"], frames: int
) -> Int[np.ndarray, "B T"]:
    """Rows of the clip in whose middle each row is; where its sequence ends, its last row is repeated.

    Args:
        sequence: of every row, those of one sequence side by side and in order of time.
        frames: T, odd.
    """
    starts = np.flatnonzero(np.diff(sequence, prepend=sequence[:1] - 1))
    which = np.searchsorted(starts, rows, side="right") - 1
    first, last = starts[which], np.append(starts[1:], len(sequence))[which] - 1
    clip = rows[:, None] + np.arange(frames) - frames // 2
    return np.clip(clip, first[:, None], last[:, None])


def clips_about(
    poses: PoseStore, shown: PoseStore, rows: Int[np.ndarray, " n"], frames: int
) -> Int[np.ndarray, "n T"]:
    """Rows of the clips of `poses` in whose middle are the moments, by sequence and frame, that rows of
    another store of the same recordings show."""
    moments = [
        zip(*(np.asarray(store.column(name)).tolist() for name in ("sequence", "frame")), strict=True)
        for store in (poses, shown)
    ]
    place = {moment: row for row, moment in enumerate(moments[0])}
    wanted = list(moments[1])
    own = np.array([place[wanted[row]] for row in rows])
    return around(np.asarray(poses.column("sequence")), own, frames)


def windows(
    store: PoseStore, rows: Int[np.ndarray, " n"], frames: int, count: int, stride: int = 1
) -> Int[np.ndarray, "K T"]:
    """Clips of a store of RGB-D: every `stride`-th of neighbouring rows of one sequence and camera that are
    evenly apart in time; no row is in two clips; at most `count`, spread evenly.

    Raises:
        ValueError: there is none.
    """
    place = np.stack([np.asarray(store.column(name)[rows]) for name in ("sequence", "camera")])
    frame = np.asarray(store.column("frame")[rows])
    span = stride * (frames - 1) + 1
    found, taken = [], np.zeros(len(rows), bool)
    for start in range(len(rows) - span + 1):
        here = slice(start, start + span)
        if taken[here][::stride].any():
            continue
        steps = np.diff(frame[here])
        if (place[:, here] == place[:, start : start + 1]).all() and (steps == steps[:1]).all():
            found.append(rows[here][::stride])
            taken[here][::stride] = True
    if not found:
        raise ValueError(f"{store.path}: no {span} frames follow each other; set frames or stride lower")
    picked = np.unique(np.linspace(0, len(found) - 1, min(count, len(found))).round().astype(int))
    return np.stack(found)[picked]


def choose_clips(
    poses: PoseStore, rows: Int[np.ndarray, " n"], frames: int, stride: int, count: int, seed: int | None
) -> Int[np.ndarray, "K T"]:
    """Rows of `count` clips of consecutive frames, drawn by `seed`, or spread evenly where it is None.

    Raises:
        ValueError: no sequence is that long.
    """
    sequence, frame = (np.asarray(poses.column(name)) for name in ("sequence", "frame"))
    span = stride * (frames - 1)
    start = rows[rows + span < len(poses)]
    whole = (sequence[start] == sequence[start + span]) & (frame[start + span] - frame[start] == span)
    start = start[whole]
    if not len(start):
        raise ValueError(f"{poses.path}: no sequence has {span + 1} frames; set frames or stride lower")
    count = min(count, len(start))
    if seed is None:
        start = start[np.unique(np.linspace(0, len(start) - 1, count).round().astype(int))]
    else:
        start = np.sort(np.random.default_rng(seed).choice(start, count, replace=False))
    return start[:, None] + stride * np.arange(frames)
