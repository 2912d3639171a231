"""Who is who in several films: tracks whose rays meet are one person."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from posedata.geometry.camera import Camera
from posedata.skeleton import Skeleton

from polypose.capture.rays import Rays, cast

SAME = 0.15
"""Metres by which rays of one person's joints pass each other at most, in the middle of all frames."""
_FEW = 3
_OVERLAP = 2
"""Frames that two tracks of one film may share and still be one person's."""
_MOST = 3000
"""Frames that tell whether two tracks are of one person."""
_NEAREST = 0.3


@dataclass(frozen=True)
class Sighting:
    """A track on the common clock.

    Attributes:
        view: number of its film.
        first: index of its first frame on the clock.
        keypoints: (T, J, 3) pixels and confidence.
    """

    view: int
    first: int
    keypoints: np.ndarray

    @property
    def last(self) -> int:
        """One beyond its last frame."""
        return self.first + len(self.keypoints)


def match(sightings: Sequence[Sighting], cameras: Sequence[Camera], skeleton: Skeleton) -> list[list[int]]:
    """Groups of sightings, each of one person, by the first frame.

    The two groups whose rays pass nearest to each other are joined, again and again (agglomerative, by mean
    distance): a person may have several tracks in a film, one after the other, and every film may lack it.
    Two tracks of one film at the same time are two people.
    """
    count = len(sightings)
    far = np.full((count, count), np.nan)
    for a in range(count):
        for b in range(a):
            if sightings[a].view != sightings[b].view:
                far[a, b] = far[b, a] = _apart(sightings[a], sightings[b], cameras, skeleton)
    groups = [[i] for i in range(count)]
    while len(groups) > 1:
        best, pair = SAME, None
        for i, one in enumerate(groups):
            for j, other in enumerate(groups[:i]):
                between = far[np.ix_(one, other)]
                known = between[np.isfinite(between)]
                if len(known) and known.mean() < best and _may_join(sightings, one, other):
                    best, pair = float(known.mean()), (i, j)
        if pair is None:
            break
        groups[pair[1]] += groups.pop(pair[0])
    return sorted((sorted(group) for group in groups), key=lambda g: min(sightings[i].first for i in g))


def passing(rays: Rays) -> np.ndarray:
    """(T, J) metres by which the rays of two cameras pass each other in front of both; NaN where not seen.

    Of either sign, by the side on which the second passes; where they part, as of people behind, infinite.
    """
    (one, other), base = rays.direction, rays.origin[1] - rays.origin[0]
    across = np.cross(one, other)
    sine = np.maximum((across**2).sum(-1), 1e-12)
    along = [(np.cross(base, way) * across).sum(-1) / sine for way in (other, one)]
    gap = np.linalg.norm(base + along[1][..., None] * other - along[0][..., None] * one, axis=-1)
    gap = np.copysign(gap, across @ base)
    gap = np.where((along[0] > _NEAREST) & (along[1] > _NEAREST), gap, np.inf)
    return np.asarray(np.where(rays.seen.all(0), gap, np.nan))


def _apart(one: Sighting, other: Sighting, cameras: Sequence[Camera], skeleton: Skeleton) -> float:
    """Metres, the median over frames of the median over joints; NaN without common frames."""
    first, last = max(one.first, other.first), min(one.last, other.last)
    if last - first < _FEW:
        return float("nan")
    step = -(-(last - first) // _MOST)
    both = np.stack([s.keypoints[first - s.first : last - s.first : step] for s in (one, other)])
    return gap_of(cast([cameras[one.view], cameras[other.view]], both, skeleton))


def gap_of(rays: Rays, standing: float = 0.0) -> float:
    """Metres by which the rays of two cameras pass each other: the median over frames of that over joints.

    Args:
        standing: metres of it that, where they are there in all frames, are a joint's that a detector sees
            elsewhere from each side, and do not count.
    """
    gap = passing(rays)
    gap = gap[(~np.isnan(gap)).sum(1) >= _FEW]
    if len(gap) < _FEW:
        return float("nan")
    if standing:
        met = np.where(np.isfinite(gap), gap, np.nan)
        usual = [np.median(x[~np.isnan(x)]) if (~np.isnan(x)).any() else 0.0 for x in met.T]
        gap = gap - np.clip(usual, -standing, standing)
    return float(np.median(np.nanmedian(np.abs(gap), axis=1)))


def _may_join(sightings: Sequence[Sighting], one: Sequence[int], other: Sequence[int]) -> bool:
    return all(
        sightings[a].view != sightings[b].view
        or min(sightings[a].last, sightings[b].last) - max(sightings[a].first, sightings[b].first) <= _OVERLAP
        for a in one
        for b in other
    )
