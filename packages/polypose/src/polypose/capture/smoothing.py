"""Joints smoothed over time, each frame by its own covariance, and told how sure they then are.

A detector's errors last: frame after frame is wrong the same way, and no averaging helps. So the state of a
joint is (place, velocity, drift): places go on with white acceleration, the drift is an Ornstein-Uhlenbeck
process (Gauss and Markov's of first order), and a frame shows place + drift + flicker. What share of a
frame's variance drifts is said beforehand, and the smoothed covariance holds what remains.

A Kalman filter and Rauch, Tung and Striebel's smoother (AIAA J. 3, 1965), all joints at once. A frame far
outside of what is expected (its innovation's chi²) counts as if it were just so much less sure: one says
little, many in a row are believed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from posedata.skeleton import Skeleton

GATE = 11.3
"""Innovation's square from which a frame counts for less: 1 % of a chi² of three dimensions is beyond."""
_SPEED, _DRIFT_SD = 3.0, 1.0
"""Sd of what is not yet known: m/s; and metres of drift where no frame has told."""
_FAR = 100.0
_LEAST = 1e-6
_AGILE = {"wrist": 2.2, "ankle": 2.2, "elbow": 1.4, "knee": 1.4, "head": 1.2}
"""How much more than the trunk's a joint's velocity changes."""
_PIECE, _MARGIN = 2000, 120
"""Frames that are smoothed at once, and those on either side that they are smoothed with."""


@dataclass(frozen=True)
class Process:
    """How joints move and how their measurements err.

    Attributes:
        acceleration: (J,) root of the white acceleration's spectral density, m/s^1.5: by so many m/s does a
            velocity change in a second.
        drifting: share of a measurement's variance that lasts.
        seconds: how long that lasts.
    """

    acceleration: np.ndarray
    drifting: float = 0.6
    seconds: float = 0.5


def agility(skeleton: Skeleton) -> np.ndarray:
    """(J,) by how much more than the trunk's each joint's velocity changes."""
    return np.array([next((v for p, v in _AGILE.items() if p in n), 1.0) for n in skeleton.joints])


@dataclass(frozen=True)
class Smoothed:
    """Attributes:
    mean: (T, J, 3) metres. covariance: (T, J, 3, 3). velocity: (T, J, 3) m/s.
    used: (T, J) what each frame counted, 0 to 1.
    """

    mean: np.ndarray
    covariance: np.ndarray
    velocity: np.ndarray
    used: np.ndarray


def smooth(times: np.ndarray, measured: np.ndarray, covariance: np.ndarray, process: Process) -> Smoothed:
    """The joints of all frames, given all frames (of a long film those of a minute about each).

    Args:
        times: (T,) seconds, ascending.
        measured: (T, J, 3) metres; NaN where there is nothing, which is bridged.
        covariance: (T, J, 3, 3) of each measurement.
    """
    parts = []
    for start in range(0, len(times), _PIECE):
        first, last = max(0, start - _MARGIN), start + _PIECE + _MARGIN
        part = _smooth(times[first:last], measured[first:last], covariance[first:last], process)
        inside = slice(start - first, start - first + _PIECE)
        parts.append([value[inside] for value in (part.mean, part.covariance, part.velocity, part.used)])
    return Smoothed(*(np.concatenate(values) for values in zip(*parts, strict=True)))


def _smooth(times: np.ndarray, measured: np.ndarray, covariance: np.ndarray, process: Process) -> Smoothed:
    known = np.isfinite(measured).all(-1) & np.isfinite(covariance).all((-1, -2))
    forward = _filter(times, measured, covariance, known, process)
    mean, spread = forward.mean, forward.spread
    for t in range(len(times) - 2, -1, -1):
        move = forward.moves[t]
        ahead = move @ spread[t] @ move.T + forward.noises[t]
        gain = np.linalg.solve(ahead, move @ spread[t])  # transposed
        back = np.swapaxes(gain, -1, -2)
        off = mean[t + 1] - (move @ mean[t][..., None])[..., 0]
        mean[t] += (back @ off[..., None])[..., 0]
        spread[t] += back @ (spread[t + 1] - ahead) @ gain
        spread[t] = (spread[t] + np.swapaxes(spread[t], -1, -2)) / 2
    place, variance = mean[..., :3].copy(), spread[..., :3, :3].copy()
    place[:, ~known.any(0)], variance[:, ~known.any(0)] = np.nan, np.nan
    return Smoothed(place, variance, mean[..., 3:6].copy(), forward.used)


