"""Who is who over time: detections of each frame are given to people by one assignment a frame.

What a detection costs a person: how far its joints are from where the person's are expected, in sizes of the
person, how little the boxes overlap, and how differently they are dressed. A person that is lost is waited
for, a second at most; who comes back later is told in the end (`stitching`).
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from posedata.skeleton import get_skeleton

from polypose.capture.stitching import Piece, chains

WAIT = 1.0
"""Seconds that a person may be unseen and still be the same."""
FEW = 5
"""Seen frames below which a track is no person, in a film of twenty or more."""
_OFTEN = 0.4
"""Share of a person's frames in which it is seen at least; a false detection comes and goes."""
_NEAR, _FASTER, _FARTHEST = 0.2, 0.8, 0.6
"""A person's joints are looked for within so many sizes, more by each second unseen, and at most."""
_BOX, _DRESS = 0.15, 0.6
"""What no overlap costs, and colours that differ by 1."""
_OTHER, _ODD = 0.18, 0.5
"""Difference of colours above which somebody who comes back is another (real people differ by less from
themselves in 99 of 100 frames); a patch counts so much at most."""
_BRIEF = 0.1
"""Seconds unseen after which somebody comes back."""
_LIKER, _DOUBTS = 0.5, 4
"""Who is dressed so much more like one who was lost, for so many frames, is that one."""
_KEEPS = 0.95
_STEADY = 0.5
"""Share of a velocity that is believed; the rest is noise."""
_LOOKAHEAD = 0.3
"""Seconds for which a velocity is believed."""
_STILL, _MOVES = 0.004, 0.03
"""Spread of joints over time, in sizes of the person, of a picture on a wall and of somebody who moves."""
_LONG, _STANDS = 2.0, 6.0
"""Seconds that they are looked at: beside others, and where nobody moves."""


class Moment(NamedTuple):
    """What was seen at one time: keypoints (P, J, 3), boxes (P, 4) x, y, w, h, colours (P, C, 3)."""

    time: float
    keypoints: np.ndarray
    boxes: np.ndarray
    colours: np.ndarray


@dataclass(frozen=True, eq=False)
class Track:
    """One person in one film, in contiguous frames.

    Attributes:
        id: from 1, by the first frame.
        first: index of its first frame among the film's.
        keypoints: (T, J, 3) pixels and confidence; 0 where it was not seen.
        boxes: (T, 4) x, y, width, height; NaN where it was not seen.
    """

    id: int
    first: int
    keypoints: np.ndarray
    boxes: np.ndarray

    def __len__(self) -> int:
        return len(self.keypoints)


@dataclass(eq=False)
class _Person:
    """Somebody who is followed."""

    number: int
    time: float
    points: np.ndarray
    box: np.ndarray
    colours: np.ndarray
    doubts: int = 0
    velocity: np.ndarray = field(default_factory=lambda: np.zeros(2))

    def at(self, time: float) -> tuple[np.ndarray, np.ndarray]:
        """Expected points and box."""
        move = self.velocity * min(time - self.time, _LOOKAHEAD)
        return self.points[:, :2] + move, np.concatenate([self.box[:2] + move, self.box[2:]])

    def update(self, seen: Moment, row: int) -> None:
        points, elapsed = seen.keypoints[row], seen.time - self.time
        weight = self.points[:, 2] * points[:, 2]
        if elapsed > 0 and weight.sum() > 0:
            move = (weight[:, None] * (points[:, :2] - self.points[:, :2])).sum(0) / weight.sum()
            self.velocity = (1 - _STEADY) * self.velocity + _STEADY * move / elapsed
        mixed = _KEEPS * self.colours + (1 - _KEEPS) * seen.colours[row]
        self.colours = np.where(np.isnan(mixed), _first_known(self.colours, seen.colours[row]), mixed)
        self.time, self.points, self.box = seen.time, points, seen.boxes[row]


