"""What the formats share: one person a file, clocks without jitter, gaps filled, axes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from polypose.capture.motion import Motion, Person

COLOURS = ("#4c8dff", "#ff8a3d", "#2fbf8f", "#d864d8", "#e8b923", "#ef5b6b", "#37b6d3", "#9a7bff")
"""By person, in turn."""


def each_person(motion: Motion, path: Path) -> Iterator[tuple[Person, Path]]:
    """Every person, and the file of a format that holds one: the first's is `path`, NAME.person2.bvh of id 2.

    Raises:
        ValueError: there is nobody.
    """
    check_somebody(motion, path)
    for number, person in enumerate(motion.people):
        yield person, path.with_name(f"{path.stem}.person{person.id}{path.suffix}") if number else path


def check_somebody(motion: Motion, path: Path) -> None:
    if not motion.people:
        raise ValueError(
            f"{path}: the motion holds nobody, and this format needs a person; write .npz or .html"
        )


def colour_of(motion: Motion, person: Person) -> str:
    """As #rrggbb."""
    return COLOURS[motion.people.index(person) % len(COLOURS)]


def y_up(points: np.ndarray) -> np.ndarray:
    """(x, y, z) with z up to (x, z, -y), y up and still right-handed."""
    return np.stack([points[..., 0], points[..., 2], -points[..., 1]], axis=-1)


def steady(motion: Motion) -> tuple[Motion, float]:
    """The motion for a file that has a rate and no times, and that rate.

    Frames that are even to half a frame stay as they are; others are interpolated, linearly, to even ones at
    the median rate, without keypoints.
    """
    times = motion.times
    span = float(times[-1] - times[0])
    rate = (len(times) - 1) / span if span else motion.rate
    even = times[0] + np.arange(len(times)) / rate
    if np.abs(even - times).max() <= 0.5 / rate:
        return motion, rate
    even = times[0] + np.arange(round(span * motion.rate) + 1) / motion.rate
    people = tuple(_resampled(person, times, even) for person in motion.people)
    return replace(motion, times=even, people=people, views=()), motion.rate


def _resampled(person: Person, times: np.ndarray, even: np.ndarray) -> Person:
    own = times[person.frames]
    first = min(int(np.searchsorted(even, own[0] - 1e-9)), len(even) - 1)
    stop = max(first + 1, int(np.searchsorted(even, own[-1] + 1e-9)))
    joints, sd = (_at(values, own, even[first:stop]) for values in (person.joints, person.sd))
    return replace(person, first=first, joints=joints, sd=sd, covariance=None, keypoints={})


def _at(values: np.ndarray, times: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Values (T, ...) of ascending times at others, linear between neighbours; NaN beside NaN."""
    after = np.clip(np.searchsorted(times, wanted), min(1, len(times) - 1), len(times) - 1)
    before = np.maximum(after - 1, 0)
    share = (wanted - times[before]) / np.where(after > before, times[after] - times[before], 1.0)
    share = share.reshape(-1, *[1] * (values.ndim - 1))
    between = values[before] + share * (values[after] - values[before])
    return np.where(share <= 0, values[before], np.where(share >= 1, values[after], between))


def filled(joints: np.ndarray) -> np.ndarray:
    """Joints (T, J, 3) without gaps: linear over time between known frames, the nearest known at the ends.

    A joint that is known in no frame stays NaN.
    """
    out = joints.copy()
    frames = np.arange(len(joints))
    for joint in range(joints.shape[1]):
        known = np.isfinite(joints[:, joint]).all(-1)
        if known.any() and not known.all():
            for axis in range(3):
                out[:, joint, axis] = np.interp(frames, frames[known], joints[known, joint, axis])
    return out