@dataclass(frozen=True)
class _Forward:
    mean: np.ndarray
    spread: np.ndarray
    moves: np.ndarray
    noises: np.ndarray
    used: np.ndarray


def _filter(
    times: np.ndarray, measured: np.ndarray, covariance: np.ndarray, known: np.ndarray, process: Process
) -> _Forward:
    frames, count = known.shape
    mean, spread = np.zeros((frames, count, 9)), np.zeros((frames, count, 9, 9))
    moves = np.zeros((max(frames - 1, 0), 9, 9))
    noises = np.zeros((max(frames - 1, 0), count, 9, 9))
    used = np.zeros((frames, count))
    state = np.zeros((count, 9))
    sure = np.tile(np.diag([_FAR**2] * 3 + [_SPEED**2] * 3 + [_DRIFT_SD**2] * 3), (count, 1, 1))
    lasting = np.tile(np.eye(3) * _DRIFT_SD**2, (count, 1, 1))  # the drift's own covariance
    begun = np.zeros(count, bool)
    observe = np.hstack([np.eye(3), np.zeros((3, 3)), np.eye(3)])
    for t in range(frames):
        seen = known[t]
        now = np.where(seen[:, None, None], max(process.drifting, _LEAST) * covariance[t], lasting)
        now = np.where(np.isfinite(now), now, lasting)
        if t:
            move, noise = _step(times[t] - times[t - 1], process, now)
            moves[t - 1], noises[t - 1] = move, noise
            state = state @ move.T
            sure = move @ sure @ move.T + noise
        first = seen & ~begun
        if first.any():
            state[first, :3] = measured[t][first]
            sure[first, 6:, 6:] = now[first]
            begun |= first
        lasting = now
        if seen.any():
            own = (1 - process.drifting) * np.where(seen[:, None, None], covariance[t], np.eye(3))
            off = np.where(seen[:, None], measured[t], 0) - state @ observe.T
            expected = observe @ sure @ observe.T + own
            square = (off * np.linalg.solve(expected, off[..., None])[..., 0]).sum(-1)
            used[t] = np.where(seen, GATE / np.maximum(square, GATE), 0.0)
            weak = own + expected * (np.maximum(square, GATE) / GATE - 1)[:, None, None]
            total = observe @ sure @ observe.T + weak
            gain = np.swapaxes(np.linalg.solve(total, observe @ sure), -1, -2)
            gain = gain * seen[:, None, None]
            state = state + (gain @ off[..., None])[..., 0]
            keep = np.eye(9) - gain @ observe
            sure = keep @ sure @ np.swapaxes(keep, -1, -2) + gain @ weak @ np.swapaxes(gain, -1, -2)
        mean[t], spread[t] = state, sure
    return _Forward(mean, spread, moves, noises, used)


def _step(seconds: float, process: Process, lasting: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(9, 9) transition and (J, 9, 9) noise over a time."""
    keep = np.exp(-seconds / process.seconds)
    eye, nil = np.eye(3), np.zeros((3, 3))
    move = np.block([[eye, seconds * eye, nil], [nil, eye, nil], [nil, nil, keep * eye]])
    density = np.square(process.acceleration)[:, None, None]
    noise = np.zeros((len(density), 9, 9))
    noise[:, :3, :3] = density * seconds**3 / 3 * eye
    noise[:, :3, 3:6] = noise[:, 3:6, :3] = density * seconds**2 / 2 * eye
    noise[:, 3:6, 3:6] = density * seconds * eye
    noise[:, 6:, 6:] = (1 - keep**2) * lasting
    return move, noise