class Tracker:
    """Gives the detections of one frame after the other to people, by number."""

    def __init__(self, skeleton: str) -> None:
        self._mirror = list(get_skeleton(skeleton).mirror)
        self._people: list[_Person] = []
        self._next = 0

    def step(self, seen: Moment) -> list[int]:
        """The person of each detection; people who are new get numbers that are."""
        from scipy.optimize import linear_sum_assignment

        self._people = [person for person in self._people if seen.time - person.time <= WAIT]
        out = [-1] * len(seen.keypoints)
        if self._people and len(out):
            both = [_costs(person, seen, self._mirror) for person in self._people]
            cost, dress = (np.stack(values) for values in zip(*both, strict=True))
            rows, columns = linear_sum_assignment(np.minimum(cost, 1e3))
            pairs = [(i, j) for i, j in zip(rows, columns, strict=True) if np.isfinite(cost[i, j])]
            lost = [k for k in range(len(cost)) if k not in {i for i, _ in pairs}]
            for i, j in pairs:
                person = self._people[i]
                if (other := self._mistaken(person, lost, cost[:, j], dress[:, j], i)) is not None:
                    person = other
                out[j] = person.number
                person.update(seen, j)
        for row, number in enumerate(out):
            if number < 0:
                out[row] = self._next
                self._people.append(
                    _Person(self._next, seen.time, seen.keypoints[row], seen.boxes[row], seen.colours[row])
                )
                self._next += 1
        return out

    def _mistaken(
        self, person: _Person, lost: list[int], cost: np.ndarray, dress: np.ndarray, own: int
    ) -> _Person | None:
        """Who it really is, when somebody has been dressed like one who was just lost for some frames."""
        able = [k for k in lost if np.isfinite(cost[k]) and dress[k] < _LIKER * dress[own]]
        person.doubts = person.doubts + 1 if able else 0
        if person.doubts < _DOUBTS:
            return None
        person.doubts = 0
        best = min(able, key=lambda k: dress[k])
        lost.remove(best)
        return self._people[best]


def link(frames: Iterable[Moment], skeleton: str) -> tuple[Track, ...]:
    """The tracks of a film; those too short to be of a person are left out."""
    tracker, count = Tracker(skeleton), 0
    trails: dict[int, _Trail] = {}
    for count, seen in enumerate(frames, 1):
        for row, number in enumerate(tracker.step(seen)):
            trail = trails.setdefault(number, _Trail())
            trail.add(count - 1, seen.keypoints[row], seen.boxes[row])
            trail.dressed(seen.time, seen.colours[row])
    least = min(FEW, max(1, count // 4))
    kept = [trail for trail in trails.values() if len(trail) >= least and trail.share >= _OFTEN]
    trails.clear()
    for chain in chains([trail.piece() for trail in kept]):
        for number in chain[1:]:
            kept[chain[0]].join(kept[number])
            kept[number] = _Trail()
    return _tracks([trail for trail in kept if len(trail)])


Row = tuple[int, Any, np.ndarray, np.ndarray]
"""A frame's number, a person, keypoints (J, 3) and a box (4,)."""


def tracked(rows: Iterable[Row], least: int = 1) -> tuple[Track, ...]:
    """The tracks of people who are told apart already, those of fewer frames than `least` left out."""
    trails: dict[Any, _Trail] = {}
    for frame, who, points, box in rows:
        trails.setdefault(who, _Trail()).add(frame, points, box)
    return _tracks([trail for trail in trails.values() if len(trail) >= least])


class _Trail:
    """Where one person was seen, in a few hundred bytes a frame."""

    def __init__(self) -> None:
        self._frames, self._points, self._boxes = array("q"), array("f"), array("f")
        self._joints = 0
        self._times: list[float] = []
        self._colours: np.ndarray | float = 0.0
        self._dressed: np.ndarray | int = 0

    def __len__(self) -> int:
        return len(self._frames)

    def add(self, frame: int, points: np.ndarray, box: np.ndarray) -> None:
        self._frames.append(frame)
        self._points.frombytes(np.ascontiguousarray(points, np.float32).tobytes())
        self._boxes.frombytes(np.ascontiguousarray(box, np.float32).tobytes())
        self._joints = len(points)

    def dressed(self, time: float, colours: np.ndarray) -> None:
        """What the person wears (C, 3) in the frame that was added, and when that is."""
        self._times = [self._times[0] if self._times else time, time]
        self._colours = self._colours + np.nan_to_num(colours)
        self._dressed = self._dressed + np.isfinite(colours)

    def join(self, later: _Trail) -> None:
        """Go on with the same person's next trail."""
        self._frames.extend(later._frames)
        self._points.extend(later._points)
        self._boxes.extend(later._boxes)

    @property
    def share(self) -> float:
        """Of the frames from its first to its last those in which it was seen."""
        return len(self) / (self._frames[-1] - self._frames[0] + 1)

    def piece(self) -> Piece:
        """Its ends."""
        boxes = np.frombuffer(self._boxes, np.float32).reshape(-1, 4)
        middle, size = boxes[:, :2] + boxes[:, 2:] / 2, float(np.nanmedian(boxes[:, 2:].max(1)))
        often = np.asarray(self._dressed) >= FEW
        colours = np.where(often, self._colours / np.maximum(self._dressed, 1), np.nan)
        begins, ends = self._times
        return Piece(begins, ends, middle[0].copy(), middle[-1].copy(), size, colours)

    @property
    def order(self) -> tuple[int, float]:
        """The first frame, and of two at once the larger first."""
        first = int(np.argmin(self._frames))
        return self._frames[first], -float(np.prod(self._boxes[4 * first + 2 : 4 * first + 4]))

    def track(self, number: int) -> Track:
        frames = np.frombuffer(self._frames, np.int64)
        first = int(frames.min())
        count = int(frames.max()) - first + 1
        keypoints = np.zeros((count, self._joints, 3), np.float32)
        boxes = np.full((count, 4), np.nan, np.float32)
        keypoints[frames - first] = np.frombuffer(self._points, np.float32).reshape(len(self), -1, 3)
        boxes[frames - first] = np.frombuffer(self._boxes, np.float32).reshape(len(self), 4)
        return Track(number, first, keypoints, boxes)


def _tracks(trails: list[_Trail]) -> tuple[Track, ...]:
    """By the first frame; the trails are let go."""
    trails.sort(key=lambda trail: trail.order, reverse=True)
    return tuple(trails.pop().track(number) for number in range(1, len(trails) + 1))


def still(times: np.ndarray, tracks: Sequence[Track]) -> Iterator[int]:
    """Ids of people who never move: pictures on a wall, or statues.

    While somebody else does; of a film in which nobody does, who stands as no person can for so long.
    """
    spread = {track.id: _spread(track) for track in tracks if _lasts(times, track, _LONG)}
    if any(value > _MOVES for value in spread.values()):
        yield from (number for number, value in spread.items() if value < _STILL)
    else:
        lasting = [track.id for track in tracks if _lasts(times, track, _STANDS)]
        yield from (number for number in lasting if spread[number] < _STILL)


def _costs(person: _Person, seen: Moment, mirror: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """Of each detection, infinite where it cannot be this person, and how differently it is dressed.

    Detectors take left for right at times, so both are tried.
    """
    points, box = person.at(seen.time)
    size = np.maximum(np.maximum(person.box[2:].max(), seen.boxes[:, 2:].max(1)), 1.0)
    weight = person.points[:, 2] * seen.keypoints[..., 2] + 1e-6
    apart = np.linalg.norm(seen.keypoints[..., :2] - points, axis=-1)
    distance = (weight * apart).sum(1) / weight.sum(1) / size
    crossed = np.linalg.norm(seen.keypoints[..., :2] - points[mirror], axis=-1)
    distance = np.minimum(distance, (weight * crossed).sum(1) / weight.sum(1) / size)
    dress = np.abs(seen.colours - person.colours).mean(-1)
    known = ~np.isnan(dress)
    dress = np.where(known, np.minimum(dress, _ODD), 0).sum(1) / np.maximum(known.sum(1), 1)
    gone = seen.time - person.time
    reach = min(_NEAR + _FASTER * gone, _FARTHEST)
    cost = distance + _BOX * (1 - _overlap(box, seen.boxes)) + _DRESS * dress
    other = (distance > reach) | ((gone > _BRIEF) & (dress > _OTHER))
    return np.where(other, np.inf, cost), np.where(known.any(1), dress, np.nan)


def _overlap(box: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Intersection over union."""
    low = np.maximum(box[:2], boxes[:, :2])
    high = np.minimum(box[:2] + box[2:], boxes[:, :2] + boxes[:, 2:])
    both = np.clip(high - low, 0, None).prod(1)
    return both / np.maximum(box[2:].prod() + boxes[:, 2:].prod(1) - both, 1e-9)


def _first_known(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return np.where(np.isnan(one), other, one)


def _lasts(times: np.ndarray, track: Track, seconds: float) -> bool:
    return len(track) > 1 and times[track.first + len(track) - 1] - times[track.first] >= seconds


def _spread(track: Track) -> float:
    """The median joint's standard deviation over time, in sizes of the person."""
    seen = track.keypoints[..., 2] > 0.5
    points = np.where(seen[..., None], track.keypoints[..., :2], np.nan)
    able = points[:, seen.sum(0) > len(track) / 2]
    size = float(np.nanmedian(track.boxes[:, 2:].max(1)))
    if not able.size or not size > 0:
        return 0.01
    return float(np.median(np.nanstd(able, axis=0).max(-1))) / size
